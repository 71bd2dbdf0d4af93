from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from window_samples import COORDINATE, FILM, of_neighbours, of_pixels

from monai_ceph.inferers import ExpansiveExplorationInferer, SharedWindowsInferer
from monai_ceph.networks import HeatmapUNet

NAN = math.nan


@given(
    guide=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=2, max_size=2),
    patch=st.integers(3, 12),
    guide_sd=st.one_of(st.none(), st.floats(1, 20)),
)
@settings(max_examples=60)
def test_shared_pixels_give_the_patches_answer(
    guide: list[tuple[float, float]], patch: int, guide_sd: float | None
) -> None:
    """With a margin as wide as what the network looks at, a patch sees what the whole film shows."""
    points = torch.tensor([guide], dtype=torch.float64)
    by_patch = ExpansiveExplorationInferer(patch, 1.8, "centre", margin=2, guide_sd=guide_sd)
    at_once = SharedWindowsInferer(by_patch.side, margin=2, guide_sd=guide_sd)
    expected = by_patch(FILM[None], of_neighbours, guide=points)
    assert torch.allclose(at_once(FILM[None], of_neighbours, guide=points), expected, atol=1e-6)


@settings(deadline=None)
@given(scale=st.floats(0.1, 1e4), dtype=st.sampled_from([torch.float32, torch.bfloat16]), seed=st.integers(0, 99))
def test_shared_pixels_read_the_softmax_of_any_logits(scale: float, dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(1, 3, 24, 24, generator=generator) * scale).to(dtype)
    # a pixel far below all others of its row keeps its sum
    logits[..., 3, 3] -= 3 * scale
    inferer = SharedWindowsInferer(24)
    windows = inferer.explore(torch.zeros(1, 24, 24), torch.full((2, 2), 11.5), lambda _: logits)
    assert torch.allclose(windows.heatmaps, logits.softmax(dim=1, dtype=torch.float32)[0, :2], atol=1e-6, rtol=1e-3)


def test_shared_pixels_run_the_network_once_and_only_where_the_squares_are() -> None:
    shapes = []

    def network(patches: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(patches.shape))
        return of_pixels(patches)

    inferer = SharedWindowsInferer(6, margin=1)
    inferer(FILM[None], network, guide=torch.tensor([[[10.5, 10.5], [12.5, 20.5]]]))
    # squares of 6 px: rows 8..13 and 10..15, columns 8..13 and 18..23, and a pixel on each side
    assert shapes == [(1, 1, 10, 18)]
    inferer(FILM[None], network, guide=torch.tensor([[[-40.0, 10.0], [NAN, 3.0]]]))
    assert len(shapes) == 1


def test_shifts_average_over_the_strides() -> None:
    """A network that answers for blocks of 4 x 4: each shift places the blocks differently."""

    def network(patches: torch.Tensor) -> torch.Tensor:
        rows, columns = patches.shape[-2:]
        blocks = nn.functional.avg_pool2d(nn.functional.pad(patches, (0, -columns % 4, 0, -rows % 4)), 4)
        each = blocks.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)[..., :rows, :columns]
        return torch.cat((5 * each, -each), dim=1)

    def heatmaps(*shifts: int) -> torch.Tensor:
        inferer = SharedWindowsInferer(12, margin=3, shifts=shifts)
        return inferer.explore(FILM, torch.tensor([[14.2, 17.9]]), network).heatmaps

    alone = [heatmaps(shift) for shift in range(4)]
    assert not torch.allclose(alone[0], alone[2], atol=1e-3)
    assert torch.allclose(heatmaps(0, 2), (alone[0] + alone[2]) / 2, atol=1e-6)
    # a shift by the whole stride changes nothing but what lies beyond the rectangle
    assert torch.allclose(heatmaps(4), alone[0], atol=1e-6)


def test_on_the_networks_grid_shared_pixels_give_the_patches_answer() -> None:
    """The network of both stages: its strides answer differently to a film that is moved by less than 16 px."""
    torch.manual_seed(0)
    network = HeatmapUNet((4, 8, 8, 8, 8), num_landmarks=2).eval()
    film = torch.rand(1, 400, 420)
    # a margin as wide as the receptive field
    by_patch = ExpansiveExplorationInferer(144, 1.0, "centre", margin=48)
    shared = SharedWindowsInferer(by_patch.side, margin=48)
    # the windows start at multiples of 16 px from each other
    on_grid = torch.tensor([[183.2, 167.0], [215.0, 247.2]])
    windows, expected = (each.explore(film, on_grid, network) for each in (shared, by_patch))
    assert windows.starts.tolist() == expected.starts.tolist() == [[112, 96], [144, 176]]
    assert torch.allclose(windows.heatmaps, expected.heatmaps, atol=1e-5)
    off_grid = on_grid + torch.tensor([[0.0, 0.0], [5.0, 3.0]])
    windows, expected = (each.explore(film, off_grid, network) for each in (shared, by_patch))
    assert float((windows.heatmaps - expected.heatmaps).abs().amax()) > 1e-3


def test_windows_of_a_scaled_film_hold_the_windows_of_the_grid() -> None:
    """They are a pixel larger on every side, and the weights around the guide are scaled with them."""
    inferer = SharedWindowsInferer(12, guide_sd=6.0)
    windows = inferer.explore(FILM, torch.tensor([[15.0, 18.0]]), lambda x: torch.cat((x, 0 * x), 1), scale=0.5)
    assert windows.heatmaps.shape == (1, 8, 8)
    assert windows.starts.tolist() == [[12, 15]]
    plain = SharedWindowsInferer(8).explore(FILM, torch.tensor([[15.0, 18.0]]), lambda x: torch.cat((x, 0 * x), 1))
    offset = (torch.arange(8.0) - 3) / 3
    weight = torch.exp(-0.5 * (offset[:, None] ** 2 + offset**2))
    assert torch.allclose(windows.heatmaps, plain.heatmaps * weight, atol=1e-6)


@pytest.mark.parametrize("shifts", [[], [-1], [0, 0.5]])
def test_refuses_wrong_shifts(shifts: list[int]) -> None:
    with pytest.raises(ValueError, match="shifts must be whole numbers"):
        SharedWindowsInferer(6, shifts=shifts)


@pytest.mark.parametrize("side", [0, 6.5])
def test_refuses_a_window_without_a_side(side: int) -> None:
    with pytest.raises(ValueError, match="side must be a whole number"):
        SharedWindowsInferer(side)
