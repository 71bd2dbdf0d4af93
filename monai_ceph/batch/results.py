"""The files in a folder of results, and which of them are ours to replace or remove.

A person may keep a table of their own in the folder, or correct one of ours. So the ledger holds the SHA-256 of every
file that a run wrote, and a file with another hash, or without one, is left as it is.
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
"""The folder inside that workers write into."""

# rows of the ledger in memory at a time
_PAGE = 1000
_REMEDY = "move it, or choose another folder with --out"


class _Record(NamedTuple):
    """A file that a run wrote. While it is being replaced, it may have either hash, and its size is not known."""

    path: str
    stem: str | None
    sha256: str
    replaced_sha256: str | None
    size: int | None
    mtime_ns: int | None


def refuse_folder(out: Path, formats: Collection[str], recorded: Collection[str] = ()) -> None:
    """Refuse a folder that has a file where a run with these formats must write, and that is not ``recorded``.

    Raises:
        CephError: it names the first of them.
    """
    for name in tables_of(formats):
        if name not in recorded and os.path.lexists(out / name):
            raise CephError(f"{out / name}: was not written by an earlier run; {_REMEDY}")
    for file in film_files(out, "", formats).values():
        if os.path.lexists(file.parent) and not file.parent.is_dir():
            raise CephError(f"{file.parent}: is a file where a folder must be; {_REMEDY}")


class Results:
    """Puts files into a folder of results and removes them. Only the process of the run uses it.

    Workers write into ``unfinished``, a folder inside. :meth:`publish` then notes the hash in the ledger and renames,
    in this order: whenever the process dies, the next run knows the file as one of ours.

    Args:
        database: the ledger's.
        out: absolute path of the folder.

    Attributes:
        unfinished: the folder that workers write into, with the same folders inside as ``out``.
    """

    def __init__(self, database: Database, out: Path) -> None:
        self._database, self._out = database, out
        self.unfinished = out / UNFINISHED

    # what is there

    def refuse_changes(self, formats: Collection[str]) -> None:
        """Refuse the folder if a run would write over what it did not write, or what was changed since.

        A file with the size and the time of change that the ledger knows is not read.

        Args:
            formats: that the run writes; other tables are not looked at.

        Raises:
            CephError: it names the first such file.
        """
        tables, recorded = tables_of(formats), set()
        for page in self._pages():
            confirmed = []
            for record in page:
                if record.stem is None:
                    recorded.add(record.path)
                    if record.path not in tables:
                        continue
                file = _place(self._out, record.path)
                found = _look_at(file)
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
        """Return whether no file stands where those of a film with this stem would be."""
        return not any(os.path.lexists(file) for file in film_files(self._out, stem).values())

    def holds(self, path: str) -> bool:
        """Return whether a run wrote this file, by its path inside the folder, and did not remove it."""
        return bool(self._records("WHERE path = ?", _name(Path(path))))

    # writing

    def publish_film(self, stem: str) -> None:
        """Move the files of a film from ``unfinished`` to their places.

        Raises:
            StoppedError: as :meth:`publish`.
        """
        files = film_files(self.unfinished, stem).values()
        self.publish([str(file.relative_to(self.unfinished)) for file in files if file.exists()], stem)

    def publish(self, paths: Iterable[str], stem: str | None = None) -> None:
        """Move files from ``unfinished`` to their places, where they replace those that a run wrote.

        Args:
            paths: inside the folder.
            stem: of the film that they belong to; None for tables.

        Raises:
            StoppedError: if something else stands in a place, or a file cannot be moved. No file was moved then that
                is not in the ledger.
        """
        new = []
        for path in (_name(Path(path)) for path in paths):
            with _stopping(_place(self.unfinished, path)):
                new.append((path, stem, sha256_of(_place(self.unfinished, path)), self._replaceable(path)))
        if not new:
            return
        # a power cut may keep the rename and lose a commit before it that is not durable
        with self._database.writing(durable=True):
            for row in new:
                self._database.execute(
                    "INSERT OR REPLACE INTO files (path, stem, sha256, replaced_sha256) VALUES (?, ?, ?, ?)", *row
                )
        for path, *_ in new:
            with _stopping(_place(self._out, path)):
                _move(_place(self.unfinished, path), _place(self._out, path))
        with self._database.writing():
            for path, _, sha256, _ in new:
                if (found := _look_at(_place(self._out, path))) is not None:
                    self._enter(sha256, found.st_size, found.st_mtime_ns, path)

    def _replaceable(self, path: str) -> str | None:
        """Return the hash of a file that a run may replace; None if there is no file."""
        if not os.path.lexists(_place(self._out, path)):
            return None
        records = self._records("WHERE path = ?", path)
        sha256 = self._our_hash(records[0]) if records else None
        if sha256 is None:
            raise StoppedError(f"{_place(self._out, path)}: appeared or was changed while the run was on; move it away")
        return sha256

    # removing

    def discard(self, stem: str) -> None:
        """Remove what a worker wrote for a film and nobody published.

        Raises:
            StoppedError: if that cannot be done.
        """
        for file in film_files(self.unfinished, stem).values():
            with _stopping(file):
                file.unlink(missing_ok=True)

    def remove_film(self, stem: str, formats: Collection[str] = FORMATS) -> None:
        """Remove the files of a film that are as a run wrote them; forget all others.

        Raises:
            StoppedError: if one cannot be removed.
        """
        paths = {_name(file.relative_to(self._out)) for file in film_files(self._out, stem, formats).values()}
        self._remove(record for record in self._records("WHERE stem = ?", stem) if record.path in paths)

    def remove_all(self) -> None:
        """Remove every file that is as a run wrote it; forget all others.

        Raises:
            StoppedError: if one cannot be removed.
        """
        for page in self._pages():
            self._remove(page)

    def tidy(self) -> None:
        """Remove what runs left behind that were killed: files of no film in the ledger, and unfinished ones.

        Raises:
            StoppedError: if a file cannot be removed.
        """
        self.clear_unfinished()
        stems = "SELECT stem FROM films WHERE stem IS NOT NULL"
        self._remove(self._records(f"WHERE stem IS NOT NULL AND stem NOT IN ({stems})"))

    def clear_unfinished(self) -> None:
        """Remove the folder that workers write into."""
        shutil.rmtree(self.unfinished, ignore_errors=True)

    def _remove(self, records: Iterable[_Record]) -> None:
        records = list(records)
        for record in records:
            file = _place(self._out, record.path)
            with _stopping(file):
                if _look_at(file) is not None and self._our_hash(record) is not None:
                    file.unlink()
        if records:
            with self._database.writing():
                for record in records:
                    self._database.execute("DELETE FROM files WHERE path = ?", record.path)

    # the table

    def _our_hash(self, record: _Record) -> str | None:
        """Return the hash of a file that is there, if it is one that a run wrote."""
        file = _place(self._out, record.path)
        found = _look_at(file)
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


def _name(path: Path) -> str:
    """Return a path as the ledger holds it: SQLite takes UTF-8 only, and names on the disk are UTF-8 in any locale."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _place(folder: Path, name: str) -> Path:
    """Return where a file of this name in the ledger is."""
    return folder / os.fsdecode(name.encode())


@contextmanager
def _stopping(file: Path) -> Iterator[None]:
    """Turn an error of the file system, which would hit the next film too, into the end of the run."""
    try:
        yield
    except OSError as error:
        raise StoppedError(f"{file}: {error.strerror or error}") from error


def _look_at(file: Path) -> os.stat_result | None:
    """Return what stands there, a link as such; None if nothing does."""
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
        # the folder of these files is a link to another disk
        with written_beside(target) as part:
            shutil.copyfile(source, part)
        source.unlink()
