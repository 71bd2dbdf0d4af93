"""Shapes with smooth borders that are laid over pixels, at any scale."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from monai_ceph.transforms.styles.view import View

__all__ = ["Bar", "Box", "Disc", "Mark", "Path", "Ring", "Shape", "covering", "paint", "seen_through"]

# what is thinner, in mm, hides nothing
_THIN = 0.6
# nothing opaque comes nearer to a landmark, in mm
_CLEAR = 2.0
# share of the contrast that is left around a landmark
_LEFT = 0.5


class Shape(ABC):
    """An area of the grid. All numbers are pixels of the grid, points are (row, column)."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float, float, float]:
        """Top, left, bottom and right."""

    @property
    @abstractmethod
    def thickness(self) -> float:
        """The smallest width."""

    @abstractmethod
    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the distance of points to the border, negative inside."""


@dataclass(frozen=True)
class Disc(Shape):
    """A disc."""

    centre: np.ndarray
    radius: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:  # noqa: D102
        (row, column), reach = self.centre, self.radius
        return row - reach, column - reach, row + reach, column + reach

    @property
    def thickness(self) -> float:  # noqa: D102
        return 2 * self.radius

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # noqa: D102
        return np.sqrt((rows - self.centre[0]) ** 2 + (columns - self.centre[1]) ** 2) - self.radius


@dataclass(frozen=True)
class Ring(Shape):
    """A ring; ``radius`` is that of its middle line."""

    centre: np.ndarray
    radius: float
    width: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:  # noqa: D102
        return Disc(self.centre, self.radius + self.width / 2).bounds

    @property
    def thickness(self) -> float:  # noqa: D102
        return self.width

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # noqa: D102
        return np.abs(Disc(self.centre, self.radius).distance(rows, columns)) - self.width / 2


@dataclass(frozen=True)
class Bar(Shape):
    """A line with round ends."""

    start: np.ndarray
    end: np.ndarray
    width: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:  # noqa: D102
        low, high = np.minimum(self.start, self.end), np.maximum(self.start, self.end)
        half = self.width / 2
        return low[0] - half, low[1] - half, high[0] + half, high[1] + half

    @property
    def thickness(self) -> float:  # noqa: D102
        return self.width

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # noqa: D102
        step = self.end - self.start
        length = float(step @ step)
        down, right = rows - self.start[0], columns - self.start[1]
        share = ((down * step[0] + right * step[1]) / length).clip(0, 1) if length else np.zeros(1, np.float32)
        return np.sqrt((down - share * step[0]) ** 2 + (right - share * step[1]) ** 2) - self.width / 2


@dataclass(frozen=True)
class Box(Shape):
    """A rectangle with rounded corners; ``along`` is the unit vector of its first side."""

    centre: np.ndarray
    half: tuple[float, float]
    along: np.ndarray
    corner: float = 0.0

    @property
    def bounds(self) -> tuple[float, float, float, float]:  # noqa: D102
        return Disc(self.centre, math.hypot(*self.half)).bounds

    @property
    def thickness(self) -> float:  # noqa: D102
        return 2 * min(self.half)

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # noqa: D102
        down, right = rows - self.centre[0], columns - self.centre[1]
        corner = min(self.corner, *self.half)
        first = np.abs(down * self.along[0] + right * self.along[1]) - (self.half[0] - corner)
        second = np.abs(down * self.along[1] - right * self.along[0]) - (self.half[1] - corner)
        outside = np.sqrt(first.clip(0, None) ** 2 + second.clip(0, None) ** 2)
        return outside + np.minimum(np.maximum(first, second), 0) - corner


@dataclass(frozen=True)
class Path(Shape):
    """Lines with round ends through several points (N, 2)."""

    points: np.ndarray
    width: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:  # noqa: D102
        return Bar(self.points.min(axis=0), self.points.max(axis=0), self.width).bounds

    @property
    def thickness(self) -> float:  # noqa: D102
        return self.width

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # noqa: D102
        parts = [Bar(start, end, self.width) for start, end in zip(self.points, self.points[1:], strict=False)]
        result = parts[0].distance(rows, columns)
        for part in parts[1:]:
            result = np.minimum(result, part.distance(rows, columns))
        return result


@dataclass(frozen=True)
class Mark:
    """A shape with a grey value.

    Attributes:
        shape: what is covered.
        opacity: share of the grey value that ``level`` replaces, 0 to 1.
        level: grey value in 0..1.
        softness: width of the border, in pixels of the grid.
        rounded: whether it is thick in the middle and thin at the border, like a ball or a rod.
    """

    shape: Shape
    opacity: float
    level: float = 1.0
    softness: float = 0.0
    rounded: bool = False


def covering(shape: Shape, size: tuple[int, int], softness: float) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """Return the part of the grid where a shape is, and how much of each pixel it covers; None if it is outside."""
    edge = 1 + softness
    top, left, bottom, right = shape.bounds
    rows = slice(max(math.floor(top - edge), 0), min(math.ceil(bottom + edge) + 1, size[0]))
    columns = slice(max(math.floor(left - edge), 0), min(math.ceil(right + edge) + 1, size[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    distance = shape.distance(
        np.arange(rows.start, rows.stop, dtype=np.float32)[:, None],
        np.arange(columns.start, columns.stop, dtype=np.float32)[None],
    )
    # a line that is thinner than a pixel covers only a part of it
    share = np.clip(0.5 - distance / edge, 0, min(1.0, shape.thickness / edge))
    return (rows, columns), share.astype(np.float32)


def paint(pixels: np.ndarray, marks: Iterable[Mark]) -> np.ndarray:
    """Lay marks over (row, column) pixels, in place, and return them."""
    for mark in marks:
        found = covering(mark.shape, pixels.shape, mark.softness)
        if found is None:
            continue
        part, share = found
        if mark.rounded and mark.shape.thickness > 2:
            rows = np.arange(part[0].start, part[0].stop, dtype=np.float32)[:, None]
            columns = np.arange(part[1].start, part[1].stop, dtype=np.float32)[None]
            depth = (-mark.shape.distance(rows, columns) / (mark.shape.thickness / 2)).clip(0, 1)
            share = share * np.sqrt(1 - (1 - depth) ** 2)
        area = pixels[part]
        area += mark.opacity * share * (mark.level - area)
    return pixels


def seen_through(marks: Iterable[Mark], view: View, R: np.random.RandomState, free: tuple[str, ...] = ()) -> list[Mark]:
    """Return marks of which none hides a landmark: those near one become translucent, where they were opaque.

    A landmark under metal could not be seen, and the networks should not learn to guess it. At least half of the
    contrast is left around each landmark, under all marks together. Lines and dots that hide nothing may be opaque.

    Args:
        marks: what is to be painted.
        view: the grid and its landmarks.
        R: draws the new opacities.
        free: symbols of landmarks that may be hidden.
    """
    guarded = np.array([point for symbol, point in view.points.items() if symbol not in free]).reshape(-1, 2)
    left = np.ones(len(guarded))
    result = []
    for mark in marks:
        shape = mark.shape
        if shape.thickness > _THIN * view.per_mm and len(guarded):
            near = shape.distance(guarded[:, 0], guarded[:, 1]) < _CLEAR * view.per_mm
            if near.any():
                most = max(1 - _LEFT / left[near].min(), 0.0)
                if mark.opacity > most:
                    mark = replace(mark, opacity=float(most * R.uniform(0.3, 1)))
                left[near] *= 1 - mark.opacity
        result.append(mark)
    return result
