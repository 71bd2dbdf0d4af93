"""Read plain PNG and BMP files with Pillow: ITK takes seconds to import, and returns the same pixels.

Only lossless files in which nothing can be read in two ways are plain: no palette, transparency or compressed BMP.
Every other file, and every damaged one, is left to ITK.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["simple_pixels"]

# modes of Pillow with one meaning: 8 and 16 bits of grey, and 8 bits per colour
_PNG_MODES = ("L", "I;16", "RGB")
_BMP_BITS = {8: "L", 24: "RGB"}


def simple_pixels(path: Path, kind: str) -> np.ndarray | None:
    """Return the pixels of a plain PNG or BMP file, (row, column) or (row, column, 3).

    Args:
        path: a file whose size was checked.
        kind: Pillow's name of its format.

    Returns:
        The pixels as stored. None if the file is not plain or is damaged.
    """
    if kind not in ("PNG", "BMP"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "PNG":
                with Image.open(path, formats=["PNG"]) as image:
                    # load() ignores the checksums of the pixels
                    image.verify()
            with Image.open(path, formats=[kind]) as image:
                plain = _is_plain_png(image) if kind == "PNG" else _is_plain_bmp(image, path)
                return np.asarray(image) if plain else None
    except (OSError, SyntaxError, ValueError, struct.error):
        # Pillow raises SyntaxError for broken PNG chunks
        return None


def _is_plain_png(image: Image.Image) -> bool:
    return image.mode in _PNG_MODES and "transparency" not in image.info


def _is_plain_bmp(image: Image.Image, path: Path) -> bool:
    with path.open("rb") as file:
        bits, compression = struct.unpack_from("<HI", file.read(34), 28)
    return compression == 0 and _BMP_BITS.get(bits) == image.mode
