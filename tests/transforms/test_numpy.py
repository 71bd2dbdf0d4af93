from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_ceph.transforms import (
    PoseFilm,
    RandFilmAffine,
    RandFilmOcclusion,
    RandLandmarkPatch,
    ScaleFilmIntensity,
    SquareFilm,
    WholeFilm,
    affine_of,
    resample,
)

POINTS = torch.tensor([[10.0, 12.0], [20.0, 31.0], [25.0, 14.0]])
PIXELS = np.random.RandomState(0).rand(1, 40, 50).astype(np.float32)

USES: dict[str, Callable] = {
    "PoseFilm": lambda film: PoseFilm(30, POINTS)(film, POINTS),
    "RandFilmAffine": lambda film: RandFilmAffine(1.0, 7.0, 0.1, 3.0).set_random_state(0)(film),
    "RandFilmOcclusion": lambda film: RandFilmOcclusion(1.0, 3, (0.5, 0.9), 2.0).set_random_state(0)(film, POINTS)[0],
    "RandLandmarkPatch": lambda film: RandLandmarkPatch(9, 2.0).set_random_state(0)(film, POINTS)[0],
    "ScaleFilmIntensity": ScaleFilmIntensity(0.5, 99.5, step=1),
    "SquareFilm": SquareFilm(17),
    "WholeFilm": WholeFilm(17),
    "resample": lambda film: resample(film, torch.diag(torch.tensor([2.0, 2.0, 1.0])), (9, 9)),
}


@pytest.mark.parametrize("use", USES)
def test_an_array_gives_the_same_as_a_film_without_an_affine(use: str) -> None:
    before = PIXELS.copy()
    found, expected = USES[use](PIXELS), USES[use](torch.from_numpy(PIXELS))
    assert isinstance(found, MetaTensor)
    assert torch.equal(found.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor))
    assert torch.equal(affine_of(found), affine_of(expected))
    assert np.array_equal(PIXELS, before)


@pytest.mark.parametrize("use", USES)
def test_an_array_of_another_order_and_type(use: str) -> None:
    """Transposed like PIL's images, and in the type of most DICOM files, which torch supports only in part."""
    pixels = np.round(60000 * PIXELS).astype(np.uint16)[:, ::-1].swapaxes(1, 2)
    plain = torch.from_numpy(np.ascontiguousarray(pixels).astype(np.int32))
    assert torch.equal(USES[use](pixels).as_subclass(torch.Tensor), USES[use](plain).as_subclass(torch.Tensor))
