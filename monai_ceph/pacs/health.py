"""Ask a running node for ``/health``."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

from monai_ceph.pacs.config import HttpConfig

__all__ = ["is_alive"]

_SECONDS = 10.0


def is_alive(config: HttpConfig) -> str | None:
    """Return None if the node at the configured host and port answers, else what happened.

    A node that listens on all interfaces is asked on the loopback one. No proxy is used.
    """
    host = config.host
    try:
        address = ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    except ValueError:
        # a name
        pass
    connection = HTTPConnection(host, config.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{host} port {config.port}: no node answers ({error})"
    finally:
        connection.close()
    return None if status == 200 else f"{host} port {config.port}: the answer is {status}"
