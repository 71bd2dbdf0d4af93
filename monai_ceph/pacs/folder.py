"""The folder of a node: opening it, locking it, reading its audit, and retrying dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.spool import Spool
from monai_ceph.storage.lock import locked, locked_with_others

__all__ = ["LEDGER", "Retried", "audit_rows", "locked_folder", "open_folder", "retry_all"]

LEDGER = "node.sqlite"


class Retried(NamedTuple):
    """Number of dead letters that are retried, and of those that cannot be because their files were removed."""

    retried: int
    without_files: int


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
    return spool, NodeLedger(config.folder / LEDGER, shared=config.standby is not None)


def locked_folder(folder: Path, shared: bool = False) -> AbstractContextManager[None]:
    """Lock the folder against other nodes, see :func:`~monai_ceph.storage.lock.locked`. Create it if necessary.

    Args:
        folder: of the node.
        shared: other nodes that share it may have it, too; see :mod:`monai_ceph.pacs.turn`.
    """
    # only for its owner: films contain names. If it cannot be created, the lock reports it
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shared:
        return locked_with_others(folder / ".node.lock", "a node without standby works there")
    return locked(folder / ".node.lock", "another node works there")


def audit_rows(config: NodeConfig) -> Iterator[dict[str, object]]:
    """Yield the audit of a node, the oldest first, also while it runs.

    Raises:
        CephError: there is no audit.
    """
    if not (config.folder / LEDGER).exists():
        raise CephError(f"{config.folder}: no node ever ran in this folder")
    ledger = NodeLedger(config.folder / LEDGER, shared=config.standby is not None)
    yield from ledger.audit_rows()
    ledger.close()


def retry_all(config: NodeConfig) -> Retried:
    """Retry all dead letters of a node that is not running, except those whose files were removed.

    Raises:
        CephError: the node is running, or never ran.
    """
    if not (config.folder / LEDGER).exists():
        raise CephError(f"{config.folder}: no node ever ran in this folder")
    with locked_folder(config.folder):
        spool, ledger = open_folder(config)
        retried = without_files = 0
        for film in ledger.films("dead"):
            if not spool.has_letter(film.key):
                without_files += 1
            elif ledger.retry(film.id):
                spool.settle(ledger, film.id)
                retried += 1
        ledger.close()
    return Retried(retried, without_files)
