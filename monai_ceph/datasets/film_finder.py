"""Find the films that a table of landmarks names."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path, PurePosixPath

from monai_ceph.readers import iter_radiographs
from monai_ceph.readers.dicom_elements import uid
from monai_ceph.readers.dicom_file import open_dicom

__all__ = ["FilmFinder"]


class FilmFinder:
    """Finds the films in a folder by their names in a table.

    These are tried in order: the name as a path relative to the folder; the same path without its first folders, so
    that ``films/001.png`` is found in the folder ``films`` itself; the name as a SOP Instance UID.

    Args:
        root: the folder with the films.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, name: str) -> Path | None:
        """Return the film's file; None if it is not found."""
        if not name:
            return None
        # tables and file names are both UTF-8, even if the locale has another encoding
        local = os.fsdecode(name.encode())
        if _is_file(path := self._root / local):
            return path
        parts = PurePosixPath(local.replace("\\", "/")).parts
        for start in range(1, len(parts)):
            if ".." not in parts[start:] and _is_file(path := self._root.joinpath(*parts[start:])):
                return path
        return self._uids.get(name)

    @cached_property
    def _uids(self) -> dict[str, Path]:
        """The DICOM films in the folder by SOP Instance UID, without UIDs that several films share."""
        found: dict[str, Path] = {}
        twice = set()
        for path in iter_radiographs([self._root]):
            try:
                with open_dicom(path) as file:
                    name = uid(file.dataset, "SOPInstanceUID")
            except Exception:  # not DICOM, or damaged: it has no UID
                continue
            if name in found:
                twice.add(name)
            elif name:
                found[name] = path
        return {name: path for name, path in found.items() if name not in twice}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # for example because the name is too long
        return False
