from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from devices import Elsewhere

from monai_ceph.transforms import (
    LandmarksToHeatmaps,
    PoseFilm,
    RandAnnotation,
    RandFilmOcclusion,
    RandGuide,
    RandLandmarkPatch,
    landmarks_to_grid,
    landmarks_to_source,
)

POINTS = torch.tensor([[10.0, 12.0], [20.0, 31.0], [25.0, 14.0]])
FILM = torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(0))


USES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "landmarks_to_grid": lambda points: landmarks_to_grid(points, 2 * torch.eye(3)),
    "landmarks_to_source": lambda points: landmarks_to_source(points, 2 * torch.eye(3)),
    "LandmarksToHeatmaps": lambda points: LandmarksToHeatmaps(2.0)(points, (40, 50)),
    "PoseFilm": lambda points: PoseFilm(30, POINTS)(FILM, points),
    "RandAnnotation": lambda points: RandAnnotation().set_random_state(0)(points, points),
    "RandGuide": lambda points: RandGuide(0.0)(points),
    "RandFilmOcclusion": lambda points: RandFilmOcclusion(1.0, 3, (0.5, 0.9), 2.0).set_random_state(0)(FILM, points)[1],
    "RandLandmarkPatch": lambda points: RandLandmarkPatch(9, 2.0).set_random_state(0)(FILM, points)[0],
}


@pytest.mark.parametrize("use", USES)
def test_landmarks_of_another_device_come_to_the_cpu_first(use: str) -> None:
    there = USES[use](Elsewhere(POINTS))
    assert torch.equal(torch.nan_to_num(there), torch.nan_to_num(USES[use](POINTS)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("use", USES)
def test_landmarks_on_a_gpu(use: str) -> None:
    there = USES[use](POINTS.cuda())
    assert there.device.type == "cpu"
    assert torch.equal(torch.nan_to_num(there), torch.nan_to_num(USES[use](POINTS)))
