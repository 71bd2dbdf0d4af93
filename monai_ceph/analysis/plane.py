"""Angles and lengths on an upright film that faces right. Points are complex numbers, x right + i y down.

With y down, positive angles are clockwise.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping

__all__ = ["Face", "angle", "distance", "inside", "turn"]

Face = Mapping[str, complex]
"""Positions of the landmarks by symbol, in mm, or in pixels if the scale is unknown."""


def turn(face: Face, first: tuple[str, str], second: tuple[str, str]) -> float:
    """Return the signed angle from one direction to another in degrees, -180 to 180, clockwise positive.

    Args:
        face: the landmarks.
        first: symbols of the start and the end of the first direction.
        second: symbols of the start and the end of the second direction.

    Raises:
        ZeroDivisionError: two landmarks coincide, so that a direction is undefined.
    """
    one, two = (face[end] - face[start] for start, end in (first, second))
    if two == 0:
        raise ZeroDivisionError
    return math.degrees(cmath.phase(two / one))


def angle(face: Face, first: tuple[str, str], second: tuple[str, str]) -> float:
    """Return the angle between two directions in degrees, 0 to 180. Arguments and errors as in :func:`turn`."""
    return abs(turn(face, first, second))


def inside(face: Face, before: str, at: str, after: str) -> float:
    """Return the angle inside the polygon N-S-Ar-Go-Me at one of its corners in degrees, 0 to 360.

    Args:
        face: the landmarks.
        before: symbol of the previous corner, in the order of the polygon's name.
        at: symbol of the corner.
        after: symbol of the next corner.

    Raises:
        ZeroDivisionError: two landmarks coincide.
    """
    return turn(face, (at, before), (at, after)) % 360


def distance(face: Face, start: str, end: str) -> float:
    """Return the distance between two landmarks, in the unit of the coordinates."""
    return abs(face[end] - face[start])
