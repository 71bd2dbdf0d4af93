"""Fetched films wait in a folder until the node takes them, even while it is not running."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from uuid import uuid4

from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.receiver import SUCCESS, FilmIntake, check_object
from monai_ceph.pacs.spool import Spool, fsync_folder
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.storage.atomic import written_beside

__all__ = ["InboxLoop", "put_into_inbox"]

_SECONDS = 0.5
_PAUSE_SECONDS = 5.0


def put_into_inbox(dataset: Dataset, spool: Spool) -> None:
    """Write a retrieved film into the inbox, from where the node takes it.

    Raises:
        OSError: the disk cannot be written.
    """
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        # the node refuses deflated files, and this data set is inflated already
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with written_beside(spool.inbox / f"{uuid4().hex}.dcm") as part, quiet():
        dataset.save_as(part, enforce_file_format=True)
    fsync_folder(spool.inbox)


class InboxLoop:
    """Takes fetched films into the queue while the number of waiting films allows it.

    Free space does not matter, since the films are already on the disk.

    Args:
        spool: contains the inbox.
        intake: takes the films.
        timeout: seconds of silence that end a connection.
    """

    def __init__(self, spool: Spool, intake: FilmIntake, timeout: float) -> None:
        self._spool, self._intake, self._timeout = spool, intake, timeout
        self._waiting: set[Path] = set()
        self.trouble: str | None = None
        """Why the disk or the ledger cannot be written at the moment."""

    def run(self, ended: threading.Event) -> None:
        """Watch the inbox until the node ends, and remove files that broken connections left behind."""
        while not ended.wait(_SECONDS):
            try:
                self._round(ended)
                self.trouble = None
            except (OSError, StoppedError) as error:  # such as a full disk
                self.trouble = str(error)
                log("disk or ledger cannot be written", warning=True, cause=self.trouble)
                ended.wait(_PAUSE_SECONDS)

    def _round(self, ended: threading.Event) -> None:
        self._spool.sweep(3 * self._timeout)
        for path in sorted(self._spool.inbox.glob("*.dcm")):
            if ended.is_set() or self._intake.too_many() is not None:
                break
            if self._is_closed(path) or not self._is_file(path):
                continue
            try:
                status, cause, (uid, _) = check_object(path)
            except OSError as error:
                self._leave(path, str(error))
                continue
            self._waiting.discard(path)
            if status == SUCCESS:
                self._intake.take(path, uid, "fetched")
            else:
                log("refused", warning=True, sender="fetched", status=f"{status:04X}", cause=cause)
                path.unlink()

    def _is_closed(self, path: Path) -> bool:
        """Return whether another user's file cannot be opened."""
        if os.access(path, os.R_OK | os.W_OK):
            return False
        self._leave(path, "this user cannot open it")
        return True

    def _is_file(self, path: Path) -> bool:
        """Return whether it is a file. To open a named pipe would wait for ever, and a link may lead anywhere."""
        if stat.S_ISREG(path.lstat().st_mode):
            return True
        self._leave(path, "it is not a file")
        return False

    def _leave(self, path: Path, cause: str) -> None:
        """Leave a file that cannot be read now, and log it once."""
        if path not in self._waiting:
            self._waiting.add(path)
            log("not taken", warning=True, sender="fetched", cause=f"{path}: {cause}")
