"""A cache of film pictures, so that a film is read again only if its file has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from monai_ceph.readers import Radiograph, read_radiograph
from monai_ceph.storage.atomic import written_beside
from monai_ceph.version import __version__

__all__ = ["KnownPictures", "Picture", "picture_of", "read_picture"]

# save after this many newly read films: a killed process loses no more
_BETWEEN_SAVES = 50


class Picture(NamedTuple):
    """What a comparison needs from a film's file.

    Attributes:
        key: what the film is known by: a hash of its size and pixels, whatever its name and header.
        sides: (row, column) size of a pixel in mm, as the file states it; None if it does not.
    """

    key: str
    sides: tuple[float, float] | None


def picture_of(radiograph: Radiograph) -> Picture:
    """Return what a comparison needs from a film that was read."""
    digest = hashlib.sha256(f"{radiograph.pixels.shape}".encode() + radiograph.pixels.tobytes())
    return Picture(digest.hexdigest()[:16], radiograph.pixel_spacing)


def read_picture(file: Path) -> Picture:
    """Read a film for a comparison.

    Raises:
        CephError: it cannot be read.
    """
    return picture_of(read_radiograph(file))


class _Known(NamedTuple):
    mtime_ns: int
    size: int
    picture: Picture


class _Stored(BaseModel):
    software: str
    films: dict[str, _Known]


class KnownPictures:
    """Reads the picture of a film once, as long as the size and the time of its file stay the same.

    Args:
        file: keeps the cache after the process ends. It may be deleted; a damaged one, and one of another
            version of this software, is not used, because the same film may be read in another way now.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._software = f"monai-ceph {__version__}"
        self._films: dict[str, _Known] = {}
        self._unsaved = 0
        with suppress(OSError, ValueError):
            stored = _Stored.model_validate_json(file.read_bytes())
            if stored.software == self._software:
                self._films = stored.films

    def __call__(self, file: Path) -> Picture:
        """Return the picture of a film.

        Raises:
            CephError: it cannot be read.
        """
        try:
            status = file.stat()
        except OSError:
            # says why
            return read_picture(file)
        version = status.st_mtime_ns, status.st_size
        known = self._films.get(str(file))
        if known is None or known[:2] != version:
            known = self._films[str(file)] = _Known(*version, read_picture(file))
            self._unsaved += 1
            if self._unsaved >= _BETWEEN_SAVES:
                self._save()
        return known.picture

    def keep(self, films: Iterable[Path]) -> None:
        """Save the entries of these films, and drop the others."""
        wanted = set(map(str, films))
        kept = {name: known for name, known in self._films.items() if name in wanted}
        if self._unsaved or len(kept) < len(self._films):
            self._films = kept
            self._save()

    def _save(self) -> None:
        # without the file, films are read again, which is no reason to end what was wanted
        with suppress(OSError, ValueError), written_beside(self._file) as part:
            part.write_text(_Stored(software=self._software, films=self._films).model_dump_json(), encoding="utf-8")
        self._unsaved = 0
