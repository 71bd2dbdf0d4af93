"""Results after review, as files: tables, JSON, reports and DICOM objects; or films and points to learn from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmread

from monai_ceph.errors import CephError
from monai_ceph.readers import Radiograph
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.readers.radiograph import square_spacing
from monai_ceph.reports.fhir_reference import bundle_json
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.film_tracing import tracing_bytes
from monai_ceph.reports.html_report import report_html
from monai_ceph.reports.measurement_record import DEFINITIONS_FILE, definitions_json, measurement_records
from monai_ceph.reports.measurement_table import MEASUREMENT_COLUMNS, FilmMeasurements, measurement_rows
from monai_ceph.reports.pdf_report import pdf_report
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.report_figure import film_figure
from monai_ceph.reports.tables import LANDMARK_COLUMNS, write_table
from monai_ceph.result import Detection
from monai_ceph.review.audit import HEAD, Link, head
from monai_ceph.review.documents import NO_PDF, USUAL_KINDS, film_bundle, film_objects, scale_by, signature_of
from monai_ceph.review.films import ResultFilms, ReviewFilm
from monai_ceph.review.models import StoredRevision
from monai_ceph.review.reviewing import reviewed
from monai_ceph.review.store import RevisionStore
from monai_ceph.storage.written_files import WrittenFiles

if TYPE_CHECKING:
    from monai_ceph.datasets import Film

__all__ = [
    "REVIEW_COLUMNS",
    "ExportSummary",
    "dataset_film",
    "export_dataset",
    "export_results",
    "films_at_hand",
    "signed_films",
]

REVIEW_COLUMNS = (*LANDMARK_COLUMNS, "source", "observer", "state", "revision")
"""Columns of the reviewed landmarks.csv."""


@dataclass
class ExportSummary:
    """What became of an export.

    Attributes:
        written: films that were written.
        left_out: film and reason, for each that was not.
        notes: film and what its files lack.
        hints: what all films lack because of this installation.
    """

    written: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def _reviewed_films(
    films: ResultFilms, store: RevisionStore, drafts: bool, summary: ExportSummary
) -> Iterator[tuple[ReviewFilm, StoredRevision]]:
    """Yield the films with a signed review. A draft after a signature does not count, unless drafts are wanted."""
    for film in films.all():
        try:
            last = store.newest(film.stem) if drafts else store.signed(film.stem)
        except CephError as error:
            summary.left_out.append((film.detection.file, str(error)))
            continue
        if last is None:
            summary.left_out.append((film.detection.file, "not signed" if not drafts else "not reviewed"))
            continue
        detection = film.detection
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
    kinds: Collection[str] = USUAL_KINDS,
) -> ExportSummary:
    """Write landmarks.csv, measurements.csv, json/, reports/, tracings/, fhir/ and DICOM objects of reviewed films.

    A DICOM object of a signed version is a file of its own, which later exports leave as it is.

    Args:
        films: the results.
        store: the reviews.
        out: folder; files of another origin are not replaced.
        drafts: also films that nobody signed.
        on_film: called after each film.
        kinds: DICOM objects, some of :data:`~monai_ceph.review.documents.KINDS`; PDF and SC only of signed films.

    Raises:
        CephError: a file in the folder was not written by an export.
        OSError: a file cannot be written.
    """
    summary, files = ExportSummary(), WrittenFiles(out)
    if find_spec("reportlab") is None:
        summary.hints.append(NO_PDF)
    rows: list[list[str]] = []
    measurements: list[list[str]] = []
    links = store.links()
    for film, revision in _reviewed_films(films, store, drafts, summary):
        detection = reviewed(film.detection, revision.points, revision.calibration)
        try:
            link = links.get(store.file_of(film.stem, revision.revision))
            radiograph = _radiograph(films, film, summary)
            _write_pages(files, film, detection, revision, radiograph, link)
            _write_objects(files, out, films, film, revision, radiograph, store, links, kinds, summary)
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
        _write(files, DEFINITIONS_FILE, definitions_json())
        if (newest := head(store.folder)) is not None:
            _write(files, HEAD, json.dumps(newest._asdict()) + "\n")
    return summary


def _radiograph(films: ResultFilms, film: ReviewFilm, summary: ExportSummary) -> Radiograph | None:
    try:
        return films.read(film)
    except CephError as error:
        summary.notes.append((film.detection.file, f"reports and tracings have no picture: {error}"))
        return None


def _write_pages(
    files: WrittenFiles,
    film: ReviewFilm,
    detection: Detection,
    revision: StoredRevision,
    radiograph: Radiograph | None,
    link: Link | None,
) -> None:
    """Write what people and programs read: JSON, reports and tracings."""
    _write(files, f"json/{film.stem}.json", _json(detection, revision, link))
    signature = signature_of(revision)
    report = film_report(detection, detection.measure(), signature, scale_by(revision))
    figure = film_figure(detection, None if radiograph is None else film_png(radiograph))
    _write(files, f"reports/{film.stem}.html", report_html(report, figure))
    if find_spec("reportlab") is not None:
        _write_bytes(files, f"reports/{film.stem}.pdf", pdf_report(report, figure))
    standing = "not signed" if signature is None else f"reviewed and signed by {signature.name}"
    for suffix in (".svg", ".png"):
        drawn = tracing_bytes(radiograph, detection, [standing], svg=suffix == ".svg")
        _write_bytes(files, f"tracings/{film.stem}{suffix}", drawn)


def _write_objects(
    files: WrittenFiles,
    out: Path,
    films: ResultFilms,
    film: ReviewFilm,
    revision: StoredRevision,
    radiograph: Radiograph | None,
    store: RevisionStore,
    links: dict[str, Link],
    kinds: Collection[str],
    summary: ExportSummary,
) -> None:
    """Write the DICOM objects: an SR of each signed version, all else of the last one. What is there stays as it is."""
    if (path := films.path(film)) is None or film.detection.image_uid is None:
        return
    finals = store.final(film.stem)
    known: dict[tuple[str, int], str] = {}
    earlier = [each for each in finals if each.revision < revision.revision] if "sr" in kinds else []
    for version, wanted in (*((each, ["sr"]) for each in earlier), (revision, list(kinds))):
        names = {kind: f"{kind}/{film.stem}.r{version.revision}.dcm" for kind in wanted}
        for name in names.values():
            files.check(name)
        new = [kind for kind, name in names.items() if not (out / name).exists()]
        try:
            link = links.get(store.file_of(film.stem, version.revision))
            arguments = film, path, version, finals, link, radiograph, new, known
            made, notes = film_objects(*arguments, settings=films.objects) if new else ({}, [])
        except CephError as error:
            summary.notes.append((film.detection.file, f"no DICOM objects: {error}"))
            return
        # that there is no PDF is said once for all films
        summary.notes += [(film.detection.file, note) for note in notes if note != NO_PDF]
        for kind, dataset in made.items():
            _write_dicom(files, names[kind], dataset)
        with quiet():
            for kind, name in names.items():
                if not (out / name).exists():
                    continue
                written = dcmread(out / name, specific_tags=["SOPInstanceUID"])
                known[kind, version.revision] = str(written.SOPInstanceUID)
    _write_fhir(files, film, path, revision, finals, summary)


def _write_fhir(
    files: WrittenFiles,
    film: ReviewFilm,
    path: Path,
    revision: StoredRevision,
    finals: Sequence[StoredRevision],
    summary: ExportSummary,
) -> None:
    """Write the measurements as a FHIR transaction: final if the film is signed. It needs the extra ``fhir``."""
    if find_spec("fhir") is None:
        return
    try:
        bundle = film_bundle(film, path, revision, finals)
    except CephError as error:
        summary.notes.append((film.detection.file, f"no FHIR: {error}"))
        return
    _write(files, f"fhir/{film.stem}.json", bundle_json(bundle))


def _write(files: WrittenFiles, name: str, text: str) -> None:
    with files.writing(name) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _write_bytes(files: WrittenFiles, name: str, data: bytes) -> None:
    with files.writing(name) as part:
        part.write_bytes(data)


def _write_dicom(files: WrittenFiles, name: str, dataset: Dataset) -> None:
    with files.writing(name) as part, quiet():
        dataset.save_as(part, enforce_file_format=True)


def _write_table(files: WrittenFiles, name: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    with files.writing(name) as part:
        write_table(part, columns, rows)


def _entries(detection: Detection, revision: StoredRevision) -> Iterator[dict[str, Any]]:
    """Yield a landmark as a reviewed result has it: a point of a person has no score and no radius."""
    for mark, point in zip(detection.landmarks, revision.points, strict=True):
        by_person = point.source != "detected"
        status = "missing" if point.x is None else "reviewed" if by_person else mark.status
        yield {
            **{name: getattr(mark, name) for name in ("number", "name", "symbol", "x", "y", "x_mm", "y_mm")},
            "score": None if by_person else mark.score,
            "status": status,
            "source": point.source,
            "observer": point.by,
            "moved_from": point.moved_from,
            **{name: getattr(mark, name) for name in ("radius_90_px", "radius_90_mm")},
        }


def _json(detection: Detection, revision: StoredRevision, link: Link | None) -> str:
    film = detection.model_dump(mode="json", exclude={"schema_version", "landmarks", "seconds", "state"})
    whole = {
        "reviewed_schema_version": "2.0",
        **film,
        "review": {
            **revision.model_dump(
                mode="json", include={"revision", "state", "reviewer", "saved_at", "note", "replaces"}
            ),
            "calibration": None if revision.calibration is None else revision.calibration.model_dump(mode="json"),
            "audit": None if link is None else link._asdict(),
        },
        "landmarks": list(_entries(detection, revision)),
        "measurements": measurement_records(detection.measure()),
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


_DIGITS = {"x": 2, "y": 2, "score": 3, "x_mm": 3, "y_mm": 3, "radius_90_px": 1, "radius_90_mm": 2}


def _landmark_rows(detection: Detection, revision: StoredRevision) -> Iterator[list[str]]:
    square = square_spacing(detection.pixel_spacing)
    for entry in _entries(detection, revision):
        x, y, score, x_mm, y_mm, *radii = (
            "" if entry[name] is None else f"{entry[name]:.{digits}f}" for name, digits in _DIGITS.items()
        )
        yield [
            *(detection.file, entry["name"], entry["symbol"], x, y, score, entry["status"], x_mm, y_mm),
            *(detection.spacing_source.value, "" if square is None else f"{square:.6g}", detection.image_uid or ""),
            *(*radii, entry["source"], entry["observer"] or "", revision.state, str(revision.revision)),
        ]


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
    for film, path, revision in films_at_hand(films, store, drafts, summary):
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


def signed_films(films: ResultFilms, store: RevisionStore) -> tuple[list[Film], list[str]]:
    """Return the films with a signed review as films of a dataset, and a sentence for each that has none.

    Args:
        films: the results.
        store: the reviews.
    """
    summary = ExportSummary()
    found = [dataset_film(*each) for each in films_at_hand(films, store, False, summary)]
    return found, [f"{name}: {reason}" for name, reason in summary.left_out]


def dataset_film(film: ReviewFilm, path: Path, revision: StoredRevision) -> Film:
    """Return a reviewed film as a film of a dataset.

    Args:
        film: the result.
        path: file of the film.
        revision: its points are the landmarks.
    """
    from monai_ceph.datasets import Film

    detection = reviewed(film.detection, revision.points, revision.calibration)
    square = square_spacing(detection.pixel_spacing)
    landmarks = detection.points()[:, ::-1].copy()
    return Film(film.detection.file, path, landmarks, math.nan if square is None else square)


def films_at_hand(
    films: ResultFilms, store: RevisionStore, drafts: bool, summary: ExportSummary
) -> Iterator[tuple[ReviewFilm, Path, StoredRevision]]:
    """Yield the reviewed films whose files are there, since a dataset has those; each with its file and revision.

    Args:
        films: the results.
        store: the reviews.
        drafts: also films that nobody signed.
        summary: gets a sentence for each film that is left out.
    """
    for film, revision in _reviewed_films(films, store, drafts, summary):
        path = films.path(film)
        if path is None:
            summary.left_out.append((film.detection.file, "the film is not at hand; name its folder with --films"))
        elif film.detection.frame is not None:
            summary.left_out.append((film.detection.file, "a frame of a film with several is not a film of a dataset"))
        else:
            yield film, path, revision


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        if target.samefile(source):
            return
        raise CephError(f"{target}: another file is in the place of {source}. Choose another folder with --out")
    target.symlink_to(source.absolute())
