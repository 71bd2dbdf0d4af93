"""Let only one process at a time work in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from monai_ceph.errors import CephError, StoppedError

__all__ = ["locked", "locked_with_others"]


@contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Keep other processes out of the folder of ``file``. The system releases the lock when the process ends.

    Args:
        file: the lock file; it and its folder are created if necessary.
        busy: message about the folder if another process has the lock.

    Raises:
        CephError: if another process has the lock.
        StoppedError: if the lock file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CephError(f"{file.parent}: {busy}") from error
    except OSError as error:
        raise StoppedError(f"{error.filename or file.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_with_others(file: Path, busy: str) -> Iterator[None]:
    """Keep out processes that want the folder of ``file`` for themselves by :func:`locked`, and no others.

    Args:
        file: the lock file; it and its folder are created if necessary.
        busy: message about the folder if a process has it for itself.

    Raises:
        CephError: if a process has the folder for itself.
        StoppedError: if the lock file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoppedError(f"{error.filename or file.parent}: {error.strerror or error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CephError(f"{file.parent}: {busy}") from error
    finally:
        os.close(handle)
