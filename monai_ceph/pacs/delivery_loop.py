"""Sends objects to one target in a thread, with growing pauses between attempts, until they arrive or are given up.

After a crash between the answer and the ledger, an object is sent twice. It has the same UIDs then, so the target keeps
one copy.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from monai_ceph.archives.targets import DicomSender, Send, Sender, TargetError
from monai_ceph.errors import StoppedError
from monai_ceph.pacs.commitment_requests import CommitmentRequests
from monai_ceph.pacs.config import RetryConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import Delivery
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.spool import Spool

__all__ = ["DeliveryLoop", "TargetState"]

_ROUND = 100
_IDLE_SECONDS = 1.0
_TICK_SECONDS = 30.0


@dataclass
class TargetState:
    """The state of a target: failures since its last answer, and the cause of the last one.

    ``next_try`` is a time of ``time.monotonic``.
    """

    failures: int = 0
    cause: str | None = None
    next_try: float = -math.inf


class DeliveryLoop:
    """Sends to one target.

    Args:
        sender: sends to it.
        spool: where the objects are.
        ledger: lists the objects to send, and records the results.
        retry: pauses between attempts.
        on_lost: called when a film's objects are not on the disk, so that it must be detected on again.
        requests: asks for storage commitment if the target's configuration says so.
    """

    def __init__(
        self,
        sender: Sender,
        spool: Spool,
        ledger: NodeLedger,
        retry: RetryConfig,
        on_lost: Callable[[], None],
        requests: CommitmentRequests | None = None,
    ) -> None:
        self._requests = requests
        self._committing = sender if isinstance(sender, DicomSender) and sender.commitment_s is not None else None
        self._sender, self._spool, self._ledger, self._retry, self._on_lost = sender, spool, ledger, retry, on_lost
        self.wake = threading.Event()
        self.state = TargetState()
        self.trouble: str | None = None
        """Why the disk or the ledger cannot be written at the moment."""
        # by the monotonic clock, so that nothing is given up because the time was set
        self._limit = 3600 * retry.give_up_after_h
        self._counted = self._read = time.monotonic()

    @property
    def name(self) -> str:
        """The target's name."""
        return self._sender.name

    def run(self, ended: threading.Event) -> None:
        """Send until the node ends."""
        while not ended.is_set():
            self.wake.clear()
            try:
                self._count_time()
                ready = time.monotonic() >= self.state.next_try
                worked = ready and self._round(ended)
                if ready and not ended.is_set():
                    self._commit()
                self.trouble = None
            except (StoppedError, OSError) as error:  # such as a full disk
                self.trouble = str(error)
                log("disk or ledger cannot be written", warning=True, cause=self.trouble)
                worked = False
            if not worked:
                self.wake.wait(_IDLE_SECONDS)

    def try_now(self) -> None:
        """End the pause before the next attempt."""
        self.state.next_try = -math.inf
        self.wake.set()

    def _round(self, ended: threading.Event) -> bool:
        """Send the objects that are due. Return False if there were none, or the target failed."""
        due = self._due()
        if not due:
            return False
        connected = False
        try:
            with self._sender.open() as send:
                connected = True
                for delivery in due:
                    if ended.is_set():
                        break
                    self._one(send, delivery)
        except TargetError as error:
            self._target_failed(str(error))
            if not connected:
                self._give_up_late(str(error))
            return False
        return True

    def _commit(self) -> None:
        """Ask for storage commitment of what was sent, and send again what is overdue."""
        if self._requests is None or self._committing is None or self._committing.commitment_s is None:
            return
        try:
            self._requests.expire(self.name, self._committing.commitment_s)
            self._requests.ask(self.name, self._committing.ask)
        except TargetError as error:
            self._target_failed(str(error))

    def _count_time(self) -> None:
        """Add the time since the last count to what the objects have waited."""
        elapsed = time.monotonic() - self._counted
        if elapsed >= min(_TICK_SECONDS, self._limit / 10):
            self._ledger.has_waited(self.name, elapsed)
            self._counted += elapsed

    def _due(self) -> list[Delivery]:
        self._read = time.monotonic()
        return self._ledger.due(self.name, _ROUND, self._retry.longest_s)

    def _one(self, send: Send, delivery: Delivery) -> None:
        path = self._spool.object(delivery.kind, delivery.stem)
        if not path.exists():
            # a retry may be moving it back right now
            self._spool.settle(self._ledger, delivery.film)
        if not path.exists():
            film = self._ledger.film(delivery.film)
            if film is not None and film.generation == delivery.generation:
                self._ledger.detect_again(film)
                self._on_lost()
            return
        try:
            answer = send(path)
        except TargetError as error:
            # the cause may be this object, so the next round begins with another one
            self._not_taken(delivery, str(error))
            raise
        except FileNotFoundError:
            # the film was replaced meanwhile; the next round reads the ledger again
            return
        except OSError as error:
            self._not_taken(delivery, f"its file cannot be read: {error.strerror or error}")
            return
        self.state = TargetState()
        if answer.taken and self._requests is not None and self._committing is not None:
            self._ledger.stored(delivery, answer.text)
            log("stored", uid=delivery.uid, kind=delivery.kind, target=self.name, answer=answer.text)
        elif answer.taken:
            self._ledger.sent(delivery, answer.text)
            log("sent", about=path, uid=delivery.uid, kind=delivery.kind, target=self.name, answer=answer.text)
            self._spool.settle(self._ledger, delivery.film)
        else:
            self._not_taken(delivery, answer.text)

    def _not_taken(self, delivery: Delivery, cause: str) -> None:
        if self._too_late(delivery):
            self._give_up(delivery, cause)
            return
        self._ledger.postpone(delivery, cause, self._retry.pause(delivery.attempts + 1))
        log("refused by the target", warning=True, uid=delivery.uid, target=self.name, cause=cause)
        self._spool.settle(self._ledger, delivery.film)

    def _give_up(self, delivery: Delivery, cause: str) -> None:
        self._ledger.give_up(delivery, cause)
        log("given up", warning=True, uid=delivery.uid, target=self.name, cause=cause)
        self._spool.settle(self._ledger, delivery.film)

    def _target_failed(self, cause: str) -> None:
        failures = self.state.failures + 1
        pause = self._retry.pause(failures)
        self.state = TargetState(failures, cause, time.monotonic() + pause)
        log("target failed", warning=True, target=self.name, cause=cause, failures=failures, next_try_s=round(pause, 1))

    def _give_up_late(self, cause: str) -> None:
        """Give up the objects that have waited too long while the target cannot be reached."""
        while late := [each for each in self._due() if self._too_late(each)]:
            for delivery in late:
                self._give_up(delivery, cause)

    def _too_late(self, delivery: Delivery) -> bool:
        return delivery.waited + time.monotonic() - self._read > self._limit
