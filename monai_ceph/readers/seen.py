"""A set of paths whose memory does not grow with its size."""

from __future__ import annotations

import os
import sqlite3
from hashlib import blake2b

from monai_ceph.errors import StoppedError

__all__ = ["Seen"]


class Seen:
    """A set of paths, kept in a temporary file once it is large: a search may pass millions of files."""

    def __init__(self) -> None:
        # a database without a name is a temporary file that SQLite deletes with the connection
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA cache_size = -1024")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE paths (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, path: str) -> bool:
        """Add a path; return True if it is new.

        Raises:
            StoppedError: if the temporary file cannot be written.
        """
        digest = blake2b(os.fsencode(path), digest_size=16).digest()
        try:
            return self._connection.execute("INSERT OR IGNORE INTO paths VALUES (?)", (digest,)).rowcount == 1
        except sqlite3.Error as error:
            raise StoppedError(f"cannot write the list of found files to the temporary folder: {error}") from error
