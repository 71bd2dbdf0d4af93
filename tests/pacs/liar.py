"""A DICOMweb proxy that does not always tell the truth about STOW-RS, before a real archive on loopback."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.error import HTTPError
from urllib.request import Request, urlopen

KINDS = ("passes it on and says nothing", "drops it and says nothing", "drops it and says stored")


class Liar:
    """Use it as a context manager.

    Args:
        url: of the archive.
        chance: decides when and how it lies.

    Attributes:
        url: its own.
        share: of the requests to store something, how many it does not answer as the archive does.
        lies: how many these were.
    """

    def __init__(self, url: str, chance: random.Random) -> None:
        self.share, self.lies, self._archive, self._chance = 0.4, 0, url, chance
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Liar:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(*self._asked(None))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if liar._chance.random() >= liar.share:
                    self._say(*self._asked(body))
                    return
                liar.lies += 1
                lie = liar._chance.choice(KINDS)
                if lie == KINDS[0]:
                    self._asked(body)
                if lie != KINDS[2]:
                    self._say(200, "application/dicom+json", b"")
                    return
                # the answer of an archive that has it, to an object that it never saw
                uid = next(_uids(body), "1.2.3")
                item = f'{{"00081155":{{"vr":"UI","Value":["{uid}"]}}}}'
                said = f'{{"00081199":{{"vr":"SQ","Value":[{item}]}}}}'
                self._say(200, "application/dicom+json", said.encode())

            def _asked(self, body: bytes | None) -> tuple[int, str, bytes]:
                names = ("Accept", "Content-Type")
                headers = {name: self.headers[name] for name in names if name in self.headers}
                try:
                    with urlopen(Request(f"{liar._archive}{self.path}", body, headers), timeout=10) as answer:
                        return answer.status, answer.headers.get("Content-Type", ""), answer.read()
                except HTTPError as error:
                    return error.code, "text/plain", b""
                except OSError:
                    return 503, "text/plain", b""

            def _say(self, status: int, kind: str, content: bytes) -> None:
                # the node may have been killed meanwhile
                with suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


def _uids(body: bytes) -> Iterator[str]:
    """Yield the SOP Instance UID of the object in a request."""
    from io import BytesIO

    from pydicom import dcmread

    part = body.partition(b"\r\n\r\n")[2]
    yield str(dcmread(BytesIO(part), stop_before_pixels=True, force=True).SOPInstanceUID)
