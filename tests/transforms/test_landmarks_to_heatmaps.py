from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import LandmarksToHeatmaps, LandmarksToHeatmapsd, SquareFilm
from monai_ceph.transforms.rand_landmark_patch import crop_patch

coordinate = st.floats(-15, 45)
landmarks = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=6)
SIZE = (24, 31)


@given(row=st.floats(0, 23), column=st.floats(0, 30), sigma=st.floats(0.8, 8))
@settings(max_examples=40)
def test_equation_1_at_every_pixel(row: float, column: float, sigma: float) -> None:
    heatmap = LandmarksToHeatmaps(sigma, torch.float64)(torch.tensor([[row, column]], dtype=torch.float64), SIZE)[0]
    for r, c in [(0, 0), (5, 7), (23, 30), (round(row), round(column))]:
        assert heatmap[r, c].item() == pytest.approx(
            math.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * sigma**2)), rel=1e-6, abs=1e-12
        )


def test_known_values() -> None:
    heatmaps = LandmarksToHeatmaps(2.0)(torch.tensor([[3.0, 4.5]]), (8, 9))
    assert heatmaps.shape == (2, 8, 9)
    assert heatmaps.dtype == torch.float32
    # half a pixel from the centre, then 2 rows and 1.5 columns
    assert heatmaps[0, 3, 4].item() == pytest.approx(math.exp(-0.25 / 8))
    assert heatmaps[0, 3, 4] == heatmaps[0, 3, 5]
    assert heatmaps[0, 5, 6].item() == pytest.approx(math.exp(-(4 + 2.25) / 8))
    assert heatmaps[1, 3, 4].item() == pytest.approx(1 - math.exp(-0.25 / 8), abs=1e-6)


@given(points=landmarks, sigma=st.floats(0.8, 8))
@settings(max_examples=60)
def test_channels_sum_to_one_and_the_background_is_never_negative(
    points: list[tuple[float, float]], sigma: float
) -> None:
    heatmaps = LandmarksToHeatmaps(sigma)(torch.tensor(points), SIZE)
    assert torch.allclose(heatmaps.sum(dim=0), torch.ones(SIZE), atol=1e-6)
    assert heatmaps.min() >= 0
    assert heatmaps.max() <= 1


def test_gaussians_that_overlap_above_1_share_the_pixel_in_proportion() -> None:
    heatmaps = LandmarksToHeatmaps(3.0, torch.float64)(torch.tensor([[10.0, 10.0], [10.0, 13.0]]), (20, 20))
    other = math.exp(-9 / 18)
    assert heatmaps[0, 10, 10].item() == pytest.approx(1 / (1 + other))
    assert heatmaps[1, 10, 10].item() == pytest.approx(other / (1 + other))
    assert heatmaps[2, 10, 10] == 0
    # where they sum to less than 1, equation 2 is not changed
    own, far = math.exp(-100 / 18), math.exp(-169 / 18)
    assert heatmaps[:, 10, 0].tolist() == pytest.approx([own, far, 1 - own - far])


@given(points=landmarks, start=st.tuples(st.integers(-8, 20), st.integers(-8, 20)))
@settings(max_examples=40)
def test_heatmaps_of_a_crop_are_the_crop_of_the_heatmaps(
    points: list[tuple[float, float]], start: tuple[int, int]
) -> None:
    """So the tail of a landmark outside is kept."""
    side, (row, column) = 10, start
    absolute = torch.tensor(points, dtype=torch.float64)
    part = LandmarksToHeatmaps(2.5)(absolute - torch.tensor(start), (side, side))
    margin = 10
    whole = LandmarksToHeatmaps(2.5)(absolute + margin, (40, 40))
    crop = whole[:, row + margin : row + margin + side, column + margin : column + margin + side]
    assert torch.allclose(part, crop, atol=1e-6)


def test_tail_of_a_landmark_outside() -> None:
    heatmaps = LandmarksToHeatmaps(2.0)(torch.tensor([[-3.0, 5.0]]), (10, 10))
    assert heatmaps[0, 0, 5].item() == pytest.approx(math.exp(-9 / 8), rel=1e-6)


@pytest.mark.parametrize("nan", [[math.nan, math.nan], [math.nan, 5.0], [5.0, math.nan]])
def test_missing_landmark_is_a_channel_of_nan_and_leaves_the_rest_alone(nan: list[float]) -> None:
    known = [[5.0, 6.0], [9.0, 8.0]]
    make = LandmarksToHeatmaps(3.0)
    with_missing = make(torch.tensor([known[0], nan, known[1]]), SIZE)
    without = make(torch.tensor(known), SIZE)
    assert with_missing[1].isnan().all()
    assert torch.equal(with_missing[[0, 2, 3]], without)


def test_all_missing_is_all_background() -> None:
    heatmaps = LandmarksToHeatmaps(3.0)(torch.full((2, 2), math.nan), SIZE)
    assert heatmaps[:2].isnan().all()
    assert (heatmaps[2] == 1).all()


def test_dictionary_form_follows_the_affine_of_a_cropped_and_scaled_film() -> None:
    source = np.array([[40.0, 21.0], [math.nan, math.nan], [25.5, 3.25]])
    film = SquareFilm(20)(MetaTensor(torch.rand(1, 60, 40), affine=torch.eye(3)))
    film = crop_patch(film, (4, 7), 12)
    result = LandmarksToHeatmapsd("points", "film", "label", sigma=1.5)({"film": film, "points": source})
    # the square is rows 20..60, scaled by 1/2; the patch begins at (4, 7) of it
    on_grid = [((r - 20 + 0.5) / 2 - 0.5 - 4, (c + 0.5) / 2 - 0.5 - 7) for r, c in source.tolist()]
    label = result["label"]
    assert label.shape == (4, 12, 12)
    assert torch.allclose(
        label, LandmarksToHeatmaps(1.5)(torch.tensor(on_grid, dtype=torch.float64), (12, 12)), equal_nan=True
    )
    assert label[0, 5, 3].item() == pytest.approx(
        math.exp(-((5 - on_grid[0][0]) ** 2 + (3 - on_grid[0][1]) ** 2) / 4.5), rel=1e-5
    )
    assert result["film"] is film
    assert result["points"] is source


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        LandmarksToHeatmaps(sigma)


def test_one_key_per_target() -> None:
    with pytest.raises(ValueError, match="target_key: give one of its own"):
        LandmarksToHeatmapsd(["a", "b"], "film", "label", 1.0)
