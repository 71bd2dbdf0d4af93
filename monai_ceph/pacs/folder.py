"""The folder of a node: how it is opened, kept from other nodes, and what can be done to it while no node runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.spool import Spool
from monai_ceph.storage.lock import locked

__all__ = ["LEDGER", "Retried", "alone", "audit_rows", "open_folder", "retry_all"]

LEDGER = "node.sqlite"


class Retried(NamedTuple):
    """How many dead letters begin anew, and how many do not, since nothing of them is in the folder any more."""

    begun: int
    taken_away: int


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


def alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other nodes out of the folder, as :func:`~monai_ceph.storage.lock.locked` does; made if it is not there."""
    # films have names in them: it is nobody else's. What forbids to make it, the lock says
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return locked(folder / ".node.lock", "another node works there")


def audit_rows(config: NodeConfig) -> Iterator[dict[str, object]]:
    """Yield the audit of a node, the oldest first, also while it runs.

    Raises:
        CephError: if there is none.
    """
    if not (config.folder / LEDGER).exists():
        raise CephError(f"{config.folder}: no node ever ran in this folder")
    ledger = NodeLedger(config.folder / LEDGER)
    yield from ledger.audit_rows()
    ledger.close()


def retry_all(config: NodeConfig) -> Retried:
    """Begin all dead letters of a node anew that does not run; those that were taken away stay as they are.

    Raises:
        CephError: if it runs, or never did.
    """
    if not (config.folder / LEDGER).exists():
        raise CephError(f"{config.folder}: no node ever ran in this folder")
    with alone(config.folder):
        spool, ledger = open_folder(config)
        begun = taken_away = 0
        for film in ledger.films("dead"):
            if not spool.has_letter(film.key):
                taken_away += 1
            elif ledger.retry(film.id):
                spool.settle(ledger, film.id)
                begun += 1
        ledger.close()
    return Retried(begun, taken_away)
