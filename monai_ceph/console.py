"""Where the command line prints, and how it ends when something is wrong."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

__all__ = ["EXIT_NOTHING_DONE", "console", "messages", "stop"]

EXIT_NOTHING_DONE = 2
"""What a shell script can rely on when a command could do nothing; documented in docs/batch.md."""

console = Console()
messages = Console(stderr=True)


def stop(error: Exception | str, code: int = EXIT_NOTHING_DONE) -> NoReturn:
    """Print why the command ends, and end it with an exit code."""
    text = _reason(error) if isinstance(error, Exception) else error
    messages.print(f"monai-ceph: {text}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _reason(error: Exception) -> str:
    """The message, with the file first where the operating system refused one."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)
