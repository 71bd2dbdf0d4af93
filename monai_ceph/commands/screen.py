"""The output of a run: its progress, a line for each film with a problem, and counts at the end."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from monai_ceph.batch.summary import Summary
from monai_ceph.commands.progress import Progress
from monai_ceph.result import Detection
from monai_ceph.work.film import Outcome
from monai_ceph.work.options import ERRORS, LEDGER, Options, film_files, tables_of

__all__ = ["Screen", "shortened"]

# number of films in the table on the screen; the files list all
_SHOWN = 20


def shortened(name: str, width: int) -> str:
    """Return a name that takes at most ``width`` columns of a terminal.

    A longer name loses its middle, because paths and UIDs differ most at the end.
    """
    if cell_len(name) <= width:
        return name
    head = max((width - 3) // 3, 0)
    start = end = name
    while cell_len(start) > head:
        start = start[:-1]
    while cell_len(end) > max(width - 3 - head, 0):
        end = end[1:]
    return f"{start}...{end}"


class Screen:
    """Prints the output of a run.

    Args:
        console: console for the results.
        messages: console for progress and problems.
        every: seconds between two lines of progress, if there is no terminal.
    """

    def __init__(self, console: Console, messages: Console, every: float = 10.0) -> None:
        self._console, self._messages = console, messages
        self.progress = Progress(messages, every)
        self._detections: list[Detection] = []
        self._with_landmarks = 0

    def on_film(self, name: str, outcome: Outcome | None) -> None:
        """Show a film that is finished. ``outcome`` is None if an earlier run did it."""
        self.progress.advance(worked=outcome is not None)
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
        """Print the first films, the counts, and where the results are."""
        if self._detections:
            self._print_films()
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
            self._line(f"{summary.left_behind} films of an earlier run were never finished and not found in this one.")
        for cause in summary.not_listed:
            self._say(f"not all films could be listed: {cause}", "yellow")
        if summary.skipped:
            self._say(f"{len(summary.skipped)} files that may contain films were skipped:", "yellow")
        for skipped in summary.skipped:
            self._say(f"skipped: {skipped}", "yellow")
        for cause in summary.not_sent:
            self._say(f"not sent: {cause}", "yellow")
        if summary.sending is not None:
            taken = f"{summary.sending.sent} sent, {summary.sending.before} sent before"
            self._line(f"Reports and presentation states: {taken}, {len(summary.not_sent)} not sent.")
        folders = dict.fromkeys(f"{file.parent.name}/" for file in film_files(Path(), "", options.formats).values())
        written = [folder for folder in folders if (out / folder).is_dir()]
        self._line(f"Written to {out}: {', '.join([*tables_of(options.formats), *written, LEDGER])}.")
        if self._with_landmarks and (absent := [folder for folder in folders if folder not in written]):
            self._say(f"Not written: {', '.join(absent)}. No film has the DICOM header that these need.", "yellow")
        self._console.print("Research use, not a medical device; a trained person reviews every result.", style="dim")

    def _say(self, text: str, style: str) -> None:
        self._messages.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _print_films(self) -> None:
        """Print a table, or two lines per film if its names are too wide for the terminal."""
        rows = [(_printable(each.file), *_figures(each)) for each in self._detections]
        table = Table(Column("film", no_wrap=True), *_FIGURES, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name, *figures in rows:
            table.add_row(escape(name), *figures)
        unlimited = self._console.options.update(width=1_000_000)
        if self._console.measure(table, options=unlimited).maximum <= self._console.width:
            self._console.print(table)
            return
        for name, state, *figures in rows:
            self._line(shortened(name, self._console.width))
            text = ", ".join(f"{title} {figure}" for title, figure in zip(_FIGURES[1:], figures, strict=True))
            self._line(f"    {state:<9}  {text}")
        self._line("")


_FIGURES = ("state", "ok", "uncertain", "missing", "mean score", "seconds")


def _figures(detection: Detection) -> tuple[str, ...]:
    """Return a film's values for the columns :data:`_FIGURES`."""
    status = [mark.status for mark in detection.landmarks]
    counts = [str(status.count(name)) for name in ("ok", "uncertain", "missing")]
    score = sum(mark.score for mark in detection.landmarks) / len(detection.landmarks)
    state = "done" if detection.state == "ok" else "uncertain"
    return (state, *counts, f"{score:.2f}", f"{sum(detection.seconds.values()):.2f}")


def _printable(name: str) -> str:
    """Return a name with control characters escaped: a file name may contain line breaks or terminal codes."""
    return "".join(each.encode("unicode_escape").decode() if _is_control(each) else each for each in name)


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")
