"""Sends audit messages by syslog over TLS (RFC 5424, RFC 5425; DICOM PS3.15 A.6).

Syslog has no answers. A message counts as sent once the server's machine has confirmed its bytes and the connection was
still open a moment later. If the connection breaks before, the last messages are sent again: the server may get some of
them twice, with the same text.
"""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from datetime import datetime
from types import TracebackType

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.config import ClientTls

__all__ = ["SyslogConnection", "syslog_line"]

# facility 10, security and authorization; severity 5, notice, or 4, warning (PS3.15 A.6)
_NOTICE, _WARNING = 85, 84
_SECONDS = 20.0


def syslog_line(moment: datetime, message: bytes, warning: bool = False) -> bytes:
    """Return a syslog message (RFC 5424 6). UTF-8 begins with a byte order mark."""
    host = re.sub("[^!-~]", "-", socket.gethostname())[:255] or "-"
    head = f"<{_WARNING if warning else _NOTICE}>1 {moment.isoformat(timespec='milliseconds')} {host}"
    return f"{head} monai-ceph {os.getpid()} DICOM+RFC3881 - ".encode() + b"\xef\xbb\xbf" + message


class SyslogConnection:
    """A connection, used as a context manager.

    Args:
        host: of the server.
        port: of the server.
        tls: the server's CA, and our own certificate.

    Raises:
        OSError: no connection, here and in every method.
    """

    def __init__(self, host: str, port: int, tls: ClientTls) -> None:
        # a changed certificate counts from the next connection on
        made = client_tls(tls, host)
        assert made is not None
        plain = socket.create_connection((host, port), timeout=_SECONDS)
        try:
            self._socket: ssl.SSLSocket = made[0].wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def __enter__(self) -> SyslogConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError, ValueError):
            if kind is None:
                # RFC 5425 4.4 wants a goodbye; nobody has to wait for its answer
                self._socket.settimeout(1.0)
                self._socket.unwrap()
        self._socket.close()

    def send(self, line: bytes) -> None:
        """Send a message in a frame with its length (RFC 5425 4.3)."""
        self._socket.sendall(f"{len(line)} ".encode() + line)

    def wait(self, seconds: float) -> None:
        """Wait, and notice if the server closes the connection meanwhile."""
        end = time.monotonic() + seconds
        # unlike select, it takes descriptors above 1024
        readable = select.poll()
        readable.register(self._socket, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            if self._socket.pending() or readable.poll(1000 * left):
                self._read()

    def unconfirmed(self) -> int:
        """Return how many bytes the server's machine has not confirmed yet; 0 where the system does not tell."""
        try:
            import fcntl
            import termios

            answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        except (ImportError, AttributeError, OSError):
            return 0
        return int(struct.unpack("i", answer)[0])

    def _read(self) -> None:
        """Read what a server may say, such as keys of TLS 1.3, and throw it away."""
        self._socket.settimeout(0.0)
        try:
            if not self._socket.recv(4096):
                raise ConnectionError("the server closed the connection")
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        finally:
            self._socket.settimeout(_SECONDS)
