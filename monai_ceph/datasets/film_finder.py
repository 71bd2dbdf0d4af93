"""Where the film of a row in a table of landmarks is."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path, PurePosixPath

from monai_ceph.readers import iter_radiographs
from monai_ceph.readers.dicom_elements import uid
from monai_ceph.readers.dicom_file import open_dicom

__all__ = ["FilmFinder"]


class FilmFinder:
    """Finds the films of a folder by what a table calls them.

    A name is, in this order: a path relative to the folder; such a path below folders that the table names and that are
    not here, as ``films/001.png`` of ``detect films`` in the folder ``films`` itself; or a SOP Instance UID, as
    ``detect`` calls DICOM films.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, name: str) -> Path | None:
        """Return the film's file, None if there is none."""
        if not name:
            return None
        # tables are UTF-8, as names on the disk are, whatever encoding the locale has
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
        """The DICOM films of the folder by their SOP Instance UID; one that two films have names none of them."""
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
    except (OSError, ValueError):  # such as a name that is too long
        return False
