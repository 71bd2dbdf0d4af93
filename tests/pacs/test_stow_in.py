"""STOW-RS into a node: by dicomweb-client, by our own requests, and by sockets that send what no client sends."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
import requests
from dicomweb_client.api import DICOMwebClient
from nodes import SR, RunningNode, film, free_port, listens, running, send, settings, wait_until
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, DeflatedExplicitVRLittleEndian
from stow_films import KIND, body, changed, encoded, part

TOKEN = "hush-hush"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("stow")
    values = settings(folder, http={"host": "127.0.0.1", "port": free_port(), "token": TOKEN, "stow": True})
    values["accept"] |= {"timeout_s": 2, "max_object_mb": 1, "min_kb_per_s": 1}
    with running(folder, values, seconds=0.5) as node:
        wait_until(lambda: listens(node.http_port))
        yield node


def url(node: RunningNode) -> str:
    return f"http://127.0.0.1:{node.http_port}"


def client(node: RunningNode, token: str = TOKEN) -> DICOMwebClient:
    session = requests.Session()
    session.auth = ("node", token)
    return DICOMwebClient(url(node), session=session)


def post(node: RunningNode, content: bytes, path: str = "/studies", **headers: str) -> tuple[int, Any]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"Content-Type": KIND, "Authorization": f"Bearer {TOKEN}", **given}
    connection = HTTPConnection("127.0.0.1", node.http_port, timeout=30)
    connection.request("POST", path, content, given)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def uids(answer: Any, tag: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer[tag]["Value"]]


def reasons(answer: Any, tag: str) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer[tag]["Value"]]


STORED, FAILED, OTHERS = "00081199", "00081198", "0008119A"


def left(node: RunningNode) -> list[Path]:
    return list((node.folder / "incoming").iterdir())


def test_dicomweb_client(node: RunningNode) -> None:
    answer = client(node).store_instances([film(1), film(2)])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == ["1.2.3.1.3", "1.2.3.2.3"]
    assert all("RetrieveURL" not in item for item in (answer, *answer.ReferencedSOPSequence))
    node.wait_for("detected", 2)
    assert {each["sender"] for each in node.events("received")} == {"STOW-RS from 127.0.0.1"}
    # again, as C-STORE takes it, and by C-STORE itself
    answer = client(node).store_instances([film(1)], study_instance_uid="1.2.3.1.1")
    assert len(answer.ReferencedSOPSequence) == 1
    assert [each["uid"] for each in node.wait_for("received again")] == ["1.2.3.1.3"]
    assert left(node) == []


def test_each_film_has_its_answer(node: RunningNode) -> None:
    deflated, strange = film(5), film(6)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    strange.file_meta.TransferSyntaxUID = MPEG2MPML
    strange["PixelData"].is_undefined_length = True
    strange.PixelData = encapsulate([b"\xff\x0a" + bytes(30)])
    contents = [encoded(each) for each in (film(3), film(4, SOPClassUID=SR), deflated, strange)]
    status, answer = post(node, body(*contents, b"no DICOM", bytes(200)))
    assert status == 202
    assert uids(answer, STORED) == ["1.2.3.3.3"]
    assert dict(zip(uids(answer, FAILED), reasons(answer, FAILED), strict=True)) == {
        "1.2.3.4.3": 0x0122,
        "1.2.3.6.3": 0xC122,
    }
    # whose UIDs are not known
    assert reasons(answer, OTHERS) == [0xC000] * 3
    status, answer = post(node, body(contents[1]))
    assert (status, STORED in answer) == (409, False)
    assert left(node) == []


def test_a_film_of_another_study(node: RunningNode) -> None:
    status, answer = post(node, body(encoded(film(7)), encoded(film(8))), "/studies/1.2.3.7.1")
    assert (status, uids(answer, STORED), uids(answer, FAILED)) == (202, ["1.2.3.7.3"], ["1.2.3.8.3"])
    assert reasons(answer, FAILED) == [0xA900]
    assert post(node, body(encoded(film(7))), "/studies/not-a-uid")[0] == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/dicom"}, 415),
        ({"Content-Type": 'multipart/related; type="application/dicom+json"; boundary=xYz'}, 415),
        ({"Content-Type": "multipart/form-data; boundary=xYz"}, 415),
        ({"Content-Type": "multipart/related; type=application/dicom"}, 400),
        ({"Content-Type": f"multipart/related; type=application/dicom; boundary={'x' * 71}"}, 400),
        ({"Content-Type": "multipart/related; type=application/dicom; boundary=another"}, 400),
        ({"Content-Type": ""}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "application/dicom+xml"}, 406),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
    ],
    ids=str,
)
def test_headers_that_are_refused(node: RunningNode, headers: dict[str, str], status: int) -> None:
    assert post(node, body(encoded(film(9))), **headers)[0] == status
    assert left(node) == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"--xYz--\r\n", 400),
        (b"no multipart at all", 400),
        (b"--xYz\r\n", 400),
        (part(b"FILM"), 400),
        (part(b"FILM") + b"--xY", 400),
        (part(b"FILM") + part(b"FILM")[:-30], 400),
        (part(b"FILM", "Content-Length: 4") + b"--xYz--", 400),
        (part(b"FILM", "Content-Type: text/plain") + b"--xYz--", 400),
        (part(b"FILM", "Content-Type: application/dicom", "Content-Transfer-Encoding: base64") + b"--xYz--", 415),
        (part(b"FILM", "Content-Type: application/dicom", f"X-Long: {'x' * 10000}") + b"--xYz--", 400),
        (part(b"FILM", "Content-Type: application/dicom", *(f"X-{n}: y" for n in range(100))) + b"--xYz--", 400),
        (part(b"FILM", "Content-Type application/dicom") + b"--xYz--", 400),
        (part(b"FILM", ": application/dicom") + b"--xYz--", 400),
        (b"--xYz\nContent-Type: application/dicom\n\nFILM\n--xYz--\n", 400),
        (part(bytes(2**20 + 1)) + b"--xYz--", 413),
        (b"".join(part(b"x") for _ in range(501)) + b"--xYz--", 413),
    ],
    ids=[
        *("empty", "no part", "text", "only a boundary", "no end", "a part of the end", "cut in the second part"),
        *("no type", "another type", "base64", "a huge header", "many headers", "no colon", "no name"),
        *("lines without CR", "a huge film", "many parts"),
    ],
)
def test_bodies_that_are_refused_leave_nothing(node: RunningNode, content: bytes, status: int) -> None:
    """Not even the films in them that are whole: the sender was told that none is stored."""
    before = len(node.events("received"))
    answer = post(node, content.replace(b"FILM", encoded(film(20))))
    assert answer[0] == status
    assert answer[1]["detail"]
    assert left(node) == []
    assert len(node.events("received")) == before


def test_a_long_meta_header_is_not_read_into_memory(node: RunningNode) -> None:
    start = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00"
    for length in (0, 2**17, 2**32 - 1):
        assert post(node, body(start + length.to_bytes(4, "little") + bytes(3 * 10**5)))[0] == 409
    # a length that is too short, before a huge element of the same group
    huge = b"\x02\x00\x02\x01OB\x00\x00" + (3 * 10**5).to_bytes(4, "little") + bytes(3 * 10**5)
    element = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
    status, answer = post(node, body(start + len(element).to_bytes(4, "little") + element + huge))
    assert (status, reasons(answer, OTHERS)) == (409, [0xC000])


def test_random_changes_of_a_body(node: RunningNode) -> None:
    """Bytes that are changed, missing or double, and pieces of any size: 2xx, 4xx, and nothing half written."""
    chance = random.Random(5)
    whole = body(encoded(film(21)), encoded(film(22)))
    seen = set()
    for _ in range(60):
        content = changed(whole, chance)
        status, _ = post(node, content)
        seen.add(status)
        assert status in (200, 202, 400, 409), content[:200]
    assert {200, 400} <= seen
    assert left(node) == []
    assert send(node.port, film(23)) == [0]


def raw(node: RunningNode, length: int, *pieces: bytes, shut: bool = True) -> bytes:
    """Send a request piece by piece over a socket, and return what comes back until the other side closes."""
    head = f"POST /studies HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {KIND}\r\n"
    with socket.create_connection(("127.0.0.1", node.http_port), timeout=20) as connection:
        connection.sendall(f"{head}Connection: close\r\nContent-Length: {length}\r\n\r\n".encode())
        for piece in pieces:
            connection.sendall(piece)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionError):
            while data := connection.recv(65536):
                answer += data
        return answer


def test_pieces_of_a_byte(node: RunningNode) -> None:
    content = body(encoded(film(30)))
    cut = content.find(b"DICM")
    pieces = [content[index : index + 1] for index in range(cut)]
    assert raw(node, len(content), *pieces, content[cut:], shut=False).startswith(b"HTTP/1.1 200")


def test_a_connection_that_ends_amid_a_film(node: RunningNode) -> None:
    content = body(encoded(film(31)), encoded(film(32)))
    before = len(node.events("received"))
    raw(node, len(content), content[: len(content) // 2 + 800])
    wait_until(lambda: left(node) == [])
    assert len(node.events("received")) == before


def test_a_request_that_stands_still_is_ended(node: RunningNode) -> None:
    content = body(encoded(film(33)))
    assert raw(node, len(content), content[:500], shut=False) == b""
    wait_until(lambda: left(node) == [])
    causes = [each["cause"] for each in node.events("connection closed")]
    assert "a request that arrives too slowly" in causes


def test_no_room(tmp_path: Path) -> None:
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": free_port(), "stow": True})
    values["spool"] = {"max_films": 2, "min_free_mb": 0}
    with running(tmp_path, values) as node:
        wait_until(lambda: listens(node.http_port))
        status, answer = post(node, body(*(encoded(film(number)) for number in (1, 2, 3))))
        assert (status, uids(answer, STORED), uids(answer, FAILED)) == (202, ["1.2.3.1.3", "1.2.3.2.3"], ["1.2.3.3.3"])
        assert reasons(answer, FAILED) == [0xA700]
        assert post(node, body(encoded(film(3))))[0] == 503
        assert left(node) == []


def test_only_if_the_configuration_says_so(tmp_path: Path) -> None:
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": free_port()})
    with running(tmp_path, values) as node:
        wait_until(lambda: listens(node.http_port))
        assert post(node, body(encoded(film(1))))[0] == 404
