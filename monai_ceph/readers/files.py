"""Which files may be radiographs, and in which folders they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom import DICOM_SUFFIXES, has_preamble
from monai_ceph.readers.dicomdir import is_dicomdir, referenced_images
from monai_ceph.readers.itk_image import META_SUFFIXES, RASTER_SUFFIXES
from monai_ceph.readers.nifti import NIFTI_SUFFIXES
from monai_ceph.readers.seen import Seen
from monai_ceph.readers.unsupported import HEAD_BYTES, misnamed_image, unsupported_kind

SUFFIXES = (*DICOM_SUFFIXES, *RASTER_SUFFIXES, *META_SUFFIXES, *NIFTI_SUFFIXES)
"""The suffixes that `read_radiograph` knows. DICOM files need none."""

OnSkipped = Callable[[Path, str], None]
"""Takes a file that is left out, and why."""


def is_candidate(path: str | os.PathLike[str]) -> bool:
    """True for a file that looks like a radiograph: a known suffix, or a DICOM preamble.

    False for folders, pipes, devices, hidden files and DICOMDIR. True for a file that cannot be opened, and for a link
    to nowhere with a known suffix, so that reading them reports why they are no radiographs.
    """
    path = Path(path)
    if path.name.startswith(".") or is_dicomdir(path):
        return False
    known = path.name.lower().endswith(SUFFIXES)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        return known or has_preamble(read_head(path))
    except FileNotFoundError:
        return known and path.is_symlink()
    except OSError:
        return known or not path.is_symlink()


def iter_radiographs(paths: Iterable[str | os.PathLike[str]], on_skipped: OnSkipped | None = None) -> Iterator[Path]:
    """Yield the radiographs in files and folders, each file once, as they are found.

    Folders are searched to any depth, without hidden folders: first the files of a folder in sorted order, then its
    folders in sorted order. Links to files and folders are followed; each folder is entered once, so that a circle of
    links ends. Before a folder with a DICOMDIR is searched, the images that this lists are yielded, in its order, with
    or without a suffix. What cannot be searched or is listed but missing is yielded too, so that reading it reports
    why: a folder that cannot be opened, a damaged DICOMDIR, a file that a DICOMDIR names and that is not there.

    No path is kept: the memory does not grow with the number of files, but for the names of one folder at a time.

    What is named as a file is always yielded, even if it is missing or has an unknown suffix; of a DICOMDIR that is
    named, the images that it lists.

    Args:
        paths: files and folders.
        on_skipped: called with each file in a folder that looks as if somebody kept a film in it, and is not yielded:
            an archive, a PDF, an image of another format or without its suffix. The second argument says what it is
            and what to do, such as "a ZIP archive; unpack it first".
    """
    seen = Seen()
    real_folder = lru_cache(maxsize=1024)(os.path.realpath)
    for path in map(Path, paths):
        for found in _in_folders(path, on_skipped) if path.is_dir() else _of_file(path):
            link = found.is_symlink()
            place = os.path.realpath(found) if link else f"{real_folder(found.parent)}{os.sep}{found.name}"
            if seen.add(place):
                yield found


def find_radiographs(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the radiographs in files and folders: `iter_radiographs` as a list."""
    return list(iter_radiographs(paths))


def read_head(path: Path) -> bytes:
    """The first 512 bytes of a file, enough to tell what it is.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def why_skipped(path: Path, head: bytes) -> str | None:
    """Why a file that is no candidate is worth a word; None for what nobody would take for a film.

    Args:
        path: of the file.
        head: its first bytes, as of `read_head`.
    """
    if path.name.startswith(".") or is_dicomdir(path):
        return None
    return unsupported_kind(head, path.name) or misnamed_image(head, path.name)


def _of_file(path: Path) -> Iterator[Path]:
    if not (is_dicomdir(path) and path.is_file()):
        yield path
        return
    yield from _listed(path) or [path]


def _listed(path: Path) -> list[Path]:
    """The images that a DICOMDIR lists, or a damaged DICOMDIR itself, for its error."""
    try:
        return referenced_images(path)
    except ReadError:
        return [path]


def _in_folders(top: Path, on_skipped: OnSkipped | None) -> Iterator[Path]:
    entered = Seen()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if not entered.add(os.path.realpath(folder)):
            continue
        try:
            with os.scandir(folder) as entries:
                names = sorted((entry.name, _is_folder(entry)) for entry in entries)
        except OSError:
            yield folder
            continue
        files = [folder / name for name, is_folder in names if not is_folder]
        for path in files:
            if is_dicomdir(path) and path.is_file():
                yield from _listed(path)
        for path in files:
            if is_candidate(path):
                yield path
            elif on_skipped is not None and (reason := why_skipped(path, _head_of(path))) is not None:
                on_skipped(path, reason)
        waiting += [folder / name for name, is_folder in reversed(names) if is_folder and not name.startswith(".")]


def _head_of(path: Path) -> bytes:
    """The first bytes of a file; none of what cannot be opened, and of pipes and devices, which may hang."""
    try:
        return read_head(path) if path.is_file() else b""
    except OSError:
        return b""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
