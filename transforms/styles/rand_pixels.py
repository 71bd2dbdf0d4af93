"""Pixels of other sizes, fewer grey values, and compression."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from monai_ceph.transforms.styles.filters import log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandPixels", "RandPixelsD", "RandPixelsDict", "RandPixelsd"]


class RandPixels(RandStyle):
    """Sample a film with pixels of 0.08 to 0.4 mm and bring it back to its grid.

    Between, some lose grey values or are compressed as JPEG. Coarser pixels are made by averaging, by interpolation or by taking the nearest. Below the size of the grid's own
    pixels, only the interpolation shows. Nothing moves: both grids cover the same area.
    """

    name = "pixels"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        step = log_between(R, 0.08, 0.4) * view.per_mm
        # finer than half a pixel shows nothing and takes time
        size = tuple(max(8, round(side / max(step, 0.6))) for side in view.size)
        mode = str(R.choice(["area", "bilinear", "nearest-exact"], p=[0.45, 0.35, 0.2]))
        kind = R.choice(["plain", "grey", "jpeg"], p=[0.4, 0.25, 0.35])
        levels, quality = int(log_between(R, 20, 256)), int(log_between(R, 12, 70))

        def change(pixels: np.ndarray) -> np.ndarray:
            film = torch.from_numpy(pixels)[None, None]
            small = F.interpolate(film, size, mode=mode, antialias=True) if mode == "bilinear" else None
            small = F.interpolate(film, size, mode=mode) if small is None else small
            grid = small[0, 0].numpy().clip(0, 1)
            if kind == "grey":
                grid = np.round(grid * levels) / levels
            elif kind == "jpeg":
                grid = _jpeg(grid, quality)
            back = torch.from_numpy(np.ascontiguousarray(grid, dtype=np.float32))[None, None]
            return F.interpolate(back, pixels.shape, mode="bilinear", antialias=True)[0, 0].numpy()

        return change


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.round(255 * pixels).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), dtype=np.float32) / 255


class RandPixelsd(RandStyled):
    """Dictionary form of :class:`RandPixels`."""

    style_class = RandPixels


RandPixelsD = RandPixelsDict = RandPixelsd
