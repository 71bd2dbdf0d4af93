"""Ctrl-C and SIGTERM end a run between two films, not in the middle of a step."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monai_ceph.work.executors import silence_parsers

__all__ = ["Interrupted", "orderly_end"]

Interrupted = Callable[[], bool]
"""Returns whether the run was asked to end."""


@contextmanager
def orderly_end() -> Iterator[Interrupted]:
    """Note the first Ctrl-C or SIGTERM, and raise KeyboardInterrupt at the second. Use it in the main thread.

    An exception in the middle of a step could leave a library's lock behind that other threads wait for. Parsers are
    silenced too, because they quote what they read.

    Yields:
        A function that returns whether the run was asked to end, for :func:`~monai_ceph.batch.run.detect_films`.
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
            silence_parsers()
            yield lambda: asked
    finally:
        log.setLevel(level)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
