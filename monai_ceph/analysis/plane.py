"""Angles and lengths on the film, upright and facing right: points are complex numbers, x right + i y down.

With y down, a positive turn is one with the clock.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping

__all__ = ["Face", "angle", "distance", "inside", "turn"]

Face = Mapping[str, complex]
"""Where each landmark is, by its symbol; in mm, or in pixels without a scale."""


def turn(face: Face, first: tuple[str, str], second: tuple[str, str]) -> float:
    """Return the turn from one direction to another in degrees, -180 to 180, positive with the clock.

    Args:
        face: the landmarks.
        first: symbols of the landmarks from and to which the first direction leads.
        second: of the second direction.

    Raises:
        ZeroDivisionError: two landmarks coincide, and there is no direction.
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
        before: the symbol of the corner before, in the order of the polygon's name.
        at: of the corner.
        after: of the corner after.

    Raises:
        ZeroDivisionError: two landmarks coincide.
    """
    return turn(face, (at, before), (at, after)) % 360


def distance(face: Face, start: str, end: str) -> float:
    """Return the distance of two landmarks, in the unit of the coordinates."""
    return abs(face[end] - face[start])
