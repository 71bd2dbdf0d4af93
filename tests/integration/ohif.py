"""Serve the OHIF viewer from npm on loopback, with an archive at the same address, so that pages ask no other host.

MONAI_CEPH_OHIF_DIR names a folder with the packages, each unpacked in a folder called by its version. They come built,
so their dependencies are not needed::

    for version in 3.12.10 3.13.2; do
      mkdir -p "$MONAI_CEPH_OHIF_DIR/$version" && cd "$MONAI_CEPH_OHIF_DIR/$version"
      npm pack "@ohif/app@$version" && tar -xzf ohif-app-*.tgz
    done

MONAI_CEPH_PICTURES names a folder for the pictures of docs/reference/viewers.md.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from PIL import Image

CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 1,
    "showErrorDetails": "always",
    "showLoadingIndicator": True,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "archive",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "archive",
            "configuration": {
                "friendlyName": "archive",
                "name": "archive",
                **dict.fromkeys(("wadoUriRoot", "qidoRoot", "wadoRoot"), "/dicom-web"),
                "qidoSupportsIncludeField": False,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
            },
        }
    ],
}


VERSIONS = ("3.12.10", "3.13.2")


def built(version: str) -> Path | None:
    """Return the folder of a built viewer; None if it is not there."""
    root = os.environ.get("MONAI_CEPH_OHIF_DIR")
    dist = Path(root or os.devnull) / version / "package" / "dist"
    return dist if (dist / "index.html").is_file() else None


class _Viewer(SimpleHTTPRequestHandler):
    """Files of the viewer; DICOMweb from the archive."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, archive: str, **named: Any) -> None:
        self._archive = archive
        super().__init__(*arguments, **named)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: there are hundreds of requests."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/dicom-web/"):
            self._forward()
        elif path == "/app-config.js":
            self._send(200, "text/javascript", f"window.config = {json.dumps(CONFIG)};".encode())
        else:
            # the paths of its pages are no files
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"
            super().do_GET()

    def do_POST(self) -> None:
        self._forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _forward(self, content: bytes | None = None) -> None:
        kept = {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
        try:
            with urlopen(Request(f"{self._archive}{self.path}", content, kept), timeout=60) as answer:
                self._send(answer.status, answer.headers["Content-Type"], answer.read())
        except HTTPError as error:
            self._send(error.code, error.headers.get("Content-Type", "text/plain"), error.read())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def picture(screenshot: bytes, name: str) -> None:
    """Save a screenshot for the docs, small and with few colours, if a folder is wanted."""
    if folder := os.environ.get("MONAI_CEPH_PICTURES"):
        image = Image.open(BytesIO(screenshot)).convert("RGB")
        image.thumbnail((1100, 1100))
        image.quantize(160, dither=Image.Dither.NONE).save(Path(folder) / name, optimize=True)


@contextmanager
def viewer(dist: Path, archive: str) -> Iterator[str]:
    """Serve a built OHIF with an archive, and yield its URL."""
    handler = partial(_Viewer, directory=str(dist), archive=archive)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
