from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from style_views import view

from monai_ceph.transforms.styles.marks import Bar, Box, Disc, Mark, Path, Ring, Shape, covering, paint, seen_through

CENTRE = np.array([50.3, 40.8])
DOWN, RIGHT = np.eye(2)
AREAS: list[tuple[Shape, float]] = [
    (Disc(CENTRE, 12), math.pi * 144),
    (Ring(CENTRE, 12, 3), math.pi * (13.5**2 - 10.5**2)),
    (Bar(CENTRE, CENTRE + 6 * DOWN + 8 * RIGHT, 4), 40 + math.pi * 4),
    (Box(CENTRE, (10, 5), DOWN), 200),
    (Box(CENTRE, (10, 5), DOWN, corner=5), 100 + math.pi * 25),
    (Path(np.array([CENTRE, CENTRE + 10 * RIGHT, CENTRE + 10]), 2), 40 + math.pi + 1 - (1 - math.pi / 4)),
    # thinner than a pixel
    (Bar(CENTRE - 30 * RIGHT, CENTRE + 30 * RIGHT, 0.2), 12),
]


@pytest.mark.parametrize(("shape", "area"), AREAS)
def test_areas(shape: Shape, area: float) -> None:
    pixels = paint(np.zeros((100, 100), np.float32), [Mark(shape, 1.0)])
    assert pixels.sum() == pytest.approx(area, rel=0.06)
    assert pixels.max() <= 1


@pytest.mark.parametrize("shape", [shape for shape, _ in AREAS])
def test_nothing_is_outside_of_the_bounds(shape: Shape) -> None:
    top, left, bottom, right = shape.bounds
    rows, columns = np.nonzero(paint(np.zeros((100, 100), np.float32), [Mark(shape, 1.0, softness=3)]))
    assert top - 2.6 <= rows.min() <= rows.max() <= bottom + 2.6
    assert left - 2.6 <= columns.min() <= columns.max() <= right + 2.6


@pytest.mark.parametrize("shape", [shape for shape, _ in AREAS])
def test_the_centre_does_not_move_with_the_grid(shape: Shape) -> None:
    pixels = paint(np.zeros((100, 100), np.float32), [Mark(shape, 1.0)])
    found = np.array([pixels.sum(axis=1) @ np.arange(100), pixels.sum(axis=0) @ np.arange(100)]) / pixels.sum()
    top, left, bottom, right = shape.bounds
    if not isinstance(shape, Path):
        # a line that is thinner than a pixel may be anywhere in it
        error = 0.1 if shape.thickness > 1 else 0.5
        np.testing.assert_allclose(found, [(top + bottom) / 2, (left + right) / 2], atol=error)


def test_opacity_and_level() -> None:
    pixels = paint(np.full((100, 100), 0.5, np.float32), [Mark(Disc(CENTRE, 10), 0.4, level=0.0)])
    assert pixels[50, 41] == pytest.approx(0.3)
    assert pixels[0, 0] == 0.5


def test_a_ball_is_thickest_in_the_middle() -> None:
    pixels = paint(np.zeros((100, 100), np.float32), [Mark(Disc(np.array([50.0, 50]), 20), 1.0, rounded=True)])
    assert pixels[50, 50] == pytest.approx(1)
    assert (np.diff(pixels[50, 50:75]) <= 0).all()
    # the chord at half of the radius
    assert pixels[50, 60] == pytest.approx(math.sqrt(0.75), abs=0.01)


def test_what_is_outside_of_the_grid() -> None:
    for centre in ([-40, 50], [50, 300.0]):
        assert covering(Disc(np.array(centre), 10), (100, 100), 2.0) is None


class TestSeenThrough:
    def metal(self, symbol: str, anterior: float = 0.0) -> Mark:
        here = view()
        return Mark(Disc(here.at(symbol, anterior), 5 * here.per_mm), 1.0)

    def opacity(self, *marks: Mark, free: tuple[str, ...] = ()) -> list[float]:
        return [mark.opacity for mark in seen_through(marks, view(), np.random.RandomState(0), free)]

    def test_metal_over_a_landmark_becomes_translucent(self) -> None:
        assert max(self.opacity(self.metal("S"))) <= 0.5

    def test_nearer_than_2_mm(self) -> None:
        assert self.opacity(self.metal("S", 6.8)) != [1.0]
        assert self.opacity(self.metal("S", 7.2)) == [1.0]

    def test_landmarks_that_may_be_hidden(self) -> None:
        assert self.opacity(self.metal("S"), free=("S",)) == [1.0]

    def test_half_of_the_contrast_is_left_under_all_marks_together(self) -> None:
        marks = [self.metal("S"), replace(self.metal("S"), opacity=0.2), *[self.metal("S", 2)] * 4]
        left = np.prod([1 - opacity for opacity in self.opacity(*marks)])
        assert left >= 0.5 - 1e-9

    def test_what_is_translucent_and_what_is_thin_stays(self) -> None:
        thin = Mark(Bar(view().at("S", -20), view().at("S", 20), 0.5 * view().per_mm), 1.0)
        pale = replace(self.metal("S"), opacity=0.3)
        assert self.opacity(thin, pale) == [1.0, 0.3]
