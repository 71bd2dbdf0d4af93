"""Tracings, dots and labels drawn on the film."""

from __future__ import annotations

import itertools
import math

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.lettering import lettered, write
from monai_ceph.transforms.styles.marks import Bar, Disc, Mark, Path, paint, seen_through
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandTracing", "RandTracingD", "RandTracingDict", "RandTracingd"]

_LINES = (
    *(("S", "N"), ("Po", "Or"), ("Go", "Me"), ("Go", "Gn"), ("N", "A"), ("N", "B"), ("N", "Pog"), ("A", "Pog")),
    *(("PNS", "ANS"), ("S", "Gn"), ("S", "Ar"), ("Ar", "Go"), ("UI", "A"), ("LI", "Me"), ("Sn", "Pog'"), ("S", "A")),
)
_OUTLINES = (("Sn", "UL", "LL", "Pog'"), ("ANS", "A", "UI"), ("LI", "B", "Pog", "Gn", "Me"), ("Ar", "Go", "Me"))
_NEAR = 40.0


class RandTracing(RandStyle):
    """Draw what people draw on films: lines of an analysis, parts of outlines, dots or crosses, and their letters.

    Dots are up to 9 mm off landmarks, as often as not near none, and lines miss theirs by about 2 mm: a network must
    not learn that a drawn dot is the landmark.
    """

    name = "tracing"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        level = float(R.choice([0.0, 1.0, between(R, 0, 1)]))
        ink, width = between(R, 0.4, 1), log_between(R, 0.15, 0.7) * mm
        marks = []
        if R.uniform() < 0.7:
            marks += _lines(view, R, Mark(Disc(np.zeros(2), 0), ink, level), width)
        dots = _dots(view, R) if R.uniform() < 0.8 or not marks else []
        radius, cross = log_between(R, 0.25, 1.2) * mm, R.uniform() < 0.3
        for dot, _ in dots:
            if cross:
                for axis in (view.anterior, view.inferior):
                    half = 2 * radius * axis
                    marks.append(Mark(Bar(dot - half, dot + half, width), ink, level))
            else:
                marks.append(Mark(Disc(dot, radius), ink, level))
        marks = seen_through(marks, view, R)
        texts = []
        if R.uniform() < 0.5:
            height = between(R, 2, 5) * mm
            for dot, symbol in dots:
                letters = lettered(symbol, height)
                if letters is not None:
                    angle = between(R, 0, 2 * math.pi)
                    away = between(R, 3, 6) * mm * np.array([math.sin(angle), math.cos(angle)])
                    texts.append((letters, dot + away, ink, level))

        def change(pixels: np.ndarray) -> np.ndarray:
            paint(pixels, marks)
            for text in texts:
                write(pixels, *text)
            return pixels

        return change


def _near(view: View) -> list[str]:
    """Return the landmarks whose surroundings are on the grid."""
    return [symbol for symbol in view.points if view.sees(symbol, _NEAR)]


def _dots(view: View, R: np.random.RandomState) -> list[tuple[np.ndarray, str]]:
    """Return dots and what they are called; half of them belong to no landmark."""
    dots = []
    symbols = list(view.points) or ["S"]
    for symbol in _near(view):
        if R.uniform() < 0.5:
            angle, far = between(R, 0, 2 * math.pi), between(R, 1, 9)
            dots.append((view.at(symbol, far * math.cos(angle), far * math.sin(angle)), symbol))
    for _ in range(R.randint(0, 2 + len(dots))):
        place = np.array([between(R, 0, side) for side in view.size])
        dots.append((place, symbols[R.randint(len(symbols))]))
    return dots


def _lines(view: View, R: np.random.RandomState, pen: Mark, width: float) -> list[Mark]:
    near = set(_near(view))
    known = [line for line in _LINES if view.points.keys() >= set(line) and near & set(line)]
    marks = []
    if known:
        for index in R.choice(len(known), size=min(len(known), R.randint(1, 7)), replace=False):
            start, end = (view.at(symbol, *map(float, R.normal(0, 2, size=2))) for symbol in known[index])
            beyond = between(R, 0, 0.4) * (end - start)
            marks.append(Mark(Bar(start - beyond * between(R, 0, 1), end + beyond, width), pen.opacity, pen.level))
    if R.uniform() < 0.4:
        for outline in _OUTLINES:
            if view.points.keys() >= set(outline) and near & set(outline):
                shift = R.normal(0, 1.5, size=2)
                way = [view.at(symbol, *map(float, shift + R.normal(0, 1.2, size=2))) for symbol in outline]
                marks.append(Mark(Path(_rounded(np.array(way)), width), pen.opacity, pen.level))
    return marks


def _rounded(points: np.ndarray) -> np.ndarray:
    """Return twice as many points, by cutting corners, with the same ends."""
    inner = [point for a, b in itertools.pairwise(points) for point in (0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b)]
    return np.array([points[0], *inner, points[-1]])


class RandTracingd(RandStyled):
    """Dictionary form of :class:`RandTracing`."""

    style_class = RandTracing


RandTracingD = RandTracingDict = RandTracingd
