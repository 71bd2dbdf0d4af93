from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from codes import CELLS, ROWS, STEP, CodeReader, coded_film, to_pixels
from monai.data import MetaTensor, decollate_batch
from monai.data.utils import collate_meta_tensor_fn
from torch import nn
from window_samples import FILM

from monai_ceph.inferers import (
    AttentionGuidedInferer,
    ExpansiveExplorationInferer,
    SharedWindowsInferer,
    WindowInferer,
)
from monai_ceph.inferers.pose import PoseFinder, View
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


def test_one_method_runs_both_stages_and_times_them() -> None:
    film = film_with_a_dot(100, 40)
    inferer = AttentionGuidedInferer(
        Brightness(), 20, ExpansiveExplorationInferer(10, 1.8), HeatmapsToLandmarks("argmax")
    )
    events: list[str] = []

    @contextmanager
    def timer(stage: str) -> Iterator[None]:
        events.append(f"{stage} starts")
        yield
        events.append(f"{stage} ends")

    found = inferer.detect(film, Brightness(), timer=timer)
    assert events == ["global starts", "global ends", "local starts", "local ends"]
    assert found.film is film
    assert found.pose is None
    assert found.windows is not None
    merged = inferer(collate_meta_tensor_fn([film]), Brightness())
    assert torch.equal(found.windows.paste((60, 60)), merged[0].as_subclass(torch.Tensor))
    events.clear()
    first = inferer.detect(film, Brightness(), last_stage="global", timer=timer)
    assert events == ["global starts", "global ends"]
    assert first.windows is None
    assert torch.equal(first.guide.landmarks, found.guide.landmarks)


def test_a_film_that_is_not_square_and_further_arguments_of_the_network() -> None:
    """The maps have the film's rows and columns, and the local network gets what the caller passes on."""
    film = film_with_a_dot(100, 40)[:, :, 8:52]
    inferer = AttentionGuidedInferer(
        Brightness(), 20, ExpansiveExplorationInferer(10, 1.8), HeatmapsToLandmarks("argmax")
    )
    passed = []

    def network(batch: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        passed.append((args, kwargs))
        return Brightness()(batch)

    merged = inferer(collate_meta_tensor_fn([film]), network, "first", named=2)
    assert merged.shape == (1, 1, 60, 44)
    assert passed
    assert all(each == (("first",), {"named": 2}) for each in passed)


def test_the_guide_is_unrefined_where_the_paper_says_so() -> None:
    """Whole pixels of the global grid of 20, which are 3 pixels of the local one."""
    film = film_with_a_dot(101.0, 41.0)
    decoder = HeatmapsToLandmarks("argmax", refine=False)
    inferer = AttentionGuidedInferer(Brightness(), 20, ExpansiveExplorationInferer(10, 1.8), decoder)
    assert (((inferer.guide(film).landmarks + 0.5) / 3 - 0.5) % 1).abs().max() < 1e-9


def test_without_a_peak_there_is_no_guide() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 2, *x.shape[2:]), NAN)

    inferer = AttentionGuidedInferer(Broken(), 20, ExpansiveExplorationInferer(10, 1.8), HeatmapsToLandmarks("argmax"))
    assert inferer.guide(FILM[:, :30, :30]).landmarks.isnan().all()
    assert (inferer(FILM[None, :, :30, :30], Brightness()) == 0).all()


@pytest.mark.parametrize("local", [SharedWindowsInferer(30), ExpansiveExplorationInferer(30, 1.0, "centre")])
def test_the_context_network_moves_the_place_towards_what_it_sees(local: WindowInferer) -> None:
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
    place = {}
    for name, context in {"none": None, "context": Blob(8, 4)}.items():
        inferer = AttentionGuidedInferer(
            *(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), context, 30 if context else None),
            SharedWindowsInferer(30),
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

    local: WindowInferer = (
        SharedWindowsInferer(30, 3, guide_sd)
        if shared
        else ExpansiveExplorationInferer(30, 1.0, "centre", margin=3, guide_sd=guide_sd)
    )
    context = SharedWindowsInferer(30, 3, guide_sd)
    inferer = AttentionGuidedInferer(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), Even(0.2), 30, context)
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

    local = SharedWindowsInferer(30, shifts=[0, 4])
    inferer = AttentionGuidedInferer(
        *(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), Counted("context"), 30),
        SharedWindowsInferer(30, shifts=[0, 2, 4]),
    )
    film = film_with_a_dot(101.0, 41.0)
    inferer.explore(film, inferer.guide(film).landmarks, Counted("local"))
    assert looks == {"local": 2, "context": 3}


@pytest.mark.parametrize(
    ("size", "context", "reason"),
    [
        (None, SharedWindowsInferer(18), "context_size"),
        (30, None, "context inferer"),
        (30, SharedWindowsInferer(20), "windows of one side, got 20 and 18"),
    ],
)
def test_a_context_network_needs_a_grid_and_the_windows_of_the_local_one(
    size: int | None, context: SharedWindowsInferer | None, reason: str
) -> None:
    local = ExpansiveExplorationInferer(10, 1.8)
    with pytest.raises(ValueError, match=reason):
        AttentionGuidedInferer(*(Brightness(), 20, local, HeatmapsToLandmarks("argmax"), Brightness(), size), context)


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
        local = SharedWindowsInferer(36, margin=12)
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

    def test_detect_takes_the_pose_to_every_stage(self) -> None:
        """The edge cuts off what lies on it, and what the pose finder saw guides without another look."""
        (film, _), (places, _) = self.films()
        film = with_affine(
            film + 0.1 * torch.rand(film.shape, generator=torch.Generator().manual_seed(0)), film, affine_of(film)
        )
        radius = (places - places.mean(dim=0)).square().sum(dim=1).mean().sqrt()
        depth = torch.minimum(places, torch.tensor(film.shape[-2:]) - 1 - places).amin(dim=1)
        inferer = self.inferer()
        inferer.edge_margin = float(1.1 * depth.min() / radius)
        found = inferer.detect(film, CodeReader(STEP))
        assert found.pose is not None
        assert found.windows is not None
        assert float(found.windows.heatmaps[depth.argmin()].amax()) == 0
        looks = 0

        class Counted(CodeReader):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                nonlocal looks
                looks += len(x)
                return super().forward(x)

        inferer.global_network = Counted(1)
        inferer.detect(film, CodeReader(STEP))
        assert looks == 0
        first = inferer.detect(film, CodeReader(STEP), last_stage="global")
        assert looks == 1
        assert first.pose is not None
        assert first.film is first.pose.film

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

    @pytest.mark.parametrize(("distance", "replaced"), [(0.25, False), (0.31, True)])
    def test_the_limit_of_stray_maxima_is_in_radii_of_the_mean_shape(self, distance: float, replaced: bool) -> None:
        inferer = self.inferer()
        inferer.max_guide_distance = 0.28
        assert inferer.pose is not None
        (film, _), _ = self.films()
        framed, pose = inferer.frame(film)
        assert pose is not None
        places = inferer.pose.frame.model
        landmarks = places.clone()
        landmarks[2] += torch.tensor([distance * inferer.pose.frame.radius, 0.0])
        # the others set the fit
        peaks = torch.full((len(landmarks),), 0.9)
        peaks[2] = 1e-4
        guide = inferer.guide(framed, dataclasses.replace(pose, landmarks=landmarks, peaks=peaks))
        expected = places if replaced else landmarks
        assert (guide.landmarks - expected).norm(dim=1).max() < 0.05
