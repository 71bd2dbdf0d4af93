"""A SQLite file that one process writes: opening it, transactions, and clear errors."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from monai_ceph.errors import CephError, StoppedError

__all__ = ["Database"]


class Database:
    """A SQLite file with a schema of a known version.

    Args:
        path: the file; created if necessary.
        schema: the statements that create the tables.
        version: version of the schema.
        remedy: what to do if the file is not such a database.
        threads: several threads use it, one at a time.
        upgrades: the statements that upgrade an older version to this one, by its number.
        journal: ``WAL``, or ``DELETE`` if processes on several machines open the file.
        patience_s: seconds to wait while another process writes.

    Raises:
        CephError: if the file is not such a database.
        StoppedError: if it cannot be written, here and in every method.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        version: int,
        remedy: str,
        threads: bool = False,
        upgrades: Mapping[int, str] | None = None,
        journal: Literal["WAL", "DELETE"] = "WAL",
        patience_s: float = 30.0,
    ) -> None:
        self.path = path
        self._grouped = 0
        with self.errors():
            self._connection = sqlite3.connect(
                path, timeout=patience_s, isolation_level=None, check_same_thread=not threads
            )
        try:
            present = self._connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if isinstance(error, sqlite3.OperationalError):
                raise StoppedError(f"{path}: {error}") from error
            raise CephError(f"{path}: damaged, or not a ledger; {remedy}") from error
        ours = set(re.findall(r"CREATE TABLE (\w+)", schema))
        if tables and (ours.isdisjoint(tables) or (present == version and not ours <= tables)):
            self._connection.close()
            raise CephError(f"{path}: damaged, or not a ledger; {remedy}")
        upgrade = (upgrades or {}).get(present) if tables else schema
        if tables and present != version and upgrade is None:
            self._connection.close()
            raise CephError(f"{path}: a ledger of another version of the software; {remedy}")
        with self.errors():
            # a file system without shared memory keeps the default journal, which is as safe
            mode = self._connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0]
            # without WAL, a commit counts once the folder has lost the journal's name, and less could damage the file
            self._usual, self._safest = ("NORMAL", "FULL") if str(mode).upper() == "WAL" else ("FULL", "EXTRA")
            # deleted names must not stay in the file
            self._connection.execute("PRAGMA secure_delete = ON")
        if upgrade is not None:
            with self.writing(durable=True):
                for statement in _statements(upgrade):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close the file."""
        with self.errors():
            self._flush()
        self._connection.close()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.errors():
            return self._connection.execute(query, values).fetchall()

    def stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, one in memory at a time."""
        with self.errors():
            # not "yield from", which would close the cursor after the file
            for row in self._connection.execute(query):  # noqa: UP028
                yield row

    def number(self, query: str, *values: object) -> int:
        """Return the number that is the result of a query."""
        with self.errors():
            return int(self._connection.execute(query, values).fetchone()[0])

    def execute(self, statement: str, *values: object) -> int:
        """Execute a statement inside :meth:`writing`; return the number of the row that it inserted.

        Raises:
            sqlite3.IntegrityError: if the row breaks a constraint; the transaction continues.
        """
        return self._connection.execute(statement, values).lastrowid or 0

    def execute_grouped(self, statement: str, *values: object) -> None:
        """Execute a statement that is committed with the next transaction, or after many such statements."""
        with self.errors():
            if not self._grouped:
                self._connection.execute("BEGIN")
            self._grouped += 1
            self._connection.execute(statement, values)
            if self._grouped >= 1000:
                self._flush()

    @contextmanager
    def writing(self, durable: bool = False) -> Iterator[None]:
        """Run one transaction. It survives a kill of the process; a durable one and all before it also a power cut."""
        with self.errors():
            self._flush()
            # an interruption may have left a transaction open
            self._roll_back()
            self._connection.execute(f"PRAGMA synchronous = {self._safest if durable else self._usual}")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's errors into StoppedError, except for mistakes in statements."""
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise
        except sqlite3.Error as error:
            raise StoppedError(f"{self.path}: {error}") from error

    def _roll_back(self) -> None:
        # a full disk may have rolled back already
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _flush(self) -> None:
        if self._grouped:
            self._grouped = 0
            self._connection.execute("COMMIT")


def _statements(schema: str) -> Iterator[str]:
    """Yield the statements of a schema. A trigger has semicolons inside."""
    statement = ""
    for part in schema.split(";")[:-1]:
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
