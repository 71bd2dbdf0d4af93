"""Local contrast: CLAHE."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandLocalContrast", "RandLocalContrastD", "RandLocalContrastDict", "RandLocalContrastd", "equalized"]

_BINS = 128


def equalized(pixels: np.ndarray, tiles: tuple[int, int], limit: float) -> np.ndarray:
    """Return (row, column) pixels in 0..1 after contrast limited adaptive histogram equalisation (CLAHE).

    (Zuiderveld 1994, Contrast limited adaptive histogram equalization, Graphics Gems IV.) The grey values of each tile
    are spread by their histogram, which is cut at ``limit``; between the centres of tiles, curves are interpolated.

    Args:
        pixels: float32.
        tiles: how many, in rows and in columns.
        limit: largest slope of a curve; 1 changes nothing.
    """
    rows, columns = pixels.shape
    level = np.clip(pixels * (_BINS - 1), 0, _BINS - 1)
    low = level.astype(np.int32)
    tile_row = np.arange(rows) * tiles[0] // rows
    tile_column = np.arange(columns) * tiles[1] // columns
    number = (tile_row * tiles[1])[:, None] + tile_column
    counts = np.bincount((number * _BINS + low).ravel(), minlength=tiles[0] * tiles[1] * _BINS)
    share = counts.reshape(-1, _BINS) / np.maximum(counts.reshape(-1, _BINS).sum(axis=1, keepdims=True), 1)
    cut = np.minimum(share, limit / _BINS)
    cut += (1 - cut.sum(axis=1, keepdims=True)) / _BINS
    curve = np.cumsum(cut, axis=1)
    # the curve at the middle of a bin
    curve = (curve - cut / 2).astype(np.float32).ravel()
    above, down = _neighbours(rows, tiles[0])
    left, right = _neighbours(columns, tiles[1])
    result = np.zeros_like(pixels)
    for row, row_weight in ((above, 1 - down), (np.minimum(above + 1, tiles[0] - 1), down)):
        for column, column_weight in ((left, 1 - right), (np.minimum(left + 1, tiles[1] - 1), right)):
            offset = ((row * tiles[1])[:, None] + column) * _BINS
            weight = row_weight[:, None] * column_weight
            if weight.any():
                result += weight * np.take(curve, offset.astype(np.int32) + low)
    # between two bins, the grey value itself
    return result + (level - low - 0.5) / _BINS


def _neighbours(length: int, tiles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel the tile whose centre lies before it, and how far it is on the way to the next."""
    place = np.clip((np.arange(length) + 0.5) * tiles / length - 0.5, 0, tiles - 1)
    before = np.minimum(place.astype(np.int64), tiles - 1)
    return before, (place - before).astype(np.float32)


class RandLocalContrast(RandStyle):
    """Raise the local contrast as CLAHE does, with tiles of 12 to 60 mm and slopes up to 1.5 to 5."""

    name = "local_contrast"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        tile = log_between(R, 12, 60) * view.per_mm
        limit, share = log_between(R, 1.5, 5), between(R, 0.5, 1)
        tiles = (min(max(1, round(view.size[0] / tile)), 16), min(max(1, round(view.size[1] / tile)), 16))

        def change(pixels: np.ndarray) -> np.ndarray:
            return pixels + share * (equalized(pixels, tiles, limit) - pixels)

        return change


class RandLocalContrastd(RandStyled):
    """Dictionary form of :class:`RandLocalContrast`."""

    style_class = RandLocalContrast


RandLocalContrastD = RandLocalContrastDict = RandLocalContrastd
