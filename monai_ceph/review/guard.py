"""Who may ask the review's server: checked before each request, with headers that go with each answer."""

from __future__ import annotations

import hmac

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monai_ceph.review.hosts import Hosts

__all__ = ["Guard"]

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_COOKIE = "monai-ceph-review"


class Guard:
    """ASGI middleware. FastAPI's own kind starts tasks for each request, which costs as much as the routing.

    Args:
        app: what it guards.
        token: that a browser must have; None: none is needed.
        hosts: names that requests may be sent to.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Hosts) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may not go on; let any other one through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (_refusal(Request(scope), self._token, self._hosts) or self._app)(scope, receive, sent)


def _refusal(request: Request, token: str | None, hosts: Hosts) -> Response | None:
    """Return the answer to a request that may not go on, otherwise None."""
    host = request.headers.get("host")
    if not hosts.allows(host):
        return PlainTextResponse("Invalid host header", 400)
    if request.method not in ("GET", "HEAD"):
        # a form of another site cannot send this header, and its scripts may not
        if request.headers.get("x-monai-ceph") != "1":
            return JSONResponse({"detail": "the header X-Monai-Ceph: 1 is missing"}, 403)
        origin = request.headers.get("origin")
        if origin is not None and not hosts.same_origin(origin, host):
            return JSONResponse({"detail": "the request comes from a page of another origin"}, 403)
    if request.headers.get("sec-fetch-site") == "cross-site" and request.url.path.startswith("/api/"):
        return JSONResponse({"detail": "the request comes from a page of another origin"}, 403)
    if token is None:
        return None
    given = request.query_params.get("token")
    if given is not None and hmac.compare_digest(given.encode(), token.encode()):
        # the token leaves the address bar, and with it the browser's history
        answer = RedirectResponse(request.url.path, 303)
        answer.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        return answer
    cookie = request.cookies.get(_COOKIE, "")
    if hmac.compare_digest(cookie.encode(), token.encode()):
        return None
    return JSONResponse({"detail": "a token is needed: open the address that monai-ceph review printed"}, 401)
