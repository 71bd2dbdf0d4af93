"""The pixels of a film for the page: 16-bit values and a thumbnail."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from monai_ceph.readers import Radiograph
from monai_ceph.readers.grey_limits import grey_limits
from monai_ceph.reports.film_picture import film_picture, png_bytes
from monai_ceph.storage.atomic import written_beside

__all__ = ["Pictures", "Pixels", "accepts_gzip", "sixteen_bit"]

_THUMBNAIL = 160
_HIGHEST = 65535
_KEPT = 3


@dataclass(frozen=True)
class Pixels:
    """A film for a screen.

    Attributes:
        data: little-endian 16-bit values, row by row.
        etag: SHA-256 of the data.
        minimum: lowest value.
        maximum: highest value.
        center: middle of the window in which the anatomy is seen.
        width: width of the window.
    """

    data: bytes
    etag: str
    minimum: int
    maximum: int
    center: float
    width: float

    @cached_property
    def packed(self) -> bytes:
        """The data with gzip, at the level that costs least: a tenth of a second for an 8-bit film, to a third."""
        return gzip.compress(self.data, compresslevel=1, mtime=0)


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header (RFC 9110 12.5.3) allows gzip."""
    allowed = {}
    for part in header.split(","):
        name, *parameters = (text.strip().lower() for text in part.split(";"))
        weight = next((text[2:].strip() for text in parameters if text.startswith("q=")), "1")
        allowed[name] = bool(weight.strip("0."))
    return allowed.get("gzip", allowed.get("*", False))


def sixteen_bit(pixels: np.ndarray) -> Pixels:
    """Return a film's grey values, (row, column), as 16 bits.

    Whole numbers in a range that fits are kept, except that the lowest becomes 0 if it is negative or too high. All
    others are stretched to the whole range.
    """
    low, high = float(pixels.min()), float(pixels.max())
    whole = high - low <= _HIGHEST and bool((pixels == np.rint(pixels)).all())
    if whole:
        shift, factor = (0.0 if low >= 0 and high <= _HIGHEST else low), 1.0
    else:
        shift, factor = low, _HIGHEST / (high - low) if high > low else 1.0
    values = np.clip(np.rint((pixels.astype(np.float64) - shift) * factor), 0, _HIGHEST).astype("<u2")
    limits = grey_limits(values[::4, ::4].astype(np.float32), (0.5, 99.5), max_gap=0.4)
    data = values.tobytes()
    return Pixels(
        data=data,
        etag=hashlib.sha256(data).hexdigest(),
        minimum=int(values.min()),
        maximum=int(values.max()),
        center=(limits.low + limits.high) / 2,
        width=max(1.0, limits.high - limits.low),
    )


class Pictures:
    """Keeps the pixels of the last films, and thumbnails in a folder.

    Args:
        folder: for thumbnails.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pixels: OrderedDict[str, Pixels] = OrderedDict()
        # readers use much memory, and some decoders only one thread
        self._lock = threading.Lock()

    def pixels(self, key: str, read: Callable[[], Radiograph]) -> Pixels:
        """Return the pixels of a film.

        Args:
            key: changes with the film's file.
            read: reads the film.

        Raises:
            CephError: the film cannot be read.
        """
        with self._lock:
            if (known := self._pixels.get(key)) is None:
                self._pixels[key] = known = sixteen_bit(read().pixels)
            self._pixels.move_to_end(key)
            while len(self._pixels) > _KEPT:
                self._pixels.popitem(last=False)
            return known

    def thumbnail(self, key: str, read: Callable[[], Radiograph]) -> bytes:
        """Return a PNG of at most 160 pixels; the same arguments and errors as :meth:`pixels`."""
        file = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.png"
        try:
            return file.read_bytes()
        except OSError:
            pass
        with self._lock:
            picture = film_picture(read())
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        data = png_bytes(picture)
        try:
            with written_beside(file) as part:
                part.write_bytes(data)
        except OSError:
            # if the folder cannot be written, only time is lost
            pass
        return data
