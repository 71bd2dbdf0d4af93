"""Ctrl-C and SIGTERM: a run ends between two films, not in the midst of whatever the program does."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monai_ceph.work.executors import be_discreet

__all__ = ["Interrupted", "orderly_end"]

Interrupted = Callable[[], bool]
"""Whether the run is asked to end."""


@contextmanager
def orderly_end() -> Iterator[Interrupted]:
    """Turn the first Ctrl-C or SIGTERM into an answer, and raise at the second; in the main thread of a program.

    An exception at any place could leave a lock of some library behind, and other threads waiting for it. Parsers no
    longer write on the screen either, since they quote what they read.

    Yields:
        What tells whether the run is asked to end, for :func:`~monai_ceph.batch.run.detect_films`.
    """
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in numbers]
    log = logging.getLogger("pydicom")
    level = log.level
    try:
        with warnings.catch_warnings():
            be_discreet()
            yield lambda: asked
    finally:
        log.setLevel(level)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
