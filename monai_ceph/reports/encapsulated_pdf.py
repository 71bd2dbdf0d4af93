"""The report of a film as a DICOM Encapsulated PDF (PS3.3 A.45.1), for viewers that show no SR.

The document calls the film by its SOP Instance UID, not by its file's name, and holds no data of the patient; the
header has those of the film, as in the other objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from highdicom.base import SOPClass
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from monai_ceph.analysis import Measurement
from monai_ceph.reports.dicom_objects import (
    building,
    complete,
    identification,
    reviewed_identification,
    write_object,
)
from monai_ceph.reports.dicom_source import header_warnings, image_reference
from monai_ceph.reports.header_identity import ObjectReference, predecessor
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.reports.pdf_report import pdf_report
from monai_ceph.reports.report_content import Signature, film_report
from monai_ceph.reports.report_figure import film_figure
from monai_ceph.result import Detection

__all__ = ["encapsulated_pdf", "save_pdf"]

_TITLE, _SIGNED_TITLE = "Cephalometric report, not reviewed", "Cephalometric report, reviewed and signed"


def encapsulated_pdf(
    detection: Detection,
    source: Dataset,
    measurements: Sequence[Measurement],
    film_png: bytes | None,
    signature: Signature | None = None,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
    scale_by: str | None = None,
) -> Dataset:
    """Return the Encapsulated PDF of one film: a draft, unverified, unless a person signed.

    Burned In Annotation is NO only if the film's header says that for the film: its picture is part of the document.

    Args:
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        measurements: of the detection.
        film_png: the picture of the whole film, as PNG; None for only the tracing.
        signature: who signed the result; None: nobody.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        settings: of the clinic.
        scale_by: who gave the film its scale in a review, None if nobody did.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the detection, or ReportLab is not installed.
    """
    with building("PDF", detection):
        reference = image_reference(source, detection)
        name = str(reference.SOPInstanceUID) + ("" if detection.frame is None else f"#{detection.frame}")
        shown = detection.model_copy(update={"file": name, "warnings": (*detection.warnings, *header_warnings(source))})
        document = pdf_report(film_report(shown, measurements, signature, scale_by), film_figure(shown, film_png))
        # the header has the time of the signature, and the text that of the detection
        dated = detection if signature is None else detection.model_copy(update={"created": signature.signed})
        result = SOPClass(
            study_instance_uid=reference.StudyInstanceUID,
            sop_class_uid=EncapsulatedPDFStorage,
            modality="DOC",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **(
                identification("DOC", reference, source, detection, replaces, settings)
                if signature is None
                else reviewed_identification("DOC", reference, source, dated, signature.name, settings)
            ),
        )
        result.ConversionType = "WSD"
        result.AcquisitionDateTime = None
        clean = film_png is None or str(source.get("BurnedInAnnotation") or "").strip().upper() == "NO"
        result.BurnedInAnnotation = "NO" if clean else "YES"
        result.SourceInstanceSequence = [_reference(reference)]
        if replaces is not None:
            result.PredecessorDocumentsSequence = [predecessor(replaces)]
        result.DocumentTitle = _TITLE if signature is None else _SIGNED_TITLE
        result.ConceptNameCodeSequence = []
        result.VerificationFlag = "UNVERIFIED" if signature is None else "VERIFIED"
        result.MIMETypeOfEncapsulatedDocument = "application/pdf"
        result.EncapsulatedDocumentLength = len(document)
        # values of OB have an even length
        result.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
        complete(result, source, dated, settings, detection.model)
    return result


def save_pdf(
    target: Path,
    detection: Detection,
    source: Dataset,
    measurements: Sequence[Measurement],
    film_png: bytes | None,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> None:
    """Write the Encapsulated PDF of one film, atomically. The same detection gives the same bytes.

    Arguments are those of :func:`encapsulated_pdf`, and the file to write.

    Raises:
        CephError: as :func:`encapsulated_pdf`.
        OSError: if the file cannot be written.
    """
    made = encapsulated_pdf(detection, source, measurements, film_png, replaces=replaces, settings=settings)
    write_object(target, made)


def _reference(reference: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.SOPClassUID
    item.ReferencedSOPInstanceUID = reference.SOPInstanceUID
    return item
