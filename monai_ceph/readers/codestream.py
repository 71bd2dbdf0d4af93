"""What JPEG, JPEG-LS and JPEG 2000 data say of themselves, read without a decoder.

Decoders take the size from here and not from the DICOM header, so that is where a size has to be checked.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from monai_ceph.errors import ReadError

_J2K_START = b"\xff\x4f\xff\x51"
_JP2_START = b"\x00\x00\x00\x0cjP  "
_END = b"\xff\xd9"
_START_OF_SCAN = 0xDA
# ITU-T T.81 table B.1: C4, C8 and CC of this range are no frame headers; T.87 adds F7 for JPEG-LS
_JPEG_LS = 0xF7
_FRAME_HEADERS = {*range(0xC0, 0xD0), _JPEG_LS} - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD8)}


@dataclass(frozen=True)
class CodestreamHeader:
    """The image that compressed data announce: the codec, the size, the samples per pixel, the bits of a sample.

    Only JPEG 2000 can say that its samples are signed.
    """

    codec: Literal["JPEG", "JPEG-LS", "JPEG 2000"]
    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool = False


def codestream_header(data: bytes) -> CodestreamHeader:
    """Read the header of JPEG, JPEG-LS or JPEG 2000 data.

    Raises:
        ReadError: neither of them, or the data end within the header or before the end marker of a JPEG.
    """
    try:
        if data[:4] == _J2K_START or data[:8] == _JP2_START:
            return _jpeg2000(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
    except (IndexError, struct.error):
        raise ReadError("truncated, the compressed pixel data end within their header") from None
    raise ReadError("damaged pixel data, neither JPEG, JPEG-LS nor JPEG 2000")


def _jpeg(data: bytes) -> CodestreamHeader:
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ReadError("damaged pixel data, a JPEG marker is missing")
        marker = data[position + 1]
        if marker == 0xFF or marker in _ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            raise ReadError("damaged pixel data, a JPEG without a frame header")
        if marker in _FRAME_HEADERS:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    bits, rows, columns, samples = struct.unpack_from(">BHHB", data, position + 4)
    if data.find(_END, position) < 0:
        raise ReadError("truncated, the compressed pixel data stop before their end marker")
    return CodestreamHeader("JPEG-LS" if marker == _JPEG_LS else "JPEG", rows, columns, samples, bits)


def _jpeg2000(data: bytes) -> CodestreamHeader:
    start = data.find(_J2K_START)
    if start < 0:
        raise ReadError("damaged pixel data, a JPEG 2000 file without a codestream")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    samples, depth = struct.unpack_from(">HB", data, start + 40)
    return CodestreamHeader("JPEG 2000", bottom - top, right - left, samples, (depth & 0x7F) + 1, depth >= 0x80)
