"""Common parts of all DICOM objects: equipment, algorithm, times, patient, and writing the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from highdicom import ContributingEquipment
from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.sr.codedict import codes as standard
from pydicom.valuerep import PersonName

from monai_ceph.errors import CephError
from monai_ceph.readers.dicom_elements import first_value, positive_number
from monai_ceph.readers.own_pictures import MANUFACTURER, SERIES_DESCRIPTION
from monai_ceph.readers.pixels import cause
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_source import (
    INHERITED,
    TEXT_VRS,
    UTF_8,
    FilmResult,
    in_character_set,
    inherited,
)
from monai_ceph.reports.dicom_uids import ObjectKind, derived_uid, device_uid, instance_uid, series_uid
from monai_ceph.reports.header_identity import ObjectReference, header_identity
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.result import Detection, ModelIdentity
from monai_ceph.storage.atomic import written_beside

__all__ = [
    "MANUFACTURER",
    "algorithm_version",
    "building",
    "complete",
    "identification",
    "processing_equipment",
    "replaced_instance",
    "reviewed_identification",
    "set_body_part",
    "write_object",
]

_LONG_STRING = 64
_HASH_PREFIX = 12
# higher than the numbers that devices give, so that the results are last in a list of series
_SERIES_NUMBERS: dict[ObjectKind, int] = {"SR": 9001, "PR": 9002, "SC": 9004, "DOC": 9005}


def identification(
    kind: ObjectKind,
    reference: Dataset,
    source: Dataset,
    detection: Detection,
    replaces: ObjectReference | None = None,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> dict[str, Any]:
    """Return highdicom's arguments for UIDs, numbers and equipment."""
    model = detection.model
    header = header_identity(source, detection.frame)
    earlier = None if replaces is None else replaces.uid
    return {
        "series_instance_uid": series_uid(kind, reference.StudyInstanceUID, model),
        "series_number": _SERIES_NUMBERS[kind],
        "sop_instance_uid": instance_uid(kind, reference.SOPInstanceUID, detection, header, earlier, settings.identity),
        "instance_number": detection.frame or positive_number(source, "InstanceNumber"),
        "series_description": SERIES_DESCRIPTION,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": model.name[:_LONG_STRING],
        "software_versions": model.software[:_LONG_STRING],
        "device_serial_number": model.weights_sha256[:_LONG_STRING],
    }


def reviewed_identification(
    kind: ObjectKind,
    reference: Dataset,
    source: Dataset,
    detection: Detection,
    reviewer: str,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> dict[str, Any]:
    """Return the same for an object that shows the points of a person: it is another one, in a series of its own.

    Its UID depends on the person, the time and scale of the detection, the points, the film's header, and the settings.
    """
    places = [None if mark.x is None else (round(mark.x, 3), round(mark.y or 0, 3)) for mark in detection.landmarks]
    header = header_identity(source, detection.frame)
    scale = str(detection.pixel_spacing)
    parts = (reviewer, detection.created.isoformat(), str(places), scale, header, *settings.identity)
    return {
        **identification(kind, reference, source, detection),
        "series_instance_uid": derived_uid("series", kind, reference.SeriesInstanceUID, "reviewed"),
        "sop_instance_uid": derived_uid("reviewed", kind, reference.SOPInstanceUID, detection.frame, *parts),
        "series_description": "Cephalometric landmarks, reviewed by a person",
    }


def algorithm_version(model: ModelIdentity) -> str:
    """Return the version of the model, with the first characters of its weights' hash; at most 64 characters."""
    return f"{model.version}, weights {model.weights_sha256[:_HASH_PREFIX]}"[:_LONG_STRING]


def processing_equipment(model: ModelIdentity) -> ContributingEquipment:
    """Return the item of Contributing Equipment Sequence for the model, as IHE AI Results asks (6.5.3.1).

    Its values are the same as those of the device observer and of the algorithm in the content of an SR.
    """
    item = ContributingEquipment(
        MANUFACTURER,
        standard.DCM.ProcessingEquipment,
        manufacturer_model_name=model.name[:_LONG_STRING],
        software_versions=algorithm_version(model),
    )
    item.DeviceUID = device_uid(model)
    return item


def replaced_instance(replaced: ObjectReference) -> Dataset:
    """Return an item of Referenced Instance Sequence (0008,114A) for an image that is replaced (PS3.3 C.12.4).

    The standard has no code for this purpose, so it is a private one.
    """
    item, purpose = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = replaced.sop_class, replaced.uid
    code = codes.REPLACED_OBJECT
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, code.scheme, code.meaning
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def set_body_part(result: Dataset, source: Dataset, settings: ObjectSettings) -> None:
    """Set BodyPartExamined (0018,0015) of an object whose series has it (PS3.3 C.7.3.1)."""
    result.BodyPartExamined, _ = settings.part_of(first_value(source, "BodyPartExamined"))


@contextmanager
def building(what: str, detection: FilmResult) -> Iterator[None]:
    """Turn highdicom's errors into a CephError that names the film, and silence pydicom's warnings."""
    try:
        with quiet():
            yield
    except CephError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # a KeyError is a SOP class that highdicom does not know
        text = f"the SOP class {error} is not known" if isinstance(error, KeyError) else cause(error)
        raise CephError(f"{detection.file}: no {what} can be made for this film: {text}.") from error


def complete(
    result: Dataset,
    source: Dataset,
    detection: FilmResult,
    settings: ObjectSettings = DEFAULT_SETTINGS,
    model: ModelIdentity | None = None,
) -> str:
    """Set patient, study and times, and return the time of the detection as a DICOM DT value.

    highdicom uses the current time in some places and refuses identifiers that are too long, so both are set here. All
    times are that of the detection, in the film's time zone or else in the clinic's (PS3.3 C.12.1.1.8). Without either
    they are in UTC, and no zone is named, because it would be that of the study's date and time, too.

    Args:
        result: the object.
        source: the film's header.
        detection: what it is about.
        settings: of the clinic.
        model: that found the points; it becomes a part of the Contributing Equipment Sequence.
    """
    patient = inherited(source)
    result.update(patient)
    _set_character_set(result, source.get("SpecificCharacterSet"))
    result.pop("TimezoneOffsetFromUTC", None)
    moment = detection.created.astimezone(timezone.utc)
    if (zone := _zone(patient, moment, settings)) is not None:
        moment = moment.astimezone(zone)
        result.TimezoneOffsetFromUTC = moment.strftime("%z")
    for name in ("InstanceCreation", "PresentationCreation" if result.Modality == "PR" else "Content"):
        setattr(result, f"{name}Date", moment.strftime("%Y%m%d"))
        setattr(result, f"{name}Time", moment.strftime("%H%M%S"))
    if result.Modality == "PR":
        # older versions of highdicom add these to every object
        result.pop("ContentDate", None)
        result.pop("ContentTime", None)
    if model is not None:
        others = list(result.get("ContributingEquipmentSequence", ()))
        result.ContributingEquipmentSequence = [processing_equipment(model), *others]
    for equipment in result.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S")
    _restore_bytes(result, source.get("SpecificCharacterSet"))
    return moment.strftime("%Y%m%d%H%M%S%z")


def _zone(patient: Dataset, moment: datetime, settings: ObjectSettings) -> tzinfo | None:
    """Return the film's time zone, else the clinic's at the time of the study; None if neither is known.

    One offset holds for all dates and times of an object, so it has to be that of the study, also after the clocks
    changed.
    """
    if offset := patient.get("TimezoneOffsetFromUTC"):
        sign = -1 if offset[0] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:])))
    day, clock = str(patient.get("StudyDate") or ""), str(patient.get("StudyTime") or "").partition(".")[0]
    if day:
        digits = clock.ljust(6, "0") if clock else "120000"
        # Python has no leap second
        moment = datetime.strptime(f"{day}{digits[:4]}{min(int(digits[4:]), 59):02}", "%Y%m%d%H%M%S")
    return settings.offset_at(moment)


def _restore_bytes(result: Dataset, declared: Any) -> None:
    """Copy text in an unknown character set byte by byte, with its proper VR.

    The object then declares the same character set as the film, and its other text is ASCII.
    """
    kept = {element.keyword: element.value for element in result if element.VR == "OB" and element.keyword in INHERITED}
    if not kept:
        return
    for element in result.iterall():
        if element.VR in TEXT_VRS and element.value and not str(element.value).isascii():
            element.value = str(element.value).encode("ascii", "replace").decode()
    result.pop("SpecificCharacterSet", None)
    if declared:
        result.SpecificCharacterSet = declared
    encodings = convert_encodings(declared or "")
    for name, raw in kept.items():
        vr = dictionary_VR(name)
        result[name] = DataElement(name, vr, PersonName(raw, encodings) if vr == "PN" else raw)


def _set_character_set(result: Dataset, declared: Any) -> None:
    """Declare no character set for ASCII, otherwise that of the film, or UTF-8 if it lacks some characters."""
    texts = [str(element.value) for element in result.iterall() if element.VR in TEXT_VRS and element.value]
    result.pop("SpecificCharacterSet", None)
    if not all(text.isascii() for text in texts):
        encodings = convert_encodings(declared) if declared else []
        whole = declared and all(in_character_set(text, encodings) for text in texts)
        result.SpecificCharacterSet = declared if whole else UTF_8


def write_object(target: Path, result: Dataset) -> None:
    """Write a DICOM file, atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part, quiet():
        result.save_as(part, enforce_file_format=True)
