"""Results of two small films, and a real server for them."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import COLUMNS, ROWS, detection_on, film, saved, without
from PIL import Image

from monai_ceph.reports.json_result import save_json
from monai_ceph.review.service import ReviewService


@dataclass
class Answer:
    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def send(address: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
    """Send a request as the page does. Header names have underscores; an empty header is left out."""
    shown = {"X-Monai-Ceph": "1", "Content-Type": "application/json"}
    shown |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    sent = {name: value for name, value in shown.items() if value}
    request = urllib.request.Request(address, data, sent, method=method)
    try:
        with _OPENER.open(request, timeout=600) as answer:
            return Answer(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), error.headers)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A DICOM film and a 16-bit PNG."""
    folder = tmp_path / "films"
    folder.mkdir()
    pixels = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS) % 4096
    with_pixels = {"Rows": ROWS, "Columns": COLUMNS, "PixelData": pixels.tobytes(), "BitsAllocated": 16}
    depth = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "SamplesPerPixel": 1}
    grey = {"PhotometricInterpretation": "MONOCHROME2", "RescaleSlope": None, "RescaleIntercept": None}
    dataset = film(**with_pixels, **depth, **grey)
    dataset["PixelData"].VR = "OW"
    saved(dataset, folder / "a.dcm")
    Image.fromarray(pixels * 15).save(folder / "b.png")
    return folder


@pytest.fixture
def results(tmp_path: Path, films: Path) -> Path:
    """Results as detect writes them; on b.png, two landmarks were not found."""
    folder = tmp_path / "results"
    save_json(folder / "json" / "a.dcm.json", detection_on(file="a.dcm"))
    second = without(detection_on(file="b.png", image_uid=None, sop_class_uid=None), "S", "Go")
    save_json(folder / "json" / "b.png.json", second)
    return folder


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves and returns the address.

    Arguments are those of ReviewService, and those of make_app.
    """
    uvicorn = pytest.importorskip("uvicorn", reason="the extra review is not installed (make optional)")
    pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
    import socket

    from monai_ceph.review.app import make_app

    running = []

    def start(*arguments: Any, token: str | None = None, hosts: Any = None, **options: Any) -> str:
        service = ReviewService(*arguments, **options)
        app = make_app(service, token, hosts)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread, listener, service))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread, listener, service in running:
        server.should_exit = True
        thread.join()
        listener.close()
        service.close()


@pytest.fixture
def address(serve: Serve, results: Path, films: Path) -> str:
    return serve(results, [films])


def ids(address: str) -> dict[str, str]:
    """Return the id of each film by its name."""
    return {row["film"]: row["id"] for row in send(f"{address}/api/films").json}


def draft(address: str, film_id: str, reviewer: str = "Dr. Example", **moved: Any) -> dict[str, Any]:
    """Return the body of a save that moves points to (x, y); None says that one is not on the film."""
    review = send(f"{address}/api/films/{film_id}").json["review"]
    points = {point["symbol"]: point for point in review["points"]}
    for symbol, place in moved.items():
        x, y = place or (None, None)
        source = "absent" if place is None else "human"
        points[symbol] = {"symbol": symbol, "x": x, "y": y, "source": source, "moved_from": None}
    found = list(points.values())
    return {"based_on": review["revision"], "reviewer": reviewer, "points": found, "calibration": None, "note": ""}
