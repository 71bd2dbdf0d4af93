from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from codes import CELLS, COLUMNS, ROWS, STEP, CodeReader, coded_film, to_pixels
from devices import Elsewhere
from monai.data import MetaTensor
from torch import nn

from monai_ceph.inferers.pose import UPRIGHT, PoseFinder, View, stated_view
from monai_ceph.networks import HeatmapUNet
from monai_ceph.transforms import HeatmapsToLandmarks, PoseFilm, ScaleFilmIntensity, affine_of, landmarks_to_grid
from monai_ceph.transforms.geometry import apply, with_affine

VIEWS = [View(*each) for each in itertools.product(range(4), (False, True), (False, True))]
TURNS = [view for view in VIEWS if not view.inverted]
SIDE = 128
NAN = math.nan


def mean_shape(angle: float = 10) -> torch.Tensor:
    """The heads of these films are turned against their mean shape, so that the pose is more than a shift."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return CELLS @ torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)


def finder(network: nn.Module | None = None, sure: float = 0.5, angle: float = 10) -> PoseFinder:
    frame = PoseFilm(SIDE, mean_shape(angle), centre=(0.45, 0.55), radius=0.25)
    return PoseFinder(
        network or CodeReader(1), ROWS, frame, ScaleFilmIntensity(0, 100, step=1), sure, HeatmapsToLandmarks("mean")
    )


def lying(film: MetaTensor, view: View) -> tuple[MetaTensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Return an upright film as it comes if ``view`` is how to look at it, and where its pixels are then."""
    pixels, columns = film.as_subclass(torch.Tensor), film.shape[-1]
    pixels = pixels.flip(-1) if view.mirrored else pixels
    pixels = torch.rot90(pixels, -view.turned, (-2, -1))
    pixels = 1 - pixels if view.inverted else pixels

    def place(points: torch.Tensor) -> torch.Tensor:
        points = torch.stack((points[:, 0], columns - 1 - points[:, 1]), dim=1) if view.mirrored else points
        rows_and_columns = film.shape[-2:]
        for _ in range(view.turned):
            # with the clock: the first row becomes the last column
            points = torch.stack((points[:, 1], rows_and_columns[0] - 1 - points[:, 0]), dim=1)
            rows_and_columns = rows_and_columns[::-1]
        return points

    return MetaTensor(pixels, affine=torch.eye(3, dtype=torch.float64)), place


def test_peaks_on_a_device_without_double_precision() -> None:
    points, peaks = 3 * CELLS + 40, torch.linspace(0.2, 0.9, len(CELLS))
    evidence, matrix = finder().fit(points, Elsewhere(peaks))
    expected = finder().fit(points, peaks)
    assert evidence == expected[0]
    assert torch.equal(matrix, expected[1])


def test_a_network_of_other_landmarks_than_the_mean_shape() -> None:
    with pytest.raises(ValueError, match=f"network has 3 landmarks and the mean shape {len(CELLS)}.*mean_shape"):
        finder(HeatmapUNet((4, 8), num_landmarks=3).eval())(coded_film())


class Logits(nn.Module):
    """Says the same of every film."""

    def __init__(self, landmarks: float, at: dict[int, tuple[int, int]] | None = None) -> None:
        super().__init__()
        self.landmarks, self.at = landmarks, at or {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(x), len(CELLS), *x.shape[2:]), self.landmarks)
        for channel, (row, column) in self.at.items():
            logits[:, channel, row, column] = 5
        return torch.cat((logits, torch.zeros_like(x)), dim=1)


class TestView:
    @pytest.mark.parametrize("view", TURNS, ids=str)
    @pytest.mark.parametrize("size", [(3, 5), (4, 4), (6, 1)])
    def test_every_pixel_is_one_of_the_film(self, view: View, size: tuple[int, int]) -> None:
        film = torch.arange(float(size[0] * size[1])).reshape(1, *size)
        seen = view.apply(film)
        assert seen.shape[1:] == (size[::-1] if view.turned % 2 else size)
        pixels = torch.cartesian_prod(*(torch.arange(length).double() for length in seen.shape[1:]))
        rows, columns = apply(affine_of(seen), pixels).long().unbind(dim=1)
        assert torch.equal(seen.as_subclass(torch.Tensor).flatten(), film[0, rows, columns])

    def test_against_the_clock_and_then_mirrored(self) -> None:
        film = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
        assert View(1, False, False).apply(film)[0].tolist() == [[3, 6], [2, 5], [1, 4]]
        assert View(2, False, False).apply(film)[0].tolist() == [[6, 5, 4], [3, 2, 1]]
        assert View(3, False, False).apply(film)[0].tolist() == [[4, 1], [5, 2], [6, 3]]
        assert View(1, True, False).apply(film)[0].tolist() == [[6, 3], [5, 2], [4, 1]]

    @pytest.mark.parametrize("view", TURNS, ids=str)
    def test_the_affine_goes_on_from_the_films(self, view: View) -> None:
        affine = torch.tensor([[2.0, 0.5, 7], [-0.5, 2, -3], [0, 0, 1]]).double()
        film = MetaTensor(torch.rand(1, 4, 6), affine=affine, meta={"file": "a.dcm"})
        plain = view.apply(film.as_subclass(torch.Tensor))
        assert torch.equal(affine_of(view.apply(film)), affine @ affine_of(plain))
        assert view.apply(film).meta["file"] == "a.dcm"

    @pytest.mark.parametrize("view", VIEWS, ids=str)
    def test_what_it_says(self, view: View) -> None:
        said = " ".join(view.warnings())
        assert view.degrees == 90 * view.turned
        assert (f"turned by {view.degrees} degrees" in said) == (view.turned > 0)
        assert ("faces left" in said) == view.mirrored
        assert ("exchanged" in said) == view.inverted
        assert len(view.warnings()) == (view.turned > 0) + view.mirrored + view.inverted

    def test_upright(self) -> None:
        assert View(0, False, False) == UPRIGHT
        assert UPRIGHT.warnings() == []


class TestPose:
    @pytest.mark.parametrize("view", VIEWS, ids=str)
    def test_the_head_comes_into_the_mean_pose(self, view: View) -> None:
        upright = coded_film()
        film, place = lying(upright, view)
        find = finder()
        pose = find(film)
        assert pose.view == view
        assert pose.evidence > 0.95
        assert pose.film.shape == (1, SIDE, SIDE)
        found = landmarks_to_grid(place(to_pixels(CELLS)), affine_of(pose.film))
        assert torch.allclose(found, find.frame.model, atol=1e-3)
        # the same picture, whichever way the film lay
        assert torch.allclose(pose.film.as_subclass(torch.Tensor), find(upright).film, atol=1e-3)

    @pytest.mark.parametrize("size", [(ROWS, COLUMNS), (ROWS + 8, COLUMNS + 40), (ROWS, ROWS)])
    def test_films_of_other_sizes(self, size: tuple[int, int]) -> None:
        film = coded_film(size=size)
        # as many pixels per cell as before
        find = finder()
        find = PoseFinder(find.network, max(size), find.frame, find.intensity, find.sure, find.to_landmarks)
        pose = find(film)
        assert pose.view == UPRIGHT
        assert torch.allclose(
            landmarks_to_grid(to_pixels(CELLS), affine_of(pose.film)), find.frame.model, atol=STEP * 0.1
        )

    @pytest.mark.parametrize("view", [UPRIGHT, View(1, True, False), View(2, False, True)])
    def test_evidence_tells_the_right_view_from_the_15_others(self, view: View) -> None:
        evidence = finder().evidence(lying(coded_film(), view)[0])
        assert len(evidence) == 16
        assert max(evidence, key=lambda each: evidence[each]) == view
        assert sorted(evidence.values())[-2] < 0.5 * evidence[view]

    def test_exposure_does_not_matter(self) -> None:
        film = coded_film()
        raw = with_affine(300 + 2900 * film.as_subclass(torch.Tensor), film, affine_of(film))
        pose = finder()(raw)
        assert pose.film.min() == 0
        assert pose.film.max() == 1
        assert torch.allclose(pose.film.as_subclass(torch.Tensor), finder()(film).film, atol=1e-3)

    def test_what_lies_far_from_the_head_does_not_set_its_exposure(self) -> None:
        film = coded_film(size=(ROWS, 3 * COLUMNS))
        film[..., -3 * COLUMNS :] = 1.2
        find = finder()
        pose = PoseFinder(find.network, 3 * COLUMNS, find.frame, find.intensity, 0, find.to_landmarks)(film)
        right = landmarks_to_grid(torch.tensor([[0.0, film.shape[-1] - 3 * COLUMNS]]), affine_of(pose.film))
        assert pose.evidence > 0.5
        assert right[0, 1] > SIDE
        assert (pose.film.min().item(), pose.film.max().item()) == (0, 1)

    def test_the_affine_leads_to_the_source_of_a_film_that_is_a_part_of_it(self) -> None:
        affine = torch.tensor([[2.0, 0, 31], [0, 2, -9], [0, 0, 1]]).double()
        film = with_affine(coded_film(), torch.zeros(0), affine)
        find = finder()
        found = landmarks_to_grid(apply(affine, to_pixels(CELLS)), affine_of(find(film).film))
        assert torch.allclose(found, find.frame.model, atol=1e-3)

    def test_the_film_is_left_alone(self) -> None:
        film, _ = lying(coded_film(), View(1, True, True))
        before = film.clone()
        finder()(film)
        assert torch.equal(film, before)


class TestEvidence:
    def test_one_landmark_in_a_wrong_place_hardly_counts(self) -> None:
        cells = CELLS.clone()
        cells[4] = torch.tensor([59.0, 51.0])
        others = torch.arange(len(CELLS)) != 4
        find = finder()
        pose = find(coded_film(cells))
        off = landmarks_to_grid(to_pixels(CELLS), affine_of(pose.film)) - find.frame.model
        by_all = torch.linalg.inv(find.frame.matrix(to_pixels(cells)))
        least_squares = apply(by_all, to_pixels(CELLS)) - find.frame.model
        # in pixels of a square of 128
        assert off[others].norm(dim=1).max() < 1
        assert least_squares[others].norm(dim=1).max() > 5
        assert pose.evidence == pytest.approx((len(CELLS) - 1) / len(CELLS), abs=0.05)

    def test_a_landmark_at_015_radii_from_its_place_counts_half(self) -> None:
        """Cauchy weights: 1 / (1 + (distance / 0.15)^2)."""
        find = finder()
        points = find.frame.model.clone()
        # far fewer pixels than the distance itself are left to the fit of the others
        points[3] += torch.tensor([0.0, 0.15 * find.frame.radius])
        peaks = torch.full((len(points),), 0.8)
        peaks[3] = 1e-3
        evidence, matrix = find.fit(points, peaks)
        distance = find.shape_distance(points, matrix)
        assert distance[3].item() == pytest.approx(0.15, abs=1e-3)
        expected = peaks.double() / (1 + (distance / 0.15) ** 2)
        assert expected[3].item() == pytest.approx(0.5e-3, rel=0.02)
        assert evidence == pytest.approx(expected.mean().item(), rel=1e-6)

    def test_outliers_hardly_move_the_fit(self) -> None:
        """One landmark half a radius off moves the others by less than a hundredth: least squares moves them by 0.1."""
        find = finder()
        points = find.frame.model.clone()
        points[3] += torch.tensor([0.0, 0.5 * find.frame.radius])
        _, matrix = find.fit(points, torch.ones(len(points)))
        others = torch.arange(len(points)) != 3
        assert find.shape_distance(points, matrix)[others].max() < 0.02
        plain = find.frame.matrix(points)
        assert find.shape_distance(points, plain)[others].max() > 0.05

    def test_landmarks_that_are_not_seen_lower_the_evidence_and_leave_the_pose(self) -> None:
        cells = CELLS.clone()
        cells[[1, 5]] = NAN
        find = finder()
        pose = find(coded_film(cells))
        found = landmarks_to_grid(to_pixels(CELLS), affine_of(pose.film))
        assert pose.evidence == pytest.approx((len(CELLS) - 2) / len(CELLS), abs=0.05)
        assert (found - find.frame.model).norm(dim=1).max() < 1

    def test_noise(self) -> None:
        noise = torch.rand(1, 150, 170, generator=torch.Generator().manual_seed(0))
        assert finder()(noise).evidence < 0.05

    @pytest.mark.parametrize(
        "network",
        [
            Logits(NAN),
            # the softmax is exactly 0
            Logits(-200.0),
            Logits(-200.0, at={0: (20, 30)}),
            # every landmark anywhere, so that all lie in the middle
            Logits(0.0),
            # every landmark in one place
            Logits(-200.0, at=dict.fromkeys(range(len(CELLS)), (20, 30))),
        ],
        ids=["not a number", "nothing", "one landmark", "all alike", "all in one place"],
    )
    def test_no_head_is_no_error(self, network: nn.Module) -> None:
        film = coded_film()
        pose = finder(network)(film)
        assert pose.evidence == 0
        assert pose.view == UPRIGHT
        assert pose.film.isfinite().all()
        # the whole film fills the square: its middle in the middle, its first and last row at the edges
        points = torch.tensor([[(3 * ROWS - 1) / 2, (3 * COLUMNS - 1) / 2], [-0.5, 0], [3 * ROWS - 0.5, 0]])
        middle, first, last = landmarks_to_grid(points, affine_of(pose.film))
        assert middle.tolist() == pytest.approx([(SIDE - 1) / 2] * 2)
        assert (first[0].item(), last[0].item()) == pytest.approx((-0.5, SIDE - 0.5))

    def test_a_film_that_shows_enough_is_looked_at_once(self) -> None:
        network = CodeReader(1)
        looks: list[int] = []
        network.register_forward_hook(lambda _, inputs, __: looks.append(len(inputs[0])))
        finder(network)(coded_film())
        assert sum(looks) == 1
        looks.clear()
        turned, _ = lying(coded_film(), View(2, False, False))
        assert finder(network)(turned).view.turned == 2
        assert sum(looks) == 16
        looks.clear()
        assert finder(network, sure=0)(turned).view == UPRIGHT
        assert sum(looks) == 1

    def test_what_is_seen_as_it_is_stays_if_no_other_way_shows_more(self) -> None:
        assert finder(sure=1)(coded_film()).view == UPRIGHT


@pytest.mark.parametrize("sure", [-0.1, 1.1, NAN])
def test_sure_is_a_share(sure: float) -> None:
    with pytest.raises(ValueError, match="sure"):
        finder(sure=sure)


class TestStatedView:
    @pytest.mark.parametrize(
        ("orientation", "view"),
        [
            (("A", "F"), UPRIGHT),
            (("P", "F"), View(0, True, False)),
            (("P", "H"), View(2, False, False)),
            (("A", "H"), View(2, True, False)),
            # rows run to the feet and columns to the back: the head lies on its back
            (("F", "P"), View(3, False, False)),
            (("AR", "FL"), UPRIGHT),
        ],
    )
    def test_of_an_orientation(self, orientation: tuple[str, str], view: View) -> None:
        assert stated_view(orientation) == view

    def test_every_lateral_orientation_has_its_own_view(self) -> None:
        pairs = [*itertools.product("AP", "HF"), *itertools.product("HF", "AP")]
        assert {stated_view(pair) for pair in pairs} == set(TURNS)

    @pytest.mark.parametrize("orientation", [None, (), ("A",), ("L", "F"), ("A", "P"), ("", "F"), ("X", "F")])
    def test_none_of_what_is_no_lateral_film(self, orientation: tuple[str, ...] | None) -> None:
        assert stated_view(orientation) is None

    @pytest.mark.parametrize("view", TURNS)
    def test_is_the_way_to_look_at_a_film_that_lies_so(self, view: View) -> None:
        # an upright film whose grey values are its columns (to the front) and its rows (to the feet)
        rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
        front, feet = (lying(MetaTensor(values[None]), view)[0][0] for values in (columns, rows))
        names = []
        for step in ((0, 1), (1, 0)):
            name = {(1, 0): "A", (-1, 0): "P", (0, 1): "F", (0, -1): "H"}
            names.append(name[tuple(int(grey[step] - grey[0, 0]) for grey in (front, feet))])
        assert stated_view(names) == view

    def test_is_looked_at_first(self) -> None:
        film, _ = lying(coded_film(), View(2, True, False))
        looked: list[torch.Tensor] = []

        class Reader(CodeReader):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                looked.append(x)
                return super().forward(x)

        pose = finder(Reader(1))(film, View(2, True, False))
        assert pose.view == View(2, True, False)
        assert len(looked) == 1

    def test_is_not_followed_against_the_film(self) -> None:
        assert finder()(coded_film(), View(1, False, False)).view == UPRIGHT


@pytest.mark.parametrize("view", VIEWS)
def test_depth_inside_the_exposed_field(view: View) -> None:
    film = coded_film()
    # no row is flat but those below the shutter
    noise = 0.1 * torch.rand(film.shape, generator=torch.Generator().manual_seed(0))
    pixels = film.as_subclass(torch.Tensor) + noise
    pixels[..., :9] = 0
    turned, _ = lying(MetaTensor(pixels, affine=torch.eye(3, dtype=torch.float64)), view)
    pose = finder()(turned)
    assert pose.view == view
    # a shutter over the film's first 9 columns; points in its rows' middle, so many columns inside
    upright = torch.tensor([[ROWS * STEP / 2.0, 9.0], [ROWS * STEP / 2.0, 13.0], [ROWS * STEP / 2.0, 4.0]])
    _, place = lying(film, view)
    square = apply(torch.linalg.inv(pose.to_film), place(upright.double()))
    step = float(torch.linalg.det(pose.to_film[:2, :2]).abs().sqrt())
    assert (pose.depth(square) * step - torch.tensor([0.0, 4.0, -5.0])).abs().max() < 1e-6
