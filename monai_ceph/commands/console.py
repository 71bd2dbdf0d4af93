"""Prints the output of commands, and ends a command after an error."""

from __future__ import annotations

import codecs
import io
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.segment import Segment

__all__ = [
    "EXIT_INTERRUPTED",
    "EXIT_NOTHING_DONE",
    "EXIT_SOME_FAILED",
    "EXIT_STOPPED",
    "console",
    "messages",
    "need_extra",
    "print_any_text",
    "say",
    "stop",
    "warn",
]

# scripts rely on these numbers; docs/reference/run-results.md lists them
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2
EXIT_STOPPED = 3
EXIT_INTERRUPTED = 130

# without a terminal, rich would break lines at 80 columns, but a file or pipe has no width
_UNLIMITED = 1_000_000

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _SafeConsole(Console):
    """A console that shows control characters instead of obeying them: any could be in the name of a file."""

    def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
        for segment in super().render(*args, **options):
            if segment.control:
                yield segment
            else:
                text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", segment.text)
                yield Segment(text, segment.style)


console = _SafeConsole(width=None if sys.stdout is not None and sys.stdout.isatty() else _UNLIMITED)
messages = _SafeConsole(stderr=True)


def print_any_text() -> None:
    """Print characters that the locale's encoding lacks as escapes, so that no name of a file can end a run."""
    codecs.register_error("monai-ceph-escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="monai-ceph-escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Escape characters, and bytes of a file name that Python could not decode (PEP 383)."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    name = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return name.encode("ascii", "backslashreplace").decode(), error.end


def say(text: str) -> None:
    """Print what a command is doing. Used before a step of several seconds without output."""
    messages.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning for the user; the command continues."""
    messages.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def stop(error: Exception | str, code: int = EXIT_NOTHING_DONE) -> NoReturn:
    """Print the error, and end the command with an exit code.

    A reader that closed the pipe, such as ``head``, is no error: click ends the command without a word.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    text = _reason(error) if isinstance(error, Exception) else error
    messages.print(f"monai-ceph: {text}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _reason(error: Exception) -> str:
    """Return the message. If the operating system refused a file, its name comes first."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def need_extra(extra: str, *modules: str) -> None:
    """If a module of an optional extra is missing, stop with the command that installs it."""
    from importlib.util import find_spec

    if missing := [module for module in modules if find_spec(module) is None]:
        stop(f"{', '.join(missing)} is not installed: pip install 'monai-ceph[{extra}]'")
