"""Runs the review's HTTP server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn

from monai_ceph.errors import CephError
from monai_ceph.review.app import make_app
from monai_ceph.review.hosts import Hosts
from monai_ceph.review.service import ReviewService
from monai_ceph.web.loopback import is_loopback

__all__ = ["read_token", "serve"]

_SHORTEST_TOKEN = 16


def read_token(file: Path) -> str:
    """Return the token in a file.

    Raises:
        CephError: the file cannot be read, or the token is shorter than 16 characters or has other than printable
            ASCII ones.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CephError(f"{file}: {getattr(error, 'strerror', None) or 'not a text file'}") from error
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isalnum():
        raise CephError(
            f"{file}: a token has {_SHORTEST_TOKEN} or more letters and digits; make one with openssl rand -hex 24"
        )
    return token


def serve(
    service: ReviewService,
    host: str,
    port: int,
    token: str | None,
    ready: Callable[[str], None],
    names: Iterable[str] = (),
) -> None:
    """Serve until the process is interrupted.

    Args:
        service: what is served.
        host: address to listen on.
        port: 0 for any that is free.
        token: that browsers need; None only on a loopback address.
        ready: gets the address of the page once it can be opened.
        names: host names by which browsers may call the server, besides its own.

    Raises:
        CephError: another machine could reach the server without a token, or the port is taken.
    """
    if not is_loopback(host) and token is None:
        raise CephError(f"--host {host}: other machines could open the films. Give a token with --token-file")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise CephError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    app = make_app(service, token, Hosts(names, others=not is_loopback(host)))
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{listener.getsockname()[1]}/" + (f"?token={token}" if token else ""))
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=5)
    try:
        with listener:
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        service.close()
