"""TLS of connections to other application entities."""

from __future__ import annotations

import ssl

from monai_ceph.archives.config import ClientTls

__all__ = ["client_tls"]


def client_tls(config: ClientTls | None, host: str) -> tuple[ssl.SSLContext, str] | None:
    """Return pynetdicom's ``tls_args``, None without TLS.

    Raises:
        OSError: a certificate or key cannot be read.
    """
    if config is None:
        return None
    context = ssl.create_default_context(cafile=str(config.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = config.check_hostname
    if config.certificate is not None:
        context.load_cert_chain(config.certificate, config.key)
    return context, host
