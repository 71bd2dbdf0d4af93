"""The SQLite file of a node's ledger, with its audit and its cursors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.ledger_schema import SCHEMA, UPGRADES, VERSION
from monai_ceph.storage.database import Database

__all__ = ["LedgerFile", "NotOurTurnError"]


class NotOurTurnError(StoppedError):
    """Another node works in the folder now."""


class LedgerFile:
    """An open ledger, to be used by any thread of the process that holds the folder.

    Args:
        path: of the SQLite file, created if necessary.
        shared: nodes on other machines may have it, too.
        patience_s: seconds to wait while another process writes.

    Raises:
        CephError: the file is something else.
        StoppedError: it cannot be written, here and in every method.
        NotOurTurnError: another node has taken over.
    """

    def __init__(self, path: Path, shared: bool = False, patience_s: float = 30.0) -> None:
        remedy = "move it away and start the node, which takes in the films of the folder queue again"
        self.database = Database(
            *(path, SCHEMA, VERSION, remedy),
            threads=True,
            upgrades=UPGRADES,
            # the journal WAL needs memory that all processes share, so they would have to be on one machine
            journal="DELETE" if shared else "WAL",
            patience_s=patience_s,
        )
        self.lock = threading.RLock()
        self._inside = False
        self.turn: int | None = None
        """The number of this process's turn: nothing is written once another one has begun. None: nobody else can."""
        self.on_lost_turn: Callable[[], None] = lambda: None
        """Called when something was to be written after another turn has begun."""

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.database.close()

    def cursor(self, name: str) -> str | None:
        """Return the study date up to which a source was queried."""
        with self.lock:
            rows = self.database.rows("SELECT value FROM cursors WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def set_cursor(self, name: str, value: str) -> None:
        """Record the study date up to which a source was queried."""
        with self._writing():
            self.database.execute("INSERT OR REPLACE INTO cursors (name, value) VALUES (?, ?)", name, value)

    def audit(self, event: str, uid: str | None = None, **details: object) -> None:
        """Add a row to the audit."""
        with self._writing():
            self._audit(event, uid, **details)

    def audit_rows(self) -> Iterator[dict[str, object]]:
        """Yield the audit, the oldest first."""
        last = 0
        while True:
            with self.lock:
                rows = self.database.rows(
                    "SELECT id, time, event, uid, details FROM audit WHERE id > ? ORDER BY id LIMIT 500", last
                )
            if not rows:
                return
            for number, moment, event, uid, details in rows:
                # formatted as in the log
                said = datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
                yield {"id": number, "time": said, "event": event, "uid": uid, **json.loads(details)}
            last = rows[-1][0]

    def last_turn(self) -> int:
        """Return the number of the last turn, 0 before the first."""
        with self.lock:
            return self.database.number("SELECT coalesce(max(turn), 0) FROM turns")

    def take_turn(self, after: int, node: str) -> int | None:
        """Begin a turn. From now on, the process whose turn it was can write nothing any more.

        Args:
            after: the turn that ends.
            node: name of this one, for the audit.

        Returns:
            Its number, None if another node was faster.
        """
        with self.lock, self.database.writing(durable=True):
            if self.database.number("SELECT coalesce(max(turn), 0) FROM turns") != after:
                return None
            self.database.execute(
                "INSERT INTO turns (turn, node, began) VALUES (?, ?, ?)", after + 1, node, time.time()
            )
            self._audit("took over", None, node=node, turn=after + 1)
            self.turn = after + 1
            return self.turn

    @contextmanager
    def holding(self, durable: bool = False) -> Iterator[None]:
        """Make changes of rows and of files together, in one transaction: no other node can take over meanwhile.

        Raises:
            NotOurTurnError: another node has taken over before, so nothing may be changed.
        """
        with self._writing(durable):
            yield

    @contextmanager
    def _writing(self, durable: bool = False) -> Iterator[None]:
        with self.lock:
            if self._inside:
                # a part of the transaction that is open
                yield
                return
            try:
                with self.database.writing(durable):
                    if self.turn is not None and self.last_turn() != self.turn:
                        raise NotOurTurnError(f"{self.database.path}: another node has taken over")
                    self._inside = True
                    try:
                        yield
                    finally:
                        self._inside = False
            except NotOurTurnError:
                self.on_lost_turn()
                raise

    def _audit(self, event: str, uid: str | None, **details: object) -> None:
        self.database.execute(
            "INSERT INTO audit (time, event, uid, details) VALUES (?, ?, ?, ?)",
            *(time.time(), event, uid, json.dumps(details, sort_keys=True)),
        )
