from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from codes import CELLS, ROWS, STEP, CodeReader, coded_film, to_pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, decollate_batch
from monai.data.utils import collate_meta_tensor_fn
from torch import nn

from monai_ceph.inferers import (
    Arrangement,
    AttentionGuidedInferer,
    ExpansiveExplorationInferer,
    Windows,
    patch_offsets,
)
from monai_ceph.inferers.pose import PoseFinder, View
from monai_ceph.networks import HeatmapUNet
from monai_ceph.transforms import (
    HeatmapsToLandmarks,
    HeatmapsToLandmarksd,
    PoseFilm,
    ScaleFilmIntensity,
    SquareFilm,
    affine_of,
    landmarks_to_grid,
)
from monai_ceph.transforms.geometry import apply, with_affine

NAN = math.nan
SIZE = (30, 37)
FILM = torch.from_numpy(np.random.RandomState(0).uniform(0.1, 1, (1, *SIZE))).float()


def of_pixels(patches: torch.Tensor) -> torch.Tensor:
    """Logits of 2 landmarks and the background that depend on each pixel and on the patch's mean."""
    mean = patches.mean(dim=(2, 3), keepdim=True)
    return torch.cat((3 * patches + mean, 2 * mean - patches, torch.zeros_like(patches)), dim=1)


def naive(film: np.ndarray, guide: list[list[float]], patch: int, expansion: float, centre: bool) -> np.ndarray:
    """Figure 2, pixel by pixel: every patch adds its softmax channel to the pixels that it covers."""
    side = patch if centre else round(expansion * patch)
    far = side - patch
    offsets = [(0, 0)] if centre else [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]
    rows, columns = film.shape
    merged = np.zeros((len(guide), rows, columns))
    for channel, (row, column) in enumerate(guide):
        if math.isnan(row) or math.isnan(column):
            continue
        total, count = np.zeros_like(film), np.zeros_like(film)
        first = math.floor(row - (side - 1) / 2 + 0.5), math.floor(column - (side - 1) / 2 + 0.5)
        for offset in offsets:
            places = [(first[0] + offset[0] + r, first[1] + offset[1] + c) for r in range(patch) for c in range(patch)]
            inside = [0 <= r < rows and 0 <= c < columns for r, c in places]
            values = np.array([film[place] if ok else 0 for place, ok in zip(places, inside, strict=True)])
            logits = np.stack((3 * values + values.mean(), 2 * values.mean() - values, 0 * values))
            share = np.exp(logits) / np.exp(logits).sum(axis=0)
            for place, ok, value in zip(places, inside, share[channel], strict=True):
                if ok:
                    total[place] += value
                    count[place] += 1
        merged[channel] = total / np.maximum(count, 1)
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
    merged = inferer.merge(torch.ones(5, patch, patch))
    assert torch.allclose(merged, torch.ones(inferer.side, inferer.side))


coordinate = st.one_of(st.floats(-12, 45), st.just(NAN))


@given(
    guide=st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=2),
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


class Brightness(nn.Module):
    """One landmark, where the film is brightest."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((8 * x, torch.full_like(x, 4)), dim=1)


def film_with_a_dot(row: float, column: float) -> MetaTensor:
    rows, columns = torch.arange(160.0)[:, None], torch.arange(120.0)[None]
    dot = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 6.0**2))
    return SquareFilm(60)(MetaTensor(dot[None], affine=torch.eye(3)))


def test_the_global_stage_guides_the_local_stage() -> None:
    places = torch.tensor([[100.0, 40.0], [75.0, 90.5]], dtype=torch.float64)
    films = [film_with_a_dot(*place) for place in places.tolist()]
    inferer = AttentionGuidedInferer(
        Brightness(), 20, ExpansiveExplorationInferer(10, 1.8), HeatmapsToLandmarks("argmax")
    )
    for film, place in zip(films, places, strict=True):
        on_grid = landmarks_to_grid(place[None], affine_of(film))
        guide = inferer.guide(film)
        assert guide.landmarks.shape == (1, 2)
        assert (guide.landmarks - on_grid).abs().max() < 0.5
        # the film's maximum is about 1, less what antialiasing takes
        assert 0.85 < guide.peaks.item() < 1 / (1 + math.exp(-4))
    merged = inferer(torch.stack([film.as_subclass(torch.Tensor) for film in films]), Brightness())
    batch = inferer(collate_meta_tensor_fn(films), Brightness())
    assert torch.equal(merged.as_subclass(torch.Tensor), batch.as_subclass(torch.Tensor))
    # the films have their own grid, and so the maps lead to the source as they do
    assert torch.equal(batch.affine, torch.stack([affine_of(film) for film in films]))
    for heatmap, film, place in zip(merged, films, places, strict=True):
        on_grid = landmarks_to_grid(place[None], affine_of(film))[0].round().int().tolist()
        peak = heatmap[0].argmax().item()
        assert abs(peak // 60 - on_grid[0]) <= 1
        assert abs(peak % 60 - on_grid[1]) <= 1
        assert (heatmap > 0).sum() == 18 * 18


def test_without_a_peak_there_is_no_guide() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 2, *x.shape[2:]), NAN)

    inferer = AttentionGuidedInferer(Broken(), 20, ExpansiveExplorationInferer(10, 1.8), HeatmapsToLandmarks("argmax"))
    assert inferer.guide(FILM[:, :30, :30]).landmarks.isnan().all()
    assert (inferer(FILM[None, :, :30, :30], Brightness()) == 0).all()


def of_neighbours(patches: torch.Tensor) -> torch.Tensor:
    """Logits of 2 landmarks and the background that depend on a pixel and on those up to 2 away."""
    near = nn.functional.avg_pool2d(patches, 5, 1, 2, count_include_pad=True)
    return torch.cat((6 * near, 3 * patches - near, torch.zeros_like(patches)), dim=1)


@given(
    guide=st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=2),
    patch=st.integers(3, 12),
    arrangement=st.sampled_from(get_args(Arrangement)),
    guide_sd=st.one_of(st.none(), st.floats(1, 20)),
)
@settings(max_examples=60)
def test_shared_pixels_give_the_patches_answer(
    guide: list[tuple[float, float]], patch: int, arrangement: Arrangement, guide_sd: float | None
) -> None:
    """With a margin as wide as what the network looks at, every patch sees what the whole film shows."""
    points = torch.tensor([guide], dtype=torch.float64)
    by_patch = ExpansiveExplorationInferer(patch, 1.8, arrangement, margin=2, guide_sd=guide_sd)
    at_once = ExpansiveExplorationInferer(patch, 1.8, arrangement, margin=2, guide_sd=guide_sd, shared_pixels=True)
    expected = by_patch(FILM[None], of_neighbours, guide=points)
    assert torch.allclose(at_once(FILM[None], of_neighbours, guide=points), expected, atol=1e-6)


@settings(deadline=None)
@given(scale=st.floats(0.1, 1e4), dtype=st.sampled_from([torch.float32, torch.bfloat16]), seed=st.integers(0, 99))
def test_shared_pixels_read_the_softmax_of_any_logits(scale: float, dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(1, 3, 24, 24, generator=generator) * scale).to(dtype)
    # a pixel far below all others of its row keeps its sum
    logits[..., 3, 3] -= 3 * scale
    inferer = ExpansiveExplorationInferer(24, 1.0, "centre", shared_pixels=True)
    windows = inferer.explore(torch.zeros(1, 24, 24), torch.full((2, 2), 11.5), lambda _: logits)
    assert torch.allclose(windows.heatmaps, logits.softmax(dim=1, dtype=torch.float32)[0, :2], atol=1e-6, rtol=1e-3)


def test_shared_pixels_run_the_network_once_and_only_where_the_squares_are() -> None:
    shapes = []

    def network(patches: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(patches.shape))
        return of_pixels(patches)

    inferer = ExpansiveExplorationInferer(4, 1.5, margin=1, shared_pixels=True)
    inferer(FILM[None], network, guide=torch.tensor([[[10.5, 10.5], [12.5, 20.5]]]))
    # squares of 6 px: rows 8..13 and 10..15, columns 8..13 and 18..23, and a pixel on each side
    assert shapes == [(1, 1, 10, 18)]
    inferer(FILM[None], network, guide=torch.tensor([[[-40.0, 10.0], [NAN, 3.0]]]))
    assert len(shapes) == 1


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


def test_shifts_average_over_the_strides() -> None:
    """A network that answers for blocks of 4 x 4: each shift lays the blocks anew."""

    def network(patches: torch.Tensor) -> torch.Tensor:
        rows, columns = patches.shape[-2:]
        blocks = nn.functional.avg_pool2d(nn.functional.pad(patches, (0, -columns % 4, 0, -rows % 4)), 4)
        each = blocks.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)[..., :rows, :columns]
        return torch.cat((5 * each, -each), dim=1)

    def look(*shifts: int) -> torch.Tensor:
        inferer = ExpansiveExplorationInferer(12, 1.0, "centre", margin=3, shared_pixels=True, shifts=shifts)
        return inferer.explore(FILM, torch.tensor([[14.2, 17.9]]), network).heatmaps

    alone = [look(shift) for shift in range(4)]
    assert not torch.allclose(alone[0], alone[2], atol=1e-3)
    assert torch.allclose(look(0, 2), (alone[0] + alone[2]) / 2, atol=1e-6)
    # a shift by the whole stride changes nothing but what lies beyond the rectangle
    assert torch.allclose(look(4), alone[0], atol=1e-6)


def test_on_the_networks_grid_shared_pixels_give_the_patches_answer() -> None:
    """The network of both stages, whose strides answer differently to a film that is moved by less than 16 px."""
    torch.manual_seed(0)
    network = HeatmapUNet((4, 8, 8, 8, 8), num_landmarks=2).eval()
    film = torch.rand(1, 400, 420)
    guide = torch.tensor([[183.2, 171.9], [221.0, 244.6]])

    def look(shared: bool, grid: int) -> Windows:
        inferer = ExpansiveExplorationInferer(80, 1.8, margin=48, shared_pixels=shared, grid=grid)
        return inferer.explore(film, guide, network)

    by_patch, at_once = look(False, 16), look(True, 16)
    assert by_patch.starts.tolist() == at_once.starts.tolist() == [[112, 96], [144, 176]]
    assert torch.allclose(by_patch.heatmaps, at_once.heatmaps, atol=1e-5)
    assert float((look(False, 1).heatmaps - look(True, 1).heatmaps).abs().amax()) > 1e-3


def test_refuses_a_grid_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="grid"):
        ExpansiveExplorationInferer(4, 1.5, grid=0)


@pytest.mark.parametrize(("shifts", "shared"), [([], True), ([-1], True), ([0, 8], False)])
def test_refuses_shifts_that_cannot_be(shifts: list[int], shared: bool) -> None:
    with pytest.raises(ValueError, match="shift"):
        ExpansiveExplorationInferer(4, 1.5, shared_pixels=shared, shifts=shifts)


@pytest.mark.parametrize("shared", [True, False])
def test_the_context_network_moves_the_place_towards_what_it_sees(shared: bool) -> None:
    """The geometric mean of two Gaussians of one width has its maximum halfway between theirs."""

    class Blob(nn.Module):
        """A Gaussian of 3 source pixels, ``beside`` the brightest pixel of a film of ``step`` source pixels a pixel."""

        def __init__(self, beside: float, step: float) -> None:
            super().__init__()
            self.beside, self.step = beside, step

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            peak = x[0, 0].argmax().item()
            rows, columns = (torch.arange(float(length)) for length in x.shape[-2:])
            row, column = peak // x.shape[-1], peak % x.shape[-1] + self.beside / self.step
            square = (rows[:, None] - row) ** 2 + (columns[None] - column) ** 2
            logit = -square / (2 * (6 / self.step) ** 2)
            return torch.stack((logit, torch.full_like(logit, 8)))[None]

    film = film_with_a_dot(101.0, 41.0)
    local = ExpansiveExplorationInferer(30, 1.0, "centre", shared_pixels=shared)
    place = {}
    for name, context in {"none": None, "context": Blob(8, 4)}.items():
        inferer = AttentionGuidedInferer(
            Brightness(), 20, local, HeatmapsToLandmarks("argmax"), context, 30 if context else None
        )
        guide = inferer.guide(film).landmarks
        windows = inferer.explore(film, guide, Blob(0, 2))
        assert torch.equal(inferer.explore(film, guide.float(), Blob(0, 2)).starts, windows.starts)
        place[name] = (HeatmapsToLandmarks("argmax")(windows.heatmaps) + windows.starts)[0]
    # 8 source pixels are 4 pixels of the local grid, and half of that is 2; a pixel of the context grid is 2
    assert place["context"][1] - place["none"][1] == pytest.approx(2, abs=1)
    assert place["context"][0] - place["none"][0] == pytest.approx(0, abs=1)


@pytest.mark.parametrize("guide_sd", [None, 6.0])
@pytest.mark.parametrize("shared", [True, False])
def test_the_context_network_sees_the_windows_of_the_local_one(shared: bool, guide_sd: float | None) -> None:
    """To their edges, with as much around them, and weighed alike: even answers make an even mean."""

    class Even(nn.Module):
        """A landmark as probable everywhere but within 3 pixels of the border of what it sees."""

        def __init__(self, probability: float) -> None:
            super().__init__()
            self.logit = math.log(probability / (1 - probability))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside = nn.functional.avg_pool2d(torch.ones_like(x), 7, stride=1, padding=3) > 0.99
            return torch.cat((torch.where(inside, self.logit, -20.0), torch.zeros_like(x)), dim=1)

    local = ExpansiveExplorationInferer(
        30, 1.0, "centre", batch_size=3, margin=3, shared_pixels=shared, guide_sd=guide_sd
    )
    inferer = AttentionGuidedInferer(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), Even(0.2), 30)
    # all that lies between two pixels of the context network's grid, which are as large as two of this one
    for place in np.arange(29, 31, 0.125).tolist():
        guide = [place, 60 - place]
        windows = inferer.explore(film_with_a_dot(101.0, 41.0), torch.tensor([guide]), Even(0.8))
        expected = torch.full((30, 30), math.sqrt(0.2 * 0.8), dtype=torch.float64)
        if guide_sd is not None:
            offset = torch.arange(30.0)[None] - (torch.tensor([guide]) - windows.starts).T
            weight = torch.exp(-0.5 * (offset / guide_sd) ** 2)
            expected = expected * weight[0, :, None] * weight[1, None, :]
        assert torch.allclose(windows.heatmaps[0].double(), expected.double(), atol=0.01)


def test_local_and_context_network_look_as_often_as_each_is_told() -> None:
    looks = {"local": 0, "context": 0}

    class Counted(Brightness):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            looks[self.name] += len(x)
            return super().forward(x)

    local = ExpansiveExplorationInferer(30, 1.0, "centre", shared_pixels=True, shifts=[0, 4])
    inferer = AttentionGuidedInferer(
        *(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), Counted("context"), 30), context_shifts=[0, 2, 4]
    )
    film = film_with_a_dot(101.0, 41.0)
    inferer.explore(film, inferer.guide(film).landmarks, Counted("local"))
    assert looks == {"local": 2, "context": 3}


@pytest.mark.parametrize(("shifts", "shared"), [([], True), ([-1], True), ([0, 8], False)])
def test_refuses_shifts_of_the_context_network_that_cannot_be(shifts: list[int], shared: bool) -> None:
    local = ExpansiveExplorationInferer(10, 1.8, shared_pixels=shared)
    with pytest.raises(ValueError, match="context_shifts"):
        AttentionGuidedInferer(
            Brightness(), 20, local, HeatmapsToLandmarks("argmax"), Brightness(), 30, context_shifts=shifts
        )


def test_patch_by_patch_without_a_context_network_its_shifts_do_not_matter() -> None:
    local = ExpansiveExplorationInferer(10, 1.8)
    AttentionGuidedInferer(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), context_shifts=[0, 8])


def test_a_context_network_needs_a_grid() -> None:
    with pytest.raises(ValueError, match="context_size"):
        AttentionGuidedInferer(
            Brightness(), 20, ExpansiveExplorationInferer(10, 1.8), HeatmapsToLandmarks("argmax"), Brightness()
        )


class TestWithPose:
    """Films with codes for landmarks; the head in the mean pose has the size that the codes' readers know."""

    PLACES = to_pixels(CELLS)

    def inferer(self) -> AttentionGuidedInferer:
        reader = CodeReader(1)
        centre = CELLS.mean(dim=0)
        radius = (CELLS - centre).square().sum(dim=1).mean().sqrt().item()
        row, column = ((centre + 0.5) / ROWS).tolist()
        frame = PoseFilm(STEP * ROWS, CELLS, (row, column), radius / ROWS)
        decoder = HeatmapsToLandmarks("mean")
        pose = PoseFinder(reader, ROWS, frame, ScaleFilmIntensity(0, 100, step=1), sure=0.5, decoder=decoder)
        local = ExpansiveExplorationInferer(24, 1.5, margin=12, shared_pixels=True)
        return AttentionGuidedInferer(reader, ROWS, local, decoder, pose=pose)

    def films(self) -> tuple[list[MetaTensor], list[torch.Tensor]]:
        """One upright film, and its mirror image upside down, as a negative and as a part of a larger source."""
        film = coded_film()
        other = MetaTensor(1 - film.as_subclass(torch.Tensor).flip(-2))
        affine = torch.tensor([[2.0, 0, 40], [0, 2, -30], [0, 0, 1]], dtype=torch.float64)
        below = self.PLACES * torch.tensor([-1.0, 1]) + torch.tensor([film.shape[-2] - 1.0, 0])
        return [film, with_affine(other, film, affine)], [self.PLACES, apply(affine, below)]

    def test_each_film_is_framed_in_its_own_way(self) -> None:
        inferer = self.inferer()
        for film, places, view in zip(*self.films(), (View(0, False, False), View(2, True, True)), strict=True):
            framed, pose = inferer.frame(film)
            assert pose is not None
            assert pose.view == view
            assert framed is pose.film
            # what the first look saw, or a second one at the square
            for guide in (inferer.guide(framed, pose), inferer.guide(framed)):
                assert (guide.landmarks - landmarks_to_grid(places, affine_of(framed))).abs().max() < 1
                assert (guide.peaks > 0.9).all()

    def test_what_the_header_says_of_the_head_is_looked_at_first(self) -> None:
        inferer = self.inferer()
        assert inferer.pose is not None
        # the first look is good enough
        inferer.pose.sure = 0.0
        for orientation, mirrored in (("", False), ("A\\F", False), ("P\\F", True)):
            film = coded_film()
            film.meta["patient_orientation"] = orientation
            (merged,) = inferer(collate_meta_tensor_fn([film]), CodeReader(STEP))
            assert (float(torch.linalg.det(affine_of(merged))) < 0) == mirrored

    def test_the_maps_of_a_batch_lead_to_the_source(self) -> None:
        films, places = self.films()
        batch = collate_meta_tensor_fn(films)
        merged = self.inferer()(batch, CodeReader(STEP))
        assert merged.shape == (2, len(CELLS), STEP * ROWS, STEP * ROWS)
        assert merged.affine.shape == (2, 3, 3)
        to_source = HeatmapsToLandmarksd("pred", "pred", "found", "mean", background=False)
        for heatmaps, place in zip(decollate_batch(merged), places, strict=True):
            found = to_source({"pred": heatmaps})["found"]
            assert (found - place).abs().max() < 0.25

    def test_without_one_the_film_is_there_already(self) -> None:
        inferer = self.inferer()
        inferer.pose = None
        (film, _), _ = self.films()
        framed, pose = inferer.frame(film)
        assert framed is film
        assert pose is None

    def test_a_film_without_a_head_is_no_error(self) -> None:
        noise = torch.rand(1, 1, 90, 120, generator=torch.Generator().manual_seed(0))
        merged = self.inferer()(noise, CodeReader(STEP))
        assert merged.shape == (1, len(CELLS), STEP * ROWS, STEP * ROWS)
        assert merged.isfinite().all()

    def test_a_landmark_at_the_edge_of_a_shutter_is_cut_off(self) -> None:
        (film, _), (places, _) = self.films()
        # a film has no flat rows
        film = with_affine(
            film + 0.1 * torch.rand(film.shape, generator=torch.Generator().manual_seed(0)), film, affine_of(film)
        )
        radius = (places - places.mean(dim=0)).square().sum(dim=1).mean().sqrt()
        depth = torch.minimum(places, torch.tensor(film.shape[-2:]) - 1 - places).amin(dim=1)
        inferer = self.inferer()
        for share, kept in ((0.9, True), (1.1, False)):
            # the film's own border is an edge, too
            inferer.edge_margin = float(share * depth.min() / radius)
            framed, pose = inferer.frame(film)
            windows = inferer.explore(framed, inferer.guide(framed, pose).landmarks, CodeReader(STEP), pose)
            seen = windows.heatmaps.flatten(1).amax(dim=1) > 0
            assert bool(seen[depth.argmin()]) is kept
            assert bool(seen[depth.argmax()])

    def test_a_stray_maximum_does_not_guide(self) -> None:
        (film, _), (places, _) = self.films()

        class OneStray(CodeReader):
            """Sees the third landmark far from its place."""

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                logits = super().forward(x)
                logits[:, 2] = -30
                logits[:, 2, 5, 5] = 30
                return logits

        inferer = self.inferer()
        assert inferer.pose is not None
        inferer.pose.network = OneStray(1)
        framed, pose = inferer.frame(film)
        expected = landmarks_to_grid(places, affine_of(framed))
        stray = (inferer.guide(framed, pose).landmarks - expected).norm(dim=1)
        assert stray[2] > 40
        inferer.max_guide_distance = 0.28
        assert (inferer.guide(framed, pose).landmarks - expected).norm(dim=1).max() < 1
