"""ASGI middleware that closes gaps of MONAI Label: its proxy to the PACS, requests from other pages, zero bytes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

__all__ = ["NoZeroBytes", "OwnPages", "ReadingProxy"]

_Messages = Callable[..., Awaitable[Any]]
_App = Callable[[MutableMapping[str, Any], _Messages, _Messages], Awaitable[None]]

# OHIF requests resources below studies, without special characters. A percent sign that is left here was encoded
# twice, and the proxy's own client would decode it
_RESOURCE = re.compile(r"/dicom/(?:(?:qido|wado)/)?studies(?:/(?!\.+(?:/|$))[\w.,-]+)*/?", re.ASCII)
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class ReadingProxy:
    """Limits MONAI Label's proxy to reading ``studies`` of the PACS.

    Without this limit, anybody who may see films could send a GET or POST for any path to the PACS with the server's
    credentials: ``..`` leads out of the DICOMweb root, and a POST can store or delete.

    Args:
        app: the next application.
        prefix: prefix of MONAI Label's paths.
    """

    def __init__(self, app: _App, prefix: str = "") -> None:
        self._app = app
        self._proxy = f"{prefix}/proxy"

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Messages, send: _Messages) -> None:
        """Answer 403 to anything but reading studies."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == self._proxy or path.startswith(f"{self._proxy}/")):
            reads = scope["method"] in ("GET", "HEAD")
            if not reads or not _RESOURCE.fullmatch(path.removeprefix(self._proxy)):
                refusal = "the proxy to the PACS only reads studies, series and instances"
                await _forbidden(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class OwnPages:
    """Refuses requests that another site's web page makes a visitor's browser send.

    Without CORS headers the page cannot read the answers. But the browser still sends its forms and plain POST
    requests, and the server would carry them out. Clients other than browsers send no origin.

    Args:
        app: the next application.
        allowed: other origins whose pages may send requests, such as ``http://localhost:3000``.
    """

    def __init__(self, app: _App, allowed: Collection[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Messages, send: _Messages) -> None:
        """Answer 403 to a request from another site that could change something."""
        if scope["type"] == "http" and scope["method"] not in _HARMLESS:
            headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
            if not self._is_own(headers):
                refusal = "the request comes from a web page of another origin. Allow it with --allow-origin"
                await _forbidden(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_own(self, headers: dict[bytes, str]) -> bool:
        origin = headers.get(b"origin")
        if origin is None:
            # browsers that leave out the origin still send this header
            return headers.get(b"sec-fetch-site") not in ("cross-site", "same-site")
        # compare the host only: behind a proxy that ends HTTPS, the scheme differs
        return origin in self._allowed or urlsplit(origin).netloc == headers.get(b"host", "")


class NoZeroBytes:
    """Answers 400 to an address with a zero byte, which no name of a file can have: it would be an error of the server.

    Args:
        app: the next application.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Messages, send: _Messages) -> None:
        """Answer 400, or pass the request on."""
        if scope["type"] == "http" and ("\0" in scope["path"] or b"%00" in scope.get("query_string", b"")):
            await JSONResponse({"detail": "the address has a zero byte"}, status_code=400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _forbidden(text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status_code=403)
