"""The headers of JPEG (ITU-T T.81), JPEG-LS (T.87) and JPEG 2000 (T.800) data, read without a decoder.

Decoders take the size from here and not from the DICOM header, so this is where it has to be checked.
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
# ITU-T T.81 table B.1: in this range C4, C8 and CC are not frame headers; T.87 adds F7 for JPEG-LS
_JPEG_LS = 0xF7
_FRAME_HEADERS = {*range(0xC0, 0xD0), _JPEG_LS} - {0xC4, 0xC8, 0xCC}
_JPEG_SYNTAXES = {
    0xC0: ("JPEG", "1.2.840.10008.1.2.4.50"),
    0xC1: ("JPEG", "1.2.840.10008.1.2.4.51"),
    0xC3: ("JPEG", "1.2.840.10008.1.2.4.57"),
    _JPEG_LS: ("JPEG-LS", "1.2.840.10008.1.2.4.81"),
}
_ALONE = {0x01, *range(0xD0, 0xD8)}


@dataclass(frozen=True)
class CodestreamHeader:
    """The image that compressed data declare: codec, size, samples per pixel, bits per sample.

    Only JPEG 2000 can declare signed samples.
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
        ReadError: if the data are none of these, or end within the header or before the end marker of a JPEG.
    """
    try:
        if data[:4] == _J2K_START or data[:8] == _JP2_START:
            return _jpeg2000(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
    except (IndexError, struct.error):
        raise ReadError("truncated: the compressed pixel data end within their header") from None
    raise ReadError("damaged pixel data: neither JPEG, JPEG-LS nor JPEG 2000")


def transfer_syntax(data: bytes) -> tuple[str, str] | None:
    """Recognise compressed data by their first bytes; return the codec's name and a transfer syntax UID to decode them.

    If several UIDs share a decoder, the one that promises least is returned, such as possibly lossy JPEG 2000.

    Args:
        data: one frame, or its first fragment.

    Returns:
        For example ``("JPEG 2000", "1.2.840.10008.1.2.4.91")``; None if DICOM has no such codec.
    """
    try:
        if data[:4] == _J2K_START or data[:8] == _JP2_START:
            return "JPEG 2000", "1.2.840.10008.1.2.4.91"
        if data[:2] == b"\xff\xd8":
            return _JPEG_SYNTAXES.get(data[_frame_header(data) + 1])
        # PS3.5 annex G.5: the RLE header of 64 bytes has the number of segments and their offsets
        count, *offsets = struct.unpack_from("<16L", data)
    except (IndexError, struct.error, ReadError):
        return None
    used, unused = offsets[:count], offsets[count:]
    if 1 <= count <= 15 and used[0] == 64 and sorted(set(used)) == used and not any(unused):
        return "RLE", "1.2.840.10008.1.2.5"
    return None


def _jpeg(data: bytes) -> CodestreamHeader:
    position = _frame_header(data)
    bits, rows, columns, samples = struct.unpack_from(">BHHB", data, position + 4)
    if data.find(_END, position) < 0:
        raise ReadError("truncated: the compressed pixel data have no end marker")
    codec: Literal["JPEG", "JPEG-LS"] = "JPEG-LS" if data[position + 1] == _JPEG_LS else "JPEG"
    return CodestreamHeader(codec, rows, columns, samples, bits)


def _frame_header(data: bytes) -> int:
    """Return the offset of the frame header's marker."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ReadError("damaged pixel data: a JPEG marker is missing")
        marker = data[position + 1]
        if marker == 0xFF or marker in _ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            raise ReadError("damaged pixel data: a JPEG without a frame header")
        if marker in _FRAME_HEADERS:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def _jpeg2000(data: bytes) -> CodestreamHeader:
    start = data.find(_J2K_START)
    if start < 0:
        raise ReadError("damaged pixel data: a JPEG 2000 file without a codestream")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    samples, depth = struct.unpack_from(">HB", data, start + 40)
    return CodestreamHeader("JPEG 2000", bottom - top, right - left, samples, (depth & 0x7F) + 1, depth >= 0x80)
