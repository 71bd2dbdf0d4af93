"""Which points of an annotation are places on the film."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monai_ceph.errors import DatasetError
from monai_ceph.readers.size import image_size

__all__ = ["check_on_film", "off_film", "without_placeholders"]

# half a pixel around the first and the last pixel centre
_EDGE = 0.5


def without_placeholders(points: np.ndarray) -> np.ndarray:
    """Return the points of one film, with NaN for what annotation programs write where there is no landmark.

    That is -1,-1, and 0,0 if two landmarks or more have it: one landmark may lie in the first pixel.

    Args:
        points: (N, 2), in any coordinate order.
    """
    points = points.copy()
    points[(points == -1).all(axis=1)] = math.nan
    at_zero = (points == 0).all(axis=1)
    if at_zero.sum() > 1:
        points[at_zero] = math.nan
    return points


def off_film(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (N,) whether a point (row, column) lies beyond the first or the last pixel; False where there is none."""
    beyond: np.ndarray = (points < -_EDGE) | (points > np.array(size) - _EDGE)
    return np.any(beyond, axis=1)


def check_on_film(image: str, points: np.ndarray, symbols: Sequence[str], places: Sequence[str]) -> None:
    """Refuse points that are not on their film. A film whose size cannot be read is not checked here.

    Args:
        image: the film's file.
        points: (N, 2), (row, column) in pixels; NaN where there is no point.
        symbols: of the landmarks.
        places: where each point was read, such as ``landmarks.csv, line 7``.

    Raises:
        DatasetError: if one lies beyond the film's first or last pixel; it names the place.
    """
    size = image_size(image)
    if size is None:
        return
    off = off_film(points, size)
    if off.any():
        index = int(np.flatnonzero(off)[0])
        row, column = points[index]
        raise DatasetError(
            f"{places[index]}: {symbols[index]} at x {column:g}, y {row:g} is off the film, which has {size[1]} x "
            f"{size[0]} pixels; leave both empty if it is not annotated"
        )
