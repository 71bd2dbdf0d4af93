"""Archives that answer a byte at a time, or with little that becomes much: real servers on the loopback interface."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
import requests
from nodes import SR, film, running, send, settings, wait_until
from web_archive import Archive, multipart, serving

from monai_ceph.archives import limits as archive_limits
from monai_ceph.archives.config import DicomSource, DicomTarget, DicomWebSource, DicomWebTarget, SelectionConfig
from monai_ceph.archives.dicomweb import web_session
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.dimse_source import DicomArchive
from monai_ceph.archives.query import Found, Query, SourceError
from monai_ceph.archives.selection import Selection
from monai_ceph.archives.targets import DicomSender, DicomWebSender, TargetError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
QUERY = Query(date="20260101-")


@contextmanager
def trickling(at_once: bytes, then: bytes, pause: float = 0.2) -> Iterator[int]:
    """A server that answers each connection with some bytes, and then with others over and over, one by one."""
    ended, server = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65536)
            connection.sendall(at_once)
            while not ended.wait(pause):
                for byte in then:
                    connection.sendall(bytes([byte]))
                    if ended.wait(pause):
                        break
        connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@contextmanager
def dripping(content: bytes) -> Iterator[int]:
    """A server that answers one connection with a kibibyte every twentieth of a second."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with server.accept()[0] as connection:
            connection.recv(65536)
            for start in range(0, len(content), 1024):
                connection.sendall(content[start : start + 1024])
                time.sleep(0.05)

    thread = threading.Thread(target=answer)
    thread.start()
    yield server.getsockname()[1]
    thread.join()
    server.close()


WEB = {"name": "web", "timeout_s": 5, "total_s": 1}
SLOW = {"name": "web", "timeout_s": 1, "total_s": 600}
TRICKLES = {
    "a header without end": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a body without end": (OK + b"\r\n", b" "),
    "a body in parts without end": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


@pytest.mark.parametrize("limits", [WEB, SLOW], ids=["in all", "per byte"])
@pytest.mark.parametrize(("at_once", "then"), TRICKLES.values(), ids=TRICKLES)
def test_a_web_archive_that_never_ends(
    tmp_path: Path, at_once: bytes, then: bytes, limits: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_limits, "_BYTES_PER_SECOND", 65536)
    with trickling(at_once, then) as port:
        service = {**limits, "url": f"http://127.0.0.1:{port}"}
        archive = DicomWebArchive(DicomWebSource.model_validate(service))
        with pytest.raises(SourceError, match="web: no answer"):
            list(archive.find(QUERY, Selection(SelectionConfig())))
        report = tmp_path / "report.dcm"
        film(1, SOPClassUID=SR).save_as(report, enforce_file_format=True)
        with DicomWebSender(DicomWebTarget.model_validate(service)).open() as store, pytest.raises(TargetError):
            store(report)


def test_a_large_answer_may_take_longer_than_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 KiB in two seconds and more, although the first byte has one second."""
    monkeypatch.setattr(archive_limits, "_BYTES_PER_SECOND", 8192)
    with dripping(OK + b"Content-Length: 40962\r\n\r\n" + b" " * 40960 + b"[]") as port:
        service = DicomWebSource.model_validate({**SLOW, "url": f"http://127.0.0.1:{port}"})
        with web_session(service) as session:
            assert session.get(service.url, timeout=60).json() == []


def test_an_answer_that_becomes_slow_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_limits, "_BYTES_PER_SECOND", 65536)
    with trickling(OK + b"Content-Length: 90000\r\n\r\n" + b" " * 40000, b" ") as port:
        service = DicomWebSource.model_validate({**SLOW, "url": f"http://127.0.0.1:{port}"})
        with web_session(service) as session, pytest.raises(requests.Timeout, match="arrives too slowly"):
            session.get(service.url, timeout=60)


def test_an_upload_in_chunks_has_the_time_that_its_size_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five chunks of 4 KiB in three seconds, although the first byte of the answer has one second."""
    monkeypatch.setattr(archive_limits, "_BYTES_PER_SECOND", 4096)
    server = socket.create_server(("127.0.0.1", 0))

    def read() -> None:
        with server.accept()[0] as connection:
            data = b""
            while not data.endswith(b"0\r\n\r\n"):
                data += connection.recv(65536)
            connection.sendall(OK + b"Content-Length: 2\r\n\r\n[]")

    def parts() -> Iterator[bytes]:
        for _ in range(5):
            time.sleep(0.6)
            yield b"x" * 2048

    thread = threading.Thread(target=read)
    thread.start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with web_session(DicomWebSource.model_validate({**SLOW, "url": url})) as session:
        assert session.post(url, data=parts(), timeout=60).json() == []
    thread.join()
    server.close()


PEER = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "timeout_s": 1}
ACCEPT = b"\x02\x00\x00\x00\x10\x00"


@pytest.mark.parametrize("at_once", [b"", ACCEPT], ids=["from the first byte", "in the acceptance"])
def test_a_peer_that_never_ends(at_once: bytes) -> None:
    with trickling(at_once, bytes(1)) as port:
        sender = DicomSender(DicomTarget.model_validate({**PEER, "port": port}), "CEPH")
        with pytest.raises(TargetError), sender.open():
            pass
        archive = DicomArchive(DicomSource.model_validate({**PEER, "port": port}), "CEPH")
        with pytest.raises(SourceError):
            list(archive.find(QUERY, Selection(SelectionConfig())))


def packed(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(b" " * 2**20)) for _ in range(size // 2**20)) + packer.flush()


LARGE: dict[str, Callable[[], tuple[dict[str, str], bytes]]] = {
    "blanks": lambda: ({"Content-Encoding": "gzip"}, packed(64 * 2**20)),
    "packed twice": lambda: ({"Content-Encoding": "gzip, gzip"}, gzip.compress(packed(2**20))),
    "plain": lambda: ({}, b" " * (33 * 2**20)),
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_an_answer_that_is_too_large(make: Callable[[], tuple[dict[str, str], bytes]]) -> None:
    with serving(Archive()) as server:
        server.raw["/studies"] = make()
        archive = DicomWebArchive(DicomWebSource.model_validate({"name": "web", "url": server.url}))
        with pytest.raises(SourceError, match=r"web: no answer \(TooLargeError\)"):
            list(archive.find(QUERY, Selection(SelectionConfig())))


@pytest.mark.parametrize("mebibytes", [1, 9])
def test_a_deflated_film_is_inflated_up_to_the_limit(mebibytes: int) -> None:
    large = film(1)
    large.add_new(0x00091001, "OB", bytes(mebibytes * 2**20))
    large.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream, found = BytesIO(), []
    large.save_as(stream, enforce_file_format=True)
    assert len(stream.getvalue()) < 2**20
    with serving(Archive()) as server:
        server.body = multipart(stream.getvalue())
        archive = DicomWebArchive(DicomWebSource.model_validate({"name": "web", "url": server.url, "max_mb": 8}))
        fetch = lambda: archive.fetch(Found("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"), found.append)  # noqa: E731
        if mebibytes < 8:
            fetch()
            assert len(found) == 1
        else:
            with pytest.raises(SourceError, match="TooLargeError"):
                fetch()


def test_a_node_ends_although_its_archives_trickle(tmp_path: Path) -> None:
    """SIGTERM in the middle of a query and a report; `stop` waits for a minute at most."""
    with trickling(OK + b"\r\n", b" ") as port:
        values = settings(tmp_path)
        url = f"http://127.0.0.1:{port}"
        values["sources"] = {"dicomweb": [{"name": "archive", "url": url, "every_s": 1}]}
        values["targets"] = {"dicomweb": [{"name": name, "url": url} for name in ("a", "b", "c")]}
        with running(tmp_path, values, limits=["node._OTHER_SECONDS=1"]) as node:
            assert send(node.port, film(1)) == [0]
            node.wait_for("detected")
            assert node.stop() == 0
            # it is as if it had been killed: the films are there
            node.start()
            assert send(node.port, film(2)) == [0]
            wait_until(lambda: len(node.events("detected")) == 2)
