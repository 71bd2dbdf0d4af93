"""Shows the progress of a long command: as a bar on a terminal, else as lines."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

__all__ = ["Progress", "progress_line"]


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f} films/s" if task.speed else "", style="progress.data.speed")


def progress_line(count: int, total: int | None, worked: int, seconds: float) -> str:
    """Return a line of progress, such as ``37 of 150 films, 0.61 films/s, about 3 min left``.

    Args:
        count: films that are finished.
        total: number of all films; None if it is not known yet.
        worked: finished films that needed work. Films done by an earlier run take no time.
        seconds: time that the films with work took.
    """
    parts = [f"{count} films" if total is None else f"{count} of {total} films"]
    if worked and seconds > 0:
        rate = worked / seconds
        parts.append(f"{rate:.2f} films/s")
        if total is not None and total > count:
            parts.append(f"about {_rounded((total - count) / rate)} left")
    return ", ".join(parts)


def _rounded(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds / 10) * 10, 10)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Shows how many films a command has finished. Use it as a context manager.

    Args:
        console: console on standard error.
        every: seconds between two lines, if there is no terminal.
    """

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console, self._every = console, every
        # with FORCE_COLOR rich takes a pipe for a terminal, but a bar needs a real one
        on_terminal = console.is_terminal and console.file.isatty() and not console.is_dumb_terminal
        self._bar: Bar | None = None
        if on_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("starting", total=None)
        self._count = self._worked = 0
        self._total: int | None = None
        self._since = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._report, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        else:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            self._ended.set()
            self._thread.join()

    def step(self, text: str) -> None:
        """Show what the command does next. The rate is measured from here on."""
        self._since, self._worked = time.monotonic(), 0
        if self._bar is not None:
            self._bar.update(self._task, description=text)
        else:
            self._print(text)

    def total(self, count: int) -> None:
        """Set the number of films. May be called from any thread."""
        self._total = count
        if self._bar is not None:
            self._bar.update(self._task, total=count)

    def advance(self, worked: bool = True) -> None:
        """Count a finished film. ``worked`` is False if an earlier run did it."""
        self._count += 1
        self._worked += worked
        if self._bar is not None:
            self._bar.advance(self._task)

    def _report(self) -> None:
        while not self._ended.wait(self._every):
            if self._count or self._total:
                seconds = time.monotonic() - self._since
                self._print(progress_line(self._count, self._total, self._worked, seconds))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
