from __future__ import annotations

import importlib.util
import json
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from dicom_films import IMAGE, SERIES, STUDY, detection_on, film, without

pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
from fhir.resources.R4B.bundle import Bundle
from typer.testing import CliRunner

from monai_ceph.errors import CephError
from monai_ceph.reports import fhir_bundle as module
from monai_ceph.reports.deidentify import deidentified, deidentified_detection
from monai_ceph.reports.fhir_bundle import SignedVersion, fhir_bundle, save_fhir
from monai_ceph.reports.fhir_reference import bundle_reference
from monai_ceph.reports.loinc_codes import LOINC_CODES
from monai_ceph.reports.measured_values import MEASUREMENT_CODES, UNITS
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.object_settings import CEPHALOGRAM
from monai_ceph.reports.report_content import Signature
from monai_ceph.result import Detection, ProfileIdentity

SIGNATURE = Signature("Dr Grey", datetime(2026, 2, 3, tzinfo=timezone.utc))
LOINC = {symbol: [code.value] for symbol, code in LOINC_CODES.items()}


def of_kind(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return fhir_bundle(detection_on(), film())


def test_the_models_of_the_library_take_it(bundle: dict[str, Any]) -> None:
    read = Bundle.model_validate_json(json.dumps(bundle))
    assert read.type == "transaction"
    assert len(read.entry) == len(bundle["entry"])


def test_the_study(bundle: dict[str, Any]) -> None:
    (study,) = of_kind(bundle, "ImagingStudy")
    assert study["identifier"] == [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}]
    assert study["started"] == "2025-12-31"
    (series,) = study["series"]
    assert (series["uid"], series["instance"][0]["uid"], series["modality"]["code"]) == (SERIES, IMAGE, "DX")


def test_each_measurement_is_an_observation(bundle: dict[str, Any]) -> None:
    measured = [each for each in detection_on().measure() if each.value is not None]
    observations = of_kind(bundle, "Observation")
    assert len(observations) == len(measured) > 10
    for each, observation in zip(measured, observations, strict=True):
        own, *public = observation["code"]["coding"]
        assert own["code"] == MEASUREMENT_CODES[each.symbol].value
        assert public == [{"system": "http://loinc.org", "code": code} for code in LOINC.get(each.symbol, [])]
        unit = UNITS[each.unit]
        quantity = observation["valueQuantity"]
        assert (quantity["system"], quantity["code"]) == ("http://unitsofmeasure.org", unit.value)
        assert quantity["value"] == pytest.approx(each.value, abs=5e-5)
        parts = {part["code"]["coding"][0]["code"]: part for part in observation.get("component", [])}
        assert ("LandmarkStatus" in parts) == bool(each.uncertain)
        if each.interval is not None:
            ends = [parts[name]["valueQuantity"]["value"] for name in ("IntervalLow", "IntervalHigh")]
            assert ends == pytest.approx(list(each.interval), abs=5e-5)
        assert observation["status"] == "preliminary"
        assert observation["subject"] == {"type": "Patient", "identifier": {"value": "P-17"}}


def test_what_loinc_has_is_there(bundle: dict[str, Any]) -> None:
    codings = [observation["code"]["coding"] for observation in of_kind(bundle, "Observation")]
    found = {coding["code"] for each in codings for coding in each if coding["system"] == "http://loinc.org"}
    # the others need landmarks that people place
    assert found == {"60604-6", "60628-5", "60630-1", "60634-3", "60666-5", "60671-5"}


def test_the_report_refers_to_all(bundle: dict[str, Any]) -> None:
    (report,) = of_kind(bundle, "DiagnosticReport")
    urls = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert {urls[each["reference"]] for each in report["result"]} == {"Observation"}
    assert len(report["result"]) == len(of_kind(bundle, "Observation"))
    assert [urls[each["reference"]] for each in report["imagingStudy"]] == ["ImagingStudy"]
    assert report["code"]["coding"] == [
        {"system": "http://loinc.org", "code": "43787-1", "display": CEPHALOGRAM.meaning}
    ]
    assert report["status"] == "preliminary"
    assert report["conclusion"].startswith(NOTICE)


def test_the_profile_that_moved_the_points_is_named(bundle: dict[str, Any]) -> None:
    profile = ProfileIdentity(name="Clinic North", sha256="ab" * 32, films=12)
    taught = fhir_bundle(detection_on().model_copy(update={"profile": profile}), film())
    named = "profile Clinic North (learned from 12 films, abababababab)"
    expected = f"{detection_on().model.software}, {named}"
    assert {each["device"]["display"] for each in of_kind(taught, "Observation")} == {expected}
    (report,) = of_kind(taught, "DiagnosticReport")
    assert report["performer"] == [{"display": expected}]
    assert f"moved by the profile {profile.label}. " in f"{report['conclusion']} "
    Bundle.model_validate(taught)
    assert "profile" not in json.dumps([each["device"] for each in of_kind(bundle, "Observation")])


def test_what_is_there_is_not_made_again(bundle: dict[str, Any]) -> None:
    assert fhir_bundle(detection_on(), film()) == bundle
    for entry in bundle["entry"]:
        (identifier,) = entry["resource"]["identifier"]
        condition = f"identifier={identifier['system']}|{identifier['value']}"
        request = {"method": "POST", "url": entry["resource"]["resourceType"], "ifNoneExist": condition}
        assert entry["request"] == request


def test_a_signed_report_takes_the_place_of_the_preliminary_one(bundle: dict[str, Any]) -> None:
    signed = fhir_bundle(detection_on(), film(), signature=SIGNATURE)
    (before,), (after,) = of_kind(bundle, "DiagnosticReport"), of_kind(signed, "DiagnosticReport")
    # the second one is of this version
    assert after["identifier"][:1] == before["identifier"]
    assert (after["status"], after["issued"]) == ("final", "2026-02-03T00:00:00+00:00")
    assert after["resultsInterpreter"] == [{"display": "Dr Grey"}]
    assert {each["status"] for each in of_kind(signed, "Observation")} == {"final"}
    assert {entry["request"]["method"] for entry in signed["entry"][1:]} == {"PUT"}
    # the study itself is never changed
    assert signed["entry"][0]["request"]["method"] == "POST"


def moved(by: float) -> Detection:
    """A detection whose A lies so many pixels elsewhere; NaN: not on the film. Its radii fix the intervals."""
    found = detection_on()
    radii = {"radius_90_px": 10.0, "radius_95_px": 12.0}
    points = [
        each.model_copy(update=radii | ({"x": each.x + by} if each.symbol == "A" else {})) for each in found.landmarks
    ]
    there = found.model_copy(update={"landmarks": tuple(points)})
    return without(there, "A") if math.isnan(by) else there


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([0.0], "final"),
        ([0.0, 0.0], "final"),
        ([0.0, 9.0], "amended"),
        # as it was at first: the version between was another
        ([0.0, 9.0, 0.0], "amended"),
        ([math.nan, 0.0], "final"),
        ([0.0, math.nan], "entered-in-error"),
        ([0.0, math.nan, 0.0], "amended"),
        ([math.nan], "cancelled"),
    ],
)
def test_the_status_of_an_observation_follows_from_its_versions(history: list[float], status: str) -> None:
    """SNA depends on A, SNB does not."""
    days = [Signature("Dr Grey", datetime(2026, 2, day + 1, tzinfo=timezone.utc)) for day in range(len(history))]
    *earlier, last = [SignedVersion(moved(by), day) for by, day in zip(history, days, strict=True)]
    made = fhir_bundle(last.detection, film(), signature=last.signature, preliminary=detection_on(), earlier=earlier)
    Bundle.model_validate(made)
    observations = {each["code"]["coding"][0]["code"]: each for each in of_kind(made, "Observation")}
    assert (observations["SNA"]["status"], observations["SNB"]["status"]) == (status, "final")
    (report,) = of_kind(made, "DiagnosticReport")
    assert report["status"] == ("amended" if earlier else "final")
    versions = [
        of_kind(fhir_bundle(each.detection, film(), signature=each.signature), "DiagnosticReport")[0]["identifier"][1]
        for each in (*earlier, last)
    ]
    assert report["identifier"][1] == versions[-1]
    replaced = [each["valueReference"]["identifier"] for each in report.get("extension", [])]
    assert replaced == versions[-2:-1]


def test_a_draft_is_preliminary_whatever_was_signed_before(bundle: dict[str, Any]) -> None:
    before = SignedVersion(moved(9.0), SIGNATURE)
    assert fhir_bundle(detection_on(), film(), preliminary=detection_on(), earlier=[before]) == bundle


def test_a_corrected_header_gives_another_report_that_names_the_first(tmp_path: Path) -> None:
    save_fhir(tmp_path / "a.json", detection_on(), film())
    first = bundle_reference(tmp_path / "a.json")
    assert first.study == STUDY
    second = fhir_bundle(detection_on(), film(PatientID="P-18"), first)
    (report,) = of_kind(second, "DiagnosticReport")
    reference = report["extension"][0]["valueReference"]
    assert reference["identifier"]["value"] == f"urn:oid:{first.uid}" != report["identifier"][0]["value"]
    Bundle.model_validate(second)


def test_nothing_of_a_patient_is_left_without_identity() -> None:
    text = json.dumps(fhir_bundle(deidentified_detection(detection_on()), deidentified(film())))
    assert not [each for each in ("P-17", "Doe", "2025", STUDY, SERIES, IMAGE, "film.dcm") if each in text]
    assert '"display": "unknown"' in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"StudyInstanceUID": ""}, "no valid UIDs"), ({"SOPInstanceUID": "1.2.9"}, "not the film of the result")],
)
def test_a_film_without_uids_has_no_bundle(changes: dict[str, str], said: str) -> None:
    with pytest.raises(CephError, match=said):
        fhir_bundle(detection_on(), film(**changes))


def test_a_value_that_fhir_does_not_allow_is_an_error_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_date_time", lambda source: "Doe^Jane")
    with pytest.raises(CephError, match=r"^film\.dcm: a FHIR resource is not valid \(\w+\)$") as caught:
        fhir_bundle(detection_on(), film())
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "2025", "99999999", "20251231-"])
def test_odd_dates(value: str) -> None:
    source = film()
    source.StudyDate = ""
    source["StudyDate"]._value = value
    try:
        made = fhir_bundle(detection_on(), source)
    except CephError:
        # not a date after all
        assert value == "99999999"
    else:
        assert "started" not in of_kind(made, "ImagingStudy")[0]


def test_detect_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_ceph.cli import app

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "fhir" else find(name, *more))
    result = CliRunner().invoke(app, ["detect", str(tmp_path), "--out", str(tmp_path / "out"), "--formats", "fhir"])
    assert result.exit_code == 2
    assert "fhir is not installed: pip install 'monai-ceph[fhir]'" in result.output.replace("\n", " ")
