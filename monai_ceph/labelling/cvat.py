"""Landmarks for CVAT's MONAI Label detector. It only takes polygons, so each landmark is a small diamond."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_ceph.landmarks import NAMES

__all__ = ["as_annotations", "detector_labels"]

# of the film's height, as the discs of a label map
_RADIUS = 1 / 240
_MIN_RADIUS = 2


def as_annotations(points: np.ndarray, rows: int) -> list[dict[str, Any]]:
    """Return what MONAI Label's ``plugins/cvat/detector.py`` reads under ``annotations``.

    Args:
        points: (19, 2), (row, column) in source pixels; a missing landmark (NaN) has no element.
        rows: of the film.
    """
    radius = max(_MIN_RADIUS, round(_RADIUS * rows))
    elements = []
    for name, (row, column) in zip(NAMES, points, strict=True):
        if np.isfinite(row + column):
            # the plugin truncates coordinates to whole numbers
            x, y = round(float(column)), round(float(row))
            diamond = [[x - radius, y], [x, y - radius], [x + radius, y], [x, y + radius]]
            elements.append({"label": name, "contours": [diamond]})
    return [{"annotation": {"name": "Cephalometric landmarks", "elements": elements}}]


def detector_labels() -> list[dict[str, Any]]:
    """Return the labels of the function's ``spec`` in CVAT."""
    return [{"id": value, "name": name} for value, name in enumerate(NAMES, start=1)]
