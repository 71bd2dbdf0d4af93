"""Errors of ``python -m monai.bundle`` in one line: MONAI and Ignite wrap each in a traceback of a page."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from monai.handlers import StatsHandler

from monai_ceph.errors import CephError
from monai_ceph.training.interruption import exit_on_interrupt, is_bundle_command

__all__ = ["plain_errors"]

logger = logging.getLogger(__name__)


def plain_errors() -> None:
    """Make this process print errors of the user in one line, and end on Ctrl-C with one line.

    Only the command ``python -m monai.bundle`` is changed. A program that reads a config, like ``monai.bundle.load``,
    keeps its handling of exceptions and signals. Errors in the code keep their traceback. With a logging config of
    level DEBUG, the others have theirs, too.
    """
    if not is_bundle_command():
        return
    sys.excepthook = _print
    for handler in logging.getLogger().handlers:
        handler.addFilter(_says_something_new)
    # this logger does not reach the handlers of the root
    StatsHandler().logger.addFilter(_says_something_new)
    exit_on_interrupt()


def _sentence(error: BaseException | None) -> str | None:
    """Return what is wrong with the input, in one line; None if the code is at fault."""
    chain = []
    while error is not None:
        chain.append(error)
        # MONAI names the error that it wraps as the cause
        error = error.__cause__
    for each in chain:
        if isinstance(each, CephError):
            return " ".join(str(each).split())
    for each in chain:
        if isinstance(each, OSError) and each.filename is not None and each.strerror:
            return f"{each.filename}: {each.strerror}"
    return None


def _print(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an exception that nothing caught. Python ends with exit code 1 then."""
    sentence = _sentence(error)
    if sentence is None:
        sys.__excepthook__(kind, error, traceback)
        return
    logger.debug("the traceback of the error below", exc_info=error)
    print(f"error: {sentence}", file=sys.stderr, flush=True)


def _says_something_new(record: logging.LogRecord) -> bool:
    """Drop what Ignite and MONAI log of an exception that is printed at the end anyway."""
    return record.levelno < logging.ERROR or record.name == __name__ or _sentence(sys.exc_info()[1]) is None
