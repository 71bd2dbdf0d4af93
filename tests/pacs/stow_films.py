"""Uploads by STOW-RS to a node on loopback: whole ones, ones that never end, and ones that are none."""

from __future__ import annotations

import io
import json
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException

from pydicom import Dataset

KIND = 'multipart/related; type="application/dicom"; boundary=xYz'


def encoded(dataset: Dataset) -> bytes:
    """Return a film as a file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def part(content: bytes, *headers: str) -> bytes:
    """Return a part of a body, by default with the header of a film."""
    lines = headers or ("Content-Type: application/dicom",)
    return b"--xYz\r\n" + "".join(f"{each}\r\n" for each in lines).encode() + b"\r\n" + content + b"\r\n"


def body(*contents: bytes) -> bytes:
    """Return a body with these films."""
    return b"".join(map(part, contents)) + b"--xYz--\r\n"


def changed(whole: bytes, chance: random.Random) -> bytes:
    """Return a body with bytes near its boundaries and headers that are changed, missing or double."""
    edges = [whole.find(b"--xYz"), whole.rfind(b"--xYz\r"), len(whole) - 9]
    content = bytearray(whole)
    for _ in range(chance.randrange(1, 4)):
        at = min(len(content) - 1, max(0, chance.choice(edges) + chance.randrange(-5, 45)))
        if (kind := chance.randrange(3)) == 0:
            content[at] = chance.randrange(256)
        elif kind == 1:
            del content[at : at + chance.randrange(1, 60)]
        else:
            content[at:at] = content[at : at + chance.randrange(1, 60)]
    return bytes(content)


def post_film(port: int, dataset: Dataset, seconds: float = 20) -> bool:
    """Send a film; return whether the node says that it is stored."""
    return _stored(port, body(encoded(dataset)), seconds) == {str(dataset.SOPInstanceUID)}


def broken_upload(port: int, chance: random.Random, dataset: Dataset) -> None:
    """Send a body that may be no multipart."""
    with suppress(OSError, HTTPException):
        _stored(port, changed(body(encoded(dataset)), chance), 20)


def _stored(port: int, content: bytes, seconds: float) -> set[str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", "/studies", content, {"Content-Type": KIND})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, HTTPException):
        return set()
    finally:
        connection.close()
    if answer.status not in (200, 202):
        return set()
    return {item["00081155"]["Value"][0] for item in json.loads(text)["00081199"]["Value"]}


@contextmanager
def half_upload(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Hold uploads that never end."""
    opened: list[socket.socket] = []
    head = f"POST /studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\nContent-Length: 100000\r\n\r\n"
    try:
        for _ in range(count):
            with suppress(OSError):
                opened.append(socket.create_connection(("127.0.0.1", port), timeout=20))
                opened[-1].sendall(head.encode() + part(bytes(1000))[:-2])
        yield opened
    finally:
        for each in opened:
            each.close()
