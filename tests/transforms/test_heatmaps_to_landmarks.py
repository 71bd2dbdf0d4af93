from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from devices import Elsewhere
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_ceph.transforms import HeatmapsToLandmarks, HeatmapsToLandmarksd, LandmarksToHeatmaps, SquareFilm
from monai_ceph.transforms.rand_landmark_patch import crop_patch

SIZE = (30, 41)


def gaussian(row: float, column: float, sigma: float) -> torch.Tensor:
    return LandmarksToHeatmaps(sigma)(torch.tensor([[row, column]], dtype=torch.float64), SIZE)[:1]


@given(row=st.floats(-0.5, 29.5), column=st.floats(-0.5, 40.5), sigma=st.floats(0.8, 7))
@settings(max_examples=150)
def test_argmax_is_exact_for_a_gaussian_up_to_the_border(row: float, column: float, sigma: float) -> None:
    found = HeatmapsToLandmarks("argmax")(gaussian(row, column, sigma))
    assert found.dtype == torch.float64
    assert found[0].tolist() == pytest.approx([row, column], abs=0.01)


@pytest.mark.parametrize("place", [(0, 0), (0, 40), (29, 0), (29, 40)])
def test_a_landmark_far_outside_stays_within_half_a_pixel_of_the_grid(place: tuple[int, int]) -> None:
    outside = (place[0] * 1.2 - 3, place[1] * 1.2 - 3)
    found = HeatmapsToLandmarks("argmax")(gaussian(*outside, 6.0))[0]
    assert (found - torch.tensor(place)).abs().max() <= 0.5


@pytest.mark.parametrize("method", ["mean", "argmax"])
def test_on_a_device_without_double_precision(method: Literal["mean", "argmax"]) -> None:
    find = HeatmapsToLandmarks(method, power=2)
    maps = torch.cat([gaussian(12.4, 7.7, 3), torch.zeros(1, *SIZE), gaussian(3.1, 33.3, 5)])
    assert torch.equal(find(Elsewhere(maps)).nan_to_num(-1), find(maps).nan_to_num(-1))


def test_argmax_without_refinement_is_a_whole_pixel() -> None:
    assert HeatmapsToLandmarks("argmax", refine=False)(gaussian(12.4, 7.7, 3)).tolist() == [[12.0, 8.0]]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2)])
def test_argmax_on_a_grid_too_small_for_a_parabola(size: tuple[int, int]) -> None:
    heatmap = torch.zeros(1, *size)
    heatmap[0, -1, -1] = 1
    assert HeatmapsToLandmarks("argmax")(heatmap).tolist() == [[size[0] - 1, size[1] - 1]]


@pytest.mark.parametrize("place", [(0, 2), (1, 1), (2, 0)])
def test_argmax_on_three_pixels_is_refined(place: tuple[int, int]) -> None:
    """A parabola needs three pixels, and it fits the logarithm of a Gaussian exactly."""
    row, column = place[0] + 0.3, place[1] - 0.2
    heatmap = LandmarksToHeatmaps(1.5, torch.float64)(torch.tensor([[row, column]]).double(), (3, 3))[:1]
    assert HeatmapsToLandmarks("argmax")(heatmap)[0].tolist() == pytest.approx([row, column], abs=0.01)


def test_a_flat_top_is_its_pixel() -> None:
    heatmap = torch.zeros(1, 5, 7)
    heatmap[0, 2, 2:5] = 1
    assert HeatmapsToLandmarks("argmax")(heatmap)[0, 0] == 2


def test_the_dictionary_form_gives_scores() -> None:
    maps = MetaTensor(
        torch.cat([gaussian(12, 7, 3), 0.25 * gaussian(3, 33, 5), torch.zeros(1, *SIZE)]), affine=torch.eye(3)
    )
    maps[2, 0, 0] = math.nan
    found = HeatmapsToLandmarksd("pred", "pred", "points", "argmax", score_key="scores", background=False)(
        {"pred": maps}
    )
    assert found["scores"].tolist() == pytest.approx([1, 0.25, 0])
    assert "scores" not in HeatmapsToLandmarksd("pred", "pred", "points", "argmax", False)({"pred": maps})
    with pytest.raises(KeyError):
        HeatmapsToLandmarksd("pred", "pred", "points", "argmax", False)({})
    assert HeatmapsToLandmarksd("pred", "pred", "points", "argmax", False, allow_missing_keys=True)({}) == {}


@pytest.mark.parametrize(("threshold", "fits"), [(0.0, False), (1.0, True), (1.01, False)])
def test_the_threshold_is_a_share_of_the_maximum(threshold: float, fits: bool) -> None:
    if fits:
        assert HeatmapsToLandmarks("mean", threshold)(gaussian(12, 7, 3))[0].tolist() == pytest.approx([12, 7])
    else:
        with pytest.raises(ValueError, match="threshold"):
            HeatmapsToLandmarks("mean", threshold)


def naive_mean(heatmap: np.ndarray, threshold: float) -> list[float]:
    """Section 3: normalised to 0..1, filtered at the threshold, mean position of the nonzero pixels."""
    normalised = heatmap / heatmap.max()
    positions = [index for index in np.ndindex(*heatmap.shape) if normalised[index] >= threshold]
    return [sum(p[axis] for p in positions) / len(positions) for axis in (0, 1)]


@given(seed=st.integers(0, 2**31), threshold=st.floats(0.05, 1))
@settings(max_examples=30)
def test_mean_is_the_definition_of_the_paper(seed: int, threshold: float) -> None:
    # multiples of 1/1024 and a maximum of 1: the division and the comparison are exact on both sides
    maps = np.random.RandomState(seed).randint(0, 1024, (3, 9, 12)) / 1024
    maps[:, 4, 5] = 1
    found = HeatmapsToLandmarks("mean", threshold)(torch.from_numpy(maps) * 0.25)
    for channel in range(3):
        assert found[channel].tolist() == pytest.approx(naive_mean(maps[channel], threshold), abs=1e-9)


def test_mean_by_hand() -> None:
    heatmap = torch.zeros(1, 6, 8)
    heatmap[0, 1, 2], heatmap[0, 1, 4], heatmap[0, 4, 3], heatmap[0, 5, 7] = 0.2, 0.1, 0.15, 0.0999
    # 0.0999 is below half of 0.2; each pixel that is left counts once, whatever its height
    assert HeatmapsToLandmarks("mean", 0.5)(heatmap)[0].tolist() == pytest.approx([2.0, 3.0])


def test_the_remaining_pixels_are_weighted_by_the_power() -> None:
    heatmap = torch.zeros(1, 6, 8)
    heatmap[0, 1, 2], heatmap[0, 4, 2], heatmap[0, 1, 7] = 0.2, 0.1, 0.0199
    # 0.0199 is below a tenth of 0.2; the two others count 1 to 1, 2 to 1, 4 to 1
    for power, row in ((0, 2.5), (1, 2.0), (2, 1.6)):
        found = HeatmapsToLandmarks("mean", 0.1, power=power)(heatmap)
        assert found[0].tolist() == pytest.approx([row, 2.0])
        data = HeatmapsToLandmarksd("pred", "pred", "found", "mean", False, 0.1, power=power)({"pred": heatmap})
        assert torch.equal(data["found"], found)


@given(centres=st.lists(st.tuples(st.floats(30, 50), st.floats(30, 50)), min_size=2, max_size=2))
@settings(max_examples=30)
def test_the_geometric_mean_of_two_networks_squared_is_their_product(centres: list[tuple[float, float]]) -> None:
    # two Gaussians multiply to one between them, nearer to the narrower: by hand, weights 1/sd^2
    narrow, wide = (
        LandmarksToHeatmaps(sd)(torch.tensor([centre]), (80, 80))[0]
        for centre, sd in zip(centres, (4.0, 8.0), strict=True)
    )
    found = HeatmapsToLandmarks("mean", 1e-6, power=2)((narrow * wide).sqrt()[None])[0]
    expected = [(first * 4 + second) / 5 for first, second in zip(*centres, strict=True)]
    assert found.tolist() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("method", ["argmax", "mean"])
def test_a_heatmap_without_a_maximum_gives_no_landmark(method: Literal["argmax", "mean"]) -> None:
    maps = torch.zeros(5, 12, 12)
    maps[1, 3, 4] = math.nan
    maps[1, 5, 5] = 1
    maps[2] = -1
    maps[3, 3, 3] = math.inf
    maps[4, 6, 7] = 1e-3
    for power in (0, 1.5):
        found = HeatmapsToLandmarks(method, power=power)(maps)
        assert found[:4].isnan().all()
        assert found[4].tolist() == [6, 7]


@pytest.mark.parametrize("method", ["argmax", "mean"])
def test_a_maximum_below_min_peak_gives_no_landmark(method: Literal["argmax", "mean"]) -> None:
    maps = torch.zeros(4, 12, 12)
    maps[0, 6, 7], maps[1, 6, 7], maps[2, 6, 7], maps[3, 6, 7] = 0.2499, 0.25, 0.9, math.nan
    found = HeatmapsToLandmarks(method, min_peak=0.25)(maps)
    assert found[[0, 3]].isnan().all()
    assert found[1:3].tolist() == [[6, 7], [6, 7]]
    data = HeatmapsToLandmarksd("pred", "pred", "found", method, False, min_peak=0.25)({"pred": maps})
    assert torch.equal(data["found"].isnan(), found.isnan())


def test_heatmaps_are_not_changed() -> None:
    maps = torch.rand(3, 8, 8)
    before = maps.clone()
    HeatmapsToLandmarks("mean")(maps)
    HeatmapsToLandmarks("argmax")(maps)
    assert torch.equal(maps, before)


@given(
    cells=st.lists(st.integers(0, 8), min_size=1, max_size=4, unique=True),
    shift=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
)
@settings(max_examples=60)
def test_round_trip(cells: list[int], shift: tuple[float, float]) -> None:
    """Landmarks six standard deviations apart; closer ones push each other's maxima apart (eq. 2 divided)."""
    points = torch.tensor([[15 + 24 * (c // 3) + shift[0], 15 + 24 * (c % 3) + shift[1]] for c in cells])
    heatmaps = LandmarksToHeatmaps(2.5)(points, (80, 80))
    assert (HeatmapsToLandmarks("argmax")(heatmaps[:-1]) - points).abs().max() < 0.05
    # the mean of the pixels above a half is a disc on a raster
    assert (HeatmapsToLandmarks("mean")(heatmaps[:-1]) - points).abs().max() < 0.4


@pytest.mark.parametrize("background", [True, False])
def test_dictionary_form_returns_to_the_source(background: bool) -> None:
    source = torch.tensor([[40.0, 21.0], [33.5, 12.25]], dtype=torch.float64)
    film = crop_patch(SquareFilm(20)(MetaTensor(torch.rand(1, 60, 40), affine=torch.eye(3))), (2, 3), 17)
    on_grid = torch.tensor([[(r - 20 + 0.5) / 2 - 2.5, (c + 0.5) / 2 - 3.5] for r, c in source.tolist()])
    heatmaps = LandmarksToHeatmaps(1.0)(on_grid, (17, 17))
    to_landmarks = HeatmapsToLandmarksd("pred", "film", "found", "argmax", background)
    found = to_landmarks({"pred": heatmaps if background else heatmaps[:-1], "film": film})["found"]
    assert found.shape == (2, 2)
    assert torch.allclose(found, source, atol=0.02)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="method"):
        HeatmapsToLandmarks("median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold"):
        HeatmapsToLandmarks("mean", 0.0)
    for power in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="power"):
            HeatmapsToLandmarks("mean", power=power)
    with pytest.raises(ValueError, match="target_key: give one of its own"):
        HeatmapsToLandmarksd(["a", "b"], "film", "found", "mean", False)
