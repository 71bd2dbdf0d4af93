"""What a result takes from a film's header, as one digest: another header under the same UID gives another result.

An archive keeps what it has under a SOP Instance UID. So a report for a corrected header needs a UID of its own, or the
report for the wrong patient, study or scale stays.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pydicom import Dataset

from monai_ceph.readers.dicom_elements import first_term, first_value, positive_number
from monai_ceph.reports.dicom_display import is_grey, is_inverted, modality_lut, voi_lut
from monai_ceph.reports.dicom_source import inherited

__all__ = ["ObjectReference", "header_identity", "predecessor"]

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
_TERMS = ("Modality", "BurnedInAnnotation", "LossyImageCompression")


@dataclass(frozen=True)
class ObjectReference:
    """The UIDs that name an object, such as the report made for an image before its header was changed.

    Attributes:
        study: Study Instance UID.
        series: Series Instance UID.
        sop_class: SOP Class UID.
        uid: SOP Instance UID.
    """

    study: str
    series: str
    sop_class: str
    uid: str


def header_identity(source: Dataset, frame: int | None) -> str:
    """Return the SHA-256 of what a result takes from the header, in hexadecimal digits.

    That is the patient and the study (:data:`~monai_ceph.reports.dicom_source.INHERITED`), the UIDs, and how the film
    is displayed. What archives add on the way, such as their own AE title, changes nothing, nor does compression
    without loss. The scale is a part of the detection.

    Args:
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        frame: frame number, if the film has several.
    """
    patient = inherited(source)
    display = [modality_lut(source, frame), voi_lut(source, frame) or Dataset()]
    parts = [
        [[element.keyword, str(element.value)] for element in patient if not element.is_empty],
        [str(first_value(source, name) or "") for name in _UIDS],
        [first_term(source, name) for name in _TERMS],
        [is_grey(source), is_inverted(source), positive_number(source, "InstanceNumber")],
        [str(element) for each in display for element in each.iterall() if element.VR != "OW"],
        [
            hashlib.sha256(element.value).hexdigest()
            for each in display
            for element in each.iterall()
            if element.VR == "OW"
        ],
        str(source.get("PixelAspectRatio") or ""),
    ]
    return hashlib.sha256(json.dumps(parts).encode(errors="backslashreplace")).hexdigest()


def predecessor(replaced: ObjectReference) -> Dataset:
    """Return an item of PredecessorDocumentsSequence (0040,A360) for a document that is replaced (PS3.3 C.17.2)."""
    study, series, document = Dataset(), Dataset(), Dataset()
    document.ReferencedSOPClassUID, document.ReferencedSOPInstanceUID = replaced.sop_class, replaced.uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = replaced.series, [document]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = replaced.study, [series]
    return study
