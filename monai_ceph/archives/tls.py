"""The one place for TLS: every context of a server or a client, by BCP 195 (RFC 9325; DICOM PS3.15 B.12).

TLS 1.2 and 1.3 only, suites with forward secrecy and authenticated encryption, no compression, no renegotiation, and no
keys or signatures below 112 bits.
"""

from __future__ import annotations

import ssl
from pathlib import Path

__all__ = ["SUITES", "client_context", "server_context"]

SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""OpenSSL's names of the suites for TLS 1.2 (RFC 9325 4.2, and RFC 7905). All suites of TLS 1.3 are of this kind."""


def server_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return the context of a server.

    Args:
        certificate: its certificate, followed by intermediate ones.
        key: of the certificate, without a password.
        client_ca: clients need a certificate from this CA; None: they need none.

    Raises:
        OSError: a file cannot be read, or is no certificate or key.
    """
    context = _restricted(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
    # the key of tickets would stay the same as long as the process runs (RFC 9325 3.4)
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, password=_no_password)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def client_context(
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    check_hostname: bool = True,
) -> ssl.SSLContext:
    """Return the context of a client, which always checks the server's certificate.

    Args:
        ca: CA of servers. None: the caller adds CAs.
        certificate: of the client, None if it has none.
        key: of the client's certificate; None if it is in the same file.
        check_hostname: compare the name in the certificate with the host.

    Raises:
        OSError: a file cannot be read, or is no certificate or key.
    """
    context = _restricted(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = check_hostname
    if ca is not None:
        context.load_verify_locations(ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _restricted(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # level 2: at least 112 bits, such as RSA with 2048 (RFC 9325 4.5)
    context.set_ciphers(":".join((*SUITES, "@SECLEVEL=2")))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _no_password() -> str:
    # OpenSSL would ask for it on the terminal, and a service has none
    return ""
