"""Reports of many films, from the results of a run: a page each, and one that says which film needs a person first."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from monai_ceph.analysis import Measurement
from monai_ceph.errors import CephError
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.reports.corrected import Corrections
from monai_ceph.reports.film_picture import film_picture, png_bytes
from monai_ceph.reports.html_report import BatchEntry, batch_html, report_html
from monai_ceph.reports.json_result import read_detection
from monai_ceph.reports.pdf_report import pdf_report
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.report_figure import film_figure
from monai_ceph.result import Detection
from monai_ceph.storage.csv_cells import plain_cell
from monai_ceph.storage.written_files import WrittenFiles
from monai_ceph.work.names import film_name, key_of
from monai_ceph.work.options import ERRORS
from monai_ceph.work.result_films import Films, radiograph_of

__all__ = ["INDEX", "ReportFormat", "ReportSummary", "write_reports"]

ReportFormat = Literal["html", "pdf"]

INDEX = "index.html"
"""The page of the batch."""

_THUMBNAIL = 220


@dataclass
class ReportSummary:
    """What became of the reports.

    Attributes:
        written: films with a report.
        failures: film and reason, for each without one.
        notes: sentences on reports that lack something.
    """

    written: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_reports(
    results: Sequence[Path],
    films: Films,
    out: Path,
    formats: Iterable[ReportFormat],
    measured: Callable[[Detection], Sequence[Measurement]],
    by_uid: bool = False,
    corrections: Corrections | None = None,
    on_film: Callable[[], None] = lambda: None,
) -> ReportSummary:
    """Write a report per film, and the page of the batch. Files of another origin are not replaced.

    All names are checked first, so a file that must not be replaced stops the command before anything is written.

    Args:
        results: folders of results, and single JSON files.
        films: where the pictures are; a report without its film has only the tracing.
        out: folder of the reports.
        formats: html, pdf or both.
        measured: returns the measurements of a detection.
        by_uid: call DICOM films by their SOP Instance UID, whatever the results call them.
        corrections: points of people, which replace those of the results.
        on_film: called after each film.

    Raises:
        CephError: PDF is wanted and ReportLab is not installed, or a file cannot be replaced.
        OSError: if a file cannot be written.
    """
    summary, entries = ReportSummary(), []
    files, formats = WrittenFiles(out), frozenset(formats)
    named = _named(results, by_uid)
    for stem in named.values():
        for kind in formats:
            files.check(f"{stem}.{kind}")
    if "html" in formats:
        files.check(INDEX)
    without_picture = 0
    for source, stem in named.items():
        name = source.stem
        try:
            detection = read_detection(source)
            if corrections is not None:
                detection = corrections.apply(detection)
            if by_uid:
                detection = detection.model_copy(update={"file": _uid_name(source, detection)})
            name = detection.file
            radiograph, note = radiograph_of(films, detection)
            if note:
                summary.notes.append(f"{name}: {note}")
            elif radiograph is None and films:
                without_picture += 1
            entries.append(_write(files, stem, formats, detection, measured(detection), radiograph))
            summary.written += 1
        except CephError as error:
            summary.failures.append((name, str(error).removeprefix(f"{name}: ")))
        on_film()
    if without_picture:
        summary.notes.append(
            f"{without_picture} of {len(named)} films were not found, so their reports have no picture"
        )
    if corrections is not None and (unused := corrections.unused()):
        listed = ", ".join(unused[:5]) + (f" and {len(unused) - 5} more" if len(unused) > 5 else "")
        summary.notes.append(f"the corrected tables have films without results: {listed}")
    summary.failures += [row for folder in results if folder.is_dir() for row in _errors(folder)]
    if entries and "html" in formats:
        with files.writing(INDEX) as part:
            part.write_text(batch_html(entries, summary.failures), encoding="utf-8")
    return summary


def _named(results: Sequence[Path], by_uid: bool) -> dict[Path, str]:
    """Return the JSON files, and what the report of each is called without its suffix."""
    taken, named = {INDEX.removesuffix(".html")}, {}
    for source in _json_files(results):
        stem = source.stem
        if by_uid:
            # a file that cannot be read becomes a failure later
            with suppress(CephError):
                stem = _uid_name(source, read_detection(source)).replace("#", "_")
        named[source] = _free(stem, taken)
    return named


def _uid_name(source: Path, detection: Detection) -> str:
    if not detection.image_uid:
        return detection.file
    return film_name(key_of(source), None, detection.image_uid, detection.frame)


def _write(
    files: WrittenFiles,
    stem: str,
    formats: frozenset[ReportFormat],
    detection: Detection,
    measurements: Sequence[Measurement],
    radiograph: Radiograph | None,
) -> BatchEntry:
    picture = None if radiograph is None else film_picture(radiograph)
    report = film_report(detection, measurements)
    figure = film_figure(detection, None if picture is None else png_bytes(picture))
    if "html" in formats:
        with files.writing(f"{stem}.html") as part:
            part.write_text(report_html(report, figure, INDEX), encoding="utf-8", errors="backslashreplace")
    if "pdf" in formats:
        with files.writing(f"{stem}.pdf") as part:
            part.write_bytes(pdf_report(report, figure))
    thumbnail = None
    if picture is not None:
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        thumbnail = png_bytes(picture)
    urgency, said = _urgency(detection)
    return BatchEntry(
        report.film, f"{stem}.html", said, urgency, thumbnail, f"{stem}.pdf" if "pdf" in formats else None
    )


def _urgency(detection: Detection) -> tuple[float, str]:
    """Return how much a film needs a person, 0 if nothing is unusual, and why."""
    symbols = {
        status: [mark.symbol for mark in detection.landmarks if mark.status == status]
        for status in ("missing", "uncertain")
    }
    said = ["the film as a whole is uncertain"] if detection.state == "uncertain" else []
    said += [f"{status}: {', '.join(found)}" for status, found in symbols.items() if found]
    implausible = detection.spacing_source is SpacingSource.IMPLAUSIBLE
    said += ["the stated scale is implausible"] if implausible else []
    urgency = 1000 * (detection.state == "uncertain") + 10 * len(symbols["missing"]) + len(symbols["uncertain"])
    return urgency + 5 * implausible, "; ".join(said) or "all landmarks ok"


def _json_files(results: Sequence[Path]) -> Iterator[Path]:
    for path in results:
        yield from sorted((path / "json").glob("*.json")) if path.is_dir() else [path]


def _errors(folder: Path) -> list[tuple[str, str]]:
    """Return film and reason for each that a run could not do, except films in a clash, which have landmarks."""
    table = folder / ERRORS
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = [(plain_cell(row["film"]), plain_cell(row["error"])) for row in csv.DictReader(stream)]
    except FileNotFoundError:
        return []
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise CephError(f"{table}: not the table that a run wrote: {error}") from error
    return rows


def _free(stem: str, taken: set[str]) -> str:
    """Return a file name that no other film of this batch has; file systems may not tell upper from lower case."""
    stem = os.fsdecode(stem.encode("utf-8", "surrogateescape"))
    name, count = stem, 1
    while name.lower() in taken:
        count += 1
        name = f"{stem}.{count}"
    taken.add(name.lower())
    return name
