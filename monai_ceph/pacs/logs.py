"""The node's log: a line of JSON per event on standard error. Films appear only by their SOP Instance UIDs.

The same warning is written at most :data:`MOST_REPEATS` times a minute; then a line says how many were left out. So a
client that fails all day cannot fill the disk with them.
"""

from __future__ import annotations

import errno
import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

__all__ = ["MOST_REPEATS", "listen", "log", "log_json"]

MOST_REPEATS = 30
"""Lines a minute for one warning with one cause."""

_WINDOW_SECONDS = 60.0
# what these say of their own work quotes no header
_SPEAKERS = ("uvicorn", "asyncio")

_LOGGER = logging.getLogger("monai_ceph.pacs")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower()}
        line |= {"event": record.getMessage()} if record.name == _LOGGER.name else _of_a_library(record)
        return json.dumps({**line, **getattr(record, "details", {})}, ensure_ascii=False, default=str)


def _of_a_library(record: logging.LogRecord) -> dict[str, str]:
    """Return the text to log for a library's message: its text only if it cannot quote a header."""
    said = {"event": "library message", "library": record.name}
    if record.exc_info and record.exc_info[0] is not None:
        return {**said, "cause": record.exc_info[0].__name__}
    if record.name.partition(".")[0] in _SPEAKERS:
        return {**said, "cause": (record.getMessage().splitlines() or [""])[0]}
    return said


@dataclass
class _Window:
    began: float
    count: int = 0
    left_out: int = 0


class _FewRepeats(logging.Filter):
    """Limits how often a minute a warning with the same cause is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._windows = threading.Lock(), dict[tuple[str, str], _Window]()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or hasattr(record, "summary"):
            return True
        now = time.monotonic()
        key = (record.name + record.getMessage(), str(getattr(record, "details", {}).get("cause")))
        with self._lock:
            over = {each: window for each, window in self._windows.items() if now - window.began > _WINDOW_SECONDS}
            for each in over:
                del self._windows[each]
            window = self._windows.setdefault(key, _Window(now))
            window.count += 1
            passes = window.count <= MOST_REPEATS
            window.left_out += not passes
        for (event, cause), past in over.items():
            if past.left_out:
                details = {"of": event.removeprefix(_LOGGER.name), "cause": cause, "lines": past.left_out}
                _LOGGER.warning("lines left out", extra={"details": details, "summary": True})
        return passes


def log_json() -> None:
    """Write events as JSON to standard error, and silence the libraries, which quote headers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    handler.addFilter(_FewRepeats())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    # every other logger
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("pynetdicom", "pydicom", "dicomweb_client", "urllib3", "python_multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # warnings quote values, too
    warnings.simplefilter("ignore")
    threading.excepthook = _log_ended


def _log_ended(error: threading.ExceptHookArgs) -> None:
    """Log that a thread of pynetdicom ended, and its association: by a malformed message, or on a full disk."""
    if isinstance(error.exc_value, OSError) and error.exc_value.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = f"the object could not be written: {error.exc_value.strerror}"
    else:
        cause = f"a malformed message ({error.exc_type.__name__})"
    log("connection failed", warning=True, cause=cause)


Listener = Callable[[str, "Path | None", dict[str, Any]], None]
"""Called with the event, its file, and the details."""

_LISTENERS: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Have each event told to a function, too. Return a function that ends this."""
    _LISTENERS.append(listener)
    return lambda: _LISTENERS.remove(listener)


def log(event: str, *, warning: bool = False, about: Path | None = None, **details: object) -> None:
    """Log an event. Details are UIDs, AE titles, addresses, numbers and causes, but never text from a header.

    Args:
        event: what happened.
        warning: somebody should look at it.
        about: file of the film or object, which only listeners get.
        **details: of the event.
    """
    _LOGGER.log(logging.WARNING if warning else logging.INFO, event, extra={"details": details})
    for listener in tuple(_LISTENERS):
        listener(event, about, details)
