"""Planes and outlines of a tracing, from landmarks. They follow the head, however it lies on the film.

Planes are the lines that measurements use. Outlines join the landmarks that lie on one contour: they are an aid for
the eye, and between the landmarks they show no anatomy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["OUTLINES", "PLANES", "Outline", "Plane", "outline_points", "part_on_film", "plane_ends"]

Points = Mapping[str, "tuple[float, float]"]

# places on a curve between two landmarks
_STEPS = 16


@dataclass(frozen=True)
class Plane:
    """A straight line through two places, each a landmark or the middle of two.

    Attributes:
        name: lower case, of its layer.
        title: for the legend.
        label: short, beside the line.
        start: symbols of one landmark, or of two whose middle it is.
        end: likewise.
        before: share of its length by which the line is extended before its start.
        beyond: the same beyond its end.
    """

    name: str
    title: str
    label: str
    start: tuple[str, ...]
    end: tuple[str, ...]
    before: float = 0.15
    beyond: float = 0.15


@dataclass(frozen=True)
class Outline:
    """A contour through landmarks.

    Attributes:
        name: lower case.
        title: for people.
        symbols: the landmarks in their order along the contour.
        curved: a smooth curve, otherwise straight from one to the next.
        optional: of the symbols, those that the line leaves out where they are not known. At another one that is not
            known, the line is interrupted.
    """

    name: str
    title: str
    symbols: tuple[str, ...]
    curved: bool = False
    optional: frozenset[str] = frozenset()


PLANES: tuple[Plane, ...] = (
    Plane("sn", "SN: S-N", "SN", ("S",), ("N",)),
    Plane("fh", "Frankfort: Po-Or", "FH", ("Po",), ("Or",), 0.1, 0.4),
    Plane("palatal", "palatal: PNS-ANS", "PP", ("PNS",), ("ANS",), 0.6, 0.15),
    Plane("mandibular", "mandibular: Go-Me", "MP", ("Go",), ("Me",), 0.3, 0.15),
    Plane("n-a", "N-A", "NA", ("N",), ("A",), 0.1, 0.15),
    Plane("n-b", "N-B", "NB", ("N",), ("B",), 0.1, 0.1),
    Plane("facial", "facial: N-Pog", "NPog", ("N",), ("Pog",), 0.1, 0.2),
    # through the middles of both first molars and of both incisors
    Plane("occlusal", "occlusal: U6/L6-UI/LI", "OP", ("U6", "L6"), ("UI", "LI"), 0.3, 0.3),
    Plane("upper-incisor", "axis of the upper incisor: U1A-UI", "U1", ("U1A",), ("UI",), 0.3, 0.3),
    Plane("lower-incisor", "axis of the lower incisor: L1A-LI", "L1", ("L1A",), ("LI",), 0.3, 0.3),
    Plane("e-line", "E-line: Prn-Pog'", "E", ("Prn",), ("Pog'",), 0.1, 0.1),
)
"""Every line that can be drawn. One whose landmarks are not all known is left out."""

OUTLINES: tuple[Outline, ...] = (
    Outline("cranial-base", "cranial base", ("N", "S", "Ar")),
    Outline("palate", "palate", ("PNS", "ANS", "A")),
    Outline("mandible", "border of the mandible", ("Ar", "Go", "Me")),
    Outline("symphysis", "symphysis", ("B", "Pog", "Gn", "Me"), curved=True),
    Outline(
        "soft-tissue",
        "soft-tissue profile",
        ("N'", "Prn", "Cm", "Sn", "UL", "LL", "Pog'"),
        curved=True,
        optional=frozenset({"N'", "Prn", "Cm"}),
    ),
)
"""Every contour of which landmarks give an idea."""


def plane_ends(plane: Plane, points: Points) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return both ends of a plane's line, or None where a landmark is not known or both places are one.

    Args:
        plane: of :data:`PLANES`.
        points: (x, y) by symbol, without those that are not known.
    """
    if not {*plane.start, *plane.end} <= points.keys():
        return None
    start, end = (_middle([points[symbol] for symbol in place]) for place in (plane.start, plane.end))
    if start == end:
        return None
    way = (end[0] - start[0], end[1] - start[1])
    return (
        (start[0] - plane.before * way[0], start[1] - plane.before * way[1]),
        (end[0] + plane.beyond * way[0], end[1] + plane.beyond * way[1]),
    )


def _middle(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    # without NumPy, whose smallest arrays cost most of the time that a page has while a point moves
    return float(sum(x for x, _ in places) / len(places)), float(sum(y for _, y in places) / len(places))


def outline_points(outline: Outline, points: Points) -> list[tuple[tuple[float, float], ...]]:
    """Return the parts of an outline, each a line through places that are close together where it is curved.

    Args:
        outline: of :data:`OUTLINES`.
        points: (x, y) by symbol, without those that are not known.
    """
    parts: list[list[tuple[float, float]]] = [[]]
    for symbol in outline.symbols:
        if symbol in points:
            # a curve through the same place twice has no direction there
            if not parts[-1] or parts[-1][-1] != points[symbol]:
                parts[-1].append(points[symbol])
        elif symbol not in outline.optional:
            parts.append([])
    lines = [part for part in parts if len(part) > 1]
    return [_curve(tuple(line)) if outline.curved else tuple(line) for line in lines]


# while a point moves, the curves through other points stay
@lru_cache(maxsize=64)
def _curve(places: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Return a centripetal Catmull-Rom spline through places, by Barry and Goldman's recursion.

    Centripetal ones make no loops between the places.
    """
    inner = np.asarray(places, dtype=np.float64)
    # mirrored at the ends, so that the curve reaches them
    all_places = np.concatenate([2 * inner[:1] - inner[1:2], inner, 2 * inner[-1:] - inner[-2:-1]])
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(all_places, axis=0), axis=1)))])
    result = [inner[:1]]
    for index in range(len(inner) - 1):
        t, corner = knots[index : index + 4], all_places[index : index + 4]
        at = np.linspace(t[1], t[2], _STEPS + 1)[1:, None]
        level = list(corner)
        for depth in range(1, 4):
            # the third level blends over the middle interval only
            spans = [(i, i + depth) for i in range(4 - depth)] if depth < 3 else [(1, 2)]
            level = [
                ((t[high] - at) * level[i] + (at - t[low]) * level[i + 1]) / (t[high] - t[low])
                for i, (low, high) in enumerate(spans)
            ]
        result.append(level[0])
    return tuple((float(x), float(y)) for x, y in np.concatenate(result))


def part_on_film(
    ends: tuple[tuple[float, float], tuple[float, float]], size: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the part of a line that lies on a film of (columns, rows), None if none does (Liang and Barsky)."""
    start, way = np.array(ends[0]), np.array(ends[1]) - np.array(ends[0])
    first, last = 0.0, 1.0
    for at, step, length in zip(start, way, size, strict=True):
        low, high = -0.5 - at, length - 0.5 - at
        if abs(step) < 1e-9:
            if not low <= 0 <= high:
                return None
            continue
        enters, leaves = sorted((low / step, high / step))
        first, last = max(first, enters), min(last, leaves)
    if first >= last:
        return None
    one, other = start + first * way, start + last * way
    return (float(one[0]), float(one[1])), (float(other[0]), float(other[1]))
