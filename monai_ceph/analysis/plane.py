"""Angles, lengths and positions on an upright face that looks right. Points are complex numbers, x right + i y down.

A direction is written as textbooks write a line: ``"S-N"`` points from S to N. With y down, positive angles are
clockwise. Every point may also be an array of positions: then the result is an array, one value per position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUARTER_TURNS", "Face", "Line", "Number", "Point", "upright"]

Number: TypeAlias = "NDArray[np.float64]"
"""A value for each position of the points; 0-dimensional for a single face."""

Point: TypeAlias = "NDArray[np.complex128]"

Line: TypeAlias = "str | Point"
"""``"S-N"``, or a direction as complex numbers, such as that of the occlusal plane."""


QUARTER_TURNS: Mapping[int, complex] = {0: 1, 90: -1j, 180: -1, 270: 1j}
"""Factors that rotate x + iy by this many degrees counterclockwise, with y down."""


def upright(
    places: Mapping[str, Sequence[float]], spacing: tuple[float, float] | None, turned: int, mirrored: bool
) -> dict[str, complex]:
    """Return landmarks upright and facing right, in mm, or in pixels that count as square.

    Args:
        places: (x, y) in source pixels by symbol.
        spacing: (row, column) in mm per pixel; None if unknown.
        turned: degrees counterclockwise that bring the film upright: 0, 90, 180 or 270.
        mirrored: the head faces left once the film is upright.
    """
    row, column = spacing or (1.0, 1.0)
    points = {symbol: complex(x * column, y * row) * QUARTER_TURNS[turned] for symbol, (x, y) in places.items()}
    return {symbol: -point.conjugate() for symbol, point in points.items()} if mirrored else points


class Face:
    """The landmarks of one face.

    Args:
        points: positions by symbol, in mm, or in pixels if the scale is unknown.
    """

    def __init__(self, points: Mapping[str, complex | Point]) -> None:
        self._points = points
        # most formulas use the same few lines
        self._directions: dict[str, Point] = {}

    def __getitem__(self, symbol: str) -> Point:
        """Return the position of a landmark.

        Raises:
            KeyError: if the face does not have it.
        """
        return np.asarray(self._points[symbol], dtype=np.complex128)

    def direction(self, line: Line) -> Point:
        """Return the vector of a line from its start to its end; NaN if both coincide."""
        if not isinstance(line, str):
            return np.where(line == 0, complex(np.nan, np.nan), line)
        if line not in self._directions:
            start, end = line.split("-")
            self._directions[line] = self.direction(self[end] - self[start])
        return self._directions[line]

    def unit(self, line: Line) -> Point:
        """Return the vector of a line with the length 1."""
        vector = self.direction(line)
        return vector / np.abs(vector)

    def middle(self, one: str, other: str) -> Point:
        """Return the point halfway between two landmarks."""
        return (self[one] + self[other]) / 2

    def turn(self, first: Line, second: Line) -> Number:
        """Return the angle from one direction to another in degrees, -180 to 180, clockwise positive."""
        return np.degrees(np.angle(self.direction(second) * self.direction(first).conj()))

    def angle(self, first: Line, second: Line) -> Number:
        """Return the angle between two directions in degrees, 0 to 180."""
        return np.abs(self.turn(first, second))

    def corner(self, polygon: str) -> Number:
        """Return the angle at the middle one of three landmarks, such as ``"N-S-Ar"``, in degrees, 0 to 360.

        It is the one inside the polygon N-S-Ar-Go-Me, if the landmarks are named in this order.
        """
        before, at, after = polygon.split("-")
        return self.turn(f"{at}-{before}", f"{at}-{after}") % 360

    def distance(self, line: str) -> Number:
        """Return the distance between two landmarks, in the unit of the coordinates."""
        start, end = line.split("-")
        return np.abs(self[end] - self[start])

    def along(self, move: str, line: Line) -> Number:
        """Return how far the way from one landmark to another leads along a line, which gives the direction."""
        start, end = move.split("-")
        return ((self[end] - self[start]) * self.unit(line).conj()).real

    def below(self, move: str, line: Line) -> Number:
        """Return how far the way from one landmark to another leads down, seen along a line that points ahead."""
        start, end = move.split("-")
        return ((self[end] - self[start]) * self.unit(line).conj()).imag

    def ahead(self, symbol: str, line: str) -> Number:
        """Return the distance of a landmark from a line that points down, such as ``"N-A"``; positive if ahead."""
        start, _ = line.split("-")
        return -self.below(f"{start}-{symbol}", line)
