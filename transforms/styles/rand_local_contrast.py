"""Local contrast: CLAHE."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandLocalContrast", "RandLocalContrastD", "RandLocalContrastDict", "RandLocalContrastd", "equalized"]

_BINS, _STEPS = 128, 1024


def equalized(pixels: np.ndarray, tiles: tuple[int, int], limit: float) -> np.ndarray:
    """Return (row, column) pixels in 0..1 after contrast limited adaptive histogram equalisation (CLAHE).

    (Zuiderveld 1994, Contrast limited adaptive histogram equalization, Graphics Gems IV.) The grey values of each tile
    are spread by their histogram, which is cut at ``limit``; between the centres of tiles, curves are interpolated.

    Args:
        pixels: float32.
        tiles: how many, in rows and in columns.
        limit: about the largest slope of a curve; 1 changes nothing.
    """
    rows, columns = pixels.shape
    level = np.clip(pixels * _STEPS, 0, _STEPS - 1).astype(np.int32)
    tile_row = np.arange(rows) * tiles[0] // rows
    tile_column = np.arange(columns) * tiles[1] // columns
    number = (tile_row * tiles[1])[:, None] + tile_column
    curves = _curves(level // (_STEPS // _BINS) + number * _BINS, tiles[0] * tiles[1], limit)
    above, down = _neighbours(rows, tiles[0])
    left, right = _neighbours(columns, tiles[1])
    result = np.zeros_like(pixels)
    for row, row_weight in ((above, 1 - down), (np.minimum(above + 1, tiles[0] - 1), down)):
        for column, column_weight in ((left, 1 - right), (np.minimum(left + 1, tiles[1] - 1), right)):
            weight = row_weight[:, None] * column_weight
            if weight.any():
                offset = ((row * tiles[1])[:, None] + column).astype(np.int32) * _STEPS
                result += weight * np.take(curves, offset + level)
    return result


def _curves(places: np.ndarray, tiles: int, limit: float) -> np.ndarray:
    """Return ``_STEPS`` values of each tile's curve; ``places`` are the bins of all pixels, one tile after another."""
    counts = np.bincount(places.ravel(), minlength=tiles * _BINS).reshape(tiles, _BINS)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for _ in range(8):
        # what is cut off is spread over all grey values, and may have to be cut again
        share = np.minimum(share, limit / _BINS)
        share = share + (1 - share.sum(axis=1, keepdims=True)) / _BINS
    before = np.cumsum(share, axis=1) - share
    inside = (np.arange(_STEPS // _BINS) + 0.5) / (_STEPS // _BINS)
    curves = before[:, :, None] + share[:, :, None] * inside
    return np.asarray(curves, dtype=np.float32).ravel()


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
