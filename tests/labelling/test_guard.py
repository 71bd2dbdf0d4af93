from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed (make label)")

from monai_ceph.labelling.guard import Guard

HOST = "127.0.0.1:8000"
FRIEND = "http://localhost:3000"


def answer(method: str, path: str, **headers: str) -> int:
    """The status of a request; 200 if the application behind the guard got it."""
    statuses: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()]
    scope = {"type": "http", "method": method, "path": path, "scheme": "http", "headers": pairs}
    asyncio.run(Guard(application, [FRIEND])(scope, None, send))
    return statuses[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_of_other_addresses_change_nothing(method: str) -> None:
    for path in ("/train/cephalometric", "/infer/cephalometric", "/reload"):
        assert answer(method, path, origin="https://evil.example") == 403
        assert answer(method, path, origin="null") == 403
        assert answer(method, path, origin="http://127.0.0.1:9999") == 403
        assert answer(method, path, sec_fetch_site="cross-site") == 403
        assert answer(method, path, origin=f"http://{HOST}") == 200
        assert answer(method, path, origin=FRIEND) == 200
        # a program
        assert answer(method, path) == 200


def test_reading_is_left_to_the_browsers_rules() -> None:
    assert answer("GET", "/info/", origin="https://evil.example") == 200


@pytest.mark.parametrize(
    "path",
    [
        *("studies", "qido/studies", "wado/studies/1.2/series/1.3/metadata", "studies/1.2/series/1.3/instances/1.4"),
        *("series", "qido/instances", "wado/studies/1.2/series/1.3/instances/1.4/frames/1", "studies/"),
    ],
)
def test_the_proxy_reads_what_a_viewer_needs(path: str) -> None:
    assert answer("GET", f"/proxy/dicom/{path}") == 200
    assert answer("POST", f"/proxy/dicom/{path}") == 403


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../tools/bulk-delete",
            "studies/../../tools",
            "wado/../../system",
            "%2e%2e/tools",
            "studies/%2e%2e/x",
        ),
        *("studies/%252e%252e/x", "studies\\..\\x", "tools/now", "stow/", "", "qido", "http://other.example/studies"),
        *("studies?x=/../", "studies#", "studies//x", "studies/..", "wado/studies/\n"),
    ],
)
def test_the_proxy_leads_nowhere_else(path: str) -> None:
    assert answer("GET", f"/proxy/dicom/{path}") == 403


def test_nothing_else_is_proxied() -> None:
    assert answer("GET", "/proxy/other/studies") == 403
