from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from monai_ceph.transforms import RandGuide, RandGuided, SquareFilm, affine_of, landmarks_to_grid

POINTS = torch.tensor([[400.0, 350.0], [math.nan, math.nan], [30.5, 60.25]], dtype=torch.float64)


def test_errors_have_the_stated_standard_deviation() -> None:
    points = torch.zeros(5000, 2)
    errors = RandGuide(15.0).set_random_state(0)(points)
    assert errors.std(dim=0).tolist() == pytest.approx([15, 15], rel=0.04)
    assert errors.mean(dim=0).tolist() == pytest.approx([0, 0], abs=0.8)
    assert abs(float((errors[:, 0] * errors[:, 1]).mean())) < 0.06 * 225
    assert torch.equal(points, torch.zeros(5000, 2))


def test_without_error_the_guide_is_the_landmark_and_nan_stays_nan() -> None:
    assert torch.equal(RandGuide(0.0)(POINTS).nan_to_num(-1), POINTS.nan_to_num(-1))
    assert RandGuide(3.0)(POINTS)[1].isnan().all()


def test_dictionary_form_gives_pixels_of_the_grid() -> None:
    film = SquareFilm(100)(MetaTensor(torch.zeros(1, 500, 400), affine=torch.eye(3)))
    data = {"image": film, "landmarks": POINTS.numpy()}
    exact = RandGuided("landmarks", "image", "guide", 0.0)(data)["guide"]
    assert torch.equal(exact.nan_to_num(-1), landmarks_to_grid(POINTS, affine_of(film)).nan_to_num(-1))
    assert exact[0].tolist() == pytest.approx([(400 - 100 + 0.5) / 4 - 0.5, (350 + 0.5) / 4 - 0.5])
    chain = Compose([RandGuided("landmarks", "image", "guide", 8.0)])
    first, again = (chain.set_random_state(4)(data)["guide"] for _ in range(2))
    assert np.array_equal(first, again, equal_nan=True)
    assert 0 < (first - exact)[0].abs().max() < 12
    assert np.array_equal(data["landmarks"], POINTS.numpy(), equal_nan=True)


def test_with_a_seed_key_the_guide_is_that_of_the_film() -> None:
    film = SquareFilm(100)(MetaTensor(torch.zeros(1, 500, 400), affine=torch.eye(3)))
    transform = RandGuided("landmarks", "image", "guide", 8.0, seed_key="name")

    def guide(name: str) -> torch.Tensor:
        return transform({"image": film, "landmarks": POINTS.numpy(), "name": name})["guide"].nan_to_num(-1)

    first, other, again = guide("001.png"), guide("002.png"), guide("001.png")
    assert torch.equal(first, again)
    assert not torch.isclose(first[[0, 2]], other[[0, 2]]).any()


def test_error_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="error_sd"):
        RandGuide(-1.0)
