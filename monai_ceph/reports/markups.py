"""Writes landmarks as 3D Slicer's markups (schema 1.0.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS, NUM_LANDMARKS
from monai_ceph.readers.placement import Placement
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["SUFFIX", "as_markups", "save_markups", "write_markups"]

SUFFIX = ".mrk.json"
# the identifier that Slicer writes. It only names the version; nobody fetches it
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
# what Slicer writes for a list of points
_ORIENTATION = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]


def as_markups(
    points: np.ndarray,
    placement: Placement,
    *,
    millimetres: bool,
    descriptions: Sequence[str] = (),
    extra: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return fiducial markups of one film. A missing landmark has no point.

    Args:
        points: (19, 2), (row, column) in source pixels; NaN where missing.
        placement: position of the film.
        millimetres: True if the film has a known scale. Otherwise the markups name no unit: Slicer accepts only mm,
            which would be wrong.
        descriptions: a description for each landmark.
        extra: landmarks of the vocabulary that the model does not find, (row, column) by symbol.
    """
    added = [(mark, extra[mark.symbol]) for mark in EXTRA_LANDMARKS if extra and mark.symbol in extra]
    marks = (*LANDMARKS, *(mark for mark, _ in added))
    positions = placement.to_lps(np.concatenate([points, *(place[None] for _, place in added)]))
    texts = [*(descriptions or [""] * NUM_LANDMARKS), *[""] * len(added)]
    control_points = [
        {
            "id": str(mark.number),
            "label": mark.name,
            "description": text,
            "associatedNodeID": "",
            "position": [round(value, 6) for value in position.tolist()],
            "orientation": _ORIENTATION,
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for mark, position, text in zip(marks, positions, texts, strict=True)
        if np.isfinite(position).all()
    ]
    unit = {"coordinateUnits": "mm"} if millimetres else {}
    markup = {
        "type": "Fiducial",
        "name": "Cephalometric landmarks",
        "coordinateSystem": "LPS",
        **unit,
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": max(mark.number for mark in marks),
        "controlPoints": control_points,
        "measurements": [],
        "display": {"visibility": True, "pointLabelsVisibility": True, "glyphType": "Cross2D", "textScale": 2.0},
    }
    return {"@schema": _SCHEMA, "markups": [markup]}


def write_markups(target: Path, markups: dict[str, Any]) -> None:
    """Write a markups file atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        part.write_text(json.dumps(markups, indent=1) + "\n", encoding="utf-8")


def save_markups(target: Path, detection: Detection, placement: Placement) -> None:
    """Write the landmarks of one film as markups, atomically; each one says its score and status.

    Args:
        target: the file to write.
        detection: result for the film.
        placement: from :func:`monai_ceph.readers.placement.placement_of` for the film.

    Raises:
        OSError: if the file cannot be written.
    """
    moved = "" if detection.profile is None else f", profile {detection.profile.label}"
    descriptions = [f"score {mark.score:.2f}, {mark.status}{moved}" for mark in detection.landmarks]
    # (row, column), the order of arrays in this package
    points = detection.points()[:, ::-1].copy()
    scaled = detection.pixel_spacing is not None
    write_markups(target, as_markups(points, placement, millimetres=scaled, descriptions=descriptions))
