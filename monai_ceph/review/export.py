"""Results after review, as files: tables, JSON, reports and DICOM objects; or films and points to learn from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydicom import Dataset

from monai_ceph.errors import CephError
from monai_ceph.landmarks import EXTRA_SYMBOLS, SYMBOLS
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.readers.radiograph import square_spacing
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.html_report import report_html
from monai_ceph.reports.measurement_table import MEASUREMENT_COLUMNS, FilmMeasurements, measurement_rows
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.report_content import Signature, film_report
from monai_ceph.reports.report_figure import film_figure
from monai_ceph.reports.reviewed_report import Review, reviewed_report
from monai_ceph.reports.tables import LANDMARK_COLUMNS, write_table
from monai_ceph.result import Detection
from monai_ceph.review.films import ResultFilms, ReviewFilm
from monai_ceph.review.models import StoredRevision
from monai_ceph.review.reviewing import reviewed
from monai_ceph.review.store import RevisionStore
from monai_ceph.storage.written_files import WrittenFiles

__all__ = ["REVIEW_COLUMNS", "ExportSummary", "export_dataset", "export_results"]

REVIEW_COLUMNS = (*LANDMARK_COLUMNS, "source", "observer", "state", "revision")
"""Columns of the reviewed landmarks.csv."""

_TOOL = "monai-ceph review"
_OF_REVIEW = {"revision", "state", "reviewer", "saved_at", "calibration", "note", "replaces"}


@dataclass
class ExportSummary:
    """What became of an export.

    Attributes:
        written: films that were written.
        left_out: film and reason, for each that was not.
        notes: film and what its files lack.
    """

    written: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def _reviewed_films(
    films: ResultFilms, store: RevisionStore, drafts: bool, summary: ExportSummary
) -> Iterator[tuple[ReviewFilm, StoredRevision]]:
    """Yield the films with a signed review. A draft after a signature does not count, unless drafts are wanted."""
    for film in films.all():
        try:
            history = [each for each in store.history(film.stem) if drafts or each.state == "final"]
        except CephError as error:
            summary.left_out.append((film.detection.file, str(error)))
            continue
        if not history:
            summary.left_out.append((film.detection.file, "not signed" if not drafts else "not reviewed"))
            continue
        detection, last = film.detection, history[-1]
        if (last.image_uid, last.size) != (detection.image_uid, (detection.columns, detection.rows)):
            summary.left_out.append((detection.file, "the review is of another image"))
            continue
        yield film, last


def export_results(
    films: ResultFilms,
    store: RevisionStore,
    out: Path,
    drafts: bool = False,
    on_film: Callable[[], None] = lambda: None,
) -> ExportSummary:
    """Write landmarks.csv, measurements.csv, json/, reports/, sr/ and gsps/ of reviewed films.

    Args:
        films: the results.
        store: the reviews.
        out: folder; files of another origin are not replaced.
        drafts: also films that nobody signed.
        on_film: called after each film.

    Raises:
        CephError: a file in the folder was not written by an export.
        OSError: a file cannot be written.
    """
    summary, files = ExportSummary(), WrittenFiles(out)
    rows: list[list[str]] = []
    measurements: list[list[str]] = []
    for film, revision in _reviewed_films(films, store, drafts, summary):
        detection = reviewed(film.detection, revision.points, revision.calibration)
        try:
            _write_film(files, films, film, detection, revision, summary)
        except CephError as error:
            summary.left_out.append((detection.file, str(error)))
            continue
        rows += _landmark_rows(detection, revision)
        measurements += measurement_rows(FilmMeasurements.of(detection))
        summary.written += 1
        on_film()
    if summary.written:
        _write_table(files, "landmarks.csv", REVIEW_COLUMNS, rows)
        _write_table(files, "measurements.csv", MEASUREMENT_COLUMNS, measurements)
    return summary


def _write_film(
    files: WrittenFiles,
    films: ResultFilms,
    film: ReviewFilm,
    detection: Detection,
    revision: StoredRevision,
    summary: ExportSummary,
) -> None:
    _write(files, f"json/{film.stem}.json", _json(detection, revision))
    signed = revision.state == "final" and revision.reviewer is not None and revision.saved_at is not None
    signature = Signature(revision.reviewer or "", revision.saved_at) if signed and revision.saved_at else None
    picture = None
    try:
        picture = film_png(films.read(film))
    except CephError as error:
        summary.notes.append((detection.file, f"the report has no picture: {error}"))
    page = report_html(film_report(detection, detection.measure(), signature), film_figure(detection, picture))
    _write(files, f"reports/{film.stem}.html", page)
    if (path := films.path(film)) is None or detection.image_uid is None:
        return
    try:
        source = source_header(path)
        document = reviewed_report(_review(detection, revision), source)
        plain = reviewed(film.detection, revision.points, revision.calibration, extra=False)
        plain = plain.model_copy(update={"created": revision.saved_at})
        state = presentation_state(plain, source, revision.reviewer if signed else None)
    except CephError as error:
        summary.notes.append((detection.file, f"no DICOM objects: {error}"))
        return
    _write_dicom(files, f"sr/{film.stem}.dcm", document)
    _write_dicom(files, f"gsps/{film.stem}.dcm", state)


def _write(files: WrittenFiles, name: str, text: str) -> None:
    with files.writing(name) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _write_dicom(files: WrittenFiles, name: str, dataset: Dataset) -> None:
    with files.writing(name) as part, quiet():
        dataset.save_as(part, enforce_file_format=True)


def _write_table(files: WrittenFiles, name: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    with files.writing(name) as part:
        write_table(part, columns, rows)


def _entries(detection: Detection, revision: StoredRevision) -> Iterator[dict[str, Any]]:
    """Yield a landmark as a reviewed result has it: a point of a person has no score."""
    for mark, point in zip(detection.landmarks, revision.points, strict=True):
        by_person = point.source != "detected"
        status = "missing" if point.x is None else "reviewed" if by_person else mark.status
        yield {
            **{name: getattr(mark, name) for name in ("number", "name", "symbol", "x", "y", "x_mm", "y_mm")},
            "score": None if by_person else mark.score,
            "status": status,
            "source": point.source,
            "observer": revision.reviewer if by_person else None,
            "moved_from": point.moved_from,
        }


def _json(detection: Detection, revision: StoredRevision) -> str:
    film = detection.model_dump(mode="json", exclude={"schema_version", "landmarks", "seconds", "state"})
    whole = {
        "reviewed_schema_version": "1.0",
        **film,
        "review": {
            **revision.model_dump(
                mode="json", include={"revision", "state", "reviewer", "saved_at", "note", "replaces"}
            ),
            "calibration": None if revision.calibration is None else revision.calibration.model_dump(mode="json"),
        },
        "landmarks": list(_entries(detection, revision)),
        "measurements": [each.model_dump(mode="json") for each in detection.measure()],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _landmark_rows(detection: Detection, revision: StoredRevision) -> Iterator[list[str]]:
    square = square_spacing(detection.pixel_spacing)
    for entry in _entries(detection, revision):
        x, y, score, x_mm, y_mm = (
            "" if entry[name] is None else f"{entry[name]:.{digits}f}"
            for name, digits in (("x", 2), ("y", 2), ("score", 3), ("x_mm", 3), ("y_mm", 3))
        )
        yield [
            *(detection.file, entry["name"], entry["symbol"], x, y, score, entry["status"], x_mm, y_mm),
            *(detection.spacing_source.value, "" if square is None else f"{square:.6g}", detection.image_uid or ""),
            *(entry["source"], entry["observer"] or "", revision.state, str(revision.revision)),
        ]


def _review(detection: Detection, revision: StoredRevision) -> Review:
    order = {symbol: index for index, symbol in enumerate((*SYMBOLS, *EXTRA_SYMBOLS))}
    points = np.full((len(order), 2), np.nan)
    for point in revision.points:
        if point.x is not None and point.y is not None and point.symbol in order:
            points[order[point.symbol]] = point.y, point.x
    placed = [point.symbol for point in revision.points if point.source == "human"]
    signed = revision.state == "final"
    how = f"The reviewer placed or moved: {', '.join(placed)}." if placed else "The reviewer moved no landmark."
    standing = "signed all landmarks" if signed else "has not signed the landmarks"
    statement = f"{revision.reviewer} {standing} in {_TOOL}. {how} The other landmarks are as a model detected them."
    assert revision.saved_at is not None
    assert detection.image_uid is not None
    return Review(
        file=detection.file,
        image_uid=detection.image_uid,
        rows=detection.rows,
        columns=detection.columns,
        points=points,
        observer=revision.reviewer,
        created=revision.saved_at,
        frame=detection.frame,
        verified=signed,
        tool=_TOOL,
        statement=statement,
    )


def export_dataset(films: ResultFilms, store: RevisionStore, out: Path, drafts: bool = False) -> ExportSummary:
    """Write films and a landmarks.csv that training and ``profile learn`` take; the reviewed points are the truth.

    Films are linked by symbolic links. A landmark that is not on the film has no place.

    Args:
        films: the results.
        store: the reviews.
        out: folder of the dataset.
        drafts: also films that nobody signed.

    Raises:
        CephError: a file in the folder was not written by an export.
        OSError: a file cannot be written.
    """
    summary, files = ExportSummary(), WrittenFiles(out)
    rows: list[list[str]] = []
    for film, revision in _reviewed_films(films, store, drafts, summary):
        path = films.path(film)
        if path is None:
            summary.left_out.append((film.detection.file, "the film is not at hand; name its folder with --films"))
            continue
        if film.detection.frame is not None:
            summary.left_out.append((film.detection.file, "a frame of a film with several is not a film of a dataset"))
            continue
        name = f"films/{film.stem}{'' if film.stem.lower().endswith(path.suffix.lower()) else path.suffix}"
        _link(path, out / name)
        detection = reviewed(film.detection, revision.points, revision.calibration)
        square = square_spacing(detection.pixel_spacing)
        for point in revision.points:
            place = ("", "") if point.x is None or point.y is None else (f"{point.x:.3f}", f"{point.y:.3f}")
            rows.append([str(PurePosixPath(name)), point.symbol, *place, "" if square is None else f"{square:.6g}"])
        summary.written += 1
    if summary.written:
        _write_table(files, "landmarks.csv", ("film", "symbol", "x", "y", "pixel_spacing"), rows)
    return summary


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        if target.samefile(source):
            return
        raise CephError(f"{target}: another file is in the place of {source}. Choose another folder with --out")
    target.symlink_to(source.absolute())
