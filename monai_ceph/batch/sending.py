"""Send the objects and FHIR bundles of a run to archives and FHIR servers, each once, with the senders of the node."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monai_ceph.storage.database import Database
from monai_ceph.work.interruption import Interrupted
from monai_ceph.work.options import SENT_FORMATS, film_files

if TYPE_CHECKING:
    from monai_ceph.archives.targets import Answer, Send, Sender

__all__ = ["SENT", "Sent", "send_objects"]

SENT = "sent.sqlite"

_SCHEMA = """
CREATE TABLE sent (
  target TEXT NOT NULL,
  kind TEXT NOT NULL,
  stem TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  answer TEXT NOT NULL,
  sent TEXT NOT NULL,
  PRIMARY KEY (target, kind, stem)
) WITHOUT ROWID;
"""
_VERSION = 1

# pauses in seconds before a target that accepts nothing is tried again; after that the next run tries
_PAUSES = (1.0, 2.0, 4.0, 8.0)


@dataclass
class Sent:
    """How sending the objects of a run went, over all targets.

    Attributes:
        sent: number of objects that were accepted now.
        before: number of objects that were accepted in an earlier run, and are not sent again.
        causes: a sentence for each object that was not accepted; the next run sends it.
    """

    sent: int = 0
    before: int = 0
    causes: list[str] = field(default_factory=list)


class _Object(NamedTuple):
    kind: str
    stem: str
    path: Path
    sha256: str


def send_objects(
    out: Path,
    stems: Sequence[str],
    senders: Mapping[str, Sender],
    interrupted: Interrupted = lambda: False,
    pauses: Sequence[float] = _PAUSES,
) -> Sent:
    """Send the objects of films to each target that does not have them in this version.

    Each accepted object is recorded in ``out/sent.sqlite`` before the next one is sent. After a crash in between it is
    sent again, as the same object.

    Args:
        out: folder for results.
        stems: file names of the films' objects, without suffix.
        senders: senders to the targets, by their URLs.
        interrupted: asked before every object.
        pauses: pauses in seconds before a target that accepts nothing is tried again.

    Raises:
        CephError: if ``sent.sqlite`` is something else.
        StoppedError: if it cannot be written.
        KeyboardInterrupt: if the run was asked to end.
    """
    sent_ledger = open_sent_ledger(out)
    result = Sent()
    try:
        for target, sender in senders.items():
            todo = list(_missing(sent_ledger, target, _objects(out, stems, sender), result))
            _to_one(sent_ledger, target, sender, todo, result, interrupted, pauses)
    finally:
        sent_ledger.close()
    return result


def open_sent_ledger(out: Path) -> Database:
    """Open ``out/sent.sqlite``, or create it.

    Raises:
        CephError: if it is something else.
        StoppedError: if it cannot be written.
    """
    return Database(out / SENT, _SCHEMA, _VERSION, "move it away; then all objects are sent again")


def _objects(out: Path, stems: Iterable[str], sender: Sender) -> Iterator[_Object]:
    for stem in stems:
        for kind, path in film_files(out, stem, set(sender.objects) & SENT_FORMATS).items():
            if path.is_file():  # a film that is not DICOM has none
                yield _Object(kind, stem, path, hashlib.sha256(path.read_bytes()).hexdigest())


def _missing(sent_ledger: Database, target: str, objects: Iterable[_Object], result: Sent) -> Iterator[_Object]:
    for each in objects:
        row = sent_ledger.rows(
            "SELECT sha256 FROM sent WHERE (target, kind, stem) = (?, ?, ?)", target, each.kind, each.stem
        )
        if row == [(each.sha256,)]:
            result.before += 1
        else:
            yield each


def _to_one(
    sent_ledger: Database,
    target: str,
    sender: Sender,
    todo: list[_Object],
    result: Sent,
    interrupted: Interrupted,
    pauses: Sequence[float],
) -> None:
    """Send to one target, with a new connection if one breaks."""
    from monai_ceph.archives.targets import TargetError

    failures = 0
    while todo:
        left = len(todo)
        try:
            with sender.open() as send:
                while todo:
                    if interrupted():
                        raise KeyboardInterrupt
                    try:
                        answer = _send(send, todo[0])
                    except TargetError:
                        # this object may be the cause, so try the others first
                        todo.append(todo.pop(0))
                        raise
                    each = todo.pop(0)
                    if answer.taken:
                        _enter(sent_ledger, target, each, answer.text)
                        result.sent += 1
                    else:
                        result.causes.append(f"{each.stem} ({each.kind}) to {target}: {answer.text}")
        except TargetError as error:
            failures = 0 if len(todo) < left else failures + 1
            if failures > len(pauses):
                result.causes += [f"{each.stem} ({each.kind}) to {target}: {error}" for each in todo]
                return
            _wait(pauses[max(failures - 1, 0)] if pauses else 0, interrupted)


def _send(send: Send, each: _Object) -> Answer:
    from monai_ceph.archives.targets import Answer

    try:
        return send(each.path)
    except FileNotFoundError:
        return Answer(False, "its file is gone")
    except OSError as error:
        return Answer(False, f"its file cannot be read: {error.strerror or error}")


def _wait(seconds: float, interrupted: Interrupted) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if interrupted():
            raise KeyboardInterrupt
        time.sleep(0.1)


def _enter(sent_ledger: Database, target: str, each: _Object, answer: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with sent_ledger.writing():
        sent_ledger.execute(
            "INSERT OR REPLACE INTO sent (target, kind, stem, sha256, answer, sent) VALUES (?, ?, ?, ?, ?, ?)",
            *(target, each.kind, each.stem, each.sha256, answer, now),
        )
