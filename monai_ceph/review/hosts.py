"""Which host names a request may be sent to. Another site's name may resolve to this machine (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "Hosts"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine for itself."""


class Hosts:
    """The names that count as this server.

    Args:
        more: names besides those of this machine for itself, such as that of a proxy in front.
        others: other machines may open the page. Then any address counts, and the machine's own name: in an attack by
            DNS rebinding, the browser sends a name of the attacker, never an address.
    """

    def __init__(self, more: Iterable[str] = (), others: bool = False) -> None:
        self._more = {_plain(name) for name in more}
        own = {_plain(socket.gethostname())} if others else set()
        self._names = {*LOOPBACK, *self._more, *own}
        self._any_address = others

    def allows(self, header: str | None) -> bool:
        """Return whether a request with this Host header may go on."""
        name = _name_of(header or "")
        return name in self._names or (self._any_address and _is_address(name))

    def same_origin(self, origin: str, header: str | None) -> bool:
        """Return whether a page of this origin belongs to the server with this Host header, or to a proxy in front."""
        try:
            parts = urlsplit(origin)
            return parts.netloc.lower() == (header or "").lower() or _plain(parts.hostname or "") in self._more
        except ValueError:
            return False


def _plain(name: str) -> str:
    return name.strip().strip("[]").rstrip(".").lower()


def _name_of(header: str) -> str:
    """Return the name in a Host header without its port (RFC 9110 7.2), empty if it is not valid."""
    try:
        parts = urlsplit(f"//{header}")
        if parts.netloc != header or "@" in header or parts.port == 0:
            return ""
    except ValueError:
        return ""
    return _plain(parts.hostname or "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
