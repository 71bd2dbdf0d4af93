from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from window_samples import COORDINATE, FILM, SIZE, of_pixels

from monai_ceph.inferers import Arrangement, ExpansiveExplorationInferer, Windows, patch_offsets

NAN = math.nan


def naive(film: np.ndarray, guide: list[list[float]], patch: int, expansion: float, centre: bool) -> np.ndarray:
    """Section 3 and figure 2, pixel by pixel: the mean of five canvases, each a patch whose maximum became 1."""
    side = patch if centre else round(expansion * patch)
    far = side - patch
    offsets = [(0, 0)] if centre else [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]
    rows, columns = film.shape
    merged = np.zeros((len(guide), rows, columns))
    for channel, (row, column) in enumerate(guide):
        if math.isnan(row) or math.isnan(column):
            continue
        canvases, highest = [], []
        first = math.floor(row - (side - 1) / 2 + 0.5), math.floor(column - (side - 1) / 2 + 0.5)
        for offset in offsets:
            places = [(first[0] + offset[0] + r, first[1] + offset[1] + c) for r in range(patch) for c in range(patch)]
            inside = [0 <= r < rows and 0 <= c < columns for r, c in places]
            values = np.array([film[place] if ok else 0 for place, ok in zip(places, inside, strict=True)])
            logits = np.stack((3 * values + values.mean(), 2 * values.mean() - values, 0 * values))
            share = np.exp(logits) / np.exp(logits).sum(axis=0)
            canvas = np.zeros_like(film)
            for place, ok, value in zip(places, inside, share[channel], strict=True):
                if ok:
                    canvas[place] = value
            highest.append(canvas.max())
            canvases.append(canvas / canvas.max() if canvas.any() else canvas)
        mean = np.mean(canvases, axis=0)
        if mean.any():
            merged[channel] = mean / mean.max() * max(highest)
    return merged


def test_offsets_of_the_paper() -> None:
    """Patches of 150 px and an expansion of 1.8: a square of 270 px."""
    offsets = patch_offsets(150, 1.8, "corners-and-centre")
    assert offsets == [(0, 0), (0, 120), (120, 0), (120, 120), (60, 60)]
    assert ExpansiveExplorationInferer(150, 1.8).side == 270
    assert patch_offsets(150, 1.8, "centre") == [(0, 0)]
    assert ExpansiveExplorationInferer(150, 1.8, "centre").side == 150


@given(patch=st.integers(1, 40), expansion=st.floats(1, 2))
@settings(max_examples=60)
def test_every_pixel_of_the_square_is_covered(patch: int, expansion: float) -> None:
    inferer = ExpansiveExplorationInferer(patch, expansion)
    assert inferer.side == max(patch, round(expansion * patch))
    assert (inferer.merge(torch.ones(5, patch, patch)) > 0).all()


def peaks(*places: tuple[int, int, int, float]) -> torch.Tensor:
    """Five patches of 10 px that are 0 but for (patch, row, column, probability)."""
    patches = torch.zeros(5, 10, 10)
    for patch, row, column, probability in places:
        patches[patch, row, column] = probability
    return patches


class TestMerge:
    """Patches of 10 px in a square of 18: they start at (0, 0), (0, 8), (8, 0), (8, 8) and (4, 4)."""

    inferer = ExpansiveExplorationInferer(10, 1.8)

    def test_a_maximum_that_one_corner_sees_has_a_fifth_of_the_weight_of_one_that_all_see(self) -> None:
        # the pixel (9, 9) of the square lies in all five patches; (2, 2) only in the first
        everywhere = [(0, 9, 9), (1, 9, 1), (2, 1, 9), (3, 1, 1), (4, 5, 5)]
        patches = peaks(*((*place, 0.5) for place in everywhere), (0, 2, 2, 0.5))
        merged = self.inferer.merge(patches)
        assert merged[2, 2] / merged[9, 9] == pytest.approx(0.2)
        assert merged.count_nonzero() == 2

    def test_a_patch_that_is_sure_does_not_outvote_two_that_are_not(self) -> None:
        # (9, 4) lies in patches 0, 2 and 4
        merged = self.inferer.merge(peaks((0, 9, 4, 0.1), (2, 1, 4, 0.1), (1, 0, 9, 0.9)))
        assert merged[9, 4] / merged[0, 17] == pytest.approx(2)

    def test_the_maximum_is_the_highest_probability_of_a_patch(self) -> None:
        assert self.inferer.merge(peaks((0, 9, 4, 0.1), (1, 0, 9, 0.3))).max() == pytest.approx(0.3)
        assert (self.inferer.merge(peaks()) == 0).all()

    def test_one_patch_stays_as_it_is(self) -> None:
        patch = torch.rand(1, 10, 10, generator=torch.Generator().manual_seed(0))
        merged = ExpansiveExplorationInferer(10, 1.8, "centre").merge(patch)
        assert torch.allclose(merged, patch[0])


@given(
    guide=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=2, max_size=2),
    patch=st.integers(3, 12),
    expansion=st.floats(1, 2),
    arrangement=st.sampled_from(get_args(Arrangement)),
    batch_size=st.sampled_from([1, 3, 19]),
)
@settings(max_examples=40)
def test_the_merged_map_is_the_naive_one(
    guide: list[tuple[float, float]],
    patch: int,
    expansion: float,
    arrangement: Arrangement,
    batch_size: int,
) -> None:
    inferer = ExpansiveExplorationInferer(patch, expansion, arrangement, batch_size)
    points = torch.tensor([guide], dtype=torch.float64)
    merged = inferer(FILM[None], of_pixels, guide=points)
    assert merged.shape == (1, 2, *SIZE)
    expected = naive(FILM[0].numpy(), points[0].tolist(), patch, expansion, arrangement == "centre")
    np.testing.assert_allclose(merged[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("guide", [[[15.2, 17.6], [3.0, 35.0]], [[-4.0, 18.0], [29.9, -0.4]]])
def test_windows_hold_all_that_is_not_0(guide: list[list[float]]) -> None:
    inferer = ExpansiveExplorationInferer(9, 1.8)
    windows = inferer.explore(FILM, torch.tensor(guide), of_pixels)
    dense = inferer(FILM[None], of_pixels, guide=torch.tensor([guide]))[0]
    assert windows.heatmaps.shape == (2, 16, 16)
    assert torch.equal(windows.paste(SIZE), dense)
    # what hangs over the border is 0 in the window too: as much mass there as in the whole map
    assert windows.heatmaps.sum().item() == pytest.approx(dense.sum().item(), rel=1e-6)
    for channel, (row, column) in enumerate(windows.starts.tolist()):
        rest = dense[channel].clone()
        rest[max(row, 0) : max(row + 16, 0), max(column, 0) : max(column + 16, 0)] = 0
        assert (rest == 0).all()
        # the guide is the middle of the window
        assert abs(row + 7.5 - guide[channel][0]) <= 0.5
        assert abs(column + 7.5 - guide[channel][1]) <= 0.5


def test_windows_far_outside_paste_nothing() -> None:
    windows = Windows(torch.ones(3, 4, 4), torch.tensor([[-4, 0], [30, 0], [2, 100]]))
    assert (windows.paste(SIZE) == 0).all()


def test_without_a_guide_nothing_is_run() -> None:
    calls = []

    def network(patches: torch.Tensor) -> torch.Tensor:
        calls.append(len(patches))
        return of_pixels(patches)

    inferer = ExpansiveExplorationInferer(6, 1.5, batch_size=3)
    nothing = inferer(FILM[None], network, guide=torch.full((1, 2, 2), NAN))
    assert (nothing == 0).all()
    assert calls == []
    inferer(FILM[None], network, guide=torch.tensor([[[10.0, 10.0], [NAN, NAN]]]))
    assert calls == [3, 2]


def test_films_of_a_batch_are_independent_and_arguments_reach_the_network() -> None:
    films = torch.stack((FILM, 1 - FILM))
    guides = torch.tensor([[[10.0, 10.0], [20.0, 20.0]], [[5.0, 30.0], [NAN, 1.0]]])
    inferer = ExpansiveExplorationInferer(8, 1.8)

    def network(patches: torch.Tensor, factor: float, *, shift: float) -> torch.Tensor:
        return of_pixels(patches) * factor + shift

    both = inferer(films, network, 1.0, guide=guides, shift=2.0)
    for film, guide, merged in zip(films, guides, both, strict=True):
        assert torch.equal(inferer(film[None], of_pixels, guide=guide[None]).gt(0), merged[None].gt(0))
        assert torch.allclose(inferer(film[None], of_pixels, guide=guide[None])[0], merged, atol=1e-6)
    with pytest.raises(ValueError, match="zip"):
        inferer(films, of_pixels, guide=guides[:1])


def test_wrong_arguments() -> None:
    for expansion in (0.99, 2.01, NAN):
        with pytest.raises(ValueError, match="expansion"):
            ExpansiveExplorationInferer(10, expansion)
    with pytest.raises(ValueError, match="arrangement"):
        ExpansiveExplorationInferer(10, 1.5, "diagonal")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patch_size"):
        ExpansiveExplorationInferer(0, 1.5)
    with pytest.raises(ValueError, match="batch_size"):
        ExpansiveExplorationInferer(10, 1.5, batch_size=0)


def test_the_guide_weighs_maxima_alike() -> None:
    """Two equal maxima, 4 and 6 px from the guide: the nearer one is left above the threshold of one half."""
    film = torch.zeros(1, 21, 21)
    film[0, 10, 6] = film[0, 10, 16] = 1

    def network(patches: torch.Tensor) -> torch.Tensor:
        return torch.cat((8 * patches, -8 + 0 * patches), dim=1)

    guide = torch.tensor([[10.0, 10.0]])
    plain = ExpansiveExplorationInferer(21, 1.0, "centre").explore(film, guide, network).heatmaps[0]
    windows = ExpansiveExplorationInferer(21, 1.0, "centre", guide_sd=3.0).explore(film, guide, network)
    weighed = windows.heatmaps[0]
    assert plain[10, 6] == plain[10, 16]
    assert weighed[10, 6] / plain[10, 6] == pytest.approx(math.exp(-16 / 18))
    assert weighed[10, 16] / plain[10, 16] == pytest.approx(math.exp(-36 / 18))


@pytest.mark.parametrize("guide_sd", [0.0, -1.0, NAN])
def test_refuses_a_guide_without_a_width(guide_sd: float) -> None:
    with pytest.raises(ValueError, match="guide_sd"):
        ExpansiveExplorationInferer(4, 1.5, guide_sd=guide_sd)
