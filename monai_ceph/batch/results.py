"""The files in a folder for results, and which of them a run may replace or remove.

A person may put a file there, or correct one that a run wrote. So the ledger has the SHA-256 of every file that a run
wrote, and a file with another hash, or with none, is left as it is.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.storage.atomic import sha256_of, written_beside
from monai_ceph.storage.database import Database
from monai_ceph.work.options import FORMATS, film_files, tables_of

__all__ = ["RESULTS_SCHEMA", "UNFINISHED", "Results", "refuse_folder"]

RESULTS_SCHEMA = """
CREATE TABLE files (
  path TEXT PRIMARY KEY,
  stem TEXT,
  sha256 TEXT NOT NULL,
  replaced_sha256 TEXT,
  size INTEGER,
  mtime_ns INTEGER
) WITHOUT ROWID;
CREATE INDEX files_stem ON files (stem) WHERE stem IS NOT NULL;
"""
_COLUMNS = "path, stem, sha256, replaced_sha256, size, mtime_ns"
UNFINISHED = ".run.unfinished"
"""Folder inside the results where workers write."""

# rows of the ledger in memory at a time
_PAGE = 1000
_REMEDY = "move it, or choose another folder with --out"


class _Record(NamedTuple):
    """A file that a run wrote. While it is being replaced, it may have either hash, and its size is unknown."""

    path: str
    stem: str | None
    sha256: str
    replaced_sha256: str | None
    size: int | None
    mtime_ns: int | None


def refuse_folder(out: Path, formats: Collection[str], recorded: Collection[str] = ()) -> None:
    """Refuse a folder with a file in a place where a run with these formats writes, unless it is ``recorded``.

    Raises:
        CephError: there is such a file; the message names the first.
    """
    for name in tables_of(formats):
        if name not in recorded and os.path.lexists(out / name):
            raise CephError(f"{out / name}: was not written by an earlier run; {_REMEDY}")
    for file in film_files(out, "", formats).values():
        if os.path.lexists(file.parent) and not file.parent.is_dir():
            raise CephError(f"{file.parent}: is a file where a folder must be; {_REMEDY}")


class Results:
    """Puts files into a folder for results, and removes them. Only the process of the run uses it.

    Workers write into the folder ``unfinished`` inside. :meth:`publish` records the hash in the ledger first, and then
    renames the file. So whenever the process dies, the next run recognises the file.

    Args:
        database: database of the ledger.
        out: absolute path of the folder.

    Attributes:
        unfinished: the folder where workers write, with the same folders inside as ``out``.
    """

    def __init__(self, database: Database, out: Path) -> None:
        self._database, self._out = database, out
        self.unfinished = out / UNFINISHED

    # what is there

    def refuse_changes(self, formats: Collection[str]) -> None:
        """Refuse the folder if a run would overwrite a file that no run wrote, or that was changed since.

        A file whose size and time of change are those in the ledger is not read.

        Args:
            formats: formats of the run; tables of other formats are not checked.

        Raises:
            CephError: there is such a file; the message names the first.
        """
        tables, recorded = tables_of(formats), set()
        for page in self._pages():
            confirmed = []
            for record in page:
                if record.stem is None:
                    recorded.add(record.path)
                    if record.path not in tables:
                        continue
                file = _path_of(self._out, record.path)
                found = _status(file)
                if found is None or (found.st_size, found.st_mtime_ns) == (record.size, record.mtime_ns):
                    continue
                sha256 = self._our_hash(record)
                if sha256 is None:
                    raise CephError(f"{file}: was changed since a run wrote it; {_REMEDY}")
                confirmed.append((sha256, found.st_size, found.st_mtime_ns, record.path))
            if confirmed:
                with self._database.writing():
                    for row in confirmed:
                        self._enter(*row)
        refuse_folder(self._out, formats, recorded)

    def is_free(self, stem: str) -> bool:
        """Return whether no file exists where those of a film with this stem would be."""
        return not any(os.path.lexists(file) for file in film_files(self._out, stem).values())

    def holds(self, path: str) -> bool:
        """Return whether a run wrote this file and did not remove it. ``path`` is relative to the folder."""
        return bool(self._records("WHERE path = ?", _ledger_name(Path(path))))

    # writing

    def publish_film(self, stem: str) -> None:
        """Move the files of a film from ``unfinished`` to their places.

        Raises:
            StoppedError: as :meth:`publish`.
        """
        files = film_files(self.unfinished, stem).values()
        self.publish([str(file.relative_to(self.unfinished)) for file in files if file.exists()], stem)

    def publish(self, paths: Iterable[str], stem: str | None = None) -> None:
        """Move files from ``unfinished`` to their places, where they replace files that a run wrote.

        Args:
            paths: relative to the folder.
            stem: stem of their film; None for tables.

        Raises:
            StoppedError: if another file is in a place, or a file cannot be moved. Every file that was moved is in the
                ledger.
        """
        new = []
        for path in (_ledger_name(Path(path)) for path in paths):
            with _stopping(_path_of(self.unfinished, path)):
                new.append((path, stem, sha256_of(_path_of(self.unfinished, path)), self._replaceable(path)))
        if not new:
            return
        # after a power cut, the rename may exist while an earlier commit is lost, unless that was durable
        with self._database.writing(durable=True):
            for row in new:
                self._database.execute(
                    "INSERT OR REPLACE INTO files (path, stem, sha256, replaced_sha256) VALUES (?, ?, ?, ?)", *row
                )
        for path, *_ in new:
            with _stopping(_path_of(self._out, path)):
                _move(_path_of(self.unfinished, path), _path_of(self._out, path))
        with self._database.writing():
            for path, _, sha256, _ in new:
                if (found := _status(_path_of(self._out, path))) is not None:
                    self._enter(sha256, found.st_size, found.st_mtime_ns, path)

    def _replaceable(self, path: str) -> str | None:
        """Return the hash of a file that a run may replace; None if there is no file."""
        if not os.path.lexists(_path_of(self._out, path)):
            return None
        records = self._records("WHERE path = ?", path)
        sha256 = self._our_hash(records[0]) if records else None
        if sha256 is None:
            raise StoppedError(f"{_path_of(self._out, path)}: appeared or was changed during the run; move it away")
        return sha256

    # removing

    def discard(self, stem: str) -> None:
        """Remove a film's files in ``unfinished``.

        Raises:
            StoppedError: if one cannot be removed.
        """
        for file in film_files(self.unfinished, stem).values():
            with _stopping(file):
                file.unlink(missing_ok=True)

    def remove_film(self, stem: str, formats: Collection[str] = FORMATS) -> None:
        """Remove those files of a film that are as a run wrote them, and forget the others.

        Raises:
            StoppedError: if one cannot be removed.
        """
        paths = {_ledger_name(file.relative_to(self._out)) for file in film_files(self._out, stem, formats).values()}
        self._remove(record for record in self._records("WHERE stem = ?", stem) if record.path in paths)

    def remove_all(self) -> None:
        """Remove all files that are as a run wrote them, and forget the others.

        Raises:
            StoppedError: if one cannot be removed.
        """
        for page in self._pages():
            self._remove(page)

    def tidy(self) -> None:
        """Remove what killed runs left behind: unfinished files, and files whose film is not in the ledger.

        Raises:
            StoppedError: if a file cannot be removed.
        """
        self.clear_unfinished()
        stems = "SELECT stem FROM films WHERE stem IS NOT NULL"
        self._remove(self._records(f"WHERE stem IS NOT NULL AND stem NOT IN ({stems})"))

    def clear_unfinished(self) -> None:
        """Remove the folder where workers write."""
        shutil.rmtree(self.unfinished, ignore_errors=True)

    def _remove(self, records: Iterable[_Record]) -> None:
        records = list(records)
        for record in records:
            file = _path_of(self._out, record.path)
            with _stopping(file):
                if _status(file) is not None and self._our_hash(record) is not None:
                    file.unlink()
        if records:
            with self._database.writing():
                for record in records:
                    self._database.execute("DELETE FROM files WHERE path = ?", record.path)

    # the table

    def _our_hash(self, record: _Record) -> str | None:
        """Return the hash of an existing file if a run wrote it in this state, else None."""
        file = _path_of(self._out, record.path)
        found = _status(file)
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        if record.size is not None and record.size != found.st_size:
            return None
        with _stopping(file):
            sha256 = sha256_of(file)
        return sha256 if sha256 in (record.sha256, record.replaced_sha256) else None

    def _enter(self, sha256: str, size: int, mtime_ns: int, path: str) -> None:
        self._database.execute(
            "UPDATE files SET sha256 = ?, replaced_sha256 = NULL, size = ?, mtime_ns = ? WHERE path = ?",
            *(sha256, size, mtime_ns, path),
        )

    def _records(self, where: str, *values: object) -> list[_Record]:
        return [_Record(*row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM files {where}", *values)]

    def _pages(self) -> Iterator[list[_Record]]:
        last = ""
        while page := self._records(f"WHERE path > ? ORDER BY path LIMIT {_PAGE}", last):
            yield page
            last = page[-1].path


def _ledger_name(path: Path) -> str:
    """Return a path as the ledger stores it: SQLite accepts only UTF-8, and names on the disk are always UTF-8."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _path_of(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder, from its name in the ledger."""
    return folder / os.fsdecode(name.encode())


@contextmanager
def _stopping(file: Path) -> Iterator[None]:
    """Turn a file system error, which would affect the next film too, into the end of the run."""
    try:
        yield
    except OSError as error:
        raise StoppedError(f"{file}: {error.strerror or error}") from error


def _status(file: Path) -> os.stat_result | None:
    """Return the status of a file, without following a link; None if it does not exist."""
    try:
        return file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # the folder for these files is a link to another disk
        with written_beside(target) as part:
            shutil.copyfile(source, part)
        source.unlink()
