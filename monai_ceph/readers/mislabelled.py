"""Correct a wrong transfer syntax: compressed pixel data labelled as uncompressed, or the reverse (PS3.5 annex A).

Programs that rewrite headers leave such files behind. The first bytes and the length of the pixel data show what they
really are. Compressed data also declare their own size, which is compared with the header before they are decoded.
"""

from __future__ import annotations

import io
import math

from monai_ceph.errors import ReadError
from monai_ceph.readers.codestream import transfer_syntax
from monai_ceph.readers.dicom_elements import uid
from monai_ceph.readers.dicom_file import UNDEFINED_LENGTH, BoundedReader, DicomFile

__all__ = ["END_OF_ITEMS", "ITEM", "correct_transfer_syntax"]

ITEM = b"\xfe\xff\x00\xe0"
"""The tag at the start of encapsulated pixel data and of each of their fragments (PS3.5 annex A.4)."""
END_OF_ITEMS = b"\xfe\xff\xdd\xe0"
"""The tag at the end of encapsulated pixel data."""


def correct_transfer_syntax(file: DicomFile) -> None:
    """Set `syntax`, `bare` and `remarks` of a file to what its pixel data really are, if there is no doubt.

    Args:
        file: an opened file; if it is deflated, its pixel data must be inflated already.

    Raises:
        ReadError: if the data are encapsulated in an unknown codec under an uncompressed transfer syntax.
    """
    if not file.syntax.is_transfer_syntax or file.pixels.keyword != "PixelData":
        return
    begins = _bytes(file, 0, len(ITEM))
    if begins == ITEM and not _fits(file):
        _delimit(file)
    if file.encapsulated and begins != ITEM:
        _not_encapsulated(file)
    elif not file.encapsulated and not _fits(file):
        if begins == ITEM or file.pixels.length == UNDEFINED_LENGTH:
            _compressed(file, _first_fragment(file), bare=False)
        elif begins[:2] in (b"\xff\xd8", b"\xff\x4f") or begins == b"\x00\x00\x00\x0c":
            _compressed(file, _bytes(file, 0, file.pixels.length), bare=True)


def _delimit(file: DicomFile) -> None:
    """Turn encapsulated pixel data of a stated length into ones of undefined length with an end marker (annex A.4)."""
    if file.pixels.length == UNDEFINED_LENGTH:
        return
    data = _bytes(file, 0, file.pixels.length)
    if len(data) == file.pixels.length:
        file.stream = BoundedReader(io.BytesIO(data + END_OF_ITEMS + bytes(4)))
        file.pixels.start, file.pixels.length = 0, UNDEFINED_LENGTH


def _fits(file: DicomFile) -> bool:
    """Return True if the pixel data are exactly as long as uncompressed ones, with or without a padding byte."""
    expected = math.ceil(file.frame_bytes() * file.frames)
    return file.pixels.length in (expected, expected + expected % 2)


def _bytes(file: DicomFile, start: int, length: int) -> bytes:
    file.stream.seek(file.pixels.start + start)
    return file.stream.read(length)


def _first_fragment(file: DicomFile) -> bytes:
    """Return the fragment after the offset table; empty if there is none."""
    table = int.from_bytes(_bytes(file, 4, 4), "little")
    header = _bytes(file, 8 + table, 8)
    return _bytes(file, 16 + table, int.from_bytes(header[4:], "little")) if header[:4] == ITEM else b""


def _compressed(file: DicomFile, data: bytes, bare: bool) -> None:
    from pydicom.uid import UID

    found = transfer_syntax(data)
    if found is None:
        if bare:  # uncompressed data can start with the same bytes
            return
        raise ReadError("the pixel data are compressed in an unknown way, but the transfer syntax says uncompressed")
    codec, syntax = found
    named = uid(file.dataset.file_meta, "TransferSyntaxUID")
    fault = "but the transfer syntax says uncompressed" if named else "and the file names no transfer syntax"
    file.syntax, file.bare = UID(syntax), bare
    file.remarks.append(f"The pixel data are {codec}, {fault}; they were read as {codec}.")


def _not_encapsulated(file: DicomFile) -> None:
    from pydicom.uid import ExplicitVRLittleEndian

    declared = file.syntax
    # the expected length of subsampled colours depends on the transfer syntax
    file.syntax = ExplicitVRLittleEndian
    if _fits(file):
        file.remarks.append(f"The pixel data are not compressed, but the transfer syntax says {declared.name}.")
        return
    file.syntax = declared
    if file.pixels.length != UNDEFINED_LENGTH and transfer_syntax(_bytes(file, 0, file.pixels.length)):
        file.bare = True
        file.remarks.append(
            f"The pixel data are not encapsulated, as {declared.name} requires; they were read as one frame."
        )
