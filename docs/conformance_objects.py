"""The attributes of the DICOM objects that are made, for the conformance statement, read from objects that were made.

Two films and two detections give two objects of each kind. What both objects have in common is fixed; what is as in the
film is copied; the rest is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.uid import UID

from monai_ceph import weights
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.reports.dicom_source import INHERITED
from monai_ceph.reports.encapsulated_pdf import encapsulated_pdf
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.secondary_capture import secondary_capture
from monai_ceph.reports.structured_report import structured_report
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity

__all__ = ["attribute_tables", "made_objects"]

ROWS, COLUMNS = 60, 50
# what a template or a picture has, which other sections and pages describe
NOT_SHOWN = (
    "ContentSequence",
    "GraphicAnnotationSequence",
    "PixelData",
    "EncapsulatedDocument",
    "SoftcopyVOILUTSequence",
)
LONGEST = 60


def _film(number: int) -> Dataset:
    """Return the header of a made-up film; no value is as in another one."""
    film = Dataset()
    film.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    for name, end in (("StudyInstanceUID", 1), ("SeriesInstanceUID", 2), ("SOPInstanceUID", 3)):
        setattr(film, name, f"1.2.{number}.{end}")
    film.PatientName, film.PatientID = f"Doe^{'JK'[number]}", f"P{number}"
    film.PatientBirthDate, film.PatientSex = f"1980010{number + 1}", "FM"[number]
    film.StudyDate, film.StudyTime, film.StudyID = f"2026010{number + 1}", f"1{number}0000", f"S{number}"
    film.AccessionNumber, film.ReferringPhysicianName = f"A{number}", f"Who^{'JK'[number]}"
    film.StudyDescription, film.IssuerOfPatientID = f"Study {number}", f"Clinic {number}"
    film.TimezoneOffsetFromUTC = ("+0100", "-0500")[number]
    film.PatientIdentityRemoved, film.DeidentificationMethod = ("YES", "NO")[number], f"Method {number}"
    film.LongitudinalTemporalInformationModified = ("UNMODIFIED", "MODIFIED")[number]
    film.Modality, film.InstanceNumber = "DX", number + 1
    film.Rows, film.Columns, film.SamplesPerPixel = ROWS, COLUMNS + number, 1
    film.PhotometricInterpretation = ("MONOCHROME2", "MONOCHROME1")[number]
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.WindowCenter, film.WindowWidth = 2048 + number, 4096 - number
    film.RescaleIntercept, film.RescaleSlope, film.RescaleType = number, 1, "US"
    film.BurnedInAnnotation = ("NO", "YES")[number]
    film.LossyImageCompression = "01"
    return film


def _detection(number: int) -> Detection:
    marks = [
        DetectedLandmark(
            **{"number": mark.number, "name": mark.name, "symbol": mark.symbol, "status": ("ok", "uncertain")[number]},
            **{"x": 20 + number + 8 * x, "y": 30 + 8 * y, "score": 0.5},
        )
        for mark, (y, x) in zip(LANDMARKS, weights.mean_shape(), strict=True)
    ]
    model = ModelIdentity(
        name=f"model {number}",
        version=str(number),
        weights_sha256=f"{number}" * 64,
        recipe_sha256="c" * 64,
        software=f"monai-ceph {number}",
    )
    return Detection(
        **{"file": "film.dcm", "rows": ROWS, "columns": COLUMNS + number, "image_uid": f"1.2.{number}.3"},
        **{"study_uid": f"1.2.{number}.1", "series_uid": f"1.2.{number}.2"},
        **{"pixel_spacing": (1.0 + number, 1.0 + number), "spacing_source": SpacingSource.USER},
        **{
            "turned": 0,
            "mirrored": False,
            "inverted": False,
            "state": "ok",
            "warnings": (),
            "landmarks": tuple(marks),
            "model": model,
        },
        created=datetime(2026, 1, 2, 3, 4, 5 + number, tzinfo=timezone.utc),
        seconds={},
    )


def made_objects(number: int) -> tuple[Dataset, dict[str, Dataset]]:
    """Return a film, and the objects made for it: each says that it replaces an earlier one."""
    film, detection = _film(number), _detection(number)
    before = ObjectReference(f"1.2.{number}.1", f"1.2.{number}.8", "1.2.840.10008.5.1.4.1.1.104.1", f"1.2.{number}.9")
    radiograph = Radiograph(np.zeros((ROWS, COLUMNS + number), np.float32), Path("film.dcm"))
    colour = deepcopy(film)
    colour.SamplesPerPixel, colour.PhotometricInterpretation = 3, "RGB"
    made = [
        structured_report(detection, film, before),
        presentation_state(detection, film, replaces=before),
        presentation_state(detection, colour, replaces=before),
        secondary_capture(detection, film, radiograph, replaces=before),
        encapsulated_pdf(detection, film, detection.measure(), None, replaces=before),
    ]
    return film, {str(each.SOPClassUID): each for each in made}


def attribute_tables() -> Iterator[tuple[UID, list[str]]]:
    """Yield the SOP class of each kind of object, and the lines of its table."""
    (film, first), (_, second) = made_objects(0), made_objects(1)
    for sop_class, one in first.items():
        lines = ["| tag | attribute | VR | value |", "|---|---|---|---|"]
        yield UID(sop_class), lines + list(_rows(one, second[sop_class], film, ""))


def _rows(one: Dataset, other: Dataset, film: Dataset, depth: str) -> Iterator[str]:
    for element in one:
        twin = other.get(element.tag)
        value = _value(element, twin, film, bool(depth))
        tag = f"{depth}({element.tag.group:04X},{element.tag.element:04X})"
        yield f"| {tag} | {element.name} | {element.VR} | {value} |"
        if element.VR == "SQ" and element.value and element.keyword not in NOT_SHOWN and twin and len(depth) < 3:
            yield from _rows(element.value[0], twin.value[0], film, depth + ">")


def _value(element: DataElement, twin: DataElement | None, film: Dataset, nested: bool) -> str:
    if element.keyword in NOT_SHOWN:
        return "see below or on the page of DICOM objects"
    if element.VR == "SQ":
        return "sequence" if element.value else "empty"
    if element.keyword in INHERITED:
        return "copied from the film; empty if the film lacks it" if element.value else "empty"
    if twin is not None and twin.value == element.value:
        text = str(element.value) if not isinstance(element.value, bytes) else "bytes"
        text = "\\\\".join(map(str, element.value)) if element.VM > 1 else text
        return "empty" if element.is_empty else f"`{text}`" if len(text) <= LONGEST else "fixed"
    same = film.get(element.keyword)
    if same is not None and same == element.value and element.keyword not in ("Rows", "Columns"):
        return "that of the film"
    if nested and element.VR == "UI" and element.value in (film.SOPInstanceUID, film.SeriesInstanceUID):
        return "that of the film"
    return "computed"
