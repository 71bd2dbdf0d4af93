"""Reads labels that people saved: 3D Slicer's markups, or the params of an inference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.datasets.annotation_checks import without_placeholders
from monai_ceph.errors import CephError
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS, NUM_LANDMARKS, name_of
from monai_ceph.readers.placement import Placement

__all__ = ["landmark_index", "read_extra_landmarks", "read_label_json"]

# how far outside the film a person may place a point, as a share of its size
_MARGIN = 0.1
_INDEX = {name.casefold(): index for index, mark in enumerate(LANDMARKS) for name in (mark.name, mark.symbol)}
_EXTRA = {name.casefold(): mark.symbol for mark in EXTRA_LANDMARKS for name in (mark.name, mark.symbol)}


def landmark_index(label: Any) -> int:
    """Return the index (0 to 18) of a landmark from its name or symbol, in upper or lower case.

    Raises:
        CephError: no landmark has this name or symbol.
    """
    index = _INDEX.get(str(label).strip().casefold())
    if index is None:
        raise CephError(f"no landmark is called {str(label)!r}. Name points like 'Sella' or 'S'")
    return index


def read_label_json(path: Path, placement: Placement, image_uid: str | None = None) -> np.ndarray:
    """Return the landmarks of a file that a client saved: (19, 2), (row, column) in source pixels, NaN where absent.

    Landmarks of the vocabulary that the model does not find are left out; :func:`read_extra_landmarks` has them.

    The file contains one of these:

    * Slicer's markups: a list ``markups``. Labels are the landmarks' names or symbols, in upper or lower case.
    * the params of an inference, as ``output=json`` returns them: ``landmarks`` with ``symbol``, ``x`` and ``y``. Their
      ``markups`` is not a list; it describes the unit of the markups.
    * the params below the key ``params``: the answer for one film of a batch, or the info of a saved label.

    Args:
        path: the file.
        placement: position of the film.
        image_uid: SOP Instance UID of the film, None if it has none. A detection must have the same one; markups name
            no film.

    Raises:
        CephError: the file is not JSON in one of these forms, is of another film, has an unknown landmark or the same
            one twice, has no landmark at all, or has one far outside the film.
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
    """Return the name and position, (row, column) in source pixels, of each point in a label."""
    if isinstance(content.get("params"), dict):
        content = content["params"]
    if isinstance(content.get("markups"), list):
        return _control_points(content["markups"], placement)
    if "landmarks" in content:
        _check_same_film(content, placement, image_uid)
        return _detected(content["landmarks"])
    raise CephError(
        "the label is neither Slicer's markups, with a list 'markups', nor the params of an inference, with 'landmarks'"
    )


def _control_points(markups: Any, placement: Placement) -> list[tuple[Any, np.ndarray]]:
    found = []
    try:
        for markup in markups:
            # the schema's default is LPS. In RAS the first two axes point the other way
            sign = np.array([-1.0, -1.0, 1.0] if markup.get("coordinateSystem") == "RAS" else [1.0, 1.0, 1.0])
            for point in markup.get("controlPoints") or ():
                if point.get("positionStatus", "defined") != "defined":
                    continue
                position = np.asarray(point["position"], dtype=np.float64).reshape(1, 3) * sign
                found.append((point.get("label", ""), placement.to_pixels(position)[0]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CephError(f"the markups do not follow Slicer's schema 1.0: {error!r}") from error
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


def _check_same_film(detection: dict[str, Any], placement: Placement, image_uid: str | None) -> None:
    size = tuple(detection.get(key) or own for key, own in zip(("rows", "columns"), placement.size, strict=True))
    if size != placement.size:
        raise CephError(f"the label is of another film: its shape is {size}, this film's is {placement.size}")
    if detection.get("image_uid") not in (None, image_uid):
        raise CephError(f"the label is of another film: its SOP Instance UID is {detection['image_uid']}")


def _check_on_film(points: np.ndarray, names: Sequence[str], placement: Placement) -> None:
    size = np.array(placement.size, dtype=np.float64)
    far = np.nan_to_num((points < -_MARGIN * size) | (points > (1 + _MARGIN) * size)).any(axis=1)
    if far.any():
        index = int(np.flatnonzero(far)[0])
        row, column = points[index]
        raise CephError(
            f"{names[index]} lies at column {column:.0f}, row {row:.0f} of a film of "
            f"{placement.size[1]} x {placement.size[0]} pixels: the label is of another film, or in another scale"
        )
