"""Words as pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["lettered", "write"]

_SMALLEST, _LARGEST = 5, 200


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(height)


def lettered(words: str, height: float, degrees: float = 0.0) -> np.ndarray | None:
    """Return (row, column) shares of ink in 0..1, float32, of words that are ``height`` pixels high.

    None if they are too small to be read on this grid.
    """
    if height < _SMALLEST:
        return None
    # a font's size counts from the lowest to the highest point of its letters
    font = _font(round(min(1.3 * height, _LARGEST)))
    left, top, right, bottom = font.getbbox(words)
    image = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(image).text((-left, -top), words, fill=255, font=font)
    if degrees:
        image = image.rotate(degrees, expand=True, resample=Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32) / 255


def write(pixels: np.ndarray, ink: np.ndarray, centre: np.ndarray, strength: float, level: float) -> None:
    """Lay ink over (row, column) pixels, in place; ``centre`` is (row, column)."""
    top, left = (round(float(middle - side / 2)) for middle, side in zip(centre, ink.shape, strict=True))
    rows = slice(max(top, 0), min(top + ink.shape[0], pixels.shape[0]))
    columns = slice(max(left, 0), min(left + ink.shape[1], pixels.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    area = pixels[rows, columns]
    part = ink[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    area += strength * part * (level - area)
