"""Storage commitment that the node asks for (PS3.4 J): what a target took counts as sent once it says that it is safe.

What it does not commit itself to in time is sent and asked about again. The requests are in the ledger, so a report
that comes after a restart counts, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pydicom import Dataset
from pydicom.uid import generate_uid

from monai_ceph.archives.ask_commitment import TakeReport
from monai_ceph.archives.targets import TargetError
from monai_ceph.pacs.config import RetryConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import Delivery
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.spool import Spool, reference_of
from monai_ceph.readers.dicom_elements import is_uid, value

__all__ = ["CommitmentRequests"]

Ask = Callable[[str, Sequence[tuple[str, str]], TakeReport], None]

_OK, _INVALID_ARGUMENT = 0x0000, 0x0115
_MOST_OBJECTS = 10000


class CommitmentRequests:
    """The requests to all targets, for their threads and for the DIMSE port, to which the reports come.

    Args:
        spool: where the objects are.
        ledger: lists what was asked.
        retry: pauses before an object is sent again.
    """

    def __init__(self, spool: Spool, ledger: NodeLedger, retry: RetryConfig) -> None:
        self._spool, self._ledger, self._retry = spool, ledger, retry
        # when each target's transactions were first seen by this process: a clock that is set changes nothing
        self._since: dict[str, dict[str, float]] = {}

    def ask(self, target: str, ask: Ask) -> None:
        """Ask a target about what it took since the last request.

        Raises:
            TargetError: it does not take the request. The objects will be sent again.
        """
        if not (deliveries := self._ledger.uncommitted(target, None)):
            return
        objects, asked = [], []
        for delivery in deliveries:
            try:
                made = reference_of(self._spool.object(delivery.kind, delivery.stem))
            except FileNotFoundError:
                self._again(None, delivery, "its file was lost")
                continue
            objects.append((made.sop_class, made.uid))
            asked.append(delivery)
        if not asked:
            return
        transaction = str(generate_uid(prefix=None))
        # before the request: the report may be faster than its answer
        self._ledger.asked(transaction, asked)
        try:
            ask(transaction, objects, self.take_report)
        except TargetError as error:
            for delivery in asked:
                self._again(transaction, delivery, str(error))
            raise
        log("commitment requested", target=target, transaction=transaction, objects=len(asked))

    def expire(self, target: str, seconds: float) -> None:
        """Send objects again whose report did not come within this time."""
        now, before = time.monotonic(), self._since.get(target, {})
        since = self._since[target] = {each: before.get(each, now) for each in self._ledger.transactions(target)}
        for transaction, begun in since.items():
            if now - begun > seconds:
                for delivery in self._ledger.uncommitted(target, transaction):
                    self._again(transaction, delivery, f"no storage commitment within {seconds:g} s")

    def take_report(self, report: Dataset, sender: str) -> int:
        """Take a report; return the status of the N-EVENT-REPORT response. Only the transaction tells whose it is."""
        transaction = str(value(report, "TransactionUID") or "")
        safe, failed = _items(report, "ReferencedSOPSequence"), _items(report, "FailedSOPSequence")
        if not is_uid(transaction) or not 0 < len(safe) + len(failed) <= _MOST_OBJECTS:
            log("commitment report refused", warning=True, sender=sender, cause="no transaction, or no objects")
            return _INVALID_ARGUMENT
        refused = {uid: _reason(item) for uid, item in failed.items()}
        # one that is in both lists is not safe
        committed = self._ledger.committed(transaction, [uid for uid in safe if uid not in refused])
        for delivery in committed:
            log("sent", uid=delivery.uid, kind=delivery.kind, target=delivery.target, answer="committed")
            self._spool.settle(self._ledger, delivery.film)
        lost = self._ledger.asked_about(transaction, list(refused))
        for delivery in lost:
            self._again(transaction, delivery, f"no storage commitment: {refused[delivery.uid]}")
        if not committed and not lost:
            # one that came too late, or twice; another status would only make the archive repeat it
            log("commitment report without a request", warning=True, sender=sender, transaction=transaction)
        return _OK

    def _again(self, transaction: str | None, delivery: Delivery, cause: str) -> None:
        if not self._ledger.not_committed(transaction, delivery, cause, self._retry.pause(delivery.attempts + 1)):
            return
        log("not committed", warning=True, uid=delivery.uid, target=delivery.target, cause=cause)
        if delivery.waited > 3600 * self._retry.give_up_after_h:
            self._ledger.give_up(delivery, cause)
            log("given up", warning=True, uid=delivery.uid, target=delivery.target, cause=cause)
            self._spool.settle(self._ledger, delivery.film)


def _items(report: Dataset, keyword: str) -> dict[str, Dataset]:
    """Return the items of a sequence by the UID of their object; none if it is something else."""
    try:
        items = [each for each in report.get(keyword) or () if isinstance(each, Dataset)]
    except TypeError:
        return {}
    return {str(value(each, "ReferencedSOPInstanceUID") or ""): each for each in items}


def _reason(item: Dataset) -> str:
    try:
        return f"failure reason {int(value(item, 'FailureReason')):04X}"
    except (TypeError, ValueError):
        return "without a reason"
