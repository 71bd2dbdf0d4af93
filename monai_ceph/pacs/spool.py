"""The folder of a node: where films and objects lie, and how they get there so that no crash loses one.

``incoming`` holds what is being received, ``inbox`` what was fetched and is not in the ledger yet, ``queue`` the films,
``objects`` what was made of them, ``dead`` a folder for each film that was given up, with the reason, until somebody
retries it or takes it away for good. Names are hashes: nothing that a sender says becomes a path.
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
from monai_ceph.storage.atomic import written_beside
from monai_ceph.work.options import OBJECT_FORMATS, film_files

__all__ = ["Spool", "film_key", "fsync_folder", "instance_uid_of"]

_HEX = 24
_CHUNK = 2**20
_OLD_SECONDS = 3600.0


def fsync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def film_key(uid: str, path: Path) -> str:
    """Return the name of a film's files: hashes of its UID and of its bytes, so that other bytes have another one."""
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_CHUNK):
            content.update(part)
    return f"{hashlib.sha256(uid.encode()).hexdigest()[:_HEX]}-{content.hexdigest()[:_HEX]}"


def instance_uid_of(path: Path) -> str:
    """Return the SOP Instance UID of a DICOM file that was looked at before."""
    with quiet():
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


class Spool:
    """The folders of one node.

    Args:
        folder: of the node; made if it is not there.
        config: its limits.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, folder: Path, config: SpoolConfig) -> None:
        self.folder, self._config = folder, config
        # held while the ledger and the place of a film's files change together
        self.lock = threading.RLock()
        self.incoming, self.inbox, self.queue = (folder / name for name in ("incoming", "inbox", "queue"))
        self.dead, self.objects = folder / "dead", folder / "objects"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (self.incoming, self.inbox, self.queue, self.dead, self.objects):
            each.mkdir(mode=0o700, exist_ok=True)
        for each in self._object_folders():
            each.mkdir(mode=0o700, exist_ok=True)
        fsync_folder(folder)

    def full(self, films: int) -> str | None:
        """Return why no further film is received while so many are at work, or None."""
        return self.too_many(films) or self.no_room()

    def too_many(self, films: int) -> str | None:
        """Return why so many films at work are enough, or None."""
        return f"{films} films wait" if films >= self._config.max_films else None

    def no_room(self) -> str | None:
        """Return why nothing more is written into the folder, or None."""
        free = shutil.disk_usage(self.folder).free / 2**20
        if free < self._config.min_free_mb:
            return f"{free:.0f} MB are free, and {self._config.min_free_mb:.0f} MB have to be"
        return None

    def keep(self, part: Path, key: str) -> None:
        """Bring a file into the queue that is on the disk already, and bring its name there too.

        Raises:
            OSError: if the disk does not take it.
        """
        part.replace(self.film(key))
        fsync_folder(self.queue)

    def sweep(self, seconds: float) -> None:
        """Remove what was being received and got no byte for so long: its association ended without a word."""
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > seconds:
                    path.unlink()

    def film(self, key: str) -> Path:
        """Return where the film of a key lies while it is at work."""
        return self.queue / f"{key}.dcm"

    def object(self, kind: str, stem: str) -> Path:
        """Return where an object lies."""
        return film_files(self.objects, stem, {kind})[kind]

    def settle(self, ledger: NodeLedger, film_id: int) -> None:
        """Bring a film's files to where the ledger says; at any time, from any thread, also after a crash amid itself.

        Raises:
            OSError: if the disk forbids it.
        """
        with self.lock:
            film = ledger.film(film_id)
            if film is None:
                return
            grave = self.dead / film.key
            if film.state in ("done", "skipped"):
                self.forget(film.key)
            elif film.state == "dead":
                # with nothing to bury it is buried already, or somebody took it away: its folder stays away then
                if self._files(film.key):
                    self._bury(film, grave)
            elif grave.is_dir():
                for path in self._letter(film.key):
                    with suppress(FileNotFoundError):  # somebody takes it away at this moment
                        path.replace(self._path_from_grave(path.name, film.key))
                fsync_folder(self.queue)
                with suppress(FileNotFoundError):
                    shutil.rmtree(grave)

    def has_letter(self, key: str) -> bool:
        """Return whether there is anything left of a dead letter that it could begin anew with."""
        return bool(self._files(key)) or bool(self._letter(key))

    def _letter(self, key: str) -> list[Path]:
        """Return the film and its objects in the folder of a dead letter, as far as nobody took them away."""
        with suppress(FileNotFoundError):
            return list((self.dead / key).glob("*.dcm"))
        return []

    def _bury(self, film: Film, grave: Path) -> None:
        grave.mkdir(mode=0o700, exist_ok=True)
        with written_beside(grave / "reason.json") as part:
            part.write_text(json.dumps({"uid": film.uid, "reason": film.reason}, indent=2) + "\n", encoding="utf-8")
        for path in self._files(film.key):
            path.replace(grave / self._name_in_grave(path))
        fsync_folder(grave)
        fsync_folder(self.queue)

    def forget(self, key: str) -> None:
        """Remove a film and all that was made of it."""
        # the film goes last: as long as it is there, the next start looks for what is left
        for path in self._files(key):
            path.unlink(missing_ok=True)
        if (self.dead / key).is_dir():
            shutil.rmtree(self.dead / key)

    def recover(self, ledger: NodeLedger) -> list[Path]:
        """Put the folder in order after an end of any kind; return films in the queue that the ledger does not know.

        What was being received was never answered with success, and its sender has it.
        """
        for path in self.incoming.iterdir():
            path.unlink(missing_ok=True)
        self._remove_parts()
        unknown = []
        for path in sorted(self.queue.glob("*.dcm")):
            film = ledger.film_of(path.stem)
            if film is None:
                unknown.append(path)
            elif film.state in ("done", "skipped"):
                self.settle(ledger, film.id)
        for film in ledger.films("received", "detected", "dead"):
            self.settle(ledger, film.id)
        return unknown

    def _remove_parts(self) -> None:
        """Remove what was half written when a process was killed."""
        folders = self._object_folders()
        for path in (*self.dead.glob("*/.*.part"), *(path for each in folders for path in each.glob(".*.part"))):
            path.unlink(missing_ok=True)
        for path in self.inbox.glob(".*.part"):
            # the command fetch may be writing it
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                    path.unlink()

    def _object_folders(self) -> list[Path]:
        return [path.parent for path in film_files(self.objects, "", OBJECT_FORMATS).values()]

    def _files(self, key: str) -> list[Path]:
        """Return the film and its objects, those of frames too, as far as they are there."""
        folders = self._object_folders()
        found = [path for folder in folders for path in (*folder.glob(f"{key}.dcm"), *folder.glob(f"{key}_*.dcm"))]
        return [*found, *(path for path in [self.film(key)] if path.exists())]

    def _name_in_grave(self, path: Path) -> str:
        if path.parent == self.queue:
            return "film.dcm"
        frame = path.stem.partition("_")[2]
        return f"{path.parent.name}{'_' if frame else ''}{frame}.dcm"

    def _path_from_grave(self, name: str, key: str) -> Path:
        if name == "film.dcm":
            return self.film(key)
        kind, _, frame = name.removesuffix(".dcm").partition("_")
        return self.object(kind, f"{key}_{frame}" if frame else key)
