"""The HTTP port of a node that stands by: it lives, and is not ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import HttpConfig
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.web import WebServer

__all__ = ["StandbyPage"]


class StandbyPage:
    """Answers ``/health`` and ``/ready``; 503 to everything else.

    Attributes:
        reason: why it stands by.
    """

    def __init__(self) -> None:
        self.reason = "standby"

    def app(self, config: HttpConfig) -> FastAPI:
        """Return the application."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        if config.token is None:
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", "::1"])

        @app.get("/health")
        def health() -> dict[str, str]:
            return {"status": "ok"}

        @app.get("/ready")
        def ready() -> JSONResponse:
            return JSONResponse({"problems": [self.reason], "warnings": []}, 503)

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        def elsewhere(path: str) -> JSONResponse:
            return JSONResponse({"detail": "this node stands by"}, 503)

        return app

    @contextmanager
    def served(self, config: HttpConfig | None) -> Iterator[None]:
        """Serve it, if there is a port for it. The working node then gets the port."""
        if config is None:
            yield
            return
        server, ended = WebServer(self.app(config), config), threading.Event()

        def run() -> None:
            try:
                server.run(ended)
            except StoppedError as error:
                # it still can take over, and ends then if the port is still taken
                log("page not served", warning=True, cause=str(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=10)
