"""uvicorn's HTTP protocol with limits: it waits for ever for the rest of a request, and takes any number of them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from monai_ceph.pacs.logs import log

__all__ = ["EXTEND", "MOST_CONNECTIONS", "MOST_UPLOADS", "REQUEST_SECONDS", "GuardedHttp"]

MOST_CONNECTIONS = 64
"""Connections at once. A further one takes the place of the oldest that waits for its request."""

MOST_UPLOADS = 16
"""Requests at once whose films are being received."""

EXTEND = "monai_ceph.extend"
"""Key of the scope: a function that gives the request this many seconds from now on, as long as more of it arrives."""

REQUEST_SECONDS = 15.0
"""Time from the connection, or the answer before, to the end of the answer."""


class GuardedHttp(H11Protocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the time limit, and keep the number of connections."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._restart()
        # one that was closed stays in the list until the loop comes round
        there = [each for each in self.connections if isinstance(each, GuardedHttp) and not each.transport.is_closing()]
        if len(there) > MOST_CONNECTIONS:
            others = [each for each in there if each is not self]
            waiting = [each for each in others if each.cycle is None or each.cycle.response_complete]
            victim = min(waiting, key=lambda each: each._began, default=self)
            victim._close("too many HTTP connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Give the next request the same time."""
        super().on_response_complete()
        self._restart()

    def handle_events(self) -> None:
        """Let the application give a request more time."""
        super().handle_events()
        if self.scope is not None:
            # the application starts only when the loop comes round
            cast(Any, self.scope)[EXTEND] = self._extend

    def _extend(self, seconds: float) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._restart(max(0.0, seconds), "a request that arrives too slowly")

    def _restart(self, seconds: float | None = None, cause: str = "") -> None:
        seconds = REQUEST_SECONDS if seconds is None else seconds
        if self._timer is not None:
            self._timer.cancel()
        cause = cause or f"no complete HTTP request within {seconds:g} s"
        self._timer = self.loop.call_later(seconds, self._close, cause)

    def _close(self, cause: str) -> None:
        if not self.transport.is_closing():
            address = self.client[0] if self.client else ""
            log("connection closed", warning=True, address=address, cause=cause)
            self.transport.abort()
