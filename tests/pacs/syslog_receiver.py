"""A syslog server with TLS (RFC 5425) that takes the node's messages apart as strictly as the standards say."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

HEAD = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00) ([!-~]{1,255}) monai-ceph (\d+) DICOM\+RFC3881 - "
    rb"\xef\xbb\xbf(.*)",
    re.DOTALL,
)


class SyslogReceiver:
    """One server.

    Attributes:
        port: where it listens, also after a restart.
        messages: the XML of each message, in order.
        priorities: PRI of each.
        hold: it accepts connections but reads nothing while this is set.
    """

    def __init__(self, certificates: Path, client_ca: str | None = None, name: str = "node") -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(certificates / f"{client_ca}.pem")
        self.messages: list[bytes] = []
        self.priorities: list[int] = []
        self.hold = threading.Event()
        self.connections = 0
        self.port = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Stop at once, with all connections."""
        assert self._listener is not None
        for each in (self._listener, *self._open):
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()
        self._open, self._threads = [], []

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                self._open.append(plain)
                self._run(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError, ValueError):
            connection = self._context.wrap_socket(plain, server_side=True)
            self._open.append(connection)
            self.connections += 1
            data = b""
            while True:
                while self.hold.is_set():
                    threading.Event().wait(0.05)
                if not (part := connection.recv(65536)):
                    return
                data = self._frames(data + part)

    def _frames(self, data: bytes) -> bytes:
        while match := re.match(rb"([1-9]\d*) ", data):
            length, start = int(match[1]), match.end()
            if len(data) < start + length:
                break
            line, data = data[start : start + length], data[start + length :]
            found = HEAD.fullmatch(line)
            assert found is not None, line
            self.priorities.append(int(found[1]))
            self.messages.append(found[5])
        return data

    def parsed(self) -> list[Element]:
        return [fromstring(each) for each in self.messages]

    def events(self) -> list[str]:
        """Return the code of each event, with that of its type."""
        return [event_of(each) for each in self.parsed()]


def event_of(message: Element) -> str:
    head = message.find("EventIdentification")
    assert head is not None
    return " ".join(each.attrib["csd-code"] for each in (*head.iter("EventID"), *head.iter("EventTypeCode")))


@contextmanager
def receiving(certificates: Path, client_ca: str | None = None, name: str = "node") -> Iterator[SyslogReceiver]:
    server = SyslogReceiver(certificates, client_ca, name)
    server.start()
    try:
        yield server
    finally:
        server.stop()
