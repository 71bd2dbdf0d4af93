"""Two films of one patient, laid on each other, and what changed between them.

Superimposition on the anterior cranial base: S on S, and the direction S-N on S-N. On the palatal plane: ANS on ANS,
and PNS-ANS on PNS-ANS. These two registrations need two landmarks each; they are no structural superimposition, which
follows contours that do not grow, and ANS itself remodels with growth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monai_ceph.analysis.measurement import Detected, Measurement
from monai_ceph.analysis.plane import upright

__all__ = ["REGISTRATIONS", "Change", "Registration", "Superimposition", "changes", "superimpose"]


@dataclass(frozen=True)
class Registration:
    """What two tracings are laid on each other by.

    Attributes:
        title: for people.
        at: symbol of the landmark that stays in its place.
        other: symbol of the landmark that gives the direction.
    """

    title: str
    at: str
    other: str


REGISTRATIONS: dict[str, Registration] = {
    "sn": Registration("on S-N, at S", "S", "N"),
    "palatal": Registration("on the palatal plane, at ANS", "ANS", "PNS"),
}
"""The ways to superimpose, by name."""


@dataclass(frozen=True)
class Change:
    """How a measurement changed from the first film to the second.

    Attributes:
        symbol: its short form.
        name: its full name.
        analysis: the first analysis that it belongs to.
        unit: degree, mm, percent or ratio.
        first: value on the first film; None if there is none.
        second: value on the second film; None if there is none.
        change: second minus first; None if they cannot be compared.
        interval: 95 % interval of the change by the error of the points on both films; None if that is not known.
        exceeds: the interval does not contain 0, so that the change is more than the method's error; None without one.
        reason: why there is no change; otherwise None.
    """

    symbol: str
    name: str
    analysis: str
    unit: str
    first: float | None
    second: float | None
    change: float | None
    interval: tuple[float, float] | None
    exceeds: bool | None
    reason: str | None


@dataclass(frozen=True)
class Superimposition:
    """The landmarks of both films, upright and facing right.

    Attributes:
        registration: what they are laid on each other by.
        first: landmarks of the first film by symbol, (x, y): x right, y down, in mm or in pixels of the first film.
        second: landmarks of the second film, likewise.
        in_mm: both films have a scale, and coordinates are in mm: growth shows. Otherwise the second tracing is
            enlarged or reduced until both landmarks of the registration are as far apart as on the first film.
    """

    registration: Registration
    first: dict[str, tuple[float, float]]
    second: dict[str, tuple[float, float]]
    in_mm: bool


def superimpose(first: Detected, second: Detected, registration: Registration) -> Superimposition | str:
    """Lay the landmarks of one film on those of another. Both films may lie or face differently.

    Args:
        first: the film that stays as it is.
        second: the film whose landmarks move.
        registration: of :data:`REGISTRATIONS`.

    Returns:
        The superimposition, or a sentence on why there is none.
    """
    in_mm = first.pixel_spacing is not None and second.pixel_spacing is not None
    one, two = _face(first), _face(second)
    for film, face in (("first", one), ("second", two)):
        if absent := [symbol for symbol in (registration.at, registration.other) if symbol not in face]:
            return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing on the {film} film."
    here, there = (face[registration.other] - face[registration.at] for face in (one, two))
    if here == 0 or there == 0:
        return f"{registration.at} and {registration.other} are one point."
    turn = here / there
    if in_mm:
        turn /= abs(turn)
    start, goal = two[registration.at], one[registration.at]
    moved = {symbol: goal + (place - start) * turn for symbol, place in two.items()}
    if first.pixel_spacing is not None and not in_mm:
        # back to pixels, whose columns are the unit
        one, moved = (
            {symbol: place / first.pixel_spacing[1] for symbol, place in each.items()} for each in (one, moved)
        )
    pairs = [{symbol: (place.real, place.imag) for symbol, place in each.items()} for each in (one, moved)]
    return Superimposition(registration, pairs[0], pairs[1], in_mm)


def changes(
    first: Sequence[Measurement], second: Sequence[Measurement], scales: tuple[bool, bool]
) -> tuple[Change, ...]:
    """Return the change of every measurement that both films have in common, in the order of the first.

    The interval adds the errors of both films as independent: half its width is the root of the sum of the squares of
    theirs. Where both films err alike, as a model may, the true interval is narrower.

    Args:
        first: of the earlier film.
        second: of the later film.
        scales: whether each film has a known scale; lengths are compared only if both have.
    """
    later = {measurement.symbol: measurement for measurement in second}
    return tuple(_change(each, later[each.symbol], scales) for each in first if each.symbol in later)


def _change(first: Measurement, second: Measurement, scales: tuple[bool, bool]) -> Change:
    reasons = [
        f"{which} film: {each.reason}"
        for which, each in (("first", first), ("second", second))
        if each.value is None and each.reason
    ]
    if first.reason == second.reason and len(reasons) > 1:
        reasons = [f"both films: {first.reason}"]
    if first.unit == "mm" and not all(scales):
        which = "neither film" if not any(scales) else "the first film" if scales[1] else "the second film"
        reasons = [f"{which} has a known scale" if not any(scales) else f"{which} has no known scale"]
    change, interval = None, None
    if not reasons and first.value is not None and second.value is not None:
        change = second.value - first.value
        if first.unit == "degree":
            # the short way round
            change = (change + 180) % 360 - 180
        if first.interval is not None and second.interval is not None:
            below = math.hypot(second.value - second.interval[0], first.interval[1] - first.value)
            above = math.hypot(second.interval[1] - second.value, first.value - first.interval[0])
            interval = change - below, change + above
    return Change(
        symbol=first.symbol,
        name=first.name,
        analysis=first.analyses[0],
        unit=first.unit,
        first=first.value,
        second=second.value,
        change=change,
        interval=interval,
        exceeds=None if interval is None else not interval[0] <= 0 <= interval[1],
        reason="; ".join(reasons) or None,
    )


def _face(detection: Detected) -> dict[str, complex]:
    places = {mark.symbol: (mark.x, mark.y) for mark in detection.landmarks if mark.x is not None}
    return upright(places, detection.pixel_spacing, detection.turned, detection.mirrored)
