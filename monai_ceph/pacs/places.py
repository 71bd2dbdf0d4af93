"""Who may hold a connection to the DIMSE port.

A connection first waits for its association request, then it is an association. Waiting ones are few, and never keep
others out: a new one takes the place of the oldest from the address that has most. Associations have a limit in all and
one per address, so that one machine cannot take every place.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from monai_ceph.pacs.logs import log

__all__ = ["PENDING", "Places"]

PENDING = 32
"""Connections at once that have not asked for an association yet."""


@dataclass
class _Waiting:
    """A connection that waits for its association request. With TLS, ``connection`` wraps ``accepted``."""

    accepted: Any
    connection: Any
    address: str
    since: float
    association: Any = None


class Places:
    """The connections, for all threads of the server.

    Args:
        most: associations at once.
        per_address: associations at once from one address.
        reserved: associations of these that only known senders get.
        known: whether the sender with an AE title is known.
    """

    def __init__(self, most: int, per_address: int, reserved: int, known: Callable[[str], bool]) -> None:
        self.most, self._per_address, self._reserved, self._known = most, per_address, reserved, known
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._associations: list[Any] = []
        self.refused: Counter[str] = Counter()
        """How often a connection or an association was refused, by cause."""

    def admit(self, accepted: Any, address: str) -> None:
        """Take a new connection. It replaces another one that still waits if there are too many."""
        with self._lock:
            self._forget_ended()
            if len(self._waiting) >= PENDING:
                busiest, _ = Counter(each.address for each in self._waiting).most_common(1)[0]
                oldest = next(each for each in self._waiting if each.address == busiest)
                self._close(oldest, "too many connections without an association request")
            self._waiting.append(_Waiting(accepted, accepted, address, time.monotonic()))

    def found(self, accepted: Any, connection: Any, association: Any = None) -> None:
        """Record what became of a connection: an object with TLS, or an association that waits for its request."""
        with self._lock:
            for each in self._waiting:
                if each.accepted is accepted:
                    each.connection, each.association = connection, association

    def thread_ended(self, accepted: Any) -> None:
        """Forget a connection for which no association was made."""
        with self._lock:
            self._waiting = [
                each for each in self._waiting if each.accepted is not accepted or each.association is not None
            ]

    def refusal(self, association: Any) -> str | None:
        """Give an association its place. Return why it gets none, or None."""
        address = str(association.requestor.address)
        # an abort has no title
        title = str(getattr(association.requestor.primitive, "calling_ae_title", "")).strip()
        with self._lock:
            self._waiting = [each for each in self._waiting if each.association is not association]
            self._forget_ended()
            held = len(self._associations)
            cause = None
            if held >= self.most:
                cause = "too many associations (accept.max_associations)"
            elif self._by_address()[address] >= self._per_address:
                cause = "too many associations from this address (accept.max_per_address)"
            elif held >= self.most - self._reserved and not self._known(title):
                cause = "the last places are for senders of which the node has films (accept.reserved)"
            if cause is None:
                self._associations.append(association)
            else:
                self.refused[cause] += 1
            return cause

    def close_late(self, seconds: float) -> None:
        """Close the connections that have waited longer than this for their association request."""
        with self._lock:
            now = time.monotonic()
            # the association itself closes a request that is under way, and logs it
            for each in [each for each in self._waiting if now - each.since > seconds + 1]:
                self._close(each, f"no complete association request within {seconds:g} s (accept.request_s)")

    def associations(self) -> int:
        """Return the number of associations."""
        with self._lock:
            self._forget_ended()
            return len(self._associations)

    def crowded(self) -> dict[str, int]:
        """Return the addresses that get no further association, and how many they have."""
        with self._lock:
            self._forget_ended()
            held = self._by_address()
        return {address: count for address, count in held.items() if count >= self._per_address}

    def _by_address(self) -> Counter[str]:
        return Counter(str(each.requestor.address) for each in self._associations)

    def waiting(self) -> int:
        """Return the number of connections without an association."""
        with self._lock:
            self._forget_ended()
            return len(self._waiting)

    def _close(self, each: _Waiting, cause: str) -> None:
        self._waiting.remove(each)
        self.refused[cause] += 1
        log("connection closed", warning=True, address=each.address, cause=cause)
        with suppress(OSError, ValueError):
            # on the descriptor itself: an object with TLS would try to say goodbye first
            socket.socket.shutdown(each.connection, socket.SHUT_RDWR)

    def _forget_ended(self) -> None:
        self._associations = [each for each in self._associations if each.is_alive()]
        self._waiting = [each for each in self._waiting if each.association is None or not _has_ended(each.association)]


def _has_ended(thread: threading.Thread) -> bool:
    # one that was not started yet is not alive either
    return thread.ident is not None and not thread.is_alive()
