"""The DICOM objects and the FHIR bundle of one revision. Equal input, equal bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from monai_ceph.errors import CephError
from monai_ceph.landmarks import EXTRA_SYMBOLS, SYMBOLS
from monai_ceph.readers import Radiograph
from monai_ceph.reports.dicom_objects import reviewed_identification
from monai_ceph.reports.dicom_source import image_reference, source_header
from monai_ceph.reports.dicom_uids import ObjectKind
from monai_ceph.reports.encapsulated_pdf import encapsulated_pdf
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.report_content import Signature
from monai_ceph.reports.reviewed_report import Review, review_uid, reviewed_report
from monai_ceph.reports.secondary_capture import secondary_capture
from monai_ceph.result import Detection
from monai_ceph.review.audit import Link
from monai_ceph.review.films import ReviewFilm
from monai_ceph.review.models import StoredRevision
from monai_ceph.review.reviewing import reviewed

__all__ = ["FHIR", "KINDS", "NO_PDF", "USUAL_KINDS", "film_bundle", "film_objects", "scale_by", "signature_of"]

KINDS = ("sr", "gsps", "pdf", "sc")
"""Kinds of DICOM objects: structured report, presentation state, report as PDF, tracing as a picture."""

FHIR = "fhir"
"""What a FHIR server gets in their place."""

USUAL_KINDS = ("sr", "gsps")
"""What is made if nobody says otherwise."""

NO_PDF = "no PDF: the extra report is not installed"
"""Why there is no PDF."""

_TOOL = "monai-ceph review"
_DICOM_KINDS: dict[str, ObjectKind] = {"gsps": "PR", "sc": "SC", "pdf": "DOC"}


def signature_of(revision: StoredRevision) -> Signature | None:
    """Return who signed a revision, None for a draft."""
    if revision.state != "final" or revision.reviewer is None or revision.saved_at is None:
        return None
    return Signature(revision.reviewer, revision.saved_at)


def scale_by(revision: StoredRevision) -> str | None:
    """Return who gave the film its scale in the review, None if nobody did."""
    return None if revision.calibration is None else revision.calibration.by


def film_objects(
    film: ReviewFilm,
    path: Path,
    revision: StoredRevision,
    earlier: Sequence[StoredRevision],
    link: Link | None,
    radiograph: Radiograph | None,
    kinds: Collection[str],
    known: Mapping[tuple[str, int], str] | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> tuple[dict[str, Dataset], list[str]]:
    """Return the objects by kind, and a sentence for each that cannot be made.

    Args:
        film: of the results; a DICOM film.
        path: its file.
        revision: what the person said.
        earlier: signed revisions of the film; the objects name those of the last one before ``revision``, as far as the
            standard has a place for it.
        link: the line of the audit that recorded the revision; the SR quotes it.
        radiograph: the film's pixels; without them there is no secondary capture.
        kinds: some of :data:`KINDS`; others are left out.
        known: SOP Instance UIDs of objects that were made before, by kind and revision; others are computed.
        settings: of the clinic.

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
    before = [each for each in earlier if each.revision < revision.revision] if signature is not None else []
    replaced = _Replaced(detection, source, before[-1], known or {}, settings) if before else None
    if "sr" in kinds:
        review = _review(with_extra, revision, link, None if replaced is None else replaced.report())
        made["sr"] = reviewed_report(review, source, settings)
    if "gsps" in kinds:
        name = None if signature is None else signature.name
        before_this = None if replaced is None else replaced.object("gsps")
        made["gsps"] = presentation_state(plain, source, name, before_this, settings=settings)
    if "sc" in kinds and signature is not None:
        if radiograph is None:
            notes.append("no secondary capture: the film cannot be read")
        else:
            before_this = None if replaced is None else replaced.object("sc")
            drawn = with_extra.model_copy(update=dated)
            made["sc"] = secondary_capture(drawn, source, radiograph, signature.name, before_this, settings)
    if "pdf" in kinds and signature is not None:
        if find_spec("reportlab") is None:
            notes.append(NO_PDF)
        else:
            picture = None if radiograph is None else film_png(radiograph)
            before_this = None if replaced is None else replaced.object("pdf")
            measured = with_extra.measure()
            made["pdf"] = encapsulated_pdf(
                with_extra, source, measured, picture, signature, before_this, settings, scale_by(revision)
            )
    return made, notes


def film_bundle(
    film: ReviewFilm, path: Path, revision: StoredRevision, earlier: Sequence[StoredRevision]
) -> dict[str, Any]:
    """Return the measurements of a revision as a FHIR transaction: final if it is signed, then amended.

    A signed one withdraws what the detection or an earlier signed revision measured, and this one does not.

    Args:
        film: of the results; a DICOM film.
        path: its file.
        revision: what the person said.
        earlier: signed revisions of the film, of which those before ``revision`` count.

    Raises:
        CephError: as :func:`monai_ceph.reports.fhir_bundle.fhir_bundle`.
    """
    # imported only here: the models of FHIR take a second, and the extra may be missing
    from monai_ceph.reports.fhir_bundle import SignedVersion, fhir_bundle

    signed = [
        SignedVersion(reviewed(film.detection, each.points, each.calibration), who)
        for each in earlier
        if each.revision < revision.revision and (who := signature_of(each)) is not None
    ]
    detection, signature = reviewed(film.detection, revision.points, revision.calibration), signature_of(revision)
    return fhir_bundle(detection, source_header(path), signature=signature, preliminary=film.detection, earlier=signed)


@dataclass(frozen=True)
class _Replaced:
    """The objects of the signed revision before."""

    detection: Detection
    source: Dataset
    revision: StoredRevision
    known: Mapping[tuple[str, int], str]
    settings: ObjectSettings

    def report(self) -> str:
        """Return the SOP Instance UID of its SR."""
        review = _review(reviewed(self.detection, self.revision.points, self.revision.calibration), self.revision)
        known = self.known.get(("sr", self.revision.revision))
        return known or review_uid(review, self.source, self.settings)

    def object(self, kind: str) -> ObjectReference:
        """Return its object of another kind."""
        dicom = _DICOM_KINDS[kind]
        points = reviewed(self.detection, self.revision.points, self.revision.calibration, extra=kind != "gsps")
        dated = points.model_copy(update={"created": self.revision.saved_at})
        reference = image_reference(self.source, dated)
        name = self.revision.reviewer or ""
        made = reviewed_identification(dicom, reference, self.source, dated, name, self.settings)
        uid = self.known.get((kind, self.revision.revision)) or made["sop_instance_uid"]
        sop_class = {
            "PR": GrayscaleSoftcopyPresentationStateStorage,
            "SC": SecondaryCaptureImageStorage,
            "DOC": EncapsulatedPDFStorage,
        }[dicom]
        return ObjectReference(str(reference.StudyInstanceUID), made["series_instance_uid"], sop_class, uid)


def _placed(revision: StoredRevision) -> str:
    """Return who placed or moved which landmarks, in sentences."""
    placed: dict[str | None, list[str]] = {}
    for point in revision.points:
        if point.source == "human":
            placed.setdefault(point.by, []).append(point.symbol)
    sentences = [
        f"{'The reviewer' if name == revision.reviewer else name} placed or moved: {', '.join(symbols)}."
        for name, symbols in placed.items()
    ]
    return " ".join(sentences) or "The reviewer moved no landmark."


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
    signed = revision.state == "final"
    standing = "signed all landmarks" if signed else "has not signed the landmarks"
    statement = f"{revision.reviewer} {standing} in {_TOOL}. {_placed(revision)}"
    statement += " The other landmarks are as a model detected them."
    if (name := scale_by(revision)) is not None:
        statement += f" The scale was calibrated by {name}."
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
        model=detection.model,
        pixel_spacing=detection.pixel_spacing,
        spacing_source=detection.spacing_source,
        measurements=detection.measure(),
    )
