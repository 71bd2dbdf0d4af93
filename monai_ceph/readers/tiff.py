"""The pixel layout of a TIFF file (TIFF 6.0), and which decoder returns its pixels exactly as stored.

ITK decodes plain files exactly: strips of whole pixels, upright, with 8, 16 or 32 bits. It passes all others to
libtiff's RGBA reader, which silently reduces 16 bits to 8, inverts WhiteIsZero and mirrors oriented pixels. Those are
left to Pillow, which in turn reduces colours of 16 bits to 8, and gets the sign or byte order of some rare kinds wrong.
A file that neither decodes exactly is refused.
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from monai_ceph.errors import ReadError

__all__ = ["GREY_MODES", "TiffLayout", "tiff_layout", "unknown_white_is_zero"]

GREY_MODES = ("L", "I;16", "I;16B", "I", "F")
"""Pillow's modes with one channel of unchanged values."""

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _PLANES = 273, 274, 277, 278, 284
_TILE_WIDTH, _TILE_LENGTH, _TILES, _SAMPLE_FORMAT = 322, 323, 324, 339
_ITK_COMPRESSION = (1, 5, 8, 32773, 32946)  # none, LZW, deflate, PackBits, deflate by its old number
_SIGNED = 2
_LARGEST_TILE = 2**22  # pixels by which a tile may exceed the image; a tile is unpacked as a whole


@dataclass(frozen=True)
class TiffLayout:
    """The pixel layout of a TIFF file with one page.

    Attributes:
        mode: Pillow's mode.
        bits: bits of the widest sample.
        photometric: 0 for WhiteIsZero, 1 for BlackIsZero, 2 for RGB; None if the file does not say.
        orientation: 2 to 8 if the pixels are stored rotated or mirrored, otherwise 1.
        for_itk: True if ITK decodes it exactly.
        for_pillow: True if Pillow decodes it exactly, from `as_stored`.
        unsigned: True if the samples are unsigned integers.
        samples: samples per pixel.
        planes: True if each sample has its own plane.
    """

    mode: str
    bits: int
    photometric: int | None
    orientation: int
    for_itk: bool
    for_pillow: bool
    unsigned: bool
    samples: int
    planes: bool

    def check(self) -> None:
        """Check that a decoder returns the pixels exactly.

        Raises:
            ReadError: if none does.
        """
        if not self.for_itk and not self.for_pillow:
            raise ReadError(
                f"a TIFF with {self.bits} bits per sample that cannot be decoded exactly; save it upright, without "
                "tiles, separate planes or alpha"
            )

    def as_stored(self, path: Path) -> Path | io.BytesIO:
        """Return what Pillow should open: it would rotate oriented pixels, and misread a single plane."""
        one_plane = self.planes and self.samples == 1
        return io.BytesIO(_plain_header(path, one_plane)) if self.orientation != 1 or one_plane else path

    def black_is_zero(self, pixels: np.ndarray) -> np.ndarray:
        """Invert decoded WhiteIsZero pixels exactly once: ITK never does it, Pillow does up to 8 bits.

        In TIFF 6.0 black is then the highest value of the bits. Floats have no highest value, so they are negated: zero
        stays the brightest, and no value is rounded.
        """
        if self.for_itk or self.bits > 8:
            inverted = self.photometric == 0
        else:
            inverted = self.photometric is None and self.mode == "L"  # Pillow assumes WhiteIsZero
        if not inverted:
            return pixels
        return -pixels if self.mode == "F" else np.iinfo(pixels.dtype).max - pixels

    def with_sign(self, pixels: np.ndarray) -> np.ndarray:
        """Restore unsigned 32-bit pixels from Pillow, whose only mode with 32 bits is signed."""
        return pixels.view(np.uint32) if self.unsigned and pixels.dtype == np.int32 else pixels


def tiff_layout(image: Image.Image) -> TiffLayout:
    """Return the layout of a TIFF that Pillow has opened. Nothing is decoded.

    Raises:
        ReadError: if the header names too few strips or tiles, which Pillow would leave black, or tiles far larger than
            the image.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]
    _check_blocks(tags)
    mode, samples = image.mode, tags.get(_SAMPLES, 1)
    all_bits = tags.get(_BITS) or (1,)
    bits = max(all_bits)
    compression, photometric = tags.get(_COMPRESSION, 1), tags.get(_PHOTOMETRIC)
    orientation = tags.get(_ORIENTATION)
    orientation = orientation if orientation in range(2, 9) else 1
    planes = tags.get(_PLANES, 1) != 1
    formats = tags.get(_SAMPLE_FORMAT, (1,))
    grey = mode in GREY_MODES
    for_itk = (
        orientation == 1
        and not planes
        and _TILE_WIDTH not in tags
        and compression in _ITK_COMPRESSION
        and photometric in (0, 1, 2)
        and set(all_bits) in ({8}, {16}, {32})
        # ITK returns grey with further samples interleaved
        and ((grey and samples == 1) or mode == "RGB" or (mode == "RGBA" and bits == 16))
    )
    for_pillow = not (
        (bits > 8 and not grey)
        or (bits == 8 and _SIGNED in formats)
        or (mode in ("I", "F") and tags.prefix == b"MM" and compression != 1)
        or (planes and samples > 1 and mode not in ("RGB", "RGBA"))
    )
    unsigned = set(formats) == {1}
    return TiffLayout(mode, bits, photometric, orientation, for_itk, for_pillow, unsigned, samples, planes)


def unknown_white_is_zero(path: Path) -> str | None:
    """Return an error text if Pillow cannot open a TIFF because it is WhiteIsZero with unusual samples; else None."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            tags = ImageFileDirectory_v2(head + file.read(8) if head[2] == 43 else head)  # BigTIFF
            file.seek(tags.next)
            tags.load(file)  # type: ignore[no-untyped-call]
            if tags.get(_PHOTOMETRIC) != 0:
                return None
            sign = "signed " if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) else ""
            return (
                f"a TIFF that cannot be decoded exactly: WhiteIsZero with {max(tags[_BITS])} {sign}bits per sample; "
                "save it as BlackIsZero"
            )
    except Exception:  # a damaged header can make the parser raise anything
        return None


def _check_blocks(tags: Any) -> None:
    rows, columns = tags[_LENGTH], tags[_WIDTH]
    if _TILE_WIDTH in tags:
        found, block = tags.get(_TILES, ()), (tags.get(_TILE_LENGTH, rows), tags[_TILE_WIDTH])
    else:
        found, block = tags.get(_STRIPS, ()), (min(tags.get(_STRIP_ROWS, rows), rows), columns)
    layers = tags.get(_SAMPLES, 1) if tags.get(_PLANES, 1) != 1 else 1
    if min(block) < 1 or len(found) < layers * math.ceil(rows / block[0]) * math.ceil(columns / block[1]):
        raise ReadError("damaged or truncated: the header names too few strips or tiles")
    if math.prod(block) > rows * columns + _LARGEST_TILE:
        raise ReadError(f"damaged: tiles of {block[1]} x {block[0]} pixels in an image of {columns} x {rows}")


def _plain_header(path: Path, one_plane: bool) -> bytes:
    """Return the file with a changed header: upright, and with interleaved samples if `one_plane` is set."""
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43  # BigTIFF
    head, count, entry = ("8xQ", "Q", "HHQHHI") if big else ("4xI", "H", "HHIHH")
    start = struct.unpack_from(f"{order}{head}", data)[0]
    entries = struct.unpack_from(f"{order}{count}", data, start)[0]
    start += struct.calcsize(f"{order}{count}")
    for index in range(entries):
        at = start + index * struct.calcsize(f"{order}{entry}")
        tag = struct.unpack_from(f"{order}H", data, at)[0]
        if tag == _ORIENTATION or (tag == _PLANES and one_plane):
            struct.pack_into(f"{order}{entry}", data, at, tag, 3, 1, 1, *([0, 0] if big else [0]))
    return bytes(data)
