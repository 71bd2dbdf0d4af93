"""Films behind a URL, such as ``s3://bucket/folder``: they are listed and fetched through fsspec, and never changed.

A URL is represented by a relative ``Path`` whose first part is the scheme: ``s3:/bucket/folder``. Local paths are
always absolute inside this package, so the two cannot be confused. fsspec finds the credentials on the machine that
fetches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monai_ceph.errors import CephError, ReadError
from monai_ceph.readers.dicom import has_preamble
from monai_ceph.readers.dicom_elements import UID_PATTERN
from monai_ceph.readers.files import SUFFIXES, why_skipped
from monai_ceph.readers.unsupported import HEAD_BYTES

__all__ = ["FetchedFilms", "iter_films", "local_copy", "read_start", "size_and_version", "uid_in", "url_of"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.+)", re.DOTALL)
# the keys of archives.urls.WEB_SCHEMES, which cannot be imported without the extra pacs
_ARCHIVES = ("dicomweb", "dicomweb+http")
_IMAGE = re.compile(rf"(?:{'|'.join(map(re.escape, _ARCHIVES))}):/.+/instances/({UID_PATTERN})")


def url_of(path: Path) -> str | None:
    """Return the URL that a path represents; None for a local path."""
    match = _URL.fullmatch(str(path))
    if match is None:
        return None
    scheme, place = match.groups()
    return f"{scheme}:///{place}" if scheme in ("file", "local") else f"{scheme}://{place}"


def uid_in(path: Path) -> str | None:
    """Return the SOP Instance UID in the URL of an archive's image; None if there is none."""
    match = _IMAGE.fullmatch(str(path))
    return None if match is None else match[1]


def iter_films(root: Path, on_skipped: Callable[[Path, str], None] = lambda path, reason: None) -> Iterator[Path]:
    """Yield the films below a URL, or the film that it names: files with a known suffix or a DICOM preamble.

    Files come before folders, each in sorted order. Hidden files are skipped, and a DICOMDIR is not read.

    Args:
        root: the URL.
        on_skipped: called with each file that is skipped, as by `readers.iter_radiographs`.

    Raises:
        CephError: if the URL cannot be listed. If an archive's list is incomplete, after the films that it has.
    """
    fs, place = _open(root)
    scheme = str(root).partition(":")[0]
    try:
        if _names_a_film(root) or not fs.isdir(place):
            yield root
            return
        waiting, left_out = [place], None
        while waiting:
            entries = sorted(fs.ls(waiting.pop(), detail=True), key=lambda entry: entry["name"])
            folders = []
            for entry in entries:
                if (cause := entry.get("error")) is not None:
                    left_out = cause
                    continue
                # some file systems give names with their scheme, and folders with a slash at the end
                name = str(fs._strip_protocol(entry["name"])).rstrip("/")
                path = Path(f"{scheme}:/{name.removeprefix(f'{scheme}:/').lstrip('/')}")
                if path.name.startswith(".") or path == root:
                    continue
                if entry["type"] == "directory":
                    folders.append(entry["name"])
                elif (
                    entry.get("ContentType") == "application/dicom"
                    or path.name.lower().endswith(SUFFIXES)
                    or has_preamble(head := _head(path))
                ):
                    yield path
                elif (reason := why_skipped(path, head)) is not None:
                    on_skipped(path, reason)
            waiting += reversed(folders)
        if left_out is not None:
            raise CephError(left_out)
    except CephError:
        raise
    except Exception as error:  # each file system raises its own errors
        raise CephError(f"{url_of(root)}: cannot be listed ({type(error).__name__}: {error})") from error


def size_and_version(path: Path) -> tuple[int | None, int | None]:
    """Return the size of a film in bytes and a number that changes with its content; None if it does not exist."""
    fs, place = _open(path)
    try:
        entry = fs.info(place)
    except Exception:
        return None, None
    marks = [str(entry.get(key)) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")]
    return entry.get("size"), int(sha256("\n".join(marks).encode()).hexdigest()[:15], 16)


def read_start(path: Path, count: int) -> bytes:
    """Return the first bytes of a film.

    Raises:
        OSError: if it cannot be fetched.
    """
    fs, place = _open(path)
    try:
        return bytes(fs.cat_file(place, start=0, end=count))[:count]
    except Exception as error:
        raise OSError(f"{url_of(path)}: {error}") from error


class FetchedFilms:
    """Copies of films behind URLs, in temporary files. Each film is fetched once, until :meth:`forget`."""

    def __init__(self) -> None:
        self._folders: dict[Path, TemporaryDirectory[str]] = {}
        self._copies: dict[Path, Path | ReadError] = {}

    def get(self, path: Path) -> Path | ReadError | None:
        """Return the copy of a film, or why it cannot be fetched; None for a local film."""
        if url_of(path) is None:
            return None
        if path not in self._copies:
            try:
                folder = TemporaryDirectory(prefix="monai-ceph-", ignore_cleanup_errors=True)
                self._folders[path] = folder
                self._copies[path] = _fetch(path, Path(folder.name))
            except ReadError as error:
                self._copies[path] = error
            except OSError as error:
                self._copies[path] = ReadError(f"{path}: cannot be fetched ({type(error).__name__}).")
        return self._copies[path]

    def forget(self, path: Path) -> None:
        """Delete the copy of a film, if there is one."""
        self._copies.pop(path, None)
        if folder := self._folders.pop(path, None):
            folder.cleanup()

    def close(self) -> None:
        """Delete all copies."""
        for path in list(self._folders):
            self.forget(path)


@contextmanager
def local_copy(path: Path, fetched: Path | ReadError | None = None) -> Iterator[Path]:
    """Yield a file to read: a local film itself, or a copy of the film behind a URL.

    Errors of this package name the path of the film, not that of the copy.

    Args:
        path: of the film.
        fetched: what :meth:`FetchedFilms.get` returned for it. None: a film behind a URL is fetched now, and its copy
            is deleted at the end of the context.

    Raises:
        ReadError: if it cannot be fetched.
    """
    if url_of(path) is None:
        yield path
        return
    with ExitStack() as stack:
        if fetched is None:
            films = stack.enter_context(closing(FetchedFilms()))
            fetched = films.get(path)
            assert fetched is not None
        if isinstance(fetched, ReadError):
            raise fetched
        try:
            yield fetched
        except CephError as error:
            raise type(error)(str(error).replace(str(fetched), str(path))) from error


def _fetch(path: Path, folder: Path) -> Path:
    """Copy the film behind a URL into a folder.

    Raises:
        ReadError: if it cannot be fetched.
    """
    copy = folder / path.name
    try:
        fs, place = _open(path)
        fs.get_file(place, str(copy))
    except FileNotFoundError as error:
        raise ReadError(f"{path}: no such file.") from error
    except CephError as error:
        # without the URL, which may name a patient
        reason = str(error).removeprefix(f"{url_of(path)}: ")
        raise ReadError(f"{path}: cannot be fetched: {reason}") from error
    except Exception as error:
        # its text may contain the path, which may name a patient
        raise ReadError(f"{path}: cannot be fetched ({type(error).__name__}).") from error
    return copy


def _names_a_film(root: Path) -> bool:
    """Return whether a URL names a film and no folder. On a web server, asking for a folder fetches the film."""
    return str(root).startswith(("http:", "https:")) and root.name.lower().endswith(SUFFIXES)


def _head(path: Path) -> bytes:
    if path.name.upper() == "DICOMDIR":
        return b""
    try:
        return read_start(path, HEAD_BYTES)
    except OSError:
        return b""


def _open(path: Path) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        CephError: if there is no such file system.
    """
    import fsspec

    url = url_of(path)
    assert url is not None
    scheme = url.partition(":")[0]
    if scheme in _ARCHIVES:
        try:
            # here, because it needs the extra pacs
            from monai_ceph.archives.archive_files import DicomWebFileSystem
        except ImportError as error:
            raise CephError(f"{url}: DICOMweb needs more packages: pip install 'monai-ceph[pacs]'") from error
        fsspec.register_implementation(scheme, DicomWebFileSystem, clobber=True)
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise CephError(f"{url}: {error}") from error
