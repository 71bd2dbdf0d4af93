"""How far off landmarks are, and what that does to a measurement.

The error of a landmark is taken as an isotropic Gaussian, independent of the other landmarks. Its standard deviation
per axis comes from the radius that the detector gives it on the film, and otherwise from the figures here, in
proportion to the head on the film. Errors are neither isotropic nor independent, so the interval of each measurement
then gets a factor that was counted on films, as in split conformal prediction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from monai_ceph import weights
from monai_ceph.landmarks import SYMBOLS

__all__ = [
    "COVERAGE",
    "RADIUS_95",
    "head_size",
    "interval_factor",
    "is_mirrored",
    "known_bias",
    "landmark_errors",
    "quarter_turns",
]

COVERAGE = 1.959964
"""Standard deviations on each side of a value that make an interval of 95 %."""
RADIUS_95 = math.sqrt(-2 * math.log(0.05))
"""Radius that holds 95 % of an isotropic Gaussian in the plane, in its standard deviations per axis."""


@cache
def landmark_errors() -> Mapping[str, float]:
    """Return the standard deviation per axis of each landmark, as a share of the distance S-N.

    Those that the model finds: a radial error with mean m and standard deviation s has the mean square m^2 + s^2, half
    of it per axis. Those that a person places: the mean distance d of two markings is sqrt(pi) times the standard
    deviation per axis of one. A landmark without a figure is not in the result.
    """
    figures = json.loads(resources.files(__package__).joinpath("landmark_errors.json").read_text(encoding="utf-8"))
    errors = {symbol: math.sqrt((mean**2 + sd**2) / 2) for symbol, (mean, sd) in figures["detected"].items()}
    errors |= {symbol: distance / math.sqrt(math.pi) for symbol, distance in figures["repeated"].items()}
    return {symbol: error / figures["sella_nasion"] for symbol, error in errors.items()}


@cache
def _counted() -> Mapping[str, Mapping[str, Any]]:
    text = resources.files(__package__).joinpath("interval_factors.json").read_text(encoding="utf-8")
    counted: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return counted


def known_bias() -> Mapping[str, float]:
    """Return by how much measurements of the model's points read too high, in their unit; negative is too low.

    It is the mean error against both doctors' points on the films of the intervals, where that is more than twice its
    standard error. Lengths are not in it: what they are in mm is not known on these films.
    """
    return _counted()["bias"]


def interval_factor(symbol: str, from_radii: Collection[bool]) -> float:
    """Return how many times as long an interval must be as linearisation says, to hold the value in 95 % of cases.

    It was counted on films that the networks had not seen (``benchmarks/intervals.py``), for landmarks with radii and
    for those without. With some of both it is the larger one.

    Args:
        symbol: of the measurement. One that was not counted, since it needs a landmark that only people place, has 1.
        from_radii: for each of its landmarks, whether its error comes from a radius.
    """
    kinds = {"with_radii" if known else "without_radii" for known in from_radii}
    return max((_counted()["factors"][kind].get(symbol, 1.0) for kind in kinds), default=1.0)


@cache
def _mean_shape() -> Mapping[str, complex]:
    """Return the mean shape of the model's landmarks, x + iy, upright and facing right, with S-N of length 1."""
    shape = {symbol: complex(x, y) for symbol, (y, x) in zip(SYMBOLS, weights.mean_shape(), strict=True)}
    length = abs(shape["N"] - shape["S"])
    return {symbol: point / length for symbol, point in shape.items()}


def _compare(points: Mapping[str, complex]) -> tuple[complex, complex, float] | None:
    """Return the products of the landmarks with the mean shape, as it is and mirrored, and its squared size."""
    shape = _mean_shape()
    symbols = [symbol for symbol in shape if symbol in points]
    if len(symbols) < 2:
        return None
    own, mean = (np.array([places[symbol] for symbol in symbols]) for places in (points, shape))
    own, mean = own - own.mean(), mean - mean.mean()
    return complex((own * mean.conj()).sum()), complex((own * mean).sum()), float((np.abs(mean) ** 2).sum())


def head_size(points: Mapping[str, complex]) -> float | None:
    """Return the distance S-N that a mean head of the size of these landmarks has, in their unit.

    Args:
        points: x + iy by symbol; any two of the model's 19 landmarks will do. With fewer the size is not known: None.
    """
    compared = _compare(points)
    if compared is None:
        return None
    straight, mirrored, size = compared
    return max(abs(straight), abs(mirrored)) / size or None


def is_mirrored(points: Mapping[str, complex]) -> bool:
    """Return whether the head faces left once it is upright; False with fewer than three of the model's landmarks."""
    compared = _compare(points)
    return compared is not None and abs(compared[1]) > abs(compared[0]) * (1 + 1e-9)


def quarter_turns(points: Mapping[str, complex], mirrored: bool) -> int:
    """Return the degrees counterclockwise, 0, 90, 180 or 270, that bring a head upright as nearly as can be."""
    compared = _compare(points)
    if compared is None:
        return 0
    # upright and mirrored, a point x + iy of the mean shape is at -x + iy
    turn = -compared[1] if mirrored else compared[0]
    return round(math.degrees(math.atan2(turn.imag, turn.real)) / 90) * 90 % 360
