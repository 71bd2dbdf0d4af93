"""A film as a picture for a screen: the grey values that the networks see, at a size that shows every detail."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from monai_ceph.readers import Radiograph
from monai_ceph.readers.grey_limits import grey_limits

__all__ = ["LONGEST", "film_picture", "film_png", "picture_scale", "png_bytes"]

LONGEST = 1400
"""Longest side of a picture in pixels: a screen shows no more."""

# symbols need room, so small films are enlarged to this
_SHORTEST = 1000


def picture_scale(size: tuple[int, int]) -> float:
    """Return the pixels of a picture per source pixel, for a film of (columns, rows)."""
    return min(max(1.0, _SHORTEST / max(size)), LONGEST / max(size))


def film_picture(radiograph: Radiograph) -> Image.Image:
    """Return a film as an 8-bit grey picture whose longest side is 1000 to 1400 pixels."""
    film = Image.fromarray(_grey(radiograph.pixels))
    scale = picture_scale(film.size)
    how = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BICUBIC
    return film.resize((max(1, round(film.width * scale)), max(1, round(film.height * scale))), how)


def film_png(radiograph: Radiograph) -> bytes:
    """Return :func:`film_picture` as the bytes of a PNG file."""
    return png_bytes(film_picture(radiograph))


def png_bytes(picture: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = BytesIO()
    picture.save(file, format="PNG", compress_level=6)
    return file.getvalue()


def _grey(pixels: np.ndarray) -> np.ndarray:
    # scaled as in bundles/inference.json, so that a person sees what the networks see
    limits = grey_limits(pixels[::4, ::4], (0.5, 99.5), max_gap=0.4)
    scaled = (pixels - limits.low) * (255 / max(limits.high - limits.low, 1e-6))
    return np.clip(scaled, 0, 255).astype(np.uint8)
