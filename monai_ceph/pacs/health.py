"""Ask a running node for ``/health``."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address

from monai_ceph.archives.tls import client_context
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
    if config.tls is None:
        connection = HTTPConnection(host, config.port, timeout=_SECONDS)
    else:
        # this machine may have no name in the certificate, and nothing secret is asked
        context = client_context(check_hostname=False)
        context.verify_mode = ssl.CERT_NONE
        connection = HTTPSConnection(host, config.port, timeout=_SECONDS, context=context)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{host} port {config.port}: no node answers ({error})"
    finally:
        connection.close()
    return None if status == 200 else f"{host} port {config.port}: the answer is {status}"
