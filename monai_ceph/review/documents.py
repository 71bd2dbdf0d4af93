"""The DICOM objects of one revision: SR, presentation state, PDF and secondary capture. Equal input, equal bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydicom import Dataset

from monai_ceph.errors import CephError
from monai_ceph.landmarks import EXTRA_SYMBOLS, SYMBOLS
from monai_ceph.readers import Radiograph
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.encapsulated_pdf import encapsulated_pdf
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.report_content import Signature
from monai_ceph.reports.reviewed_report import Review, review_uid, reviewed_report
from monai_ceph.reports.secondary_capture import secondary_capture
from monai_ceph.result import Detection
from monai_ceph.review.audit import Link
from monai_ceph.review.films import ReviewFilm
from monai_ceph.review.models import StoredRevision
from monai_ceph.review.reviewing import reviewed

__all__ = ["KINDS", "NO_PDF", "USUAL_KINDS", "film_objects", "signature_of"]

KINDS = ("sr", "gsps", "pdf", "sc")
"""Kinds of objects: structured report, presentation state, report as PDF, tracing as a picture."""

USUAL_KINDS = ("sr", "gsps")
"""What is made if nobody says otherwise."""

NO_PDF = "no PDF: the extra report is not installed"
"""Why there is no PDF."""

_TOOL = "monai-ceph review"


def signature_of(revision: StoredRevision) -> Signature | None:
    """Return who signed a revision, None for a draft."""
    if revision.state != "final" or revision.reviewer is None or revision.saved_at is None:
        return None
    return Signature(revision.reviewer, revision.saved_at)


def film_objects(
    film: ReviewFilm,
    path: Path,
    revision: StoredRevision,
    earlier: Sequence[StoredRevision],
    link: Link | None,
    radiograph: Radiograph | None,
    kinds: Collection[str],
    known: Mapping[int, str] | None = None,
) -> tuple[dict[str, Dataset], list[str]]:
    """Return the objects by kind, and a sentence for each that cannot be made.

    Args:
        film: of the results; a DICOM film.
        path: its file.
        revision: what the person said.
        earlier: signed revisions of the film; the SR names the last one before ``revision`` as its predecessor.
        link: the line of the audit that recorded the revision; the SR quotes it.
        radiograph: the film's pixels; without them there is no secondary capture.
        kinds: some of :data:`KINDS`.
        known: SOP Instance UIDs of SR documents that were made before, by revision; others are computed.

    Raises:
        CephError: no object can be made, such as of a film without valid UIDs.
    """
    detection, signature = film.detection, signature_of(revision)
    source = source_header(path)
    dated = {"created": revision.saved_at}
    with_extra = reviewed(detection, revision.points, revision.calibration)
    plain = reviewed(detection, revision.points, revision.calibration, extra=False).model_copy(update=dated)
    made: dict[str, Dataset] = {}
    notes: list[str] = []
    if "sr" in kinds:
        before = [each for each in earlier if each.revision < revision.revision]
        replaced = None
        if before and signature is not None:
            last = before[-1]
            replaced = (known or {}).get(last.revision) or review_uid(_review(detection, last), source)
        made["sr"] = reviewed_report(_review(detection, revision, link, replaced), source)
    if "gsps" in kinds:
        made["gsps"] = presentation_state(plain, source, None if signature is None else signature.name)
    if "sc" in kinds and signature is not None:
        if radiograph is None:
            notes.append("no secondary capture: the film cannot be read")
        else:
            made["sc"] = secondary_capture(with_extra.model_copy(update=dated), source, radiograph, signature.name)
    if "pdf" in kinds and signature is not None:
        if find_spec("reportlab") is None:
            notes.append(NO_PDF)
        else:
            picture = None if radiograph is None else film_png(radiograph)
            made["pdf"] = encapsulated_pdf(with_extra, source, with_extra.measure(), picture, signature)
    return made, notes


def _review(
    detection: Detection, revision: StoredRevision, link: Link | None = None, replaces: str | None = None
) -> Review:
    if revision.saved_at is None or detection.image_uid is None:
        raise CephError(f"{detection.file}: no SR can be made: the film has no UID, or nobody reviewed it")
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
    if link is not None:
        statement += f" Audit: line {link.sequence}, SHA-256 {link.hash}."
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
        replaces=replaces,
    )
