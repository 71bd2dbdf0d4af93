"""Check that annotated landmarks are on the film, and recognise placeholders for missing ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monai_ceph.errors import DatasetError
from monai_ceph.readers.size import image_size

__all__ = ["check_on_film", "off_film", "without_placeholders"]

# a film ends half a pixel beyond the centres of its outer pixels
_EDGE = 0.5


def without_placeholders(points: np.ndarray) -> np.ndarray:
    """Return the landmarks of one film, with NaN for the placeholders that annotation programs write for missing ones.

    These are -1,-1, and 0,0 if at least two landmarks have it: one landmark may really be in the first pixel.

    Args:
        points: (N, 2) landmarks, in any coordinate order.
    """
    points = points.copy()
    points[(points == -1).all(axis=1)] = math.nan
    at_zero = (points == 0).all(axis=1)
    if at_zero.sum() > 1:
        points[at_zero] = math.nan
    return points


def off_film(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (N,) bool: True for landmarks (row, column) beyond the first or last pixel, False for NaN.

    Args:
        points: (N, 2) landmarks, (row, column) in pixels.
        size: (rows, columns) of the film.
    """
    beyond: np.ndarray = (points < -_EDGE) | (points > np.array(size) - _EDGE)
    return np.any(beyond, axis=1)


def check_on_film(image: str, points: np.ndarray, symbols: Sequence[str], places: Sequence[str]) -> None:
    """Check that all landmarks are on their film. A film whose size cannot be read is not checked.

    Args:
        image: the film's file.
        points: (N, 2) landmarks, (row, column) in pixels; NaN if not annotated.
        symbols: the symbols of the landmarks.
        places: where each landmark was read, such as ``landmarks.csv, line 7``.

    Raises:
        DatasetError: if a landmark is beyond the first or last pixel. The message names its place in the table.
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
            f"{size[0]} pixels; leave x and y empty if it is not annotated"
        )
