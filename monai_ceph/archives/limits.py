"""Limits of what a web archive may do to this process: how long an answer takes, and how large it is unpacked.

The timeouts of requests start over with every byte, so a server that sends one now and then would hold its thread for
ever. A small answer can be gigabytes once it is unpacked: gzip makes them a thousand times smaller.
"""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import requests
from pydicom.uid import DeflatedExplicitVRLittleEndian
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from monai_ceph.archives.tls import client_context

__all__ = ["LimitedSession", "TooLargeError"]

_CHUNK = 4096
_LARGEST_TEXT = 32 * 2**20
_HEAD = 4096
# far below any network that carries films, and far above a server that only keeps its connection alive
_BYTES_PER_SECOND = 4096


class TooLargeError(requests.RequestException):
    """An answer is larger than the limit."""


class LimitedSession(requests.Session):
    """A session whose answers are read at once, within a time and up to a size.

    Args:
        first_s: seconds from the connection to the first byte of an answer. From then on 4 KiB must arrive per second.
        total_s: seconds for a request with its whole answer.
        max_bytes: size of an answer that is unpacked. Of lists and messages it is at most 32 MiB.
    """

    def __init__(self, first_s: float, total_s: float, max_bytes: float) -> None:
        super().__init__()
        self._first_s, self._total_s, self._max_bytes = first_s, total_s, max_bytes
        self._sockets: list[Any] = []
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._opened))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and read the answer.

        Raises:
            requests.RequestException: no answer, too late, or too large.
        """
        late, ended = threading.Event(), threading.Event()
        end = time.monotonic() + self._total_s
        self._transferred = 0
        if isinstance(request.body, (bytes, str)):
            self._transferred = len(request.body)
        elif request.body is not None:
            # in chunks, as large objects are sent
            request.body = self._counted(request.body)
        # a new connection begins its time when it is open
        self._begun = time.monotonic()

        def watch() -> None:
            while (left := min(end, self._due()) - time.monotonic()) > 0:
                if ended.wait(left):
                    return
            late.set()
            for each in self._sockets:
                # call the base class: a TLS socket would try to say goodbye first
                with suppress(OSError, ValueError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            response = super().send(request, **{**options, "stream": True})
            response._content = self._read(response)
            response._content_consumed = True  # type: ignore[attr-defined]
        except requests.RequestException as error:
            if late.is_set():
                raise self._too_late(end) from error
            raise
        finally:
            ended.set()
        if late.is_set():
            raise self._too_late(end)
        return response

    def _counted(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self._transferred += len(part)
            yield part

    def _opened(self, connection: Any) -> None:
        self._sockets.append(connection)
        self._begun = time.monotonic()

    def _due(self) -> float:
        """Return the time until which what arrived so far is enough."""
        # a part counts only once it is there as a whole
        return self._begun + self._first_s + (self._transferred + _CHUNK) / _BYTES_PER_SECOND

    def _too_late(self, end: float) -> requests.Timeout:
        if time.monotonic() >= end:
            return requests.Timeout(f"no complete answer within {self._total_s:g} s")
        return requests.Timeout("an answer that arrives too slowly")

    def _read(self, response: requests.Response) -> bytes:
        if "," in response.headers.get("Content-Encoding", ""):
            response.close()
            # each would be a thousand times larger than the one before
            raise TooLargeError("an answer that is packed several times")
        kind = response.headers.get("Content-Type", "")
        text = "json" in kind or "xml" in kind or "html" in kind
        limit = min(self._max_bytes, _LARGEST_TEXT) if text else self._max_bytes
        parts, size = [], 0
        for part in response.iter_content(_CHUNK):
            size += len(part)
            self._transferred += len(part)
            if size > limit:
                response.close()
                raise TooLargeError(f"an answer of more than {limit / 2**20:g} MB")
            parts.append(part)
        content = b"".join(parts)
        _check_deflated(content, self._max_bytes)
        return content


class _Adapter(HTTPAdapter):
    """Tells of each socket that it opens."""

    def __init__(self, opened: Callable[[Any], None]) -> None:
        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
        self._pools = {"http": plain, "https": secure}
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Use the connections of this adapter. requests adds the CAs to their TLS."""
        super().init_poolmanager(*args, **options, ssl_context=client_context())
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Use the connections of this adapter."""
        contexts = {"ssl_context": client_context(), "proxy_ssl_context": client_context()}
        manager = super().proxy_manager_for(*args, **options, **contexts)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _check_deflated(content: bytes, limit: float) -> None:
    """Refuse a film whose data set is deflated and too large: pydicom inflates it as soon as it reads it."""
    start = content.find(b"DICM", 0, _HEAD)
    if start < 0 or DeflatedExplicitVRLittleEndian.encode() not in content[start : start + _HEAD]:
        return
    # the value of the group length (PS3.10 7.1), which counts from its own end
    begin = start + 16 + int.from_bytes(content[start + 12 : start + 16], "little")
    inflater, size, data = zlib.decompressobj(-zlib.MAX_WBITS), 0, content[begin:]
    with suppress(zlib.error):  # it is reported once it is read as a film
        while data and (part := inflater.decompress(data, 2**20)):
            size, data = size + len(part), inflater.unconsumed_tail
            if size > limit:
                raise TooLargeError(f"a film of more than {limit / 2**20:g} MB")
