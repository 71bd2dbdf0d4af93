"""Reads a ``multipart/related`` body as it arrives (RFC 2387), each part into a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

__all__ = ["MOST_PARTS", "BodyError", "PartReader", "boundary_of"]

MOST_PARTS = 500
"""Parts in one body."""

_MOST_HEADERS = 16
_MOST_HEADER_BYTES = 4096
# RFC 2046 5.1.1
_LONGEST_BOUNDARY = 70
_IDENTITY = ("", "binary", "8bit", "7bit", "identity")


class BodyError(ValueError):
    """A body that cannot be used. ``status`` is the HTTP status that says so."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a body with DICOM objects.

    Raises:
        BodyError: it has another type, or no usable boundary.
    """
    header = Message()
    # in a header field, only ASCII can be meant
    header["Content-Type"] = content_type.encode("ascii", "replace").decode()
    kind = header.get_param("type")
    inner = "application/dicom" if kind is None else str(kind).lower()
    if header.get_content_type() != "multipart/related" or inner != "application/dicom":
        raise BodyError("only multipart/related with type application/dicom is taken", 415)
    boundary = header.get_boundary("")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise BodyError("no usable boundary in Content-Type")
    return boundary.encode()


class PartReader:
    """Takes a body piece by piece.

    Args:
        boundary: between the parts.
        max_bytes: size of a part.
        new_file: returns the path for a part.

    Attributes:
        parts: the files of the parts that have begun; all are complete after :meth:`finish`.
    """

    def __init__(self, boundary: bytes, max_bytes: float, new_file: Callable[[], Path]) -> None:
        self.parts: list[Path] = []
        self._max_bytes, self._new_file = max_bytes, new_file
        self._stream: BinaryIO | None = None
        self._size, self._ended = 0, False
        self._name, self._value, self._headers = bytearray(), bytearray(), dict[bytes, bytes]()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header,
                "on_headers_finished": self._open,
                "on_part_data": self._write,
                "on_part_end": self._close,
                "on_end": self._end,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_MOST_HEADER_BYTES,
        )

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            BodyError: it is no such body, or too large.
            OSError: the disk cannot be written.
        """
        if self._ended:
            # an epilogue, which means nothing (RFC 2046 5.1.1)
            return
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise BodyError(f"not multipart: {error}") from error

    def finish(self) -> None:
        """Say that the body ends here.

        Raises:
            BodyError: it is incomplete, or empty.
        """
        if not self._ended:
            raise BodyError("the body ends before its last boundary")
        if not self.parts:
            raise BodyError("no part")

    def close(self) -> None:
        """Close the file of a part that has not ended, and remove the files of all parts that are still there."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        for path in self.parts:
            path.unlink(missing_ok=True)

    def _begin(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise BodyError(f"more than {MOST_PARTS} parts", 413)
        self._headers = {}

    def _header(self) -> None:
        self._headers[bytes(self._name).strip().lower()] = bytes(self._value).strip()
        self._name.clear()
        self._value.clear()

    def _open(self) -> None:
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/dicom":
            raise BodyError("a part whose Content-Type is not application/dicom")
        for name in (b"content-transfer-encoding", b"content-encoding"):
            if self._headers.get(name, b"").decode("latin-1").lower() not in _IDENTITY:
                raise BodyError(f"a part with {name.decode()}", 415)
        path = self._new_file()
        self.parts.append(path)
        self._stream, self._size = path.open("xb"), 0

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._stream is None:
            raise BodyError("a part without headers")
        self._size += end - start
        if self._size > self._max_bytes:
            raise BodyError(f"an object larger than {self._max_bytes / 2**20:g} MB", 413)
        self._stream.write(data[start:end])

    def _close(self) -> None:
        if self._stream is None:
            raise BodyError("a part without headers")
        self._stream.close()
        self._stream = None

    def _end(self) -> None:
        self._ended = True
