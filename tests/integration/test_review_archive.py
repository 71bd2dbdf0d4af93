"""A reviewer signs in a real review server, and the report arrives in a real Orthanc, in the study of the film."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
import pydicom
from dicom_films import IMAGE, STUDY
from nodes import DICOM_WEB, ORTHANC, Orthanc, free_port, orthanc
from review_server import draft, films, ids, results, send
from servers import REPOSITORY, answers, wait_until

__all__ = ["films", "results"]

pytestmark = pytest.mark.skipif(
    ORTHANC is None or not DICOM_WEB.exists(),
    reason="Orthanc with DICOMweb is not installed (apt-get install orthanc orthanc-dicomweb)",
)
SECONDS = 90


@contextmanager
def reviewing(results: Path, films: Path, log: Path, *options: str) -> Iterator[str]:
    """Run ``monai-ceph review``, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "monai_ceph", "review", str(results), "--films", str(films), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with log.open("ab") as stream:
        process = subprocess.Popen([*command, *options], stdout=stream, stderr=stream, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or answers(address), SECONDS, "the server answers")
        assert process.poll() is None, log.read_text()
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=SECONDS)


def sign(address: str, film: str, **moved: Any) -> int:
    saved = send(f"{address}/api/films/{film}/review", "PUT", draft(address, film, **moved)).json
    body = {"based_on": saved["revision"], "reviewer": "Dr. Example"}
    return int(send(f"{address}/api/films/{film}/sign", "POST", body).json["revision"])


def delivery(address: str, film: str) -> dict[str, Any]:
    return send(f"{address}/api/films/{film}/delivery").json


def reports(archive: Orthanc) -> list[pydicom.Dataset]:
    """Return the SR documents of the film's study that Orthanc has, the oldest first."""
    found = []
    for study in archive.get("/studies"):
        assert archive.get(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"] == STUDY
        for series in archive.get(f"/studies/{study}/series"):
            if series["MainDicomTags"]["Modality"] == "SR":
                for instance in series["Instances"]:
                    with urlopen(
                        f"http://127.0.0.1:{archive.http_port}/instances/{instance}/file", timeout=30
                    ) as answer:
                        found.append(pydicom.dcmread(BytesIO(answer.read())))
    return sorted(found, key=lambda each: (each.ContentDate, each.ContentTime))


def test_signed_reports_arrive(results: Path, films: Path, tmp_path: Path) -> None:
    log = tmp_path / "review.log"
    with orthanc(tmp_path / "orthanc", free_port()) as archive:
        to = [archive.url.replace("http://", "dicomweb+http://"), f"dicom://ORTHANC@127.0.0.1:{archive.port}"]
        options = [part for url in to for part in ("--to", url)]
        archive.post("/instances", (films / "a.dcm").read_bytes())
        with reviewing(results, films, log, *options) as address:
            film = ids(address)["a.dcm"]
            assert send(f"{address}/api/session").json["targets"] == to
            for place in ((40.0, 62.5), (50.0, 62.5)):
                number = sign(address, film, N=place)
                wait_until(lambda: delivery(address, film)["state"] != "waiting", SECONDS, log.read_text())
                found = delivery(address, film)
                assert (found["state"], found["revision"]) == ("sent", number), found
                assert {each["target"] for each in found["objects"]} == set(to)
        first, second = reports(archive)
        assert (first.VerificationFlag, second.VerificationFlag) == ("VERIFIED", "VERIFIED")
        evidence = second.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
        assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == IMAGE
        named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
        if shutil.which("dciodvfy") is not None:
            second.save_as(tmp_path / "second.dcm")
            command = ["dciodvfy", str(tmp_path / "second.dcm")]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            assert "Error" not in done.stdout + done.stderr, done.stderr


def test_an_archive_that_comes_back_gets_what_was_signed_meanwhile(results: Path, films: Path, tmp_path: Path) -> None:
    log, archive = tmp_path / "review.log", Orthanc(tmp_path / "orthanc", free_port())
    url = f"dicom://ORTHANC@127.0.0.1:{archive.port}"
    with reviewing(results, films, log, "--to", url) as address:
        film = ids(address)["a.dcm"]
        sign(address, film, N=(40.0, 62.5))
        wait_until(lambda: delivery(address, film)["state"] == "failed", SECONDS, "the failure is shown")
    # the server was ended, too
    archive.start()
    try:
        with reviewing(results, films, log, "--to", url) as address:
            wait_until(lambda: delivery(address, film)["state"] == "sent", SECONDS, "it is sent")
        (report,) = reports(archive)
        assert report.PatientID == "P-17"
    finally:
        archive.kill()
