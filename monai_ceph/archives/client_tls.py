"""TLS of connections to other application entities."""

from __future__ import annotations

import ssl

from monai_ceph.archives.config import ClientTls
from monai_ceph.archives.tls import client_context

__all__ = ["client_tls"]


def client_tls(config: ClientTls | None, host: str) -> tuple[ssl.SSLContext, str] | None:
    """Return pynetdicom's ``tls_args``, None without TLS.

    Raises:
        OSError: a certificate or key cannot be read.
    """
    if config is None:
        return None
    return client_context(config.ca, config.certificate, config.key, config.check_hostname), host
