"""How long a DIMSE peer may take for a PDU as a whole.

The timeouts of pynetdicom start over with every byte, so a peer that sends one now and then would hold its thread for
ever.
"""

from __future__ import annotations

import time
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.transport import AssociationSocket

__all__ = ["limited"]


class _TimedSocket(AssociationSocket):
    """A connection to a peer, whose PDUs must arrive as a whole within a time."""

    seconds: float

    def recv(self, nr_bytes: int) -> bytearray:
        connection, received = cast(Any, self.socket), bytearray()
        end = time.monotonic() + self.seconds
        while len(received) < nr_bytes:
            if (left := end - time.monotonic()) <= 0:
                raise TimeoutError("a PDU that does not end")
            connection.settimeout(left)
            if not (part := connection.recv(nr_bytes - len(received))):
                break
            received += part
        connection.settimeout(self.seconds)
        return received


def limited(seconds: float) -> list[Any]:
    """Return the event handlers for ``AE.associate`` that limit how long a PDU may take."""

    def opened(event: evt.Event) -> None:
        connection = event.assoc.dul.socket
        connection.__class__ = _TimedSocket
        connection.seconds = seconds

    return [(evt.EVT_CONN_OPEN, opened)]
