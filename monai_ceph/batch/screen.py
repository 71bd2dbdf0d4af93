"""What a run says while it goes on: a bar with rate and time left, a line per film in trouble, counts at the end."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from monai_ceph.batch.film import Outcome
from monai_ceph.batch.options import ERRORS, LEDGER, Options, film_files, tables_of
from monai_ceph.batch.summary import Summary
from monai_ceph.result import Detection

__all__ = ["Screen"]

# films in the table on the screen; the files hold them all
_SHOWN = 20


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f} films/s" if task.speed else "", style="progress.data.speed")


class Screen:
    """Shows a run.

    Args:
        console: for the results.
        messages: for what happens on the way.
    """

    def __init__(self, console: Console, messages: Console) -> None:
        self._console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=messages,
            disable=not messages.is_terminal,
        )
        self._task = self.progress.add_task("detecting", total=None)
        self._detections: list[Detection] = []
        self._with_landmarks = 0

    def on_total(self, count: int) -> None:
        """Take the number of files."""
        self.progress.update(self._task, total=count)

    def on_film(self, name: str, outcome: Outcome | None) -> None:
        """Take a film that ended."""
        self.progress.advance(self._task)
        if outcome is None:
            return
        if outcome.cause is not None:
            self._say(f"{name}: {outcome.cause}", "yellow")
        for warning in outcome.warnings:
            self._say(f"{name}: {warning}", "dim")
        if outcome.duplicate_of is not None:
            self._say(f"{name}: the same image as {outcome.duplicate_of}", "dim")
        if outcome.detection is not None:
            self._with_landmarks += 1
            if len(self._detections) < _SHOWN:
                self._detections.append(Detection.model_validate_json(outcome.detection))

    def end(self, summary: Summary, out: Path, options: Options) -> None:
        """Print the first films, the counts, and where everything is."""
        if self._detections:
            self._console.print(self._table())
        if self._with_landmarks > len(self._detections):
            self._console.print(f"... and {self._with_landmarks - len(self._detections)} more")
        counts = [f"{summary.states.get(state, 0)} {state}" for state in ("done", "uncertain", "rejected", "failed")]
        self._line(f"{summary.films} films: {', '.join(counts)}.")
        if summary.before:
            self._line(f"{summary.before} of them were done before.")
        if summary.duplicates:
            self._line(f"{summary.duplicates} of them are the same image as another one, and were not done again.")
        if summary.clashes:
            self._say(f"{summary.clashes} of them share a SOP Instance UID with another image: see {ERRORS}.", "yellow")
        if summary.films > summary.before:
            self._line(f"{summary.films_per_second:.2f} films per second, {summary.seconds:.0f} s.")
        if summary.left_behind:
            self._line(f"{summary.left_behind} films of an earlier run never ended, and were not found in this one.")
        for cause in summary.not_listed:
            self._say(f"not all was found: {cause}", "yellow")
        for cause in summary.not_sent:
            self._say(f"not sent: {cause}", "yellow")
        if summary.sending is not None:
            taken = f"{summary.sending.sent} sent, {summary.sending.before} sent before"
            self._line(f"Reports and presentation states: {taken}, {len(summary.not_sent)} not sent.")
        folders = [f"{file.parent.name}/" for file in film_files(Path(), "", options.formats).values()]
        self._line(f"Written to {out}: {', '.join([*tables_of(options.formats), *folders, LEDGER])}.")
        self._console.print("Research use, not a medical device; a trained person reviews every result.", style="dim")

    def _say(self, text: str, style: str) -> None:
        self.progress.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        columns = ("state", "ok", "uncertain", "missing", "mean score", "seconds")
        table = Table(Column("film", overflow="fold"), *columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for each in self._detections:
            status = [mark.status for mark in each.landmarks]
            counts = [str(status.count(name)) for name in ("ok", "uncertain", "missing")]
            score = sum(mark.score for mark in each.landmarks) / len(each.landmarks)
            row = (each.state, *counts, f"{score:.2f}", f"{sum(each.seconds.values()):.2f}")
            table.add_row(escape(each.file), *row)
        return table
