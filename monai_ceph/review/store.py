"""Revisions on the disk: one file each, which is never changed, and the audit beside them.

A save takes these steps: it writes and flushes the file under another name, adds the line to the audit, and gives the
file its name. That is a hard link, which fails where the name is taken. After a kill between the last two steps, the
next start or save of the film gives it its name.
"""

from __future__ import annotations

import json
import os
import re
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from monai_ceph.errors import CephError
from monai_ceph.review.audit import AUDIT, Link, append, entries
from monai_ceph.review.models import StoredRevision
from monai_ceph.storage.atomic import sha256_of

__all__ = ["Conflict", "RevisionStore"]

_FILE = re.compile(r"(\d{4,})\.json")
_PART = re.compile(r"\.(\d{4,})\.json\.part")


class Conflict(Exception):
    """Somebody else saved a revision in the meantime.

    Attributes:
        current: the newest revision.
    """

    def __init__(self, current: StoredRevision | None) -> None:
        super().__init__("somebody else saved this film in the meantime")
        self.current = current


class RevisionStore:
    """The revisions of all films, in ``<folder>/<stem>/<NNNN>.json``.

    Args:
        folder: such as ``RESULTS/reviews``; created with the first revision.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._thread = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int], StoredRevision]] = {}

    def numbers(self, stem: str) -> list[int]:
        """Return the numbers of a film's revisions, from the first."""
        try:
            with os.scandir(self.folder / stem) as found:
                names = [entry.name for entry in found]
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for name in names if (match := _FILE.fullmatch(name)))

    def get(self, stem: str, number: int) -> StoredRevision:
        """Return one revision.

        Raises:
            CephError: its file cannot be read.
        """
        file = self._file(stem, number)
        try:
            status = file.stat()
            # the software never changes a revision, but a person may bring one back from a copy
            version = status.st_mtime_ns, status.st_size
            if (known := self._read.get(file)) is None or known[0] != version:
                known = self._read[file] = version, StoredRevision.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            self._read.pop(file, None)
            why = error.strerror if isinstance(error, OSError) else "not a revision of a review"
            raise CephError(f"{file}: {why}. Move it away, or restore it from a copy") from error
        return known[1]

    def newest(self, stem: str) -> StoredRevision | None:
        """Return the newest revision of a film, None without any.

        Raises:
            CephError: its file cannot be read.
        """
        numbers = self.numbers(stem)
        return self.get(stem, numbers[-1]) if numbers else None

    def signed(self, stem: str) -> StoredRevision | None:
        """Return the last signed revision of a film, None without any. Earlier ones are not read.

        Raises:
            CephError: a file cannot be read.
        """
        later = (self.get(stem, number) for number in reversed(self.numbers(stem)))
        return next((each for each in later if each.state == "final"), None)

    def history(self, stem: str) -> list[StoredRevision]:
        """Return all revisions of a film, the first first.

        Raises:
            CephError: a file cannot be read.
        """
        return [self.get(stem, number) for number in self.numbers(stem)]

    def add(self, stem: str, revision: StoredRevision, event: str, moves: list[dict[str, Any]]) -> StoredRevision:
        """Save a revision, and record it.

        Args:
            stem: of the film.
            revision: its number is that of the newest one and 1.
            event: ``saved`` or ``signed``.
            moves: for the audit: what differs from the detection.

        Raises:
            Conflict: the number is taken, or does not follow.
            OSError: the disk is full or cannot be written; then nothing has changed.
        """
        target = self._file(stem, revision.revision)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._thread, FileLock(self.folder / ".lock"):
            self._finish(stem)
            newest = self.newest(stem)
            if revision.revision != (0 if newest is None else newest.revision) + 1:
                raise Conflict(newest)
            part = target.with_name(f".{target.name}.part")
            try:
                with part.open("w", encoding="utf-8") as stream:
                    stream.write(json.dumps(revision.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n")
                    stream.flush()
                    os.fsync(stream.fileno())
                append(
                    self.folder / AUDIT,
                    {
                        "at": datetime.now(timezone.utc).isoformat(),
                        "event": event,
                        "film": revision.film,
                        "file": target.relative_to(self.folder).as_posix(),
                        "revision": revision.revision,
                        "reviewer": revision.reviewer,
                        "replaces": revision.replaces,
                        "sha256": sha256_of(part),
                        "weights_sha256": revision.weights_sha256,
                        "recipe_sha256": revision.recipe_sha256,
                        "moves": moves,
                    },
                )
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            _name(part, target)
        return revision

    def final(self, stem: str) -> list[StoredRevision]:
        """Return the signed revisions of a film, the first first.

        Raises:
            CephError: a file cannot be read.
        """
        return [each for each in self.history(stem) if each.state == "final"]

    def note(self, event: str, **entry: Any) -> None:
        """Record something that is not a revision, such as a sending.

        Raises:
            CephError: the audit is damaged, or was cut.
            OSError: it cannot be written.
        """
        with self._thread, FileLock(self.folder / ".lock"):
            append(self.folder / AUDIT, {"at": datetime.now(timezone.utc).isoformat(), "event": event, **entry})

    def links(self) -> dict[str, Link]:
        """Return the line of the audit that recorded each revision, by its file's path in the folder.

        Raises:
            CephError: a line of the audit cannot be read.
        """
        return {
            str(entry["file"]): Link(int(entry["sequence"]), str(entry["hash"]))
            for entry in entries(self.folder / AUDIT)
            if {"file", "sequence", "hash"} <= entry.keys()
        }

    def file_of(self, stem: str, number: int) -> str:
        """Return the path of a revision's file in the folder."""
        return self._file(stem, number).relative_to(self.folder).as_posix()

    def recover(self) -> None:
        """Finish a save that a kill interrupted.

        Raises:
            OSError: the folder cannot be written.
        """
        if (self.folder / AUDIT).exists():
            with self._thread, FileLock(self.folder / ".lock"):
                self._finish("*")

    def _finish(self, stem: str) -> None:
        """Name or remove what a killed save left behind; ``*`` stands for all films."""
        folders = self.folder.iterdir() if stem == "*" else [self.folder / stem]
        parts = [
            part for folder in folders if folder.is_dir() for part in folder.iterdir() if _PART.fullmatch(part.name)
        ]
        if not parts:
            return
        recorded = {entry.get("file"): entry.get("sha256") for entry in entries(self.folder / AUDIT)}
        for part in parts:
            target = part.with_name(part.name[1 : -len(".part")])
            if recorded.get(target.relative_to(self.folder).as_posix()) == sha256_of(part) and not target.exists():
                _name(part, target)
            else:
                part.unlink()

    def _file(self, stem: str, number: int) -> Path:
        return self.folder / stem / f"{number:04}.json"


def _name(part: Path, target: Path) -> None:
    """Give a file its name, unless another one has it; an existing file is never replaced."""
    os.link(part, target)
    part.unlink()
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
