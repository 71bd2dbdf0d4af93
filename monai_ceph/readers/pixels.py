"""Code that all readers share: size limits, conversion of colours to grey, and short texts for decoder errors."""

from __future__ import annotations

import re
import threading

import numpy as np

from monai_ceph.errors import ReadError

MIN_SIDE = 16
MAX_PIXELS = 250_000_000
SUSPECT_PIXELS = 50_000_000
SUSPECT_RATIO = 1000

WORKING_FOLDER = threading.RLock()
"""Lock that is held while ITK loads, because ITK changes the working folder of the process meanwhile."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in ITU-R BT.601 luma."""


def check_size(rows: int, columns: int, stored_bytes: int | None = None) -> None:
    """Check the size in a header before the pixels are decoded.

    Args:
        rows: rows of the image.
        columns: columns of the image.
        stored_bytes: length of the compressed pixels in bytes.

    Raises:
        ReadError: if a side is below 16 pixels, or the file is a decompression bomb: more than 250 million pixels, or
            more than 50 million with over 1000 per byte.
    """
    if rows < MIN_SIDE or columns < MIN_SIDE:
        raise ReadError(f"too small: {columns} x {rows} pixels; each side needs at least {MIN_SIDE}")
    if rows * columns > MAX_PIXELS:
        raise ReadError(f"too large: {columns} x {rows} pixels; the limit is {MAX_PIXELS // 10**6} million")
    if stored_bytes is not None and rows * columns > max(SUSPECT_PIXELS, SUSPECT_RATIO * stored_bytes):
        raise ReadError(f"damaged: {columns} x {rows} pixels cannot fit into {stored_bytes} bytes")


def one_image(shape: tuple[int, ...]) -> None:
    """Check that all axes before (row, column) have length 1.

    Raises:
        ReadError: if there are several images.
    """
    count = int(np.prod(shape[:-2], dtype=np.int64))
    if count != 1:
        raise ReadError(f"the file holds {count} frames or slices; a radiograph has one")


def grey(pixels: np.ndarray) -> np.ndarray:
    """Convert (row, column) or (row, column, channel) to float32 (row, column).

    Two channels are grey and alpha; three are red, green and blue; four add alpha. Alpha is ignored. Colour becomes
    ITU-R BT.601 luma. If the three channels are equal, as many programs store a grey film, the values stay exact.
    """
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels, dtype=np.float32)
    red = pixels[..., 0]
    if pixels.shape[-1] < 3:
        return np.ascontiguousarray(red, dtype=np.float32)
    green, blue = pixels[..., 1], pixels[..., 2]
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red, dtype=np.float32)
    luma = red * LUMA[0]
    luma += green * LUMA[1]
    luma += blue * LUMA[2]
    return luma.astype(np.float32, copy=False)


def finite(pixels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Replace pixels that are not finite by the lowest finite value (air); return the pixels and a warning, if any.

    Raises:
        ReadError: if no pixel is finite.
    """
    good = np.isfinite(pixels)
    bad = pixels.size - int(np.count_nonzero(good))
    if bad == 0:
        return pixels, []
    if bad == pixels.size:
        raise ReadError("no pixel has a finite value")
    pixels = np.where(good, pixels, pixels[good].min()).astype(np.float32, copy=False)
    return pixels, [f"{bad} pixels were not finite (NaN or infinite) and were set to the lowest value."]


def cause(error: BaseException) -> str:
    """Shorten the text of a decoder's exception, which in ITK has many lines, to one line."""
    text = str(error)
    _, marker, after = text.rpartition("ITK ERROR:")
    lines = [line.strip() for line in (after if marker else text).splitlines() if line.strip()]
    # drop the address of a C++ object, as in "PNGImageIO(0x55d0): Error while reading"
    line = re.sub(r"^\w+\(0x[0-9a-f]+\):\s*", "", lines[0]) if lines else type(error).__name__
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1]}"
    line = line.rstrip(" .:")
    return line if len(line) <= 200 else f"{line[:197]}..."
