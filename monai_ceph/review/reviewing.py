"""What a review means: which points it may have, and the detection with the points of a person in their place."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

from monai_ceph.errors import CephError
from monai_ceph.landmarks import landmark_of, name_of
from monai_ceph.readers.radiograph import NOT_SQUARE, SpacingSource, plausible_spacing
from monai_ceph.result import DetectedLandmark, Detection
from monai_ceph.review.models import Calibration, Point, Revision

__all__ = [
    "calibrated",
    "calibration_of",
    "checked",
    "first_revision",
    "moves",
    "reviewed",
    "slug",
    "undecided",
]

# a page may round coordinates when it sends them back
_SAME = 1e-6


def first_revision(detection: Detection, blind: bool = False) -> Revision:
    """Return revision 0: the detection itself, or without any place if the reader must not see it."""
    points = tuple(
        Point(
            symbol=mark.symbol,
            x=None if blind else mark.x,
            y=None if blind else mark.y,
            source="detected",
        )
        for mark in detection.landmarks
    )
    return Revision(revision=0, state="open", reviewer=None, saved_at=None, points=points)


def calibration_of(line: Calibration | None, before: Revision, reviewer: str) -> Calibration | None:
    """Return the known length of a new revision, with the name of the person who measured it.

    Args:
        line: as the page sends it.
        before: the revision that the new one follows.
        reviewer: who saves the new one.
    """
    if line is None:
        return None
    known = before.calibration
    by = known.by if known is not None and known.line == line.line else reviewer
    return line.model_copy(update={"by": by})


def checked(
    points: Sequence[Point], detection: Detection, before: Revision, blind: bool, reviewer: str | None = None
) -> tuple[Point, ...]:
    """Return the points of a new revision in the order of the vocabulary, with the places that they were moved from.

    Each decision of a person has the name of who took it: a point that is as before keeps its name.

    Args:
        points: as the page sends them. A detected landmark without a point stays as it is in ``before``.
        detection: of the film.
        before: the revision that the new one follows.
        blind: the reader must not have points of the model.
        reviewer: who saves the new one.

    Raises:
        CephError: a symbol is unknown or appears twice, a place is not on the film, or a point that is said to be
            detected is not where the model found it.
    """
    known = {mark.symbol: mark for mark in detection.landmarks}
    found: dict[str, Point] = {}
    earlier = {point.symbol: point for point in before.points}

    def by(point: Point) -> str | None:
        last = earlier.get(point.symbol)
        same = last is not None and (last.source, last.place) == (point.source, point.place)
        return last.by if same and last is not None else reviewer

    for point in points:
        if point.symbol in found:
            raise CephError(f"{point.symbol} appears twice")
        if point.symbol not in known and landmark_of(point.symbol) is None:
            raise CephError(f"no landmark has the symbol {point.symbol[:20]!r}")
        if point.source == "human":
            place = point.place
            if place is None or not _is_on_film(place, detection):
                raise CephError(f"{point.symbol} is not on the film. Place it again, or say that it is not on the film")
            mark = None if blind else known.get(point.symbol)
            origin = None if mark is None or mark.x is None or mark.y is None else (mark.x, mark.y)
            found[point.symbol] = point.model_copy(update={"moved_from": origin, "by": by(point)})
        elif point.source == "absent":
            found[point.symbol] = point.model_copy(update={"moved_from": None, "by": by(point)})
        else:
            found[point.symbol] = _as_detected(point, known.get(point.symbol), earlier.get(point.symbol), blind)
    for symbol in known:
        if symbol not in found and symbol in earlier:
            found[symbol] = earlier[symbol]
    order = [*known, *sorted(found.keys() - known.keys(), key=_number)]
    return tuple(found[symbol] for symbol in order if symbol in found)


def _number(symbol: str) -> int:
    landmark = landmark_of(symbol)
    return 0 if landmark is None else landmark.number


def _as_detected(point: Point, mark: DetectedLandmark | None, earlier: Point | None, blind: bool) -> Point:
    if mark is None:
        raise CephError(f"{point.symbol} is not detected by the model, only people place it")
    allowed: list[Point] = [Point(symbol=point.symbol, x=None, y=None, source="detected")] if blind else []
    if not blind:
        allowed = [Point(symbol=point.symbol, x=mark.x, y=mark.y, source="detected")]
        # the model may have detected again since
        allowed += [earlier] if earlier is not None and earlier.source == "detected" else []
    for each in allowed:
        if _same(each.place, point.place):
            return each
    raise CephError(f"{point.symbol} is not where the model found it. Send it as a person's point")


def _same(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.dist(one, other) <= _SAME


def _is_on_film(place: tuple[float, float], detection: Detection) -> bool:
    x, y = place
    return -0.5 <= x <= detection.columns - 0.5 and -0.5 <= y <= detection.rows - 0.5


def undecided(points: Sequence[Point]) -> list[str]:
    """Return the symbols of landmarks that the model did not find, and of which no person said where they are."""
    return [point.symbol for point in points if point.source == "detected" and point.x is None]


def moves(points: Sequence[Point], detection: Detection) -> list[dict[str, Any]]:
    """Return what a person changed, for the audit. Places are (x, y) in source pixels."""
    places = {mark.symbol: None if mark.x is None else [mark.x, mark.y] for mark in detection.landmarks}
    return [
        {
            "symbol": point.symbol,
            "source": point.source,
            "from": places.get(point.symbol),
            "to": None if point.place is None else list(point.place),
            "by": point.by,
        }
        for point in points
        if point.source != "detected"
    ]


def calibrated(detection: Detection, line: Calibration) -> tuple[float, float]:
    """Return the (row, column) spacing in mm that a known length gives.

    The ratio of both is that of the film's own spacing, if it has one.

    Raises:
        CephError: the line is too short, the pixels are known not to be square but not how much, or no film can have
            such a spacing.
    """
    stated = detection.pixel_spacing or detection.stated_spacing
    if stated is None and any(warning.startswith(NOT_SQUARE) for warning in detection.warnings):
        raise CephError("the pixels are not square, so one known length does not give the scale")
    ratio = stated[0] / stated[1] if stated else 1.0
    length = math.hypot(line.x2 - line.x1, (line.y2 - line.y1) * ratio)
    if length < 1:
        raise CephError("the line of the known length is shorter than a pixel. Draw it again")
    column = line.mm / length
    if not plausible_spacing(column * ratio, column):
        raise CephError(f"the known length gives {column:.3g} mm per pixel, which no film has. Check both ends")
    return column * ratio, column


def reviewed(
    detection: Detection, points: Sequence[Point], calibration: Calibration | None, extra: bool = True
) -> Detection:
    """Return the detection with the points of a review, for measurements and pictures.

    A point of a person has the status ``ok``. Its score has no meaning: what is written for people leaves it out.

    Args:
        detection: of the film.
        points: of the review.
        calibration: the known length that gives the scale, None without one.
        extra: with the landmarks that only people place.

    Raises:
        CephError: as :func:`calibrated`.
    """
    spacing = detection.pixel_spacing if calibration is None else calibrated(detection, calibration)
    known = {mark.symbol: mark for mark in detection.landmarks}
    marks = []
    for point in points:
        mark = known.get(point.symbol)
        if mark is None and not extra:
            continue
        landmark = landmark_of(point.symbol)
        number = mark.number if mark is not None else landmark.number if landmark is not None else len(known) + 1
        found = point.x is not None and point.y is not None
        same = mark is not None and point.source == "detected" and found
        marks.append(
            DetectedLandmark(
                number=number,
                name=name_of(point.symbol),
                symbol=point.symbol,
                x=point.x,
                y=point.y,
                x_mm=point.x * spacing[1] if point.x is not None and spacing else None,
                y_mm=point.y * spacing[0] if point.y is not None and spacing else None,
                score=mark.score if same and mark is not None else 0.0,
                status=(mark.status if same and mark is not None and mark.status != "missing" else "ok")
                if found
                else "missing",
                **_radii(mark if same else None, spacing),
            )
        )
    changes: dict[str, Any] = {"landmarks": tuple(marks)}
    if calibration is not None:
        changes |= {"pixel_spacing": spacing, "spacing_source": SpacingSource.USER, "stated_spacing": None}
    return detection.model_copy(update=changes)


def _radii(mark: DetectedLandmark | None, spacing: tuple[float, float] | None) -> dict[str, float]:
    """Return the radii of a point that nobody moved, with the scale of the review."""
    pixels = {} if mark is None else {90: mark.radius_90_px, 95: mark.radius_95_px}
    radii = {percent: radius for percent, radius in pixels.items() if radius is not None}
    found = {f"radius_{percent}_px": radius for percent, radius in radii.items()}
    if spacing:
        side = math.sqrt(spacing[0] * spacing[1])
        found |= {f"radius_{percent}_mm": radius * side for percent, radius in radii.items()}
    return found


def slug(name: str) -> str:
    """Return a folder name for a person: safe letters, and a hash that keeps similar names apart."""
    safe = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40] or "reader"
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
