"""A set of places that takes no more memory the larger it becomes."""

from __future__ import annotations

import os
import sqlite3
from hashlib import blake2b

from monai_ceph.errors import StoppedError

__all__ = ["Seen"]


class Seen:
    """Places that were met, in a temporary file once they are many: a search may pass a million of them."""

    def __init__(self) -> None:
        # without a name, SQLite keeps what does not fit into its cache in a file that goes with the connection
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA cache_size = -1024")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE places (place BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, place: str) -> bool:
        """Add a place; return whether it is new.

        Raises:
            StoppedError: if the temporary file cannot grow.
        """
        digest = blake2b(os.fsencode(place), digest_size=16).digest()
        try:
            return self._connection.execute("INSERT OR IGNORE INTO places VALUES (?)", (digest,)).rowcount == 1
        except sqlite3.Error as error:
            raise StoppedError(f"the list of files that were found, in the temporary folder: {error}") from error
