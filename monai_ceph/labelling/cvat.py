"""Landmarks for CVAT's MONAI Label detector, which accepts only polygons: each landmark becomes a small diamond."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_ceph.landmarks import NAMES

__all__ = ["as_annotations", "detector_labels"]

# half the diamond's width as a share of the film's height: the radius of the discs in a label map
_RADIUS = 1 / 240
# pixels
_MIN_RADIUS = 2


def as_annotations(points: np.ndarray, rows: int) -> list[dict[str, Any]]:
    """Return the value of ``annotations`` for MONAI Label's ``plugins/cvat/detector.py``.

    Args:
        points: (19, 2), (row, column) in source pixels. A missing landmark (NaN) gets no polygon.
        rows: height of the film in pixels.
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
    """Return the labels for the ``spec`` of the CVAT function: ``id`` (1 to 19) and ``name``."""
    return [{"id": value, "name": name} for value, name in enumerate(NAMES, start=1)]
