"""Landmarks as 3D Slicer's markups (schema 1.0.3), and back from a label that a person corrected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.datasets.annotation_checks import without_placeholders
from monai_ceph.errors import CephError
from monai_ceph.labelling.placement import Placement
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS, NUM_LANDMARKS, name_of
from monai_ceph.storage.atomic import written_beside

__all__ = ["SUFFIX", "as_markups", "landmark_index", "read_extra_landmarks", "read_label_json", "write_markups"]

SUFFIX = ".mrk.json"
# the identifier that Slicer itself writes; it names the version and is not fetched
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
# Slicer's own for a list of points
_ORIENTATION = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
# fraction of the film, for points that a person placed beyond its border
_BEYOND = 0.1
_INDEX = {name.casefold(): index for index, mark in enumerate(LANDMARKS) for name in (mark.name, mark.symbol)}
_EXTRA = {name.casefold(): mark.symbol for mark in EXTRA_LANDMARKS for name in (mark.name, mark.symbol)}


def as_markups(
    points: np.ndarray,
    placement: Placement,
    *,
    millimetres: bool,
    remarks: Sequence[str] = (),
    extra: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return fiducial markups of one film. A missing landmark has no point.

    Args:
        points: (19, 2), (row, column) in source pixels; NaN where missing.
        placement: of the film.
        millimetres: whether the film has a scale. Without one no unit is named: Slicer refuses any but mm, and mm
            would be wrong.
        remarks: a description for each landmark.
        extra: landmarks of the vocabulary that the model does not find, (row, column) by symbol.
    """
    added = [(mark, extra[mark.symbol]) for mark in EXTRA_LANDMARKS if extra and mark.symbol in extra]
    marks = (*LANDMARKS, *(mark for mark, _ in added))
    positions = placement.to_lps(np.concatenate([points, *(place[None] for _, place in added)]))
    texts = [*(remarks or [""] * NUM_LANDMARKS), *[""] * len(added)]
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


def landmark_index(label: Any) -> int:
    """Return the index, 0..18, of the landmark of a name or symbol, in any case.

    Raises:
        CephError: no landmark is called so.
    """
    index = _INDEX.get(str(label).strip().casefold())
    if index is None:
        raise CephError(f"no landmark is called {str(label)!r}. Name points like 'Sella' or 'S'")
    return index


def read_label_json(path: Path, placement: Placement, image_uid: str | None = None) -> np.ndarray:
    """Return the landmarks of a file that a client saved: (19, 2), (row, column) in source pixels, NaN where absent.

    Landmarks of the vocabulary that the model does not find are left out; :func:`read_extra_landmarks` has them.

    It holds one of these:

    * Slicer's markups: a list ``markups``. Labels are the landmarks' names or symbols, in any case.
    * the params of an inference, as ``output=json`` gives them: ``landmarks`` with ``symbol``, ``x`` and ``y``. Their
      ``markups`` is no list, it tells the unit of the markups.
    * the params below the key ``params``: the answer for one film of a batch, or the info of a saved label.

    Args:
        path: of the file.
        placement: of the film.
        image_uid: SOP Instance UID of the film, None if it has none. Markups name no film, a detection does.

    Raises:
        CephError: the file is no such JSON, is a detection of another film, names something that is no landmark or one
            twice, holds no landmark at all, or puts one far from the film.
    """
    found = [(label, point) for label, point in _read(path, placement, image_uid) if _extra_symbol(label) is None]
    points = np.full((NUM_LANDMARKS, 2), np.nan)
    for label, point in found:
        index = landmark_index(label)
        if np.isfinite(points[index]).any():
            raise CephError(f"{LANDMARKS[index].name} is in the label twice")
        points[index] = point
    points = without_placeholders(points)
    if np.isnan(points).all():
        raise CephError("the label contains no landmark. Save the point list, not a segmentation or a region")
    _check_on_film(points, [mark.name for mark in LANDMARKS], placement)
    return points


def read_extra_landmarks(path: Path, placement: Placement, image_uid: str | None = None) -> dict[str, np.ndarray]:
    """Return the landmarks of a label that the model does not find, (row, column) in source pixels, by symbol.

    Arguments and errors are those of :func:`read_label_json`.
    """
    extra: dict[str, np.ndarray] = {}
    for label, point in _read(path, placement, image_uid):
        symbol = _extra_symbol(label)
        if symbol is None:
            continue
        if symbol in extra:
            raise CephError(f"{name_of(symbol)} is in the label twice")
        extra[symbol] = point
    if extra:
        _check_on_film(np.stack(list(extra.values())), [name_of(symbol) for symbol in extra], placement)
    return extra


def _extra_symbol(label: Any) -> str | None:
    return _EXTRA.get(str(label).strip().casefold())


def _read(path: Path, placement: Placement, image_uid: str | None) -> list[tuple[Any, np.ndarray]]:
    try:
        # editors on Windows put a byte order mark first
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise CephError(f"the label is not JSON in UTF-8: {error}") from error
    if not isinstance(content, dict):
        raise CephError("the label is JSON, but not an object. Save markups or the params of an inference")
    return _found(content, placement, image_uid)


def _found(content: dict[str, Any], placement: Placement, image_uid: str | None) -> list[tuple[Any, np.ndarray]]:
    """Return the names and places, (row, column) in source pixels, of all points in a label."""
    if isinstance(content.get("params"), dict):
        content = content["params"]
    if isinstance(content.get("markups"), list):
        return _control_points(content["markups"], placement)
    if "landmarks" in content:
        _check_of_film(content, placement, image_uid)
        return _detected(content["landmarks"])
    raise CephError(
        "the label is neither Slicer's markups, with a list 'markups', nor the params of an inference, with 'landmarks'"
    )


def _control_points(markups: Any, placement: Placement) -> list[tuple[Any, np.ndarray]]:
    found = []
    try:
        for markup in markups:
            # LPS is the schema's default; RAS turns the first two axes round
            sign = np.array([-1.0, -1.0, 1.0] if markup.get("coordinateSystem") == "RAS" else [1.0, 1.0, 1.0])
            for point in markup.get("controlPoints") or ():
                if point.get("positionStatus", "defined") != "defined":
                    continue
                position = np.asarray(point["position"], dtype=np.float64).reshape(1, 3) * sign
                found.append((point.get("label", ""), placement.to_pixels(position)[0]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CephError(f"the markups are not those of Slicer's schema 1.0: {error!r}") from error
    return found


def _detected(landmarks: Any) -> list[tuple[Any, np.ndarray]]:
    try:
        return [
            (mark["symbol"], np.array([float(mark["y"]), float(mark["x"])]))
            for mark in landmarks
            if mark.get("x") is not None and mark.get("y") is not None
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CephError(f"the landmarks are not those of a detection, with symbol, x and y: {error!r}") from error


def _check_of_film(detection: dict[str, Any], placement: Placement, image_uid: str | None) -> None:
    size = tuple(detection.get(key) or own for key, own in zip(("rows", "columns"), placement.size, strict=True))
    if size != placement.size:
        raise CephError(f"the label is of another film: that has the shape {size}, this one {placement.size}")
    if detection.get("image_uid") not in (None, image_uid):
        raise CephError(f"the label is of another film: that has the SOP Instance UID {detection['image_uid']}")


def _check_on_film(points: np.ndarray, names: Sequence[str], placement: Placement) -> None:
    size = np.array(placement.size, dtype=np.float64)
    far = np.nan_to_num((points < -_BEYOND * size) | (points > (1 + _BEYOND) * size)).any(axis=1)
    if far.any():
        index = int(np.flatnonzero(far)[0])
        row, column = points[index]
        raise CephError(
            f"{names[index]} lies at column {column:.0f}, row {row:.0f} of a film of "
            f"{placement.size[1]} x {placement.size[0]} pixels: the label is of another film, or in another scale"
        )
