"""Writes landmarks as a label map of small discs, for clients that ask for an image, and reads such maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.errors import CephError
from monai_ceph.labelling.markups import landmark_index
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS
from monai_ceph.readers.pixels import WORKING_FOLDER, cause
from monai_ceph.readers.placement import Placement

__all__ = ["LABELS", "SUFFIXES", "discs", "names_of_values", "read_label_map", "write_label_map"]

LABELS: dict[str, int] = {name: value for value, name in enumerate(NAMES, start=1)}
"""The value of each landmark's disc; 0 is background."""

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha")

# radius as a share of the film's height: 10 px on a film of 2400 rows, about 1 mm
_RADIUS = 1 / 240
# pixels
_MIN_RADIUS = 2.0


def discs(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the label map (rows, columns), uint8. Where discs overlap, a pixel belongs to the nearest landmark.

    The pixel that contains a landmark always belongs to it, so that no landmark disappears under others. If two
    landmarks are in the same pixel, it belongs to the later one.

    Args:
        points: (19, 2), (row, column) in source pixels; NaN where missing.
        size: size of the film, (rows, columns).
    """
    labels = np.zeros(size, dtype=np.uint8)
    nearest = np.full(size, np.inf)
    radius = max(_MIN_RADIUS, _RADIUS * size[0])
    for value, (row, column) in enumerate(points, start=1):
        if not np.isfinite(row + column):
            continue
        top, left = (max(0, int(np.floor(centre - radius))) for centre in (row, column))
        window = np.s_[top : int(row + radius) + 2, left : int(column + radius) + 2]
        rows, columns = np.indices(labels[window].shape)
        distance = np.hypot(rows + top - row, columns + left - column)
        mine = (distance <= radius) & (distance < nearest[window])
        labels[window][mine] = value
        nearest[window][mine] = distance[mine]
    for value, point in enumerate(points, start=1):
        if np.isfinite(point).all():
            row, column = np.rint(point).astype(int).tolist()
            if 0 <= row < size[0] and 0 <= column < size[1]:
                labels[row, column] = value
    return labels


def write_label_map(target: Path, points: np.ndarray, placement: Placement, *, compress: bool = True) -> dict[str, int]:
    """Write the discs as an image with one slice, at the film's position. The suffix of ``target`` chooses the format.

    Args:
        target: the file.
        points: (19, 2), (row, column) in source pixels; NaN where missing.
        placement: position of the film.
        compress: False writes the values as they are. MONAI Label's plugin for OHIF wants that: it takes what it
            unpacks for 16 bits per pixel, and fails where a film has an odd number of pixels. .nii.gz is always packed.

    Returns:
        The landmarks that are in the map, with their values from :data:`LABELS`. Missing landmarks are not listed.

    Raises:
        CephError: ITK cannot write this format.
    """
    with WORKING_FOLDER:
        import itk

        labels = discs(points, placement.size)
        image = itk.image_from_array(labels[None])
        across, down = (placement.steps[:, axis] / np.linalg.norm(placement.steps[:, axis]) for axis in range(2))
        image.SetOrigin(placement.origin.tolist())
        image.SetSpacing([placement.spacing[1], placement.spacing[0], 1.0])
        image.SetDirection(itk.matrix_from_array(np.stack([across, down, np.cross(across, down)], axis=1)))
        try:
            itk.imwrite(image, str(target), compression=compress)
        except RuntimeError as error:
            raise CephError(f"a label map cannot be written as {target.suffix}: {cause(error)}") from error
    values = set(np.unique(labels).tolist())
    return {name: value for name, value in LABELS.items() if value in values}


def names_of_values(label_info: Any) -> dict[int, str]:
    """Return the name of each value from the list that 3D Slicer sends: ``[{"name": "Sella", "idx": 1}, ...]``.

    The list is needed because Slicer renumbers the segments from 1. After a missing landmark all values are shifted.

    Raises:
        CephError: ``label_info`` has another form, or gives two names to a value.
    """
    names: dict[int, str] = {}
    try:
        for item in label_info:
            value, name = int(item["idx"]), str(item["name"])
            if names.setdefault(value, name) != name:
                raise CephError(f"label_info gives two names to the value {value}: {names[value]!r} and {name!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise CephError(f"label_info must be a list of objects with name and idx: {error!r}") from error
    return names


def read_label_map(path: Path, size: tuple[int, int], names: Mapping[int, str] | None = None) -> np.ndarray:
    """Return the centres of the labels: (19, 2), (row, column) in source pixels, NaN where a value does not occur.

    Args:
        path: the label map, an image with the film's grid.
        size: size of the film, (rows, columns).
        names: name or symbol of the landmark for each value; by default the values are those of :data:`LABELS`.

    Raises:
        CephError: the image cannot be read, has another size than the film, or contains no landmark; a name is not a
            landmark's, or belongs to two values in the map; or a value in the map has no name.
    """
    with WORKING_FOLDER:
        import itk

        try:
            labels = np.array(itk.array_view_from_image(itk.imread(str(path)))).squeeze()
        except (RuntimeError, TypeError) as error:
            raise CephError(f"the label map cannot be read: {cause(error)}") from error
    if labels.shape != size:
        raise CephError(f"the label map has the shape {labels.shape}, but the film {size}. It belongs to another film")
    indices = {value: landmark_index(name) for value, name in (names or dict(enumerate(NAMES, start=1))).items()}
    if names and (unnamed := sorted(set(np.unique(labels).tolist()) - {0, *indices})):
        raise CephError(f"the label map contains the value {unnamed[0]}, which label_info does not name")
    points = np.full((NUM_LANDMARKS, 2), np.nan)
    for value, index in indices.items():
        if (places := np.argwhere(labels == value)).size:
            if np.isfinite(points[index]).any():
                raise CephError(f"{NAMES[index]} is in the label map twice")
            points[index] = places.mean(axis=0)
    if np.isnan(points).all():
        expected = "that label_info names" if names else f"1 to {NUM_LANDMARKS}"
        raise CephError(f"the label map contains none of the values {expected}")
    return points
