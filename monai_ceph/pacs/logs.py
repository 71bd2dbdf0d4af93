"""The node's log: a line of JSON per event on standard error. Films appear only by their SOP Instance UIDs."""

from __future__ import annotations

import errno
import json
import logging
import sys
import threading
import warnings
from datetime import datetime, timezone

__all__ = ["log", "log_json"]

_LOGGER = logging.getLogger("monai_ceph.pacs")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**line, **getattr(record, "details", {})}, ensure_ascii=False, default=str)


def log_json() -> None:
    """Write events as JSON to standard error, and silence the libraries, which quote headers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    for name in ("pynetdicom", "pydicom", "dicomweb_client", "urllib3"):
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


def log(event: str, *, warning: bool = False, **details: object) -> None:
    """Log an event. Details are UIDs, AE titles, addresses, numbers and causes, but never text from a header."""
    _LOGGER.log(logging.WARNING if warning else logging.INFO, event, extra={"details": details})
