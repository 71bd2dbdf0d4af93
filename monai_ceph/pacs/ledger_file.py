"""The SQLite file of a node's ledger, with its audit and its cursors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from monai_ceph.pacs.ledger_schema import SCHEMA, UPGRADES, VERSION
from monai_ceph.storage.database import Database

__all__ = ["LedgerFile"]


class LedgerFile:
    """An open ledger, to be used by any thread of the process that holds the folder.

    Args:
        path: of the SQLite file, created if necessary.

    Raises:
        CephError: the file is something else.
        StoppedError: it cannot be written, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        remedy = "move it away and start the node, which takes in the films of the folder queue again"
        self.database = Database(path, SCHEMA, VERSION, remedy, threads=True, upgrades=UPGRADES)
        self.lock = threading.RLock()

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

    @contextmanager
    def _writing(self, durable: bool = False) -> Iterator[None]:
        with self.lock, self.database.writing(durable):
            yield

    def _audit(self, event: str, uid: str | None, **details: object) -> None:
        self.database.execute(
            "INSERT INTO audit (time, event, uid, details) VALUES (?, ?, ?, ?)",
            *(time.time(), event, uid, json.dumps(details, sort_keys=True)),
        )
