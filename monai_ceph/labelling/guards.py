"""ASGI middleware for what MONAI Label leaves open: its proxy to the PACS, and requests from other web pages."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

__all__ = ["OwnPages", "ReadingProxy"]

_Messages = Callable[..., Awaitable[Any]]
_App = Callable[[MutableMapping[str, Any], _Messages, _Messages], Awaitable[None]]

# what OHIF asks for: a resource below studies, of plain segments. A percent sign that is left here was encoded twice,
# and the proxy's own client would decode it
_RESOURCE = re.compile(r"/dicom/(?:(?:qido|wado)/)?studies(?:/(?!\.+(?:/|$))[\w.,-]+)*/?", re.ASCII)
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class ReadingProxy:
    """Lets MONAI Label's proxy read ``studies`` of the PACS, and nothing else.

    The proxy sends whatever path it gets to the PACS with the server's credentials, by GET and POST, to everyone who
    may see films: ``..`` leaves the DICOMweb root, and a POST stores or deletes.

    Args:
        app: the next application.
        prefix: of MONAI Label's paths.
    """

    def __init__(self, app: _App, prefix: str = "") -> None:
        self._app = app
        self._proxy = f"{prefix}/proxy"

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Messages, send: _Messages) -> None:
        """Answer 403 to what is no reading of studies."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == self._proxy or path.startswith(f"{self._proxy}/")):
            reads = scope["method"] in ("GET", "HEAD")
            if not reads or not _RESOURCE.fullmatch(path.removeprefix(self._proxy)):
                refusal = "the proxy to the PACS reads studies and what is below them, and nothing else"
                await _forbidden(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class OwnPages:
    """Refuses what a web page of elsewhere makes a visitor's browser send.

    Without CORS headers a page cannot read the answer, but the browser sends forms and plain POST requests all the
    same, and the server would do what they say. Clients that are no browsers name no origin.

    Args:
        app: the next application.
        allowed: further origins, such as ``http://localhost:3000``.
    """

    def __init__(self, app: _App, allowed: Collection[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Messages, send: _Messages) -> None:
        """Answer 403 to a request of another page that is more than a look."""
        if scope["type"] == "http" and scope["method"] not in _HARMLESS:
            headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
            if not self._is_own(headers):
                refusal = "the request comes from a web page of another origin; --allow-origin names those that may"
                await _forbidden(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_own(self, headers: dict[bytes, str]) -> bool:
        origin = headers.get(b"origin")
        if origin is None:
            # browsers that leave out the origin still say this much
            return headers.get(b"sec-fetch-site") not in ("cross-site", "same-site")
        # the host alone: behind a proxy that ends HTTPS, the scheme is another one
        return origin in self._allowed or urlsplit(origin).netloc == headers.get(b"host", "")


def _forbidden(text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status_code=403)
