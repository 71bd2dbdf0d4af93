"""The connection to a Ray cluster, or a cluster of our own. Ray is imported here, and only when a run asks for it."""

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

_PATIENCE = 10.0

_ALONE = {
    # Ray listens on all interfaces of a Linux machine, whatever address it is given, unless it takes the machine for
    # one of those where it never does
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # with a token of the process, instead of one in the home folder
    "RAY_AUTH_MODE": "token",
}
"""What a cluster of our own needs in the environment; Ray reads it once, when it is imported."""


def finds_a_cluster(address: str | None) -> bool:
    """Return whether :func:`connect` may find a cluster that is there already, and start none on this machine.

    ``ray.init`` looks for the cluster that was last started on the machine, in a file of its temporary folder.
    """
    folder = os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp"))
    latest = Path(folder) / "ray" / "ray_current_cluster"
    return address is not None or bool(os.environ.get("RAY_ADDRESS")) or latest.exists()


def connect(address: str | None) -> tuple[Any, bool]:
    """Return Ray, connected to a cluster, and whether the connection is our own.

    Args:
        address: as ``ray.init`` takes it. None takes the one that RAY_ADDRESS names; without it, a cluster is started
            on this machine.

    Raises:
        CephError: if Ray is not installed, or there is no cluster.
    """
    here = address is None and not os.environ.get("RAY_ADDRESS")
    if here and "ray" not in sys.modules:
        os.environ.update(_ALONE, RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise CephError("Ray is not installed: pip install 'monai-ceph[ray]'") from error
    if ray.is_initialized():
        return ray, False
    if not here:
        _answers(address or os.environ["RAY_ADDRESS"])
    if here and not _ALONE.items() <= os.environ.items():
        raise CephError("Ray was imported before it was told to listen on this machine alone; call ray.init() yourself")
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    options: dict[str, Any] = {"include_dashboard": False} if here else {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CephError(f"no Ray cluster at {address or 'this machine'}: {first_line(error)}") from error
    finally:
        # Ray takes it for itself, and would end the run without its tables
        if main:
            signal.signal(signal.SIGTERM, before)
    return ray, True


def _answers(address: str) -> None:
    """See whether anything listens at HOST:PORT: Ray itself waits for it without an end.

    Raises:
        CephError: if nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # such as auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise CephError(f"no Ray cluster at {address}: {error.strerror or error}") from error


def first_line(error: BaseException) -> str:
    """Return what an error says, without where it happened."""
    return (str(error).strip().splitlines() or [""])[0]
