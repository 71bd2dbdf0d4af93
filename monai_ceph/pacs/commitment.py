"""Storage commitment (PS3.4 J.3): a peer asks whether its films are safe, and the node reports on a new association.

The node promises only that it received the film and will send its report. It is not an archive, and deletes films once
their reports were sent.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.config import Peer
from monai_ceph.archives.dimse_limits import limited
from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log

__all__ = ["Commitments"]

_ALL_SAFE, _SOME_NOT = 1, 2
_NO_SUCH_OBJECT = 0x0112
_INVALID_ARGUMENT, _NOT_AUTHORIZED = 0x0115, 0x0124
_MOST_OBJECTS = 10000
_PAUSE_SECONDS = 5.0
_PEER_SECONDS = 30.0
_TICK_SECONDS = 30.0


@dataclass(frozen=True)
class _Asked:
    id: int
    transaction_uid: str
    peer: str
    objects: list[tuple[str, str]]
    waited: float
    attempts: int


class Commitments:
    """Takes requests, and sends the reports in a thread until each has arrived or is too late.

    Args:
        config: of the node.
        ledger: the received films, and the waiting requests.
    """

    def __init__(self, config: NodeConfig, ledger: NodeLedger) -> None:
        self._config, self._ledger = config, ledger
        self._peers = {peer.ae_title: peer for peer in config.storage_commitment}
        self.wake = threading.Event()
        self.trouble: str | None = None
        """Why the disk or the ledger cannot be written at the moment."""
        self._counted = self._read = time.monotonic()

    def ask(self, request: Dataset, sender: str) -> int:
        """Take a request; return the status of the N-ACTION response."""
        if sender not in self._peers:
            log("commitment refused", warning=True, sender=sender, cause="not under storage_commitment")
            return _NOT_AUTHORIZED
        transaction = str(request.TransactionUID)
        items = request.ReferencedSOPSequence
        if not transaction or not 0 < len(items) <= _MOST_OBJECTS:
            return _INVALID_ARGUMENT
        objects = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in items]
        with self._ledger.holding(durable=True):
            self._ledger.database.execute(
                "INSERT INTO commitments (transaction_uid, peer, objects, since) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (peer, transaction_uid) DO UPDATE SET objects = excluded.objects",
                *(transaction, sender, json.dumps(objects), time.time()),
            )
        log("commitment asked", sender=sender, transaction=transaction, objects=len(objects))
        self.wake.set()
        return 0x0000

    def run(self, ended: threading.Event) -> None:
        """Send reports until the node ends."""
        while not ended.is_set():
            self.wake.clear()
            try:
                for asked in self._due():
                    if ended.is_set():
                        return
                    self._answer(asked)
                self.trouble = None
            except (StoppedError, OSError) as error:  # such as a full disk
                self.trouble = str(error)
                log("disk or ledger cannot be written", warning=True, cause=self.trouble)
                ended.wait(_PAUSE_SECONDS)
            self.wake.wait(timeout=1)

    def _due(self) -> list[_Asked]:
        now, self._read = time.time(), time.monotonic()
        elapsed = self._read - self._counted
        if elapsed >= min(_TICK_SECONDS, 360 * self._config.retry.give_up_after_h):
            with self._ledger.holding():
                self._ledger.database.execute("UPDATE commitments SET waited = waited + ?", elapsed)
            self._counted = self._read
        with self._ledger.lock:
            rows = self._ledger.database.rows(
                "SELECT id, transaction_uid, peer, objects, waited, attempts FROM commitments "
                # a pause above the maximum means that the clock was set back
                "WHERE next_try <= ? OR next_try > ?",
                *(now, now + self._config.retry.longest_s),
            )
        return [_Asked(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5]) for row in rows]

    def _answer(self, asked: _Asked) -> None:
        peer, retry = self._peers.get(asked.peer), self._config.retry
        cause = "no longer under storage_commitment" if peer is None else self._report(peer, asked)
        too_late = asked.waited + time.monotonic() - self._read > 3600 * retry.give_up_after_h
        with self._ledger.holding():
            if cause is None or peer is None or too_late:
                # if the peer changed its request meanwhile, the new one still waits for its report
                self._ledger.database.execute(
                    "DELETE FROM commitments WHERE id = ? AND objects = ?", *(asked.id, json.dumps(asked.objects))
                )
            else:
                self._ledger.database.execute(
                    "UPDATE commitments SET attempts = attempts + 1, next_try = ? WHERE id = ?",
                    *(time.time() + retry.pause(asked.attempts + 1), asked.id),
                )
        if cause is not None:
            log(
                "commitment not reported", warning=True, peer=asked.peer, transaction=asked.transaction_uid, cause=cause
            )
        else:
            self._ledger.audit("commitment reported", peer=asked.peer, transaction=asked.transaction_uid)
            log("commitment reported", peer=asked.peer, transaction=asked.transaction_uid)

    def _report(self, peer: Peer, asked: _Asked) -> str | None:
        """Send the N-EVENT-REPORT. Return why it failed, None if it arrived."""
        entity = AE(self._config.ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _PEER_SECONDS
        entity.connection_timeout = _PEER_SECONDS
        entity.add_requested_context(StorageCommitmentPushModel)
        # the node opens the association but is the SCP, which must be negotiated
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        try:
            association = entity.associate(
                *(peer.host, peer.port),
                ae_title=peer.ae_title,
                ext_neg=[role],
                tls_args=client_tls(peer.tls, peer.host),
                evt_handlers=limited(_PEER_SECONDS),
            )
            if not association.is_established:
                return "no association"
            try:
                kind, report = self._result(asked)
                status, _ = association.send_n_event_report(
                    report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
            finally:
                association.release()
        except StoppedError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}"
        if "Status" not in status:
            return "no answer"
        return None if status.Status == 0 else f"status {status.Status:04X}"

    def _result(self, asked: _Asked) -> tuple[int, Dataset]:
        report, safe, failed = Dataset(), [], []
        for sop_class, sop_instance in asked.objects:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
            if self._ledger.knows(sop_instance):
                safe.append(item)
            else:
                item.FailureReason = _NO_SUCH_OBJECT
                failed.append(item)
        report.TransactionUID = asked.transaction_uid
        if safe:
            report.ReferencedSOPSequence = safe
        if failed:
            report.FailedSOPSequence = failed
        return (_SOME_NOT if failed else _ALL_SAFE), report
