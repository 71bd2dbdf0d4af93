"""What every picture of a film says in words, and the landmarks that it shows."""

from __future__ import annotations

from monai_ceph.result import DetectedLandmark, Detection, RadiusSource

__all__ = [
    "NOTICE",
    "absent_lines",
    "circle_lines",
    "circle_radii",
    "note_lines",
    "points_by_symbol",
    "profile_lines",
    "scale_line",
    "uncertain_symbols",
]

NOTICE = "Research use, not a medical device. A trained person reviews every result."

_CIRCLES: dict[RadiusSource, str] = {
    "other films": "Circles: the landmark lies inside in 90 % of cases; radii learned on other films.",
    "profile": "Circles: the landmark lies inside in 90 % of cases; radii learned on films of the profile.",
}


def scale_line(detection: Detection) -> str:
    """Return the line for pictures that says where the scale came from."""
    return f"scale: {detection.spacing_source.label}"


def profile_lines(detection: Detection) -> list[str]:
    """Return the line that names the profile which moved the points, if one did."""
    return [] if detection.profile is None else [f"profile: {detection.profile.label}"]


def note_lines(detection: Detection, circles: bool = False) -> list[str]:
    """Return the lines below every picture; with ``circles``, one that says what these are."""
    return [*profile_lines(detection), *circle_lines(detection, circles), scale_line(detection), NOTICE]


def circle_lines(detection: Detection, circles: bool) -> list[str]:
    """Return the line that says what circles are; none without ``circles``, or if no radius is known."""
    source = detection.radius_source if circles else None
    return [] if source is None else [_CIRCLES[source]]


def circle_radii(detection: Detection, circles: bool = True) -> dict[str, float]:
    """Return the radius that each landmark lies within in 90 % of cases, in source pixels; none without ``circles``."""
    radii = {mark.symbol: mark.radius_90_px for mark in detection.landmarks if circles}
    return {symbol: radius for symbol, radius in radii.items() if radius is not None}


def absent_lines(detection: Detection) -> list[str]:
    """Return a line that names the landmarks that are missing, and one for those outside the film."""
    missing = [mark.symbol for mark in detection.landmarks if mark.x is None or mark.y is None]
    outside = [mark.symbol for mark in detection.landmarks if _is_outside(mark, detection)]
    return [f"{word}: {', '.join(each)}" for word, each in (("missing", missing), ("outside", outside)) if each]


def points_by_symbol(detection: Detection) -> dict[str, tuple[float, float]]:
    """Return (x, y) in source pixels of every landmark that was found."""
    return {mark.symbol: (mark.x, mark.y) for mark in detection.landmarks if mark.x is not None and mark.y is not None}


def uncertain_symbols(detection: Detection) -> list[str]:
    """Return the symbols of the landmarks whose status is uncertain."""
    return [mark.symbol for mark in detection.landmarks if mark.status == "uncertain"]


def _is_outside(mark: DetectedLandmark, detection: Detection) -> bool:
    if mark.x is None or mark.y is None:
        return False
    return not (-0.5 <= mark.x <= detection.columns - 0.5 and -0.5 <= mark.y <= detection.rows - 0.5)
