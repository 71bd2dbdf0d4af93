"""Find the films of a run, one at a time: every run searches again, and no list of paths is kept."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from monai_ceph.errors import CephError
from monai_ceph.readers import iter_radiographs
from monai_ceph.readers.pixels import WORKING_FOLDER
from monai_ceph.work.names import film_name, key_of
from monai_ceph.work.options import LEDGER, Options, film_folders
from monai_ceph.work.remote import iter_films, size_and_version, url_of

__all__ = ["Found", "Inputs", "skipped_lines"]


@dataclass(frozen=True)
class Found:
    """A file that may be a radiograph.

    Attributes:
        path: absolute path, or the path that represents a URL.
        shown: the path as the user gave it, or below the folder that the user gave.
        key: SHA-256 of the absolute path.
        place: path below the folder that the user gave. The same as ``shown`` for a file, or if several were given.
        size: in bytes; None if there is no file, or it is a folder that cannot be searched.
        mtime_ns: time of the last change in ns, as the file system states it.
    """

    path: Path
    shown: Path
    key: str
    place: Path
    size: int | None
    mtime_ns: int | None


class Inputs:
    """Files, folders and URLs. Each iteration searches them again, and leaves out what runs wrote.

    Args:
        paths: files, and folders that are searched to any depth, or URLs of them.
        out: folder for the results. Files in its folders for results, and in those of other runs, are skipped unless
            the user gave the file itself.

    Attributes:
        not_listed: why the latest search did not find everything below a URL. All other films are found.
        skipped: files in folders that were skipped although they may contain films: place, as in `Found`, and reason.
    """

    def __init__(self, paths: Sequence[Path], out: Path) -> None:
        # ITK changes the working folder for a moment while it is imported, so all paths become absolute here
        with WORKING_FOLDER:
            self._roots = [(path, _absolute(path)) for path in map(Path, paths)]
        self.not_listed: dict[Path, str] = {}
        self.skipped: dict[Path, tuple[Path, str]] = {}
        results = {folder.resolve() for folder in film_folders(out)}
        names = {folder.name for folder in results}

        @lru_cache(maxsize=64)
        def is_result(folder: Path) -> bool:
            folder = folder.resolve()
            return any(
                each in results or (each.name in names and (each.parent / LEDGER).is_file())
                for each in (folder, *folder.parents)
            )

        self._is_result = is_result

    def __iter__(self) -> Iterator[Found]:
        for path, shown, place in self.paths():
            size, changed = None, None
            if url_of(path) is not None:
                size, changed = size_and_version(path)
                yield Found(path, shown, key_of(path), place, size, changed)
                continue
            with suppress(OSError, ValueError):
                found = path.stat()
                if stat.S_ISREG(found.st_mode):
                    size, changed = found.st_size, found.st_mtime_ns
            yield Found(path, shown, key_of(path), place, size, changed)

    def paths(self) -> Iterator[tuple[Path, Path, Path]]:
        """Yield each file's absolute path, the path as the user gave it, and its place."""
        for given, root in self._roots:
            if url_of(root) is not None:
                yield from ((path, path, self._place(path, root, path)) for path in self._behind(root))
                continue

            def skip(path: Path, reason: str, root: Path = root, given: Path = given) -> None:
                if not self._is_result(path.parent):
                    self.skipped[path] = self._place(path, root, _as_named(path, root, given)), reason

            for path in iter_radiographs([root], skip):
                if path == root:
                    yield path, given, given
                elif not self._is_result(path.parent):
                    shown = _as_named(path, root, given)
                    yield path, shown, self._place(path, root, shown)

    def _place(self, path: Path, root: Path, shown: Path) -> Path:
        """Return the path below the folder that was given; with several folders, the path as given, which is unique.

        The images that a DICOMDIR lists are in folders beside it.
        """
        if len(self._roots) == 1:
            for folder in (root, root.parent):
                if path != folder and path.is_relative_to(folder):
                    return path.relative_to(folder)
        return shown

    def _behind(self, url: Path) -> Iterator[Path]:
        self.not_listed.pop(url, None)

        def skip(path: Path, reason: str) -> None:
            self.skipped[path] = self._place(path, url, path), reason

        try:
            yield from iter_films(url, skip)
        except CephError as error:
            self.not_listed[url] = str(error)


def _as_named(path: Path, root: Path, given: Path) -> Path:
    # the images that a DICOMDIR lists are in folders beside it
    for folder, named in ((root, given), (root.parent, given.parent)):
        if path.is_relative_to(folder):
            return named / path.relative_to(folder)
    return path


def _absolute(path: Path) -> Path:
    """Return the same path for a file however it is given. The name of a link is kept, since it has the suffix."""
    if url_of(path) is not None:
        return path
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def skipped_lines(inputs: Inputs, options: Options) -> list[str]:
    """Return a sentence for each file that the latest search skipped. With ``deidentify`` a hash replaces its path."""
    return [
        f"{film_name(key_of(path), None if options.deidentify else place, None)}: {reason}"
        for path, (place, reason) in sorted(inputs.skipped.items())
    ]
