"""The folder of a node: how it is opened, kept from other nodes, and what can be done to it while no node runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.spool import Spool

__all__ = ["LEDGER", "audit_rows", "locked", "open_folder", "retry_all"]

LEDGER = "node.sqlite"


def open_folder(config: NodeConfig) -> tuple[Spool, NodeLedger]:
    """Open the folder of a node.

    Raises:
        CephError: the ledger is something else.
        StoppedError: it cannot be written.
    """
    try:
        spool = Spool(config.folder, config.spool)
    except OSError as error:
        raise StoppedError(f"{error.filename or config.folder}: {error.strerror or error}") from error
    return spool, NodeLedger(config.folder / LEDGER)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other nodes out of the folder; the system frees the lock when the process ends, however it does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".node.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CephError(f"{folder}: another node works there") from error
    except OSError as error:
        raise StoppedError(f"{error.filename or folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def audit_rows(config: NodeConfig) -> Iterator[dict[str, object]]:
    """Yield the audit of a node, the oldest first, also while it runs.

    Raises:
        CephError: if there is none.
    """
    if not (config.folder / LEDGER).exists():
        raise CephError(f"{config.folder}: no node ever ran there")
    ledger = NodeLedger(config.folder / LEDGER)
    yield from ledger.audit_rows()
    ledger.close()


def retry_all(config: NodeConfig) -> int:
    """Begin all dead letters of a node anew that does not run; return how many.

    Raises:
        CephError: if it runs.
    """
    with locked(config.folder):
        spool, ledger = open_folder(config)
        number = 0
        for film in ledger.films("dead"):
            if ledger.retry(film.id):
                spool.settle(ledger, film.id)
                number += 1
        ledger.close()
    return number
