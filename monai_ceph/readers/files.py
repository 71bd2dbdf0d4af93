"""Find the files in folders that may be radiographs."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
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
"""Called with a file that is left out, and the reason."""


def is_candidate(path: str | os.PathLike[str]) -> bool:
    """Return True for a file that may be a radiograph: one with a known suffix or a DICOM preamble.

    False for folders, pipes, devices, hidden files and DICOMDIR. True for a file that cannot be opened and for a broken
    link with a known suffix: reading these reports the reason.
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

    Folders are searched to any depth, except hidden ones: first the files of a folder in sorted order, then its
    subfolders in sorted order. Links to files and folders are followed; each folder is entered only once, so circular
    links end. In a folder with a DICOMDIR, the images that it lists come first, in its order and with any suffix. A
    folder that cannot be opened, a damaged DICOMDIR and a missing file that a DICOMDIR lists are yielded too: reading
    them reports the reason.

    A path that is given as a file is always yielded, even if it is missing or has an unknown suffix. For a DICOMDIR
    given as a file, the images that it lists are yielded.

    Memory does not grow with the number of files: only the names in one folder at a time are kept.

    Args:
        paths: files and folders.
        on_skipped: called with each file in a folder that is not yielded but may hold a film: an archive, a PDF, an
            image of another format or without its suffix. The second argument says what it is and what to do, such as
            "a ZIP archive; unpack it first".

    Raises:
        StoppedError: if the temporary folder is full.
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
    """Return the radiographs in files and folders as a list; see `iter_radiographs`."""
    return list(iter_radiographs(paths))


def read_head(path: Path) -> bytes:
    """Return the first 512 bytes of a file, enough to recognise its format.

    Raises:
        OSError: if the file cannot be opened.
    """
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def first_bytes(opened: io.FileIO) -> bytes:
    """Return the first 512 bytes of an open file, as :func:`read_head` does."""
    opened.seek(0)
    return opened.read(HEAD_BYTES)


@contextmanager
def open_file(path: Path) -> Iterator[io.FileIO | None]:
    """Open a file that several parsers read in turn; None for a missing file, a folder, a pipe or a device.

    On a network share every opening costs time.
    """
    try:
        # opening a pipe could hang
        opened = io.FileIO(path) if path.is_file() else None
    except OSError:
        opened = None
    with opened or nullcontext():
        yield opened


@contextmanager
def buffered(path: Path, opened: io.FileIO | None = None) -> Iterator[io.BufferedReader[io.FileIO]]:
    """Give a buffered stream at the start of a file.

    Args:
        path: the file.
        opened: the same file, if it is open already. It stays open.

    Raises:
        OSError: if the file cannot be opened.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(io.FileIO(path)) if opened is None else opened
        raw.seek(0)
        stream = io.BufferedReader(raw)
        # otherwise the stream would close the file
        stack.callback(stream.detach)
        yield stream


def why_skipped(path: Path, head: bytes) -> str | None:
    """Return what a skipped file is and what to do about it; None if it is unlikely to hold a film.

    Args:
        path: the file, one that is not a candidate.
        head: its first bytes, from `read_head`.
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
    """Return the images that a DICOMDIR lists; a damaged DICOMDIR itself, so that reading it reports the error."""
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
    """Return the first bytes of a file; none if it cannot be opened, or is a pipe or a device, which could hang."""
    try:
        return read_head(path) if path.is_file() else b""
    except OSError:
        return b""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
