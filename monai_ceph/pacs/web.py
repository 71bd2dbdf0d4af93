"""The HTTP side of a node: ``/health``, ``/ready``, ``/metrics``, and a page with a button to retry dead letters.

Without a token it can be reached from this machine alone. A token is asked for as a bearer token, or as the password of
any user, as browsers do. ``/health`` and ``/ready`` need none: they say nothing but yes, or why not.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import HttpConfig
from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.metrics import metrics_text
from monai_ceph.pacs.overview import dead_films, last_films, pending
from monai_ceph.pacs.spool import Spool
from monai_ceph.version import __version__

__all__ = ["WebServer", "make_app"]

_SHOWN = 50


def make_app(
    config: HttpConfig,
    ae_title: str,
    spool: Spool,
    ledger: NodeLedger,
    deliveries: list[DeliveryLoop],
    problems: Callable[[], list[str]],
    on_retry: Callable[[], None],
) -> FastAPI:
    """Return the application.

    Args:
        config: host and token.
        ae_title: of the node.
        spool: its folder.
        ledger: its ledger.
        deliveries: its targets.
        problems: why it cannot take films at the moment.
        on_retry: called when a dead letter begins anew.
    """
    # the pages that FastAPI makes of its own load scripts from elsewhere
    app = FastAPI(title="monai-ceph node", version=__version__, docs_url=None, redoc_url=None)
    if config.token is None:
        # a page of a stranger, whose name leads to this machine, is not answered
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", "::1"])
    page = Environment(autoescape=True).from_string((files("monai_ceph.pacs") / "status.html").read_text("utf-8"))

    def logged_in(request: Request) -> None:
        if config.token is not None and not _has_token(request, config.token.get_secret_value()):
            raise HTTPException(401, "a token is needed", {"WWW-Authenticate": 'Basic realm="monai-ceph"'})

    secured: dict[str, Any] = {"dependencies": [Depends(logged_in)], "responses": {401: {"description": "No token"}}}

    @app.exception_handler(StoppedError)
    def cannot_be_written(request: Request, error: StoppedError) -> JSONResponse:
        return JSONResponse({"detail": "the ledger cannot be read or written"}, 503)

    @app.get("/health", responses={200: {"description": "The node runs"}})
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"description": "Films are refused at the moment"}})
    def ready(response: Response) -> dict[str, list[str]]:
        causes = problems()
        response.status_code = 503 if causes else 200
        return {"problems": causes}

    @app.get("/metrics", response_class=Response, **secured)
    def metrics() -> Response:
        text = metrics_text(ledger, deliveries, spool.folder)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/status", **secured)
    def status() -> dict[str, Any]:
        waiting = pending(ledger)
        return {
            "ae_title": ae_title,
            "problems": problems(),
            "counts": ledger.counts(),
            "targets": [
                {"name": each.name, "pending": waiting.get(each.name, 0), "failures": each.state.failures}
                | {"cause": each.state.cause}
                for each in deliveries
            ],
            "dead": [asdict(row) for row in dead_films(ledger, _SHOWN)],
            "last": [asdict(row) for row in last_films(ledger, _SHOWN)],
        }

    @app.get("/", response_class=HTMLResponse, **secured)
    def show() -> str:
        return page.render(status())

    @app.post(
        "/films/{film_id}/retry",
        status_code=303,
        response_class=RedirectResponse,
        dependencies=secured["dependencies"],
        responses={
            **secured["responses"],
            303: {"description": "It begins anew"},
            403: {"description": "Asked by the page of another site"},
            404: {"description": "No dead letter"},
        },
    )
    def retry(film_id: Annotated[int, Path(ge=1, le=2**63 - 1)], request: Request) -> RedirectResponse:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise HTTPException(403, "this page does not belong to the node")
        with spool.lock:
            if not ledger.retry(film_id):
                raise HTTPException(404, "no dead letter")
            spool.settle(ledger, film_id)
        on_retry()
        return RedirectResponse("/", 303)

    return app


def _has_token(request: Request, token: str) -> bool:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(value.strip().encode(), token.encode())


class WebServer:
    """Serves an application in a thread of its own.

    Args:
        app: of :func:`make_app`.
        config: where.
    """

    def __init__(self, app: FastAPI, config: HttpConfig) -> None:
        options = {"log_config": None, "access_log": False, "server_header": False, "timeout_keep_alive": 5}
        self._server = uvicorn.Server(uvicorn.Config(app, config.host, config.port, **options))  # type: ignore[arg-type]

    def run(self, ended: threading.Event) -> None:
        """Serve until the node ends.

        Raises:
            StoppedError: if the port is taken.
        """
        threading.Thread(target=self._end, args=(ended,), daemon=True).start()
        try:
            self._server.run()
        except SystemExit as error:
            raise StoppedError(f"the port {self._server.config.port} of the page cannot be used") from error
        if not ended.is_set():
            raise StoppedError(f"the page ended; is its port {self._server.config.port} taken?")

    def _end(self, ended: threading.Event) -> None:
        ended.wait()
        self._server.should_exit = True
