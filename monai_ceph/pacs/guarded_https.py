"""Limits for TLS handshakes with the HTTP port: asyncio waits a minute for each, and takes any number of them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.guarded_http import GuardedHttp
from monai_ceph.pacs.logs import log

__all__ = ["MOST_HANDSHAKES", "Handshakes", "guarded_https", "guarded_sockets"]

MOST_HANDSHAKES = 16
"""Handshakes at once. A further one takes the place of the oldest."""


class Handshakes:
    """The connections that have not finished their handshakes, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[socket.socket, Any]] = {}
        self._lock = threading.Lock()

    def begun(self, connection: socket.socket, address: Any) -> None:
        """Take a new connection, and close the oldest if there are too many."""
        with self._lock:
            self._waiting = {number: each for number, each in self._waiting.items() if each[0].fileno() == number}
            self._waiting[connection.fileno()] = connection, address
            if len(self._waiting) <= MOST_HANDSHAKES:
                return
            oldest, whose = self._waiting.pop(next(iter(self._waiting)))
        log("connection closed", warning=True, address=whose[0], cause="too many unfinished TLS handshakes")
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)

    def done(self, descriptor: int) -> None:
        """Forget a connection whose handshake is over."""
        with self._lock:
            self._waiting.pop(descriptor, None)


class _Listener(socket.socket):
    """A listening socket that tells of each connection."""

    handshakes: Handshakes

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = super().accept()
        self.handshakes.begun(connection, address)
        return connection, address


def guarded_https(handshakes: Handshakes) -> type[GuardedHttp]:
    """Return the protocol of a connection with TLS. It exists once the handshake is over."""

    class GuardedHttps(GuardedHttp):
        def connection_made(self, transport: Any) -> None:
            handshakes.done(transport.get_extra_info("socket").fileno())
            super().connection_made(transport)

    return GuardedHttps


def guarded_sockets(host: str, port: int, handshakes: Handshakes) -> list[socket.socket]:
    """Return sockets that listen at every address of a host.

    Raises:
        StoppedError: the port is taken, or there is no such host.
    """
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            listener = _Listener(family, kind, protocol)
            made.append(listener)
            listener.handshakes = handshakes
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # the IPv4 address has a socket of its own
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except OSError as error:
        for each in made:
            each.close()
        raise StoppedError(f"the port {port} of the page cannot be used: {error.strerror or error}") from error
    return made
