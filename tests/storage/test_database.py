from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from monai_ceph.storage.database import Database

# https://www.sqlite.org/pragma.html#pragma_synchronous
NORMAL, FULL = 1, 2


@pytest.mark.parametrize(("durable", "synchronous"), [(True, FULL), (False, NORMAL)])
def test_a_durable_commit_waits_for_the_disk(tmp_path: Path, durable: bool, synchronous: int) -> None:
    """In WAL mode, a commit survives a power cut only with FULL: NORMAL does not sync the log at a commit."""
    with closing(Database(tmp_path / "a.sqlite", "CREATE TABLE names (name TEXT);", 1, "delete it")) as database:
        assert database.rows("PRAGMA journal_mode") == [("wal",)]
        for before in (True, False):
            with database.writing(durable=before):
                database.execute("INSERT INTO names VALUES ('before')")
            with database.writing(durable=durable):
                assert database.number("PRAGMA synchronous") == synchronous
                database.execute("INSERT INTO names VALUES ('after')")
            assert database.number("PRAGMA synchronous") == synchronous
