"""What signed films still have to be sent: a ledger and the objects, on the disk beside the reviews.

A film is entered before its signature is saved. So a kill in between loses nothing: the next start makes the objects of
the films whose signature is there, and forgets the others. Objects stay until every target has confirmed them.

A DICOM object of a later version is another object. A FHIR bundle takes the place of the one of the version before, so
an older bundle must not arrive after a newer one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydicom import Dataset

from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.reports.fhir_reference import bundle_json, bundle_uid
from monai_ceph.storage.atomic import written_beside
from monai_ceph.storage.database import Database

__all__ = ["Outbox", "Parcel", "Promise"]

_SCHEMA = """
CREATE TABLE promises (
  target TEXT NOT NULL,
  stem TEXT NOT NULL,
  revision INTEGER NOT NULL,
  entered REAL NOT NULL,
  note TEXT,
  PRIMARY KEY (target, stem, revision)
) WITHOUT ROWID;
CREATE TABLE parcels (
  id INTEGER PRIMARY KEY,
  target TEXT NOT NULL,
  stem TEXT NOT NULL,
  film TEXT NOT NULL,
  revision INTEGER NOT NULL,
  kind TEXT NOT NULL,
  uid TEXT NOT NULL,
  state TEXT NOT NULL,
  answer TEXT,
  attempts INTEGER NOT NULL,
  at TEXT,
  due REAL NOT NULL,
  UNIQUE (target, stem, revision, kind)
);
"""
_VERSION = 1
# the kind whose next version takes the place of this one
_BUNDLE = "fhir"
_COLUMNS = "id, target, stem, film, revision, kind, uid, state, answer, attempts, at, due"


@dataclass(frozen=True)
class Promise:
    """A signed version of a film whose objects must be made.

    Attributes:
        stem: of the film.
        revision: the signed one.
        entered: time in seconds since 1970.
        note: why no object could be made, None if nobody tried yet.
    """

    stem: str
    revision: int
    entered: float
    note: str | None


@dataclass(frozen=True)
class Parcel:
    """One object or FHIR bundle for one target.

    Attributes:
        id: its row.
        target: URL of the target.
        stem: of the film.
        film: what the results call the film.
        revision: the signed one.
        kind: ``sr``, ``gsps``, ``pdf``, ``sc`` or ``fhir``.
        uid: SOP Instance UID, or the identifier of the bundle.
        state: ``waiting``: not confirmed, and tried again; ``sent``: the target confirmed it; ``refused``: the target
            said no, and only a person starts it again; ``replaced``: a bundle of a later version took its place.
        answer: what the target said last, or why it could not be reached.
        attempts: how often it was tried.
        at: time of the last attempt in UTC.
        due: time of the next attempt, in seconds since 1970.
    """

    id: int
    target: str
    stem: str
    film: str
    revision: int
    kind: str
    uid: str
    state: str
    answer: str | None
    attempts: int
    at: str | None
    due: float


class Outbox:
    """The ledger of a folder of reviews.

    Args:
        folder: such as ``RESULTS/reviews/.outbox``.

    Raises:
        CephError: the ledger is something else.
        StoppedError: it cannot be written, here and in every method.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = threading.Lock()
        self._ledger = Database(
            folder / "outbox.sqlite", _SCHEMA, _VERSION, "move it away; films are then sent again", threads=True
        )

    def close(self) -> None:
        """Close the ledger."""
        with self._lock:
            self._ledger.close()

    def promise(self, stem: str, revision: int, targets: Iterable[str]) -> None:
        """Enter a film whose signature is about to be saved, or whose objects must be made again."""
        with self._lock, self._ledger.writing(durable=True):
            for target in targets:
                self._ledger.execute(
                    "INSERT OR REPLACE INTO promises (target, stem, revision, entered, note) VALUES (?, ?, ?, ?, NULL)",
                    *(target, stem, revision, time.time()),
                )

    def withdraw(self, stem: str, revision: int) -> None:
        """Forget a film that was not signed after all."""
        with self._lock, self._ledger.writing():
            self._ledger.execute("DELETE FROM promises WHERE (stem, revision) = (?, ?)", stem, revision)

    def promises(self, target: str) -> list[Promise]:
        """Return the films whose objects must be made for a target, the oldest first."""
        with self._lock:
            rows = self._ledger.rows(
                "SELECT stem, revision, entered, note FROM promises WHERE target = ? ORDER BY entered", target
            )
        return [Promise(*row) for row in rows]

    def cannot_make(self, target: str, stem: str, revision: int, note: str) -> None:
        """Record why the objects of a film cannot be made."""
        with self._lock, self._ledger.writing():
            self._ledger.execute(
                "UPDATE promises SET note = ? WHERE (target, stem, revision) = (?, ?, ?)",
                *(note, target, stem, revision),
            )

    def keep(
        self, target: str, stem: str, film: str, revision: int, objects: Mapping[str, Dataset | dict[str, Any]]
    ) -> None:
        """Keep the objects of a film, and its FHIR bundle, until a target has confirmed them.

        An object that is kept already stays as it is: it may have arrived somewhere.

        Raises:
            OSError: they cannot be written.
        """
        for kind, made in objects.items():
            file = self.file(stem, revision, kind)
            if not file.exists():
                with written_beside(file) as part:
                    _write(part, made)
        with self._lock:
            with self._ledger.writing(durable=True):
                for kind, made in objects.items():
                    self._ledger.execute(
                        "INSERT INTO parcels (target, stem, film, revision, kind, uid, state, attempts, due) "
                        "VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, 0) ON CONFLICT DO NOTHING",
                        *(target, stem, film, revision, kind, _uid(made)),
                    )
                self._ledger.execute(
                    "DELETE FROM promises WHERE (target, stem, revision) = (?, ?, ?)", target, stem, revision
                )
                replaced = self._replace(target, stem)
            # what was made once more may have arrived before
            for number, kind in (*((revision, kind) for kind in objects), *((older, _BUNDLE) for older in replaced)):
                self._tidy(stem, number, kind)

    def _replace(self, target: str, stem: str) -> list[int]:
        """Give up the bundles of a film that are older than the newest and not confirmed; return their revisions."""
        same = (target, stem, _BUNDLE)
        older = (
            "(target, stem, kind) = (?, ?, ?) AND state IN ('waiting', 'refused') AND revision < "
            "(SELECT max(revision) FROM parcels WHERE (target, stem, kind) = (?, ?, ?))"
        )
        found = self._ledger.rows(f"SELECT revision FROM parcels WHERE {older}", *same, *same)
        self._ledger.execute(f"UPDATE parcels SET state = 'replaced' WHERE {older}", *same, *same)
        return [int(revision) for (revision,) in found]

    def file(self, stem: str, revision: int, kind: str) -> Path:
        """Return the path of an object or bundle."""
        return self.folder / "objects" / stem / f"{revision:04}.{kind}.{'json' if kind == _BUNDLE else 'dcm'}"

    def path(self, parcel: Parcel) -> Path:
        """Return the path of the file of a parcel."""
        return self.file(parcel.stem, parcel.revision, parcel.kind)

    def has(self, parcel: Parcel) -> bool:
        """Return whether the file of a parcel is still there."""
        return self.path(parcel).is_file()

    def parcels(self, stem: str | None = None) -> list[Parcel]:
        """Return the objects of a film, or of all films, the first first."""
        where, values = ("", ()) if stem is None else ("WHERE stem = ?", (stem,))
        with self._lock:
            rows = self._ledger.rows(f"SELECT {_COLUMNS} FROM parcels {where} ORDER BY id", *values)
        return [Parcel(*row) for row in rows]

    def due(self, target: str, now: float) -> list[Parcel]:
        """Return what may be sent to a target at a time, in the order of the signatures."""
        with self._lock:
            rows = self._ledger.rows(
                f"SELECT {_COLUMNS} FROM parcels WHERE target = ? AND state = 'waiting' AND due <= ? ORDER BY id",
                *(target, now),
            )
        return [Parcel(*row) for row in rows]

    def again(self, stem: str, revision: int) -> None:
        """Try everything of a film again that is not confirmed, now."""
        with self._lock, self._ledger.writing():
            self._ledger.execute(
                "UPDATE parcels SET state = 'waiting', due = 0 WHERE (stem, revision) = (?, ?) "
                "AND state IN ('waiting', 'refused')",
                *(stem, revision),
            )

    def note(self, parcel: Parcel, state: str, answer: str, due: float = 0.0) -> None:
        """Record an attempt. Once all targets have confirmed an object, its file is removed."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with self._lock:
            with self._ledger.writing(durable=True):
                self._ledger.execute(
                    "UPDATE parcels SET state = ?, answer = ?, attempts = attempts + 1, at = ?, due = ? WHERE id = ?",
                    *(state, answer, now, due, parcel.id),
                )
            self._tidy(parcel.stem, parcel.revision, parcel.kind)

    def _tidy(self, stem: str, revision: int, kind: str) -> None:
        """Remove a file that no target waits for any more."""
        open_ones = self._ledger.number(
            "SELECT count(*) FROM parcels WHERE (stem, revision, kind) = (?, ?, ?) AND state IN ('waiting', 'refused')",
            *(stem, revision, kind),
        ) + self._ledger.number("SELECT count(*) FROM promises WHERE (stem, revision) = (?, ?)", stem, revision)
        if not open_ones:
            self.file(stem, revision, kind).unlink(missing_ok=True)


def _write(file: Path, made: Dataset | dict[str, Any]) -> None:
    if isinstance(made, Dataset):
        with quiet():
            made.save_as(file, enforce_file_format=True)
    else:
        file.write_text(bundle_json(made), encoding="utf-8")


def _uid(made: Dataset | dict[str, Any]) -> str:
    return str(made.SOPInstanceUID) if isinstance(made, Dataset) else bundle_uid(made)
