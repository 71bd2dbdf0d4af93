"""Take the films out of one MetaImage file that holds them all, padded with zeros to a common size.

ITK would load the whole stack, which is 8 GB for CL-Detection 2023. Here one film is in memory at a time.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from filelock import FileLock
from PIL import Image

from monai_ceph.errors import CephError, DatasetError
from monai_ceph.storage.written_files import WrittenFiles

__all__ = ["films_of_stack", "without_padding"]

logger = logging.getLogger(__name__)

_HEADER_LIMIT = 2**16
_BLOCK = 2**20


class _Stack(NamedTuple):
    """The shape of the films in a stack, and where their pixels begin in the file."""

    films: int
    rows: int
    columns: int
    channels: int
    compressed: bool
    start: int


def without_padding(pixels: np.ndarray) -> np.ndarray:
    """Return a film without the rows at its bottom and the columns on its right that are all zero.

    Args:
        pixels: (row, column) or (row, column, channel). A film that is all zero is returned as it is.
    """
    seen: np.ndarray = np.any(pixels.reshape(*pixels.shape[:2], -1), axis=2)
    if not seen.any():
        return pixels
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return pixels[: rows[-1] + 1, : columns[-1] + 1]


def films_of_stack(stack: Path) -> list[Path]:
    """Return the films of a stack as files, the first one first.

    They are written once, as PNG without their padding, into a folder beside the stack that has its name and
    ``.films``, such as ``train_stack.films/001.png``. Later calls find them there, unless the stack is newer.

    Args:
        stack: a MetaImage file with 8-bit pixels, (film, row, column) with 1 or 3 channels, compressed or not.

    Raises:
        DatasetError: if the file is no such stack or is truncated, or the films cannot be written.
    """
    shape = _header(stack)
    folder = stack.with_suffix(".films")
    names = [f"{number:0{max(3, len(str(shape.films)))}d}.png" for number in range(1, shape.films + 1)]
    try:
        if not all(_there(folder / name, stack) for name in names):
            folder.mkdir(exist_ok=True)
            # if several processes train together, the first one writes and the others wait
            with FileLock(folder / ".lock"):
                if not all(_there(folder / name, stack) for name in names):
                    logger.info("%s: writing its %d films into %s, once", stack, shape.films, folder)
                    _write(stack, shape, folder, names)
    except DatasetError:
        raise
    except (OSError, CephError) as error:
        raise DatasetError(f"{stack}: its films cannot be written into {folder.name} beside it ({error})") from error
    return [folder / name for name in names]


def _there(film: Path, stack: Path) -> bool:
    return film.is_file() and film.stat().st_mtime_ns >= stack.stat().st_mtime_ns


def _write(stack: Path, shape: _Stack, folder: Path, names: list[str]) -> None:
    files = WrittenFiles(folder)
    for name, pixels in zip(names, _films(stack, shape), strict=True):
        if _there(folder / name, stack):
            continue
        film = without_padding(pixels)
        if film.shape[2] == 1 or (film[..., 0:1] == film).all():
            film = film[..., 0]
        with files.writing(name) as part:
            Image.fromarray(np.ascontiguousarray(film)).save(part, format="PNG")


def _header(stack: Path) -> _Stack:
    fields: dict[str, str] = {}
    with stack.open("rb") as file:
        while "elementdatafile" not in fields and file.tell() < _HEADER_LIMIT:
            name, equals, value = file.readline(_HEADER_LIMIT).decode("latin-1").partition("=")
            if not equals:
                break
            fields[name.strip().lower()] = value.strip()
        start = file.tell()
    lengths = fields.get("dimsize", "").split()
    if fields.get("elementdatafile", "").upper() != "LOCAL" or not all(length.isdecimal() for length in lengths):
        raise DatasetError(f"{stack}: not a MetaImage with its pixels in the same file, or its header is damaged")
    if fields.get("elementtype") != "MET_UCHAR":
        raise DatasetError(f"{stack}: the pixels are {fields.get('elementtype')}; a stack of films has MET_UCHAR")
    sizes = [int(length) for length in lengths]
    channels = fields.get("elementnumberofchannels", "1")
    # colours may be the first axis instead of channels; both have the same bytes
    sizes = [int(channels) if channels.isdecimal() else 0, *sizes] if len(sizes) == 3 else sizes
    if len(sizes) != 4 or sizes[0] not in (1, 3) or channels not in ("1", "3") or not all(sizes):
        raise DatasetError(
            f"{stack}: DimSize is {' '.join(lengths)}; a stack has columns, rows and films, in grey or RGB"
        )
    channel, column, row, film = sizes
    return _Stack(film, row, column, channel, fields.get("compresseddata", "").lower() == "true", start)


def _films(stack: Path, shape: _Stack) -> Iterator[np.ndarray]:
    """Yield every film with its padding, (row, column, channel)."""
    axes = (shape.rows, shape.columns, shape.channels)
    with stack.open("rb") as file:
        file.seek(shape.start)
        source = _Inflated(file) if shape.compressed else file
        for number in range(1, shape.films + 1):
            content = b""
            with suppress(zlib.error):  # what it could read is then too short
                content = source.read(math.prod(axes))
            if len(content) < math.prod(axes):
                raise DatasetError(f"{stack}: truncated or damaged in film {number} of {shape.films}")
            yield np.frombuffer(content, dtype=np.uint8).reshape(axes)


class _Inflated:
    """Reads compressed bytes of a file as what they stand for."""

    def __init__(self, file: BinaryIO) -> None:
        # 32 more than the largest window: with the header of zlib or of gzip
        self._file, self._decoder, self._ahead = file, zlib.decompressobj(32 + zlib.MAX_WBITS), b""

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer at the end."""
        parts, have = [], 0
        while have < size and not self._decoder.eof:
            block = self._ahead or self._file.read(_BLOCK)
            if not block:
                break
            parts.append(self._decoder.decompress(block, size - have))
            have += len(parts[-1])
            self._ahead = self._decoder.unconsumed_tail
        return b"".join(parts)
