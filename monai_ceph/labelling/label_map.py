"""Landmarks as a label map of small discs, for clients that ask for an image, and back from one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_ceph.errors import CephError
from monai_ceph.labelling.placement import Placement
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS
from monai_ceph.readers.pixels import WORKING_FOLDER, cause

__all__ = ["LABELS", "SUFFIXES", "discs", "read_label_map", "write_label_map"]

LABELS: dict[str, int] = {name: value for value, name in enumerate(NAMES, start=1)}
"""The value of each landmark's disc; 0 is background."""

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha")

# of the film's height: 10 px on a film of 2400 rows, about 1 mm
_RADIUS = 1 / 240
_MIN_RADIUS = 2.0


def discs(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the label map (rows, columns), uint8. Where discs meet, a pixel is that of the nearest landmark.

    Args:
        points: (19, 2), (row, column) in source pixels; NaN where missing.
        size: of the film, (rows, columns).
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
    return labels


def write_label_map(target: Path, points: np.ndarray, placement: Placement) -> None:
    """Write the discs as an image of one slice where the film lies; the suffix names the format.

    Raises:
        CephError: ITK writes no such format.
    """
    with WORKING_FOLDER:
        import itk

        image = itk.image_from_array(discs(points, placement.size)[None])
        across, down = (placement.steps[:, axis] / np.linalg.norm(placement.steps[:, axis]) for axis in range(2))
        image.SetOrigin(placement.origin.tolist())
        image.SetSpacing([placement.spacing[1], placement.spacing[0], 1.0])
        image.SetDirection(itk.matrix_from_array(np.stack([across, down, np.cross(across, down)], axis=1)))
        try:
            itk.imwrite(image, str(target), compression=True)
        except RuntimeError as error:
            raise CephError(f"no label map can be written as {target.suffix}: {cause(error)}") from error


def read_label_map(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return the centres of the labels: (19, 2), (row, column) in source pixels, NaN where a value does not occur.

    Args:
        path: of an image on the grid of the film, with the values of :data:`LABELS`.
        size: of the film, (rows, columns).

    Raises:
        CephError: the image cannot be read, is on another grid, or holds no landmark.
    """
    with WORKING_FOLDER:
        import itk

        try:
            labels = np.array(itk.array_view_from_image(itk.imread(str(path)))).squeeze()
        except (RuntimeError, TypeError) as error:
            raise CephError(f"the label map cannot be read: {cause(error)}") from error
    if labels.shape != size:
        raise CephError(f"the label map has the shape {labels.shape}, the film {size}: they are of different films")
    points = np.full((NUM_LANDMARKS, 2), np.nan)
    for value in range(1, NUM_LANDMARKS + 1):
        if (places := np.argwhere(labels == value)).size:
            points[value - 1] = places.mean(axis=0)
    if np.isnan(points).all():
        raise CephError(f"the label map holds none of the values 1 to {NUM_LANDMARKS}")
    return points
