"""The ledger of a run: the state of every film, in one SQLite file that is intact however the process ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from monai_ceph.batch.results import RESULTS_SCHEMA
from monai_ceph.errors import CephError
from monai_ceph.result import ModelIdentity
from monai_ceph.storage.database import Database
from monai_ceph.work.film import State
from monai_ceph.work.names import film_name

__all__ = ["ENDED_WELL", "MAX_ATTEMPTS", "Clash", "Ledger", "Row", "known_model", "open_database"]

ENDED_WELL: tuple[State, ...] = ("done", "uncertain")

MAX_ATTEMPTS = 2
"""How often the process may die while it works on a film."""

# version 2 added hashes of the files, which show whether a person changed one
_VERSION = 3
_SCHEMA = f"""{RESULTS_SCHEMA}
CREATE TABLE settings (id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
CREATE TABLE runs (id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT);
CREATE TABLE films (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  frame INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  size INTEGER,
  mtime_ns INTEGER,
  settings INTEGER NOT NULL REFERENCES settings (id),
  name TEXT NOT NULL,
  uid TEXT,
  file_sha256 TEXT,
  image_sha256 TEXT,
  clash INTEGER NOT NULL DEFAULT 0,
  stem TEXT COLLATE NOCASE,
  duplicate_of INTEGER REFERENCES films (id),
  attempts INTEGER NOT NULL DEFAULT 0,
  state TEXT CHECK (state IN ('done', 'uncertain', 'rejected', 'failed')),
  cause TEXT,
  detection TEXT,
  seen_in INTEGER NOT NULL REFERENCES runs (id),
  ended_in INTEGER REFERENCES runs (id),
  UNIQUE (key, frame)
);
CREATE UNIQUE INDEX films_stem ON films (stem) WHERE stem IS NOT NULL;
CREATE INDEX films_uid ON films (uid, frame) WHERE uid IS NOT NULL;
CREATE INDEX films_duplicate_of ON films (duplicate_of) WHERE duplicate_of IS NOT NULL;
CREATE INDEX films_seen_in ON films (seen_in, state);
"""
# not in the schema: older ledgers of this version lack them, and get them when they are opened
_ADDITIONS = (
    "CREATE TABLE IF NOT EXISTS model (fingerprint TEXT NOT NULL, identity TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS films_name ON films (name)",
)
_COLUMNS = (
    "id, key, frame, frames, size, mtime_ns, settings, name, uid, file_sha256, stem, duplicate_of, attempts, state, "
    "seen_in"
)
_JUDGED = "duplicate_of IS NULL AND state IN ('done', 'uncertain', 'rejected')"
# copies of an image are duplicates, so if a UID is left in several files, their images differ
_CLASHING = (
    f"{_JUDGED} AND uid IN (SELECT uid FROM films WHERE uid IS NOT NULL AND {_JUDGED} "
    "GROUP BY uid HAVING count(DISTINCT key) > 1)"
)
_CLASH = "clash: other pixels or another patient under the SOP Instance UID of "


class Row(NamedTuple):
    """One film: a file, or a frame of a file with several. ``docs/reference/run-results.md`` describes the columns."""

    id: int
    key: str
    frame: int
    frames: int
    size: int | None
    mtime_ns: int | None
    settings: int
    name: str
    uid: str | None
    file_sha256: str | None
    stem: str | None
    duplicate_of: int | None
    attempts: int
    state: State | None
    seen_in: int

    @property
    def frame_number(self) -> int | None:
        """Number of the frame in a file with several; None in a file with one."""
        return self.frame or None


class Clash(NamedTuple):
    """A film with the SOP Instance UID of another image."""

    id: int
    key: str
    frame: int
    name: str
    uid: str
    stem: str | None
    detection: str | None

    @property
    def new_name(self) -> str:
        """Its new name, so that nobody confuses it with the image that an archive has under this UID."""
        frame = self.frame or None
        if self.name != film_name(self.key, None, self.uid, frame):
            return self.name
        return film_name(self.key, None, f"{self.uid}-{self.key[:12]}", frame)


def open_database(path: Path) -> Database:
    """Open the file of a ledger, or create it.

    Raises:
        CephError: if the file is something else.
        StoppedError: if it cannot be written.
    """
    return Database(path, _SCHEMA, _VERSION, "choose another folder with --out")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def known_model(path: Path, fingerprint: str) -> ModelIdentity | None:
    """Return the model of the latest run if its fingerprint was this one; None if the ledger does not know.

    Args:
        path: absolute path of the ledger. It is only read.
        fingerprint: see :mod:`monai_ceph.work.fingerprint`.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            row = connection.execute("SELECT identity FROM model WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return None if row is None else ModelIdentity.model_validate_json(row[0])
    except (sqlite3.Error, ValueError):
        # no ledger, an older one, or another file: the run reports it when it opens the ledger
        return None


class Ledger:
    """The films of all runs into one folder. One process writes; others may read at any time.

    Args:
        path: the file; created if necessary.

    Raises:
        CephError: if the file is something else.
        StoppedError: if it cannot be written, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        self._database = open_database(path)
        with self._database.writing():
            for statement in _ADDITIONS:
                self._database.execute(statement)
        self._begin_run()

    def close(self) -> None:
        """Record the end of the run, and close the file."""
        try:
            self._end_run()
        finally:
            self._database.close()

    def start_new_run(self) -> None:
        """End the run and start another one, which has seen no film yet."""
        self._end_run()
        self._begin_run()

    def _begin_run(self) -> None:
        with self._database.writing():
            self.run = self._database.execute("INSERT INTO runs (started) VALUES (?)", _now())

    def _end_run(self) -> None:
        with self._database.writing():
            self._database.execute("UPDATE runs SET ended = ? WHERE id = ?", _now(), self.run)

    @property
    def database(self) -> Database:
        """The database; its table ``files`` is for :class:`~monai_ceph.batch.results.Results`."""
        return self._database

    # reading

    def rows(self, key: str) -> list[Row]:
        """Return the films of one file, by frame."""
        return self._rows("WHERE key = ? ORDER BY frame", key)

    def row(self, film: int) -> Row:
        """Return one film."""
        return self._rows("WHERE id = ?", film)[0]

    def has_name(self, name: str, key: str) -> bool:
        """Return whether another file than ``key`` has a film with this name, or with a frame of this name."""
        query = "SELECT count(*) FROM films WHERE name IN (?, ?) AND key != ?"
        return self._database.number(query, name, f"{name}#1", key) > 0

    def original(self, row: Row, image_sha256: str | None = None) -> Row | None:
        """Return the film that is the same image as this one and has a result with the same settings.

        Args:
            row: the film; its file may have the same bytes.
            image_sha256: its image digest, once it was read.
        """
        rows = self._rows(
            f"WHERE uid = ? AND frame = ? AND settings = ? AND id != ? AND {_JUDGED} "
            "AND (file_sha256 = ? OR image_sha256 = ?) ORDER BY id LIMIT 1",
            *(row.uid, row.frame, row.settings, row.id, row.file_sha256, image_sha256),
        )
        return rows[0] if rows else None

    def images(self, row: Row) -> frozenset[str]:
        """Return the digests of images with a film's UID and frame that have a result with its settings."""
        rows = self._database.rows(
            f"SELECT image_sha256 FROM films WHERE uid = ? AND frame = ? AND settings = ? AND id != ? AND {_JUDGED} "
            "AND image_sha256 IS NOT NULL",
            *(row.uid, row.frame, row.settings, row.id),
        )
        return frozenset(digest for (digest,) in rows)

    def superseded(self, row: Row, image_sha256: str | None = None) -> list[Row]:
        """Return the films that are the same image without a result, or with other settings; see :meth:`original`."""
        return self._rows(
            "WHERE uid = ? AND frame = ? AND id != ? AND duplicate_of IS NULL AND state IS NOT 'failed' "
            "AND (file_sha256 = ? OR image_sha256 = ?)",
            *(row.uid, row.frame, row.id, row.file_sha256, image_sha256),
        )

    def detections(self) -> Iterator[str]:
        """Yield the JSON of every detection, in the order in which the films were found first."""
        for (detection,) in self._database.stream(
            "SELECT detection FROM films WHERE detection IS NOT NULL ORDER BY id"
        ):
            yield detection

    def errors(self) -> Iterator[tuple[str, str]]:
        """Yield the name and cause of every film without landmarks and of every clash, in the same order.

        Duplicates are left out.
        """
        yield from self._database.stream(
            "SELECT name, cause FROM (SELECT id, name, cause FROM films "
            "WHERE state IN ('rejected', 'failed') AND duplicate_of IS NULL "
            f"UNION ALL SELECT id, name, '{_CLASH}' || (SELECT name FROM films other WHERE other.uid = films.uid "
            f"AND other.key != films.key AND {_JUDGED} ORDER BY id LIMIT 1) FROM films WHERE {_CLASHING}) "
            "ORDER BY id, cause"
        )  # type: ignore[misc]

    def duplicates(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the name and key of every duplicate, and those of the film that it duplicates."""
        yield from self._database.stream(
            "SELECT films.name, films.key, other.name, other.key FROM films JOIN films other "
            "ON other.id = films.duplicate_of WHERE films.state IS NOT NULL ORDER BY films.id"
        )  # type: ignore[misc]

    def clashes(self) -> int:
        """Return the number of films in this run that share their SOP Instance UID with another image."""
        return self._database.number(f"SELECT count(*) FROM films WHERE {_CLASHING} AND seen_in = ?", self.run)

    def unmarked_clashes(self) -> list[Clash]:
        """Return the films in clashes that :meth:`mark_clash` has not marked."""
        columns = "id, key, frame, name, uid, stem, detection"
        query = f"SELECT {columns} FROM films WHERE {_CLASHING} AND clash = 0 ORDER BY id"
        return [Clash(*row) for row in self._database.rows(query)]

    def stems_of_run(self) -> list[str]:
        """Return the stems of this run's detections, in the same order. A duplicate has the stem of its original."""
        rows = self._database.rows(
            "SELECT stem FROM films WHERE stem IS NOT NULL AND detection IS NOT NULL AND id IN "
            "(SELECT coalesce(duplicate_of, id) FROM films WHERE seen_in = ?) ORDER BY id",
            self.run,
        )
        return [stem for (stem,) in rows]

    def unended(self) -> int:
        """Return the number of films in this run without a state."""
        return self._database.number("SELECT count(*) FROM films WHERE state IS NULL AND seen_in = ?", self.run)

    def left_behind(self) -> int:
        """Return the number of films without a state that only earlier runs found."""
        return self._database.number("SELECT count(*) FROM films WHERE state IS NULL AND seen_in != ?", self.run)

    def counts(self) -> list[tuple[State, int, int, int]]:
        """Return each state with its films in this run, duplicates among them, and those that earlier runs ended."""
        return list(
            self._database.rows(
                "SELECT state, count(*), count(duplicate_of), sum(ended_in != seen_in) FROM films "
                "WHERE seen_in = ? AND state IS NOT NULL GROUP BY state",
                self.run,
            )
        )  # type: ignore[arg-type]

    # writing

    def settings(self, json: str) -> int:
        """Return the row number of these settings."""
        with self._database.writing():
            self._database.execute("INSERT OR IGNORE INTO settings (json) VALUES (?)", json)
            return self._database.number("SELECT id FROM settings WHERE json = ?", json)

    def remember_model(self, fingerprint: str, identity: ModelIdentity) -> None:
        """Record the model of this run, for :func:`known_model`."""
        with self._database.writing():
            self._database.execute("DELETE FROM model")
            self._database.execute("INSERT INTO model VALUES (?, ?)", fingerprint, identity.model_dump_json())

    def see(self, key: str) -> None:
        """Record that a file was found and is left as it is. It is written with a later commit."""
        self._database.execute_grouped("UPDATE films SET seen_in = ? WHERE key = ?", self.run, key)

    def forget_missing(self) -> None:
        """Forget films whose files did not exist, so that a run that names them checks again."""
        with self._database.writing():
            self._database.execute("DELETE FROM films WHERE state = 'failed' AND size IS NULL")

    def add(self, key: str, name: str, size: int | None, mtime_ns: int | None, settings: int) -> Row:
        """Add a file whose frames are not known yet."""
        with self._database.writing():
            film = self._database.execute(
                "INSERT INTO films (key, frame, frames, size, mtime_ns, settings, name, seen_in) "
                "VALUES (?, 0, 1, ?, ?, ?, ?, ?)",
                *(key, size, mtime_ns, settings, name, self.run),
            )
        return self.row(film)

    def reopen(self, films: Iterable[int]) -> None:
        """Clear the state of films and of their duplicates. They keep their stems until their files are removed."""
        with self._database.writing(durable=True):
            for film in films:
                self._database.execute(
                    "UPDATE films SET state = NULL, cause = NULL, detection = NULL, duplicate_of = NULL, "
                    "ended_in = NULL, attempts = CASE WHEN state IS NULL THEN attempts ELSE 0 END "
                    "WHERE id = ? OR duplicate_of = ?",
                    *(film, film),
                )

    def restart(self, key: str, name: str, size: int | None, mtime_ns: int | None, settings: int) -> Row:
        """Reset the first row of a reopened file to what :meth:`add` creates, at its old place in the order."""
        with self._database.writing():
            first = self._database.number("SELECT min(id) FROM films WHERE key = ?", key)
            self._database.execute("DELETE FROM films WHERE key = ? AND id != ?", key, first)
            self._database.execute(
                "UPDATE films SET frame = 0, frames = 1, size = ?, mtime_ns = ?, settings = ?, name = ?, uid = NULL, "
                "file_sha256 = NULL, image_sha256 = NULL, stem = NULL, attempts = 0, seen_in = ? WHERE id = ?",
                *(size, mtime_ns, settings, name, self.run, first),
            )
        return self.row(first)

    def begin(self, film: int) -> None:
        """Record that work on a film starts. This comes first, because the process may die from it."""
        with self._database.writing():
            self._database.execute("UPDATE films SET attempts = attempts + 1, seen_in = ? WHERE id = ?", self.run, film)

    def describe(self, row: Row, names: list[tuple[str, str | None]], file_sha256: str | None) -> list[Row]:
        """Set the name, UID and hash of a file's row, or of one row per frame if there are several."""
        frames = len(names)
        with self._database.writing():
            (name, uid), *others = names
            self._database.execute(
                "UPDATE films SET frame = ?, frames = ?, name = ?, uid = ?, file_sha256 = ?, attempts = ? WHERE id = ?",
                *(int(frames > 1), frames, name, uid, file_sha256, row.attempts if frames == 1 else 0, row.id),
            )
            for frame, (name, uid) in enumerate(others, start=2):
                self._database.execute(
                    "INSERT INTO films (key, frame, frames, size, mtime_ns, settings, name, uid, file_sha256, seen_in) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *(row.key, frame, frames, row.size, row.mtime_ns, row.settings, name, uid, file_sha256, self.run),
                )
        return self.rows(row.key)

    def duplicate(self, film: int, of: Row) -> None:
        """End a film as a duplicate of another, which has a result."""
        with self._database.writing(durable=True):
            self._database.execute(
                "UPDATE films SET duplicate_of = ?, state = ?, cause = (SELECT cause FROM films WHERE id = ?), "
                "stem = NULL, attempts = 0, seen_in = ?, ended_in = ? WHERE id = ?",
                *(of.id, of.state, of.id, self.run, self.run, film),
            )

    def supersede(self, films: Iterable[int], by: int) -> None:
        """Make films duplicates of the one that gets the result now. Their stems become free."""
        with self._database.writing():
            for film in films:
                self._database.execute(
                    "UPDATE films SET stem = NULL, detection = NULL, state = NULL, duplicate_of = ? "
                    "WHERE id = ? OR duplicate_of = ?",
                    *(by, film, film),
                )

    def claim(self, film: int, stems: Iterable[str]) -> str:
        """Give a film the first of these stems that is free."""
        with self._database.writing():
            for stem in stems:
                try:
                    self._database.execute("UPDATE films SET stem = ? WHERE id = ?", stem, film)
                except sqlite3.IntegrityError:
                    continue
                return stem
        raise CephError(f"{self._database.path}: no name is free for a film")

    def settle(
        self, film: int, state: State, cause: str | None, detection: str | None, image_sha256: str | None
    ) -> None:
        """End a film. Its files must be in place already: they are not written again."""
        with self._database.writing(durable=True):
            keep = state in ENDED_WELL
            self._database.execute(
                "UPDATE films SET state = ?, cause = ?, detection = ?, image_sha256 = ?, clash = 0, "
                "stem = CASE WHEN ? THEN stem END, ended_in = ?, seen_in = ? WHERE id = ?",
                *(state, cause, detection, image_sha256, keep, self.run, self.run, film),
            )
            # another copy of a film that failed may be intact
            failed = state == "failed"
            self._database.execute(
                "UPDATE films SET state = ?, cause = ?, ended_in = ?, duplicate_of = ? WHERE duplicate_of = ?",
                *(None if failed else state, cause, self.run, None if failed else film, film),
            )

    def mark_clash(self, film: int, name: str, detection: str | None) -> None:
        """Record that a film's name and detection now tell that another image has its SOP Instance UID."""
        with self._database.writing(durable=True):
            self._database.execute(
                "UPDATE films SET clash = 1, name = ?, detection = ? WHERE id = ?", name, detection, film
            )

    def release(self, films: Iterable[int]) -> None:
        """Undo :meth:`begin` for films that a run which stops did not finish: they are not the cause."""
        with self._database.writing():
            for film in films:
                self._database.execute(
                    "UPDATE films SET attempts = max(attempts - 1, 0) WHERE id = ? AND state IS NULL", film
                )

    def _rows(self, where: str, *values: object) -> list[Row]:
        return [Row(*row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM films {where}", *values)]
