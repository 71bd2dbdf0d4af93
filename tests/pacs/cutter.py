"""A proxy on loopback that cuts connections."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

from nodes import free_port


class Cutter:
    """A proxy that cuts connections to a port after a random number of bytes, as often as it is told to.

    Args:
        to: the port behind the proxy, or several, of which the first that is open is taken.
        chance: the random generator.
        port: its own, by default a free one.
    """

    def __init__(self, to: int | Sequence[int], chance: random.Random, port: int | None = None) -> None:
        self.port, self.share, self.cuts = port or free_port(), 0.0, 0
        self._to, self._chance = (to,) if isinstance(to, int) else tuple(to), chance
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = self._connect()
            if far is None:
                near.close()
                continue
            # as often during the request for an association as during an object, which may be small
            limit = int(200 * 100 ** self._chance.random()) if self._chance.random() < self.share else 2**62
            for source, drain in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, drain, limit), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        for port in self._to:
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", port), timeout=60)
        return None

    def _copy(self, source: socket.socket, drain: socket.socket, limit: int) -> None:
        with suppress(OSError):
            while limit > 0 and (data := source.recv(min(limit, 65536))):
                drain.sendall(data)
                limit -= len(data)
        if limit <= 0:
            self.cuts += 1
        for each in (source, drain):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.close()
