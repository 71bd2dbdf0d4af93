"""Connect to a Ray cluster, or start one on this machine. Ray is imported only here, and only when it is used."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from monai_ceph.errors import CephError

__all__ = ["connect", "finds_a_cluster", "first_line"]

_CONNECT_SECONDS = 10.0

_LOCAL_ONLY = {
    # on Linux, Ray listens on all interfaces whatever address it is given; with this setting it behaves as on Windows
    # and macOS, where it listens on the loopback interface
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # a token of this process, not the one in the home folder
    "RAY_AUTH_MODE": "token",
}
"""Environment variables for a cluster on this machine. Ray reads them once, when it is imported."""


def finds_a_cluster(address: str | None) -> bool:
    """Return whether :func:`connect` may find a running cluster instead of starting one.

    ``ray.init`` looks for the cluster that was last started on the machine, in a file in its temporary folder.
    """
    folder = os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp"))
    latest = Path(folder) / "ray" / "ray_current_cluster"
    return address is not None or bool(os.environ.get("RAY_ADDRESS")) or latest.exists()


def connect(address: str | None) -> tuple[Any, bool]:
    """Return Ray, connected to a cluster, and whether this call made the connection.

    Args:
        address: as for ``ray.init``. None: the cluster that RAY_ADDRESS names, or a new one on this machine.

    Raises:
        CephError: if Ray is not installed, or there is no cluster.
    """
    here = address is None and not os.environ.get("RAY_ADDRESS")
    if here and "ray" not in sys.modules:
        os.environ.update(_LOCAL_ONLY, RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise CephError("Ray is not installed: pip install 'monai-ceph[ray]'") from error
    if ray.is_initialized():
        return ray, False
    if not here:
        _answers(address or os.environ["RAY_ADDRESS"])
    if here and not _LOCAL_ONLY.items() <= os.environ.items():
        raise CephError("Ray was imported before it could be restricted to this machine; call ray.init() yourself")
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    options: dict[str, Any] = {"include_dashboard": False} if here else {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CephError(f"no Ray cluster at {address or 'this machine'}: {first_line(error)}") from error
    finally:
        # Ray replaces the handler with one that would end the run before its tables are written
        if main:
            signal.signal(signal.SIGTERM, before)
    return ray, True


def _answers(address: str) -> None:
    """Check that something listens at HOST:PORT: Ray itself would wait forever.

    Raises:
        CephError: if nothing listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # such as auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise CephError(f"no Ray cluster at {address}: {error.strerror or error}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error, without the traceback that Ray appends."""
    return (str(error).strip().splitlines() or [""])[0]
