"""The measurements of a film as a FHIR R4 transaction: ImagingStudy, Observations, DiagnosticReport.

The resources are checked by the models of ``fhir.resources`` (extra ``fhir``). Those are of R4B, which has the same
ImagingStudy, Observation and DiagnosticReport as R4.

Every resource has an identifier that follows from the film and the model. The server creates it only if it has none
with this identifier, so that sending twice changes nothing. A signed report takes the place of the preliminary one, and
so does each of its observations; one that has no value any more is withdrawn. A later version of a signed report is
amended, and names the version that it replaces.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydicom import Dataset

from monai_ceph.analysis import Measurement
from monai_ceph.errors import CephError
from monai_ceph.landmarks import CODING_SCHEME, Code
from monai_ceph.readers.dicom_elements import is_uid, value
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_uids import derived_uid
from monai_ceph.reports.fhir_reference import NO_FHIR, bundle_json
from monai_ceph.reports.header_identity import ObjectReference, header_identity
from monai_ceph.reports.loinc_codes import LOINC, LOINC_CODES
from monai_ceph.reports.measured_values import MEASUREMENT_CODES, UNITS, measurement_code
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.object_settings import CEPHALOGRAM
from monai_ceph.reports.report_content import Signature
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["SignedVersion", "fhir_bundle", "save_fhir"]

_SYSTEMS = {
    "UCUM": "http://unitsofmeasure.org",
    LOINC: "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    # FHIR wants a URI, and the private scheme of the DICOM objects has only a name
    CODING_SCHEME: f"urn:oid:{derived_uid('coding scheme', CODING_SCHEME)}",
}
_URI = "urn:ietf:rfc:3986"
_STUDY_UID = "urn:dicom:uid"
_REPLACES = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces"


@dataclass(frozen=True)
class SignedVersion:
    """What was signed earlier."""

    detection: Detection
    signature: Signature


def fhir_bundle(
    detection: Detection,
    source: Dataset,
    replaces: ObjectReference | None = None,
    signature: Signature | None = None,
    preliminary: Detection | None = None,
    earlier: Sequence[SignedVersion] = (),
) -> dict[str, Any]:
    """Return the transaction for one film as the values of its JSON.

    Args:
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`, or a de-identified one.
        replaces: the bundle that was made before the header was changed under the same UID; None if there is none.
        signature: who signed the landmarks; None makes everything preliminary, whatever the next two say.
        preliminary: what an unsigned bundle may have had. A measurement without a value now is ``cancelled``.
        earlier: versions that were signed before, in their order. With one the report is ``amended``, and so is each
            measurement that changed since; one without a value now was ``entered-in-error``.

    Raises:
        CephError: the film has no valid UIDs, a resource is not valid, or the extra ``fhir`` is not installed.
    """
    if find_spec("fhir") is None:
        raise CephError(NO_FHIR)
    uids = [str(value(source, name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    if not all(is_uid(uid) for uid in uids) or uids[2] != detection.image_uid:
        raise CephError(f"{detection.file}: the film has no valid UIDs, or is not the film of the result")
    earlier = earlier if signature is not None else ()
    histories = [_contents(each.detection) for each in earlier]
    first = _contents(preliminary) if signature is not None and preliminary is not None else {}
    report_uid = _report_uid(detection, source)
    study = _study(source, uids)
    entries = [_entry(study, derived_uid("fhir study", uids[0]), f"{_STUDY_UID}|urn:oid:{uids[0]}", False)]
    results = []
    for each in detection.measure():
        status = _status(each, signature, each.symbol in first, [known.get(each.symbol) for known in histories])
        if status is None:
            continue
        uid = derived_uid("fhir observation", report_uid, each.symbol)
        observation = _observation(each, detection, source, uid, status, entries[0]["fullUrl"], signature)
        entries.append(_entry(observation, uid, f"{_URI}|urn:oid:{uid}", signature is not None))
        if each.value is not None:
            results.append({"reference": entries[-1]["fullUrl"]})
    status = "preliminary" if signature is None else "amended" if earlier else "final"
    report = _report(detection, source, report_uid, status, signature)
    report |= {"result": results} if results else {}
    report["imagingStudy"] = [{"reference": entries[0]["fullUrl"]}]
    old: list[dict[str, Any]] = [] if replaces is None else [{"identifier": _identifier(replaces.uid)}]
    if signature is not None:
        report["identifier"].append(_identifier(_version_uid(report_uid, signature)))
    if earlier:
        last = earlier[-1].signature
        said = f"the version that {last.name} signed on {last.signed.isoformat(timespec='seconds')}"
        old.append({"identifier": _identifier(_version_uid(report_uid, last)), "display": said})
    if old:
        report["extension"] = [
            {"url": _REPLACES, "valueReference": {"type": "DiagnosticReport", **each}} for each in old
        ]
    entries.append(_entry(report, report_uid, f"{_URI}|urn:oid:{report_uid}", signature is not None))
    bundle = {"resourceType": "Bundle", "identifier": _identifier(report_uid), "type": "transaction", "entry": entries}
    _check(bundle, detection.file)
    return bundle


def save_fhir(
    target: Path,
    detection: Detection,
    source: Dataset,
    replaces: ObjectReference | None = None,
    signature: Signature | None = None,
) -> None:
    """Write the transaction for one film as JSON, atomically; see :func:`fhir_bundle`.

    Raises:
        CephError: as :func:`fhir_bundle`.
        OSError: if the file cannot be written.
    """
    text = bundle_json(fhir_bundle(detection, source, replaces, signature))
    with written_beside(target) as part:
        part.write_text(text, encoding="utf-8")


def _report_uid(detection: Detection, source: Dataset) -> str:
    """Return the UID of the report: the same for the preliminary and the signed one, another for another header."""
    model = detection.model
    identity = (model.weights_sha256, model.recipe_sha256, model.software)
    return derived_uid(
        "fhir report", detection.image_uid, detection.frame, *identity, header_identity(source, detection.frame)
    )


def _version_uid(report_uid: str, signature: Signature) -> str:
    """Return the UID of one signed version of a report."""
    return derived_uid("fhir report version", report_uid, signature.name, signature.signed.isoformat())


_Content = tuple[float, tuple[float, ...], bool]


def _contents(detection: Detection) -> dict[str, _Content]:
    """Return what the observations of a detection say, by symbol, as exactly as a bundle does."""
    return {each.symbol: content for each in detection.measure() if (content := _content(each)) is not None}


def _content(measurement: Measurement) -> _Content | None:
    if measurement.value is None:
        return None
    interval = tuple(round(end, 4) for end in measurement.interval or ())
    return round(measurement.value, 4), interval, bool(measurement.uncertain)


def _status(
    measurement: Measurement, signature: Signature | None, was_there: bool, history: Sequence[_Content | None]
) -> str | None:
    """Return the status of an observation (FHIR R4, ObservationStatus), None if nobody needs to be told of it.

    Args:
        measurement: as it is now.
        signature: who signed it.
        was_there: a preliminary bundle may have had a value.
        history: what each earlier signed version said.
    """
    now = _content(measurement)
    if now is None:
        return "entered-in-error" if any(history) else "cancelled" if was_there else None
    if signature is None:
        return "preliminary"
    # from the version on that first had it
    final = [each for index, each in enumerate(history) if any(history[: index + 1])]
    return "final" if all(each == now for each in final) else "amended"


def _check(bundle: dict[str, Any], file: str) -> None:
    from fhir.resources.R4B.bundle import Bundle

    try:
        Bundle.model_validate(bundle)
    except ValueError as error:
        # its text quotes values
        raise CephError(f"{file}: a FHIR resource is not valid ({type(error).__name__})") from None


def _study(source: Dataset, uids: list[str]) -> dict[str, Any]:
    sop_class = {"system": _URI, "code": f"urn:oid:{value(source, 'SOPClassUID')}"}
    series: dict[str, Any] = {"uid": uids[1], "instance": [{"uid": uids[2], "sopClass": sop_class}]}
    series["modality"] = {"system": _SYSTEMS["DCM"], "code": str(value(source, "Modality") or "OT").strip()}
    started = _date_time(source)
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": _STUDY_UID, "value": f"urn:oid:{uids[0]}"}],
        "status": "available",
        "subject": _subject(source),
        **({"started": started} if started else {}),
        "series": [series],
    }


def _observation(
    measurement: Measurement,
    detection: Detection,
    source: Dataset,
    uid: str,
    status: str,
    study: str,
    signature: Signature | None,
) -> dict[str, Any]:
    unit = UNITS[measurement.unit]
    ends = zip((codes.INTERVAL_LOW, codes.INTERVAL_HIGH), measurement.interval or (), strict=False)
    components: list[dict[str, Any]] = [
        {"code": _concept(end), "valueQuantity": _quantity(limit, unit)} for end, limit in ends
    ]
    if measurement.uncertain:
        doubt = _concept(codes.STATUSES["uncertain"])
        components.append({"code": _concept(codes.LANDMARK_STATUS), "valueCodeableConcept": doubt})
    taken = _date_time(source)
    imaging = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}
    number = measurement.value
    found = {"dataAbsentReason": {"text": measurement.reason or "withdrawn"}}
    if number is not None:
        found = {"valueQuantity": _quantity(number, unit)}
    return {
        "resourceType": "Observation",
        "identifier": [_identifier(uid)],
        "status": status,
        "category": [{"coding": [imaging]}],
        "code": _measured(measurement),
        "subject": _subject(source),
        **({"effectiveDateTime": taken} if taken else {}),
        "issued": (detection.created if signature is None else signature.signed).isoformat(timespec="seconds"),
        **({} if signature is None else {"performer": [{"display": signature.name}]}),
        **found,
        "method": {"text": measurement.definition},
        "device": {"display": _software(detection)},
        "derivedFrom": [{"reference": study}],
        **({"component": components} if components else {}),
    }


def _measured(measurement: Measurement) -> dict[str, Any]:
    """Return the private code of a measurement, and LOINC's if there is one."""
    own = MEASUREMENT_CODES.get(measurement.symbol) or measurement_code(measurement.symbol, measurement.name)
    concept = {**_concept(own), "text": measurement.name}
    if (public := LOINC_CODES.get(measurement.symbol)) is not None:
        # a display must be one of LOINC's names, and its component by itself is not one
        concept["coding"].append({"system": _SYSTEMS[LOINC], "code": public.value})
    return concept


def _report(
    detection: Detection, source: Dataset, uid: str, status: str, signature: Signature | None
) -> dict[str, Any]:
    taken = _date_time(source)
    radiology = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}
    who: dict[str, Any] = {"performer": [{"display": _software(detection)}]}
    issued = detection.created
    if signature is not None:
        who["resultsInterpreter"] = [{"display": signature.name}]
        issued = signature.signed
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [_identifier(uid)],
        "status": status,
        "category": [{"coding": [radiology]}],
        "code": _concept(CEPHALOGRAM),
        "subject": _subject(source),
        **({"effectiveDateTime": taken} if taken else {}),
        "issued": issued.isoformat(timespec="seconds"),
        **who,
        "conclusion": " ".join((NOTICE, *_profile_note(detection), *detection.warnings)),
    }


def _subject(source: Dataset) -> dict[str, Any]:
    """Return the patient by PatientID: a server that knows the patient can tell who that is."""
    number = str(value(source, "PatientID") or "").strip()
    if not number:
        return {"type": "Patient", "display": "unknown"}
    return {"type": "Patient", "identifier": {"value": number}}


def _date_time(source: Dataset) -> str | None:
    """Return the date of the film. Without a time zone, FHIR allows no time."""
    date = str(value(source, "AcquisitionDate") or value(source, "StudyDate") or "")
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else None


def _quantity(number: float, unit: Code) -> dict[str, Any]:
    return {"value": round(number, 4), "unit": unit.meaning, "system": _SYSTEMS[unit.scheme], "code": unit.value}


def _concept(code: Code) -> dict[str, Any]:
    return {"coding": [{"system": _SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}]}


def _identifier(uid: str) -> dict[str, str]:
    return {"system": _URI, "value": f"urn:oid:{uid}"}


def _entry(resource: dict[str, Any], uid: str, identifier: str, update: bool) -> dict[str, Any]:
    """Return the entry of a resource: it is created unless it is there, or takes the place of the one that is there."""
    kind = resource["resourceType"]
    request = (
        {"method": "PUT", "url": f"{kind}?identifier={identifier}"}
        if update
        else {"method": "POST", "url": kind, "ifNoneExist": f"identifier={identifier}"}
    )
    full_url = f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"
    return {"fullUrl": full_url, "resource": resource, "request": request}


def _software(detection: Detection) -> str:
    """Return the software, and the profile that moved the landmarks."""
    profile = detection.profile
    return detection.model.software + ("" if profile is None else f", profile {profile.label}")


def _profile_note(detection: Detection) -> list[str]:
    profile = detection.profile
    return [] if profile is None else [f"The landmarks were moved by the profile {profile.label}."]
