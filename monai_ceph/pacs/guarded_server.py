"""pynetdicom's server with limits that protect it from unknown clients.

pynetdicom 3.0 does the TLS handshake in the thread that accepts connections, where one silent client blocks all others,
reads as many bytes into memory as the header of a PDU announces, restarts its timeout with each byte, and counts
connections that have not asked for an association yet as associations. It waits by select, which takes no descriptor
from 1024 on.
"""

from __future__ import annotations

import errno
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from monai_ceph.pacs.logs import log
from monai_ceph.pacs.places import PENDING, Places

__all__ = ["GuardedServer", "server_class"]

# an association request lists at most 128 contexts with their transfer syntaxes
_PDU_OVERHEAD = 64 * 1024
_WAITING_MESSAGES = 4
_CHUNK = 65536
_LAST_DESCRIPTOR = 1000
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS = 0.2


class _GuardedSocket(AssociationSocket):
    """A connection that is closed when a PDU or a message becomes too long, or arrives too slowly.

    Attributes:
        message_bytes: received since the last complete message.
        began: time of ``time.monotonic`` when the connection was made.
    """

    pdu_limit: int
    message_limit: float
    request_seconds: float
    silence: float
    bytes_per_second: float
    began: float
    overfull: Callable[[], bool]
    message_bytes = 0
    _message_began = 0.0

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > self.pdu_limit:
            log("PDU refused", warning=True, cause=f"a PDU of {nr_bytes} bytes is above the limit of {self.pdu_limit}")
            raise OSError("PDU too long")
        # a request is read first, so that it can be rejected with a reason
        if self.assoc.requestor.primitive is not None and self.overfull():
            log("object refused", warning=True, cause="only the reserve of the disk is left (spool.reserve_mb)")
            # the partial object is removed with its association
            raise OSError("disk full")
        if self.message_bytes == 0:
            self._message_began = time.monotonic()
        self.message_bytes += nr_bytes
        if self.message_bytes > self.message_limit:
            log("object refused", warning=True, cause=f"larger than {self.message_limit / 2**20:g} MB")
            raise OSError("object too large")
        received = bytearray()
        connection = cast(Any, self.socket)
        while len(received) < nr_bytes:
            # each wait has an end of its own, which bytes that trickle in do not move
            left = self._deadline(len(received) - nr_bytes) - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError("too slow")
                connection.settimeout(min(left, self.silence))
                part = connection.recv(min(_CHUNK, nr_bytes - len(received)))
            except TimeoutError:
                log("connection closed", warning=True, address=self.assoc.requestor.address, cause=self._too_slow())
                raise
            finally:
                # for answers, which are short
                connection.settimeout(self.silence)
            if not part:
                break
            received += part
        return received

    def _deadline(self, missing: int) -> float:
        if self.assoc.requestor.primitive is None:
            return self.began + self.request_seconds
        return self._message_began + self.silence + (self.message_bytes + missing) / self.bytes_per_second

    def _too_slow(self) -> str:
        if self.assoc.requestor.primitive is None:
            return f"no complete association request within {self.request_seconds:g} s (accept.request_s)"
        return "it sends too slowly (accept.timeout_s, accept.min_kb_per_s)"


class _GuardedHandler(RequestHandler):
    server: GuardedServer
    request: Any

    def handle(self) -> None:
        self._accepted, self._began = self.request, time.monotonic()
        if (context := self.server.tls) is not None:
            # limit of a single wait; the places' limit ends a handshake that is too slow as a whole
            self.request.settimeout(self.server.request_seconds)
            try:
                wrapped = context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
                self.server.places.found(self._accepted, wrapped)
                self.request = wrapped
                wrapped.do_handshake()
            except (OSError, ValueError) as error:
                cause = getattr(error, "reason", None) or type(error).__name__
                log("TLS refused", warning=True, address=self.client_address[0], cause=str(cause))
                with suppress(OSError):
                    self.request.close()
                return
        super().handle()

    def _create_association(self) -> Association:
        association = super()._create_association()
        server, guarded = self.server, cast(_GuardedSocket, association.dul.socket)
        # a second socket object would signal a second connection to the state machine
        guarded.__class__ = _GuardedSocket
        guarded.pdu_limit = server.ae.maximum_pdu_size + _PDU_OVERHEAD
        guarded.message_limit = server.message_limit
        guarded.request_seconds = server.request_seconds
        guarded.silence = float(server.ae.network_timeout or 60)
        guarded.bytes_per_second = server.bytes_per_second
        guarded.began, guarded.overfull = self._began, server.overfull
        self.request.settimeout(guarded.silence)
        server.places.found(self._accepted, self.request, association)
        return association


class GuardedServer(ThreadedAssociationServer):
    """An association server with limits, which are set by :func:`server_class`.

    Attributes:
        places: who has a connection, and who gets the next one.
        exhausted: time of ``time.monotonic`` when the last connection could not be taken for lack of descriptors.
    """

    tls: ssl.SSLContext | None = None
    message_limit: float = float("inf")
    request_seconds: float = 10.0
    bytes_per_second: float = 1.0
    places: Places
    overfull: Callable[[], bool]
    exhausted: float | None = None
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ae: ApplicationEntity, address: Any, *args: Any, **options: Any) -> None:
        super().__init__(ae, address, *args, **{**options, "request_handler": _GuardedHandler})
        self.bind(evt.EVT_REQUESTED, self._requested)
        self.bind(evt.EVT_DIMSE_RECV, self._whole_message)
        for event in (evt.EVT_CONN_CLOSE, evt.EVT_ABORTED):
            self.bind(event, _remove_partial_file)

    def get_request(self) -> Any:
        """Accept a connection, or wait a moment if there is no descriptor for it: it would be tried again at once."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self.exhausted = time.monotonic()
                log("connection refused", warning=True, cause=f"no connection can be taken: {error.strerror}")
                time.sleep(_PAUSE_SECONDS)
            raise

    def service_actions(self) -> None:
        """Close connections that have not asked for an association in time."""
        super().service_actions()
        self.places.close_late(self.request_seconds)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection that could not be served."""
        if request.fileno() >= _LAST_DESCRIPTOR:
            self.exhausted = time.monotonic()
            log("connection refused", warning=True, address=client_address[0], cause="too many open files")
            return False
        self.places.admit(request, client_address[0])
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Open an association, which keeps the connection's place while it lives."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.thread_ended(request)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a new thread."""
        try:
            super().process_request(request, client_address)
        except BaseException:  # the thread could not be started
            self.places.thread_ended(request)
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the failure of a connection."""
        log("connection failed", warning=True, address=client_address[0], cause=type(sys.exc_info()[1]).__name__)

    def _requested(self, event: evt.Event) -> None:
        """Reject an association when all are in use: the sender tries again (PS3.8 table 9-21)."""
        association = event.assoc
        full = self.overfull()
        cause = "only the reserve of the disk is left (spool.reserve_mb)" if full else self.places.refusal(association)
        if cause is None:
            return
        requestor = association.requestor
        sender = str(getattr(requestor.primitive, "calling_ae_title", "")).strip()
        log("association rejected", warning=True, sender=sender, address=requestor.address, cause=cause)
        # transient, by the presentation service: temporary congestion, or local limit exceeded
        association.acse.send_reject(0x02, 0x03, 0x01 if full else 0x02)
        association.kill()

    @staticmethod
    def _whole_message(event: evt.Event) -> None:
        connection = event.assoc.dul.socket
        if isinstance(connection, _GuardedSocket):
            connection.message_bytes = 0
            # asynchronous operations were not negotiated, so the peer must wait for the answers
            if event.assoc.dimse.msg_queue.qsize() > _WAITING_MESSAGES:
                connection.message_limit = 0


def _remove_partial_file(event: evt.Event) -> None:
    """Remove a partly received object when its association ends."""
    message = event.assoc.dimse.message
    path = getattr(message, "_data_set_path", None)
    if path is not None:
        path.unlink(missing_ok=True)


def server_class(
    tls: ssl.SSLContext | None,
    max_object_mb: float,
    request_s: float,
    min_kb_per_s: float,
    places: Places,
    overfull: Callable[[], bool],
) -> type[GuardedServer]:
    """Return a server class with these limits, for :meth:`ApplicationEntity.make_server`."""
    limits = {
        "tls": tls,
        "message_limit": max_object_mb * 2**20,
        "request_seconds": request_s,
        "bytes_per_second": min_kb_per_s * 1024,
        "places": places,
        "overfull": staticmethod(overfull),
        "request_queue_size": PENDING,
    }
    return type("LimitedServer", (GuardedServer,), limits)
