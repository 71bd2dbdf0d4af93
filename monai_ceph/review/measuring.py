"""Measurements and lines of a tracing as the page shows them."""

from __future__ import annotations

from typing import Any

from monai_ceph.analysis import Measurement
from monai_ceph.reports.notes import points_by_symbol
from monai_ceph.reports.report_content import class_rows, norm_text, quantity, verdict
from monai_ceph.reports.tracing_lines import OUTLINES, PLANES, outline_points, plane_ends
from monai_ceph.result import Detection

__all__ = ["measured"]


def measured(detection: Detection) -> dict[str, Any]:
    """Return ``measurements``, ``classes`` and ``lines`` of a detection.

    Args:
        detection: with the points of a review, see :func:`monai_ceph.review.reviewing.reviewed`.
    """
    measurements = detection.measure()
    return {
        "measurements": [_row(each) for each in measurements],
        "classes": [
            {"symbol": each.symbol, "text": each.text, "certain": each.certain} for each in class_rows(measurements)
        ],
        "lines": _lines(detection),
    }


def _row(each: Measurement) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    norm = each.norm
    return {
        "symbol": each.symbol,
        "name": each.name,
        "analysis": each.analysis,
        "value": each.value,
        "unit": each.unit,
        "text": "" if each.value is None else quantity(each.value, each.unit),
        "reason": each.reason,
        "norm": None if norm is None else {"text": norm_text(norm, each.unit), "citation": norm.citation},
        "deviation": each.deviation,
        # within, above, below, or not certain
        "verdict": verdict(each),
        "low": low,
        "high": high,
    }


def _lines(detection: Detection) -> list[dict[str, Any]]:
    places = points_by_symbol(detection)
    lines = [
        {"layer": f"plane-{plane.name}", "label": plane.label, "points": ends, "closed": False}
        for plane in PLANES
        if (ends := plane_ends(plane, places)) is not None
    ]
    for outline in OUTLINES:
        for part in outline_points(outline, places):
            lines.append({"layer": "outlines", "label": outline.title, "points": part, "closed": False})
    return lines
