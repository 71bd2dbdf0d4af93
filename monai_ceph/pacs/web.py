"""The HTTP side of a node: ``/health``, ``/ready``, ``/metrics``, and a page with a button to retry dead letters.

Without a token it can only be reached from this machine. The token is sent as a bearer token, or as the password of any
user, as browsers do. ``/health`` and ``/ready`` need no token: they only report the state and problems.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.security.http import HTTPBase
from jinja2 import Environment
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monai_ceph.archives.tls import server_context
from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import HttpConfig
from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.guarded_http import GuardedHttp
from monai_ceph.pacs.guarded_https import Handshakes, guarded_https, guarded_sockets
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.metrics import metrics_text
from monai_ceph.pacs.overview import Overview, SourceRow, TargetRow, dead_films, last_films, pending, refused
from monai_ceph.pacs.polling_loop import PollingLoop
from monai_ceph.pacs.spool import Spool
from monai_ceph.pacs.stow_in import StowIn
from monai_ceph.pacs.watch import Watch
from monai_ceph.version import __version__

__all__ = ["WebServer", "from_this_page", "make_app"]

_SHOWN = 50
# no scripts, nothing from other sites, and no other page may show this one in a frame
_PAGE_MAY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
_BIGGEST = 2**63 - 1


def _object(**kinds: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI schema of a JSON object with all of these properties."""
    schema = {"type": "object", "properties": kinds, "required": list(kinds)}
    return {"content": {"application/json": {"schema": schema}}}


_TEXT = {"schema": {"type": "string"}}
_REFUSED = _object(detail={"type": "string"})
_NO_LEDGER = {503: {"description": "The ledger cannot be read or written", **_REFUSED}}
_NO_TOKEN = {401: {"description": "No token, or a wrong one", "headers": {"WWW-Authenticate": _TEXT}, **_REFUSED}}
_NOT_HERE = {
    400: {"description": "The host name in the request is not this machine's", "content": {"text/plain": _TEXT}}
}


def make_app(
    config: HttpConfig,
    ae_title: str,
    spool: Spool,
    ledger: NodeLedger,
    deliveries: list[DeliveryLoop],
    polls: list[PollingLoop],
    watch: Watch,
    on_retry: Callable[[], None],
    stow: StowIn | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        config: host and token.
        ae_title: of the node.
        spool: its folder.
        ledger: its ledger.
        deliveries: its targets.
        polls: the archives that it queries.
        watch: knows what is wrong at the moment.
        on_retry: called when a dead letter is retried.
        stow: takes films by STOW-RS.
    """
    known = {} if config.token is not None else _NOT_HERE
    # FastAPI's own pages load scripts from other sites
    app = FastAPI(title="monai-ceph node", version=__version__, docs_url=None, redoc_url=None, responses=known)
    if config.token is None:
        # against DNS rebinding: another site's name that resolves to this machine
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", "::1"])
    page = Environment(autoescape=True).from_string((files("monai_ceph.pacs") / "status.html").read_text("utf-8"))

    def logged_in(request: Request) -> None:
        if config.token is not None and not _has_token(request, config.token.get_secret_value()):
            address = request.client.host if request.client is not None else ""
            names = {"user": _user_of(request), "address": address, "path": request.url.path}
            log("login refused", warning=True, **names, cause="no token, or a wrong one")
            raise HTTPException(401, "a token is needed", {"WWW-Authenticate": 'Basic realm="monai-ceph"'})

    secured: dict[str, Any] = {"dependencies": [Depends(logged_in)], "responses": _NO_LEDGER}
    if config.token is not None:
        # these two only document the login in the schema; logged_in checks it
        ways = [Depends(HTTPBase(scheme=name, scheme_name=name, auto_error=False)) for name in ("basic", "bearer")]
        secured = {"dependencies": [Depends(logged_in), *ways], "responses": {**_NO_LEDGER, **_NO_TOKEN}}

    @app.exception_handler(StoppedError)
    def cannot_be_written(request: Request, error: StoppedError) -> JSONResponse:
        return JSONResponse({"detail": "the ledger cannot be read or written"}, 503)

    @app.get("/health", responses={200: {"description": "The node runs"}})
    def health() -> dict[str, str]:
        return {"status": "ok"}

    sentences = {"type": "array", "items": {"type": "string"}}
    refuses = _object(problems=sentences, warnings=sentences)

    @app.get("/ready", responses={503: {"description": "Films are refused at the moment", **refuses}})
    def ready(response: Response) -> dict[str, list[str]]:
        try:
            # without the causes, which name hosts: nobody has to log in here
            causes, warnings = watch.problems(), list(watch.warnings())
        except StoppedError:
            causes, warnings = ["the ledger cannot be read or written"], []
        response.status_code = 503 if causes else 200
        return {"problems": causes, "warnings": warnings}

    metrics_are = {200: {"description": "For Prometheus", "content": {"text/plain": _TEXT}}}

    @app.get("/metrics", response_class=Response, **secured | {"responses": secured["responses"] | metrics_are})
    def metrics() -> Response:
        text = metrics_text(ledger, deliveries, polls, spool.folder, watch)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/status", **secured)
    def status() -> Overview:
        waiting, refusals = pending(ledger), refused(ledger)
        return Overview(
            ae_title=ae_title,
            review_url=config.review_url,
            problems=watch.problems(),
            warnings=[f"{what}: {cause}" for what, cause in watch.warnings().items()],
            counts=ledger.counts(),
            targets=[
                TargetRow(
                    *(each.name, waiting.get(each.name, 0), each.state.failures, each.state.cause),
                    *refusals.get(each.name, (0, None)),
                )
                for each in deliveries
            ],
            sources=[SourceRow(each.name, each.failures, each.cause) for each in polls],
            dead=dead_films(ledger, _SHOWN),
            last=last_films(ledger, _SHOWN),
            profile=watch.standing(),
        )

    @app.get("/", response_class=HTMLResponse, **secured)
    def show(retried: Annotated[int | None, Query(ge=1, le=_BIGGEST)] = None) -> HTMLResponse:
        film = None if retried is None else ledger.film(retried)
        # anybody can write such a link, so a film is shown as retried only if it was
        film = film if film is not None and film.generation > 0 else None
        return HTMLResponse(page.render(asdict(status()), retried=film), headers={"Content-Security-Policy": _PAGE_MAY})

    @app.post(
        "/films/{film_id}/retry",
        status_code=303,
        response_class=RedirectResponse,
        dependencies=secured["dependencies"],
        responses={
            **secured["responses"],
            303: {"description": "The film is retried", "headers": {"Location": _TEXT}},
            403: {"description": "The request comes from another site's page", **_REFUSED},
            404: {"description": "Not a dead letter, or its files were removed", **_REFUSED},
        },
    )
    def retry(
        film_id: Annotated[int, Path(ge=1, le=_BIGGEST)],
        request: Request,
        sec_fetch_site: Annotated[str | None, Header(examples=["same-origin", "cross-site"])] = None,
    ) -> RedirectResponse:
        if not from_this_page(request, sec_fetch_site):
            address = request.client.host if request.client is not None else ""
            log("retry refused", warning=True, address=address, cause="the request comes from another site's page")
            raise HTTPException(403, "the request comes from another site's page")
        with spool.lock:
            film = ledger.film(film_id)
            if film is not None and film.state == "dead" and not spool.has_letter(film.key):
                raise HTTPException(404, "the files of this dead letter were removed, so it cannot be retried")
            if not ledger.retry(film_id):
                raise HTTPException(404, "this film is not a dead letter")
            spool.settle(ledger, film_id)
        on_retry()
        return RedirectResponse(f"/?retried={film_id}", 303)

    if stow is not None:
        app.include_router(stow.router(secured["dependencies"], secured["responses"]))
    return app


def from_this_page(request: Request, sec_fetch_site: str | None) -> bool:
    """Return whether a request comes from this node's page, or from no page, such as from curl.

    Browsers tell it in ``Sec-Fetch-Site`` if a page has TLS or is on the loopback interface, else in ``Origin``.
    """
    if sec_fetch_site is not None:
        return sec_fetch_site in ("same-origin", "none")
    page = request.headers.get("origin") or request.headers.get("referer")
    return page is None or urlsplit(page).netloc.lower() == request.headers.get("host", "").lower()


def _user_of(request: Request) -> str:
    """Return the user name that a browser sends, empty without one."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return (_basic(value) or ("", ""))[0][:64] if kind.lower() == "basic" else ""


def _basic(value: str) -> tuple[str, str] | None:
    """Return user name and password (RFC 7617)."""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _has_token(request: Request, token: str) -> bool:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        if (login := _basic(value)) is None:
            return False
        value = login[1]
    elif kind.lower() != "bearer":
        return False
    else:
        # header values are bytes, and Starlette reads each as a character
        value = value.encode("latin-1").decode("utf-8", errors="replace")
    return hmac.compare_digest(value.strip().encode(), token.encode())


class WebServer:
    """Serves an application in a thread.

    Args:
        app: from :func:`make_app`.
        config: host and port.
    """

    def __init__(self, app: FastAPI, config: HttpConfig) -> None:
        options: dict[str, Any] = {
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "timeout_keep_alive": 5,
            "timeout_graceful_shutdown": 5,
        }
        # a small backlog: everything in it is accepted at once, and each connection is an open file
        options |= {"http": GuardedHttp, "ws": "none", "backlog": 16}
        self._sockets: list[socket.socket] | None = None
        if config.tls is not None:
            context, handshakes = server_context(config.tls.certificate, config.tls.key), Handshakes()
            self._sockets = guarded_sockets(config.host, config.port, handshakes)
            # another loop would not accept by the sockets' own method
            options |= {"http": guarded_https(handshakes), "loop": "asyncio"}
        settings = uvicorn.Config(app, config.host, config.port, **options)
        if config.tls is not None:
            settings.load()
            settings.ssl = context
        self._server = uvicorn.Server(settings)

    def run(self, ended: threading.Event) -> None:
        """Serve until the node ends.

        Raises:
            StoppedError: the port is taken.
        """
        threading.Thread(target=self._end, args=(ended,), daemon=True).start()
        try:
            self._server.run(self._sockets)
        except SystemExit as error:
            raise StoppedError(f"the port {self._server.config.port} of the page cannot be used") from error
        if not ended.is_set():
            raise StoppedError(f"the status page stopped. Is its port {self._server.config.port} taken?")

    def _end(self, ended: threading.Event) -> None:
        ended.wait()
        self._server.should_exit = True
