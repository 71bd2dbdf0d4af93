"""Write kinds of TIFF (TIFF 6.0 and BigTIFF) that Pillow cannot write."""

from __future__ import annotations

import struct
import zlib

import numpy as np

SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}
TILE = 16


def tiff(
    pixels: np.ndarray,
    photometric: int | None = 1,
    *,
    bits: int = 0,
    tiles: bool = False,
    planes: bool = False,
    orientation: int = 1,
    deflate: bool = False,
    order: str = "<",
    extra: int = 2,
    big: bool = False,
) -> bytes:
    """Return a file with (row, column[, sample]) pixels, and tags that say the rest.

    Args:
        pixels: as they are stored.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, None not stated.
        bits: per sample, where they are fewer than those of the type.
        tiles: in tiles of 16 x 16, otherwise in one strip.
        planes: every sample in a plane of its own.
        orientation: the tag 274.
        deflate: compressed.
        order: of bytes, "<" or ">".
        extra: what a sample beyond those of the colours is: 0 not stated, 2 alpha.
        big: BigTIFF.
    """
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    whole = pixels.reshape(*pixels.shape[:2], samples)
    parts = [whole[..., each : each + 1] for each in range(samples)] if planes else [whole]
    blocks = [_encoded(block, bits, order) for part in parts for block in (_tiles(part) if tiles else [part])]
    if deflate:
        blocks = [zlib.compress(block) for block in blocks]
    word, code = ("Q", 16) if big else ("I", 4)
    data = bytearray(b"\0" * (16 if big else 8))
    places = []
    for block in blocks:
        places.append(len(data))
        data += block
    tags: dict[int, list[int]] = {
        256: [pixels.shape[1]],
        257: [pixels.shape[0]],
        258: [bits or pixels.dtype.itemsize * 8] * samples,
        259: [8 if deflate else 1],
        **({} if photometric is None else {262: [photometric]}),
        274: [orientation],
        277: [samples],
        284: [2 if planes else 1],
        **({322: [TILE], 323: [TILE], 324: places, 325: [len(block) for block in blocks]} if tiles else {}),
        **({} if tiles else {273: places, 278: [pixels.shape[0]], 279: [len(block) for block in blocks]}),
        **({338: [extra] * (samples - (3 if photometric == 2 else 1))} if samples in (2, 4) else {}),
        339: [SAMPLE_FORMATS[pixels.dtype.kind]] * samples,
    }
    entries = b""
    for tag, values in sorted(tags.items()):
        stored = struct.pack(f"{order}{len(values)}{word}", *values)
        if len(values) > 1:
            stored, place = struct.pack(f"{order}{word}", len(data)), stored
            data += place
        entries += struct.pack(f"{order}HH{word}", tag, code, len(values)) + stored
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, len(data)) if big else struct.pack(f"{order}HI", 42, len(data))
    data[: len(mark + head)] = mark + head
    return bytes(data) + struct.pack(f"{order}{'Q' if big else 'H'}", len(tags)) + entries + b"\0" * 8


def _tiles(part: np.ndarray) -> list[np.ndarray]:
    rows, columns = part.shape[:2]
    padded = np.pad(part, ((0, -rows % TILE), (0, -columns % TILE), (0, 0)))
    return [
        padded[row : row + TILE, column : column + TILE]
        for row in range(0, rows, TILE)
        for column in range(0, columns, TILE)
    ]


def _encoded(block: np.ndarray, bits: int, order: str) -> bytes:
    if not bits:
        return block.astype(block.dtype.newbyteorder(order)).tobytes()
    single = (block[..., None] >> np.arange(bits - 1, -1, -1, dtype=block.dtype)) & 1
    return np.packbits(single.astype(np.uint8).reshape(len(block), -1), axis=1).tobytes()
