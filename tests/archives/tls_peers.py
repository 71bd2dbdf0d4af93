"""Peers that speak old or weak TLS, on the loopback interface."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OLD = ssl.TLSVersion.TLSv1_1
NEW = ssl.TLSVersion.TLSv1_2
CBC, STATIC_RSA = "ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256"


def weak(context: ssl.SSLContext, version: ssl.TLSVersion, suites: str) -> ssl.SSLContext:
    """Let a context speak exactly this version, and for 1.2 and before only these suites."""
    # level 0 lets OpenSSL speak versions before 1.2 at all
    context.set_ciphers(f"{suites}:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def weak_client(ca: Path, version: ssl.TLSVersion, suites: str = "ALL") -> ssl.SSLContext:
    return weak(ssl.create_default_context(cafile=str(ca)), version, suites)


def handshake(port: int, context: ssl.SSLContext) -> tuple[str, str] | None:
    """Return the version and the suite that a server agrees to, None if it refuses."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                return str(connection.version()), connection.cipher()[0]  # type: ignore[index]
        except (ssl.SSLError, ConnectionError):
            return None


@contextmanager
def weak_server(
    certificates: Path, version: ssl.TLSVersion, suites: str = "ALL", name: str = "node"
) -> Iterator[tuple[int, list[str]]]:
    """Run a server that ends every connection after its handshake. Yield its port, and what the handshakes led to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    weak(context, version, suites)
    seen: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                plain.settimeout(20)
                try:
                    with context.wrap_socket(plain, server_side=True) as connection:
                        seen.append(str(connection.version()))
                except OSError as error:
                    seen.append(getattr(error, "reason", None) or type(error).__name__)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        # wakes accept
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
