"""Audit messages that wait for the syslog server, in a SQLite file of their own beside the ledger.

The number of waiting messages is limited. Messages that do not fit are counted, never dropped silently.
"""

from __future__ import annotations

import threading
from pathlib import Path

from monai_ceph.storage.database import Database

__all__ = ["AuditQueue"]

_SCHEMA = """
CREATE TABLE waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, alert INTEGER NOT NULL, text BLOB NOT NULL);
CREATE INDEX waiting_alert ON waiting (alert);
CREATE TABLE counts (name TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""


class AuditQueue:
    """The queue, for all threads of the process.

    Args:
        path: of the file, created if necessary.
        most: messages that may wait. Alerts, which anybody on the network can cause, get at most half of it.

    Raises:
        CephError: the file is something else.
        StoppedError: it cannot be written, here and in every method.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._database = Database(path, _SCHEMA, 1, "move it away; the messages in it are lost", threads=True)
        self._lock, self._most = threading.RLock(), most
        with self._lock:
            self.waiting = self._database.number("SELECT count(*) FROM waiting")
            self._alerts = self._database.number("SELECT count(*) FROM waiting WHERE alert")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def put(self, text: bytes, alert: bool = False) -> bool:
        """Add a message. It survives a power cut once this returns. Return False and count it if the queue is full."""
        with self._lock:
            if self.waiting >= self._most or (alert and self._alerts >= self._most // 2):
                self.count_lost(1)
                return False
            with self._database.writing(durable=True):
                self._database.execute("INSERT INTO waiting (alert, text) VALUES (?, ?)", int(alert), text)
            self.waiting += 1
            self._alerts += alert
            return True

    def count_lost(self, number: int) -> None:
        """Count messages that were not kept."""
        with self._lock, self._database.writing():
            for name in ("lost", "untold"):
                self._database.execute(
                    "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = number + ?",
                    *(name, number, number),
                )

    def lost(self) -> int:
        """Return how many messages were lost since the queue was made."""
        return self._count("lost")

    def untold(self) -> int:
        """Return how many lost messages the server was not told of."""
        return self._count("untold")

    def told(self, number: int) -> None:
        """Record that a message about this many lost ones is in the queue."""
        with self._lock, self._database.writing():
            self._database.execute("UPDATE counts SET number = number - ? WHERE name = 'untold'", number)

    def next(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Return the oldest messages with larger numbers, with their numbers."""
        with self._lock:
            return self._database.rows("SELECT id, text FROM waiting WHERE id > ? ORDER BY id LIMIT ?", after, count)

    def remove(self, upto: int) -> None:
        """Forget the messages up to a number: the server has them."""
        with self._lock:
            with self._database.writing():
                self._database.execute("DELETE FROM waiting WHERE id <= ?", upto)
            self.waiting = self._database.number("SELECT count(*) FROM waiting")
            self._alerts = self._database.number("SELECT count(*) FROM waiting WHERE alert")

    def _count(self, name: str) -> int:
        with self._lock:
            rows = self._database.rows("SELECT number FROM counts WHERE name = ?", name)
        return int(rows[0][0]) if rows else 0
