"""Which requests the guards let through. Paths are decoded as uvicorn does it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from starlette.responses import PlainTextResponse

from monai_ceph.labelling.guards import OwnPages, ReadingProxy

VIEWER = "http://viewer.example:3000"
HOST = "127.0.0.1:8000"

Ask = Callable[..., tuple[int, str]]


def ask(app: Any, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Send one request to an ASGI application; return status and text."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    fields = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b""},
        **{"method": method, "path": unquote(path), "raw_path": path.encode(), "root_path": ""},
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)},
    }
    asyncio.run(app(scope, receive, send))
    return said[0]["status"], b"".join(message.get("body", b"") for message in said[1:]).decode()


@pytest.fixture
def seen() -> list[str]:
    """The paths of the requests that the guards let through."""
    return []


@pytest.fixture
def request_(seen: list[str]) -> Ask:
    async def note(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await PlainTextResponse("done")(scope, receive, send)

    guarded = OwnPages(ReadingProxy(note), allowed=[VIEWER])
    return lambda method, path, **headers: ask(guarded, method, path, **headers)


@pytest.mark.parametrize(
    "path",
    [
        "studies",
        "qido/studies",
        "qido/studies/2.25.1/series",
        "wado/studies/2.25.1/series/2.25.2/metadata",
        "wado/studies/2.25.1/series/2.25.2/instances/2.25.3/frames/1,2",
    ],
)
def test_the_proxy_reads_studies(request_: Ask, seen: list[str], path: str) -> None:
    assert request_("GET", f"/proxy/dicom/{path}")[0] == 200
    assert len(seen) == 1


@pytest.mark.parametrize(
    "path",
    [
        "..%2ftools%2fbulk-delete",
        "studies/..%2f..%2finstances",
        "studies/%2e%2e/%2e%2e/system",
        "studies/%252e%252e/%252e%252e/system",
        "qido/..%2f..%2fsystem",
        "studies%5c..%5c..%5csystem",
        "studies/http:%2f%2felsewhere.example",
        "studies%3fx=1",
        "stow/studies",
        "instances",
        "studiesx",
        "",
    ],
)
def test_the_proxy_refuses_other_paths(request_: Ask, seen: list[str], path: str) -> None:
    status, text = request_("GET", f"/proxy/dicom/{path}")
    assert (status, seen) == (403, [])
    assert "only reads studies" in json.loads(text)["detail"]


@pytest.mark.parametrize("path", ["stow/studies", "studies", "qido/studies", "..%2ftools%2fbulk-delete"])
def test_the_proxy_refuses_to_write(request_: Ask, seen: list[str], path: str) -> None:
    assert (request_("POST", f"/proxy/dicom/{path}")[0], seen) == (403, [])


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000.elsewhere.example"},
        {"Origin": "http://127.0.0.1:9000", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_requests_from_pages_of_another_origin_are_refused(
    request_: Ask, seen: list[str], headers: dict[str, str], method: str
) -> None:
    assert request_(method, "/train/cephalometric", **headers)[0] == 403
    assert seen == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": VIEWER}, {"Origin": "http://127.0.0.1:8000", "Sec_Fetch_Site": "same-origin"}],
)
def test_own_pages_allowed_origins_and_other_clients_are_accepted(
    request_: Ask, seen: list[str], headers: dict[str, str]
) -> None:
    assert (request_("POST", "/train/cephalometric", **headers)[0], len(seen)) == (200, 1)


def test_the_web_application_has_both_guards() -> None:
    from monai_ceph.labelling.web import app

    assert ask(app, "POST", "/proxy/dicom/stow/studies")[0] == 403
    assert ask(app, "GET", "/proxy/dicom/..%2ftools%2fbulk-delete")[0] == 403
    assert ask(app, "POST", "/reload", Origin="http://elsewhere.example")[0] == 403
