"""The files of a node: the places of films and objects, and moves between them that survive a crash.

``incoming`` contains objects that are being received, ``inbox`` fetched films that are not in the ledger yet, ``queue``
the films, ``objects`` the reports and presentation states made from them, and ``dead`` a folder for each dead letter,
with the reason, until somebody retries or removes it. File names are hashes, so no text from a sender becomes a path.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

from pydicom import dcmread

from monai_ceph.pacs.config import SpoolConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import Film
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.reports.fhir_reference import bundle_reference
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.storage.atomic import written_beside
from monai_ceph.work.options import SENT_FORMATS, film_files

__all__ = ["Spool", "film_key", "fsync_folder", "instance_uid_of", "reference_of"]

_HEX = 24
_CHUNK = 2**20
_OLD_SECONDS = 3600.0


def fsync_folder(folder: Path) -> None:
    """Write the file names of a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def film_key(uid: str, path: Path) -> str:
    """Return the name of a film's files: hashes of its UID and of its bytes."""
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_CHUNK):
            content.update(part)
    return f"{hashlib.sha256(uid.encode()).hexdigest()[:_HEX]}-{content.hexdigest()[:_HEX]}"


def instance_uid_of(path: Path) -> str:
    """Return the SOP Instance UID of a DICOM file that was checked before."""
    with quiet():
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def reference_of(path: Path) -> ObjectReference:
    """Return the UIDs of an object that this software made, or the study and the identifier of a FHIR bundle."""
    if path.suffix == ".json":
        return bundle_reference(path)
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    with quiet():
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(names))
    return ObjectReference(*(str(header[name].value) for name in names))


class Spool:
    """The folders of one node.

    Args:
        folder: of the node, created if necessary.
        config: its limits.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, config: SpoolConfig) -> None:
        self.folder, self._config = folder, config
        # held while a film's row in the ledger and its files change together
        self.lock = threading.RLock()
        self.incoming, self.inbox, self.queue = (folder / name for name in ("incoming", "inbox", "queue"))
        self.dead, self.objects = folder / "dead", folder / "objects"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (self.incoming, self.inbox, self.queue, self.dead, self.objects):
            each.mkdir(mode=0o700, exist_ok=True)
        for each in self._object_folders():
            each.mkdir(mode=0o700, exist_ok=True)
        fsync_folder(folder)
        self.held: set[Path] = set()
        """Files in ``incoming`` that are complete and wait for others of their request."""
        # size, time of change, and when by the monotonic clock they were first seen
        self._incoming: dict[Path, tuple[int, int, float]] = {}

    def full(self, films: int) -> str | None:
        """Return why no further film can be received while this many are unfinished, or None."""
        return self.too_many(films) or self.lack_of_space()

    def too_many(self, films: int) -> str | None:
        """Return why this many unfinished films are too many, or None."""
        return f"{films} films wait" if films >= self._config.max_films else None

    def lack_of_space(self) -> str | None:
        """Return why the disk has no space for more films, or None."""
        free = shutil.disk_usage(self.folder).free / 2**20
        if free < self._config.min_free_mb:
            return f"{free:.0f} MB are free, less than spool.min_free_mb ({self._config.min_free_mb:.0f} MB)"
        return None

    def overfull(self) -> bool:
        """Whether only the space is left that the node itself needs to become less full again."""
        kept = self._config.kept_mb
        return kept > 0 and shutil.disk_usage(self.folder).free < kept * 2**20

    def keep(self, part: Path, key: str) -> None:
        """Move a file that is already on the disk into the queue, and make its new name durable.

        Raises:
            OSError: the disk cannot be written.
        """
        part.replace(self.film(key))
        fsync_folder(self.queue)

    def sweep(self, seconds: float) -> None:
        """Remove partly received files without a new byte for this long: their associations were lost."""
        seen: dict[Path, tuple[int, int, float]] = {}
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):
                now, status = time.monotonic(), path.stat()
                # not the age by the clock, which may be set
                size, changed, since = self._incoming.get(path, (-1, -1, now))
                if path in self.held or (size, changed) != (status.st_size, status.st_mtime_ns):
                    since = now
                elif now - since > seconds:
                    path.unlink()
                    continue
                seen[path] = (status.st_size, status.st_mtime_ns, since)
        self._incoming = seen

    def film(self, key: str) -> Path:
        """Return the path of a film in the queue."""
        return self.queue / f"{key}.dcm"

    def object(self, kind: str, stem: str) -> Path:
        """Return the path of an object."""
        return film_files(self.objects, stem, {kind})[kind]

    def settle(self, ledger: NodeLedger, film_id: int) -> None:
        """Move a film's files to the places for its state in the ledger. Safe in any thread, and after any crash.

        Raises:
            OSError: the disk cannot be written.
        """
        # no other node may take over between the check and the move
        with self.lock, ledger.holding():
            film = ledger.film(film_id)
            if film is None:
                return
            letter = self.dead / film.key
            if film.state in ("done", "skipped"):
                self.forget(film.key)
            elif film.state == "dead":
                # without files here they were moved already, or somebody removed them: then no folder is created
                if self._files(film.key):
                    self._move_to_dead(film, letter)
            elif letter.is_dir():
                for path in self._letter(film.key):
                    with suppress(FileNotFoundError):  # somebody is removing it right now
                        path.replace(self._path_from_letter(path.name, film.key))
                fsync_folder(self.queue)
                with suppress(FileNotFoundError):
                    shutil.rmtree(letter)

    def has_letter(self, key: str) -> bool:
        """Return whether any file of a dead letter is left, so that it can be retried."""
        return bool(self._files(key)) or bool(self._letter(key))

    def _letter(self, key: str) -> list[Path]:
        """Return the film and the objects that are left in the folder of a dead letter."""
        with suppress(FileNotFoundError):
            return [*(self.dead / key).glob("*.dcm"), *(self.dead / key).glob("fhir*.json")]
        return []

    def _move_to_dead(self, film: Film, letter: Path) -> None:
        letter.mkdir(mode=0o700, exist_ok=True)
        with written_beside(letter / "reason.json") as part:
            part.write_text(json.dumps({"uid": film.uid, "reason": film.reason}, indent=2) + "\n", encoding="utf-8")
        for path in self._files(film.key):
            path.replace(letter / self._name_in_letter(path))
        fsync_folder(letter)
        fsync_folder(self.queue)

    def forget(self, key: str) -> None:
        """Remove a film and its objects."""
        # the film is removed last: while it is there, the next start finds the remaining files
        for path in self._files(key):
            path.unlink(missing_ok=True)
        if (self.dead / key).is_dir():
            shutil.rmtree(self.dead / key)

    def recover(self, ledger: NodeLedger) -> list[Path]:
        """Clean up the folder after the last run, and return the films in the queue that are not in the ledger.

        Partly received files are removed: they were never answered with success, so their senders still have them.
        """
        with ledger.holding():
            return self._recover(ledger)

    def _recover(self, ledger: NodeLedger) -> list[Path]:
        for path in self.incoming.iterdir():
            if not path.is_dir():
                path.unlink(missing_ok=True)
        self._remove_parts()
        unknown = []
        for path in sorted(each for each in self.queue.glob("*.dcm") if each.is_file()):
            film = ledger.film_of(path.stem)
            if film is None:
                unknown.append(path)
            elif film.state in ("done", "skipped"):
                self.settle(ledger, film.id)
        for film in ledger.films("received", "detected", "dead"):
            self.settle(ledger, film.id)
        return unknown

    def _remove_parts(self) -> None:
        """Remove files that were partly written when a process was killed."""
        folders = self._object_folders()
        for path in (*self.dead.glob("*/.*.part"), *(path for each in folders for path in each.glob(".*.part"))):
            path.unlink(missing_ok=True)
        for path in self.inbox.glob(".*.part"):
            # the command fetch may be writing it
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                    path.unlink()

    def _object_folders(self) -> list[Path]:
        return [path.parent for path in film_files(self.objects, "", SENT_FORMATS).values()]

    def _files(self, key: str) -> list[Path]:
        """Return the existing files of a film: itself and its objects, with those of its frames."""
        found = []
        for each in film_files(self.objects, key, SENT_FORMATS).values():
            found += [*each.parent.glob(each.name), *each.parent.glob(f"{key}_*{each.suffix}")]
        return [*found, *(path for path in [self.film(key)] if path.exists())]

    def _name_in_letter(self, path: Path) -> str:
        if path.parent == self.queue:
            return "film.dcm"
        frame = path.stem.partition("_")[2]
        return f"{path.parent.name}{'_' if frame else ''}{frame}{path.suffix}"

    def _path_from_letter(self, name: str, key: str) -> Path:
        if name == "film.dcm":
            return self.film(key)
        kind, _, frame = Path(name).stem.partition("_")
        return self.object(kind, f"{key}_{frame}" if frame else key)
