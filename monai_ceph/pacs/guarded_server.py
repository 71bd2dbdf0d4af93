"""pynetdicom's server with limits that protect it from unknown clients.

pynetdicom 3.0 does the TLS handshake in the thread that accepts connections, where one silent client blocks all others,
and reads as many bytes into memory as the header of a PDU announces.
"""

from __future__ import annotations

import ssl
import sys
import threading
from contextlib import suppress
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from monai_ceph.pacs.logs import log

__all__ = ["GuardedServer", "server_class"]

# an association request lists at most 128 contexts with their transfer syntaxes
_PDU_OVERHEAD = 64 * 1024
_WAITING_MESSAGES = 4
# a slower client would keep others out
_HANDSHAKE_SECONDS = 10.0


class _GuardedSocket(AssociationSocket):
    """A connection that is closed when a PDU or a message becomes too long.

    Attributes:
        message_bytes: received since the last complete message.
    """

    pdu_limit: int
    message_limit: float
    message_bytes = 0

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > self.pdu_limit:
            log("PDU refused", warning=True, cause=f"a PDU of {nr_bytes} bytes is above the limit of {self.pdu_limit}")
            raise OSError("PDU too long")
        self.message_bytes += nr_bytes
        if self.message_bytes > self.message_limit:
            log("object refused", warning=True, cause=f"larger than {self.message_limit / 2**20:g} MB")
            raise OSError("object too large")
        return super().recv(nr_bytes)


class _GuardedHandler(RequestHandler):
    server: GuardedServer
    request: Any

    def handle(self) -> None:
        if (context := self.server.tls) is not None:
            # limit of the whole handshake
            self.request.settimeout(min(self.server.ae.acse_timeout, _HANDSHAKE_SECONDS))
            try:
                self.request = context.wrap_socket(self.request, server_side=True)
            except (OSError, ValueError) as error:
                cause = getattr(error, "reason", None) or type(error).__name__
                log("TLS refused", warning=True, address=self.client_address[0], cause=str(cause))
                with suppress(OSError):
                    self.request.close()
                return
        super().handle()

    def _create_association(self) -> Association:
        association = super()._create_association()
        # a client that is silent for this long within a PDU is gone
        self.request.settimeout(self.server.ae.network_timeout)
        guarded = cast(_GuardedSocket, association.dul.socket)
        # a second socket object would signal a second connection to the state machine
        guarded.__class__ = _GuardedSocket
        guarded.pdu_limit = self.server.ae.maximum_pdu_size + _PDU_OVERHEAD
        guarded.message_limit = self.server.message_limit
        return association


class GuardedServer(ThreadedAssociationServer):
    """An association server with limits, which are set by :func:`server_class`."""

    tls: ssl.SSLContext | None = None
    message_limit: float = float("inf")
    connection_limit = 100
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ae: ApplicationEntity, address: Any, *args: Any, **options: Any) -> None:
        # connections that are not associations yet, such as those in a TLS handshake
        self._opening, self._lock = 0, threading.Lock()
        super().__init__(ae, address, *args, **{**options, "request_handler": _GuardedHandler})
        self.bind(evt.EVT_DIMSE_RECV, self._whole_message)
        for event in (evt.EVT_CONN_CLOSE, evt.EVT_ABORTED):
            self.bind(event, _remove_partial_file)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse more connections than the associations can need."""
        if self._opening + len(self.active_associations) < self.connection_limit:
            return True
        log("connection refused", warning=True, address=client_address[0], cause="too many connections")
        return False

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a new thread, and count it from now on."""
        self._count(1)
        try:
            super().process_request(request, client_address)
        except BaseException:  # the thread could not be started
            self._count(-1)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Open an association, which pynetdicom counts once it runs."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._opening += change

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the failure of a connection."""
        log("connection failed", warning=True, address=client_address[0], cause=type(sys.exc_info()[1]).__name__)

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


def server_class(tls: ssl.SSLContext | None, max_object_mb: float, max_associations: int) -> type[GuardedServer]:
    """Return a server class with these limits, for :meth:`ApplicationEntity.make_server`."""
    limits = {"tls": tls, "message_limit": max_object_mb * 2**20, "connection_limit": 2 * max_associations + 16}
    return type("LimitedServer", (GuardedServer,), limits)
