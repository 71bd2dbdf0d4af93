"""A DICOMweb service that says what a test has it say: a real server on the loopback interface."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import Dataset, dcmread

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def dataset(**values: Any) -> Dataset:
    result = Dataset()
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Archive:
    """A DICOMweb service whose studies have one series of one image each.

    Attributes:
        studies: what it says of them, as JSON.
        broken: study UIDs whose series are answered with HTTP 500.
        body: the multipart body of every image.
        bodies: that of some, by their UIDs.
        raw: headers and body that answer the requests of a path, whatever they are.
        stowed: says how an object is answered, as status, headers and body.
        stored: UIDs of the objects that were sent, in order.
        page: how many answers it gives at most.
        knows_offset: whether it continues where the last page ended.
        asked: paths of the requests.
        logins: their ``Authorization``.
    """

    def __init__(self, *numbers: int) -> None:
        self.studies: list[Any] = [self.study(number) for number in numbers]
        self.broken: set[str] = set()
        self.body = b""
        self.bodies: dict[str, bytes] = {}
        self.raw: dict[str, tuple[dict[str, str], bytes]] = {}
        self.stowed: Callable[[Dataset], tuple[int, dict[str, str], bytes]] = stored
        self.stored: list[str] = []
        self.page = 1000
        self.knows_offset = True
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.url = ""

    @staticmethod
    def study(number: int) -> dict[str, Any]:
        return dataset(StudyInstanceUID=f"1.2.3.{number}.1").to_json_dict()

    def answer(self, path: str, options: dict[str, list[str]]) -> tuple[int, str, bytes]:
        self.asked.append(path)
        parts = path.strip("/").split("/")
        if len(parts) == 6:
            return 200, 'multipart/related; type="application/dicom"; boundary=B', self.bodies.get(parts[-1], self.body)
        number = path.split(".")[3] if "." in path else "0"
        if any(uid in parts for uid in self.broken):
            return 500, "text/plain", b""
        everything = {
            1: self.studies,
            3: [dataset(SeriesInstanceUID=f"1.2.3.{number}.2", Modality="DX").to_json_dict()],
            5: [dataset(SOPInstanceUID=f"1.2.3.{number}.3", SOPClassUID=DX).to_json_dict()],
        }[len(parts)]
        start = int(options.get("offset", ["0"])[0]) if self.knows_offset else 0
        page = everything[start : start + min(self.page, int(options["limit"][0]))]
        return 200, "application/dicom+json", json.dumps(page).encode()


def as_json(answer: Dataset, status: int = 200, kind: str = "application/dicom+json") -> Any:
    return status, {"Content-Type": kind}, answer.to_json().encode()


def store_response(sent: Dataset, **changes: Any) -> Dataset:
    """The response for an object that is stored (PS3.18 table 10.5.3-1); changes are of its item."""
    item = dataset(
        **{
            "ReferencedSOPClassUID": sent.SOPClassUID,
            "ReferencedSOPInstanceUID": sent.SOPInstanceUID,
            "RetrieveURL": f"http://pacs.example/instances/{sent.SOPInstanceUID}",
            **changes,
        }
    )
    return dataset(FailedSOPSequence=[], ReferencedSOPSequence=[item])


def stored(sent: Dataset) -> Any:
    return as_json(store_response(sent))


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"


@contextmanager
def serving(archive: Archive, certificates: Path | None = None) -> Iterator[Archive]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            archive.logins.append(self.headers.get("Authorization"))
            if url.path in archive.raw:
                headers, body = archive.raw[url.path]
                self._answer(200, {"Content-Type": "application/dicom+json", **headers}, body)
                return
            status, kind, body = archive.answer(url.path, parse_qs(url.query))
            self._answer(status, {"Content-Type": kind}, body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = dcmread(BytesIO(body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]))
            archive.stored.append(str(sent.SOPInstanceUID))
            self._answer(*archive.stowed(sent))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            if "Transfer-Encoding" not in headers:
                headers = {**headers, "Content-Length": str(len(body))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificates is not None:
        context, scheme = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "https"
        context.load_cert_chain(certificates / "node.pem", certificates / "node.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    archive.url = f"{scheme}://localhost:{server.server_address[1]}"
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
