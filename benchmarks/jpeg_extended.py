"""A JPEG encoder for 12 bits (process 4, ITU-T T.81), because neither Pillow nor GDCM has one that works.

DCT coefficients are only rounded, and all Huffman codes have the same length: the result is large, valid, and decodes
to within 1 of the input.
"""

from __future__ import annotations

import struct

import numpy as np

_DC_SYMBOLS = bytes(range(16))
_AC_SYMBOLS = bytes([0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 15))])
_DC_LENGTH, _AC_LENGTH = 5, 8
_ZIGZAG = sorted(range(64), key=lambda k: (s := k // 8 + k % 8, k // 8 if s % 2 else k % 8))


def encode_jpeg12(image: np.ndarray) -> bytes:
    """Compress (row, column) values from 0 to 4095; both sides must be multiples of 8."""
    rows, columns = image.shape
    segments = [
        (0xDB, b"\x00" + bytes([1] * 64)),
        (0xC1, struct.pack(">BHHB", 12, rows, columns, 1) + b"\x01\x11\x00"),
        (0xC4, _huffman_table(0x00, _DC_SYMBOLS, _DC_LENGTH)),
        (0xC4, _huffman_table(0x10, _AC_SYMBOLS, _AC_LENGTH)),
        (0xDA, b"\x01\x01\x00\x00\x3f\x00"),
    ]
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    bits = "".join(_bits(_coefficients(image)))
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _huffman_table(number: int, symbols: bytes, length: int) -> bytes:
    counts = [len(symbols) if each == length else 0 for each in range(1, 17)]
    return bytes([number, *counts]) + symbols


def _coefficients(image: np.ndarray) -> np.ndarray:
    """(block, 64) rounded DCT coefficients in zigzag order."""
    k, n = np.mgrid[:8, :8]
    basis = np.cos((2 * n + 1) * k * np.pi / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    rows, columns = image.shape
    blocks = (image.astype(float) - 2048).reshape(rows // 8, 8, columns // 8, 8).transpose(0, 2, 1, 3)
    return np.rint(basis @ blocks @ basis.T).astype(int).reshape(-1, 64)[:, _ZIGZAG]


def _bits(blocks: np.ndarray) -> list[str]:
    bits, previous = [], 0
    for block in blocks.tolist():
        bits.append(_code(_DC_SYMBOLS, _DC_LENGTH, 0, block[0] - previous))
        previous, run = block[0], 0
        last = max((place for place in range(1, 64) if block[place]), default=0)
        for value in block[1 : last + 1]:
            if value == 0:
                run += 1
                continue
            bits += [format(_AC_SYMBOLS.index(0xF0), f"0{_AC_LENGTH}b")] * (run // 16)
            bits.append(_code(_AC_SYMBOLS, _AC_LENGTH, run % 16, value))
            run = 0
        if last < 63:
            bits.append(format(_AC_SYMBOLS.index(0x00), f"0{_AC_LENGTH}b"))
    return bits


def _code(symbols: bytes, length: int, run: int, value: int) -> str:
    """The Huffman code of a run of zeros and a size, then the value in as many bits (T.81 F.1.2.1)."""
    size = abs(value).bit_length()
    low = value if value > 0 else value + 2**size - 1
    return format(symbols.index(run << 4 | size), f"0{length}b") + (format(low, f"0{size}b") if size else "")
