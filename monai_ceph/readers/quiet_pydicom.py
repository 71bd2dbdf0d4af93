"""Silence pydicom's log and warnings, which could name a patient."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_inside = 0
_until_last = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress pydicom's log and warnings: they quote values of elements, which may be a patient's name.

    Both are global settings, so the first thread that enters changes them and the last one that leaves restores them.
    """
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _until_last.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            logger = logging.getLogger("pydicom")
            _until_last.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _until_last.close()
