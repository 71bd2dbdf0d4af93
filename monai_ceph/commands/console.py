"""Prints the output of commands, and ends a command after an error."""

from __future__ import annotations

import codecs
import io
import sys
from typing import NoReturn

import typer
from rich.console import Console

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

console = Console(width=None if sys.stdout is not None and sys.stdout.isatty() else _UNLIMITED)
messages = Console(stderr=True)


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
    """Print a sentence that the user should know; the command goes on."""
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
