"""Fetch films from a real Orthanc by DICOMweb and by DIMSE, repeatedly."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import DICOM_WEB, ORTHANC, SR, Orthanc, RunningNode, film, free_port, orthanc, running, send, settings
from pydicom.uid import RLELossless
from typer.testing import CliRunner, Result

from monai_ceph.cli import app

pytestmark = pytest.mark.skipif(
    ORTHANC is None or not DICOM_WEB.exists(),
    reason="Orthanc with DICOMweb is not installed (apt-get install orthanc orthanc-dicomweb)",
)
CEPH = {"PatientID": "P1", "StudyDate": "20260105", "SeriesDescription": "Ceph lateral"}


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    values = settings(tmp_path_factory.mktemp("fetch"))
    values["accept"]["calling_ae_titles"] = ["ORTHANC"]
    return values


@pytest.fixture(scope="module")
def pacs(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive with two cephalograms of different patients, a panoramic film, a CT and a report."""
    with orthanc(tmp_path_factory.mktemp("orthanc"), values["port"]) as archive:
        compressed = film(2, **{**CEPH, "PatientID": "P2", "StudyDate": "20260207"})
        compressed.compress(RLELossless, generate_instance_uid=False)
        others = [
            film(3, **{**CEPH, "SeriesDescription": "OPG"}),
            film(4, **CEPH, Modality="CT"),
            film(5, **CEPH, Modality="SR", SOPClassUID=SR),
        ]
        for dataset in (film(1, **CEPH), compressed, *others):
            buffer = BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
            archive.post("/instances", buffer.getvalue())
        target = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive.port}
        values["targets"] = {"dicom": [target]}
        values["sources"] = {
            "dicom": [{"name": "dimse", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive.port}],
            "dicomweb": [{"name": "web", "url": archive.url}],
        }
        yield archive


def fetch(node: RunningNode, *options: str) -> Result:
    """Run the command in this process; tests/archives/test_sources.py runs it with a fake archive."""
    return CliRunner().invoke(app, ["fetch", "--config", str(node.config), *options])


@pytest.mark.parametrize("source", ["web", "dimse"])
def test_films_that_match_are_fetched_once(tmp_path: Path, values: dict[str, Any], pacs: Orthanc, source: str) -> None:
    with running(tmp_path, {**values, "folder": str(tmp_path / "node")}) as node:
        listed = fetch(node, "--source", source, "--date", "20260101-20261231", "--list")
        assert sorted(listed.stdout.split()) == ["1.2.3.1.3", "1.2.3.2.3"]
        assert node.events("received") == []
        for option, value, uid in [
            ("--patient", "P1", "1.2.3.1.3"),
            ("--study", "1.2.3.2.1", "1.2.3.2.3"),
        ]:
            before = len(node.events("received"))
            done = fetch(node, "--source", source, option, value)
            assert (done.exit_code, done.stdout.strip()) == (0, "1 found, 1 with the node"), done.stderr
            assert done.stderr.splitlines() == ["asking the archive", "fetching"]
            assert node.wait_for("received", before + 1)[-1]["uid"] == uid
        nothing = fetch(node, "--source", source, "--date", "20260105", "--modality", "MG")
        assert (nothing.exit_code, nothing.stdout.strip()) == (2, "0 found, 0 with the node")
        node.wait_for("sent", 4)
        assert len(pacs.instances()["PR"]) == 2


def test_after_a_restart_only_new_films_are_fetched(tmp_path: Path, values: dict[str, Any], pacs: Orthanc) -> None:
    """The ledger keeps how far the query got."""
    source = {**values["sources"]["dicomweb"][0], "every_s": 1, "since": "2026-02-01"}
    changed = {**values, "folder": str(tmp_path / "node"), "sources": {"dicomweb": [source]}}
    with running(tmp_path, changed) as node:
        # only the film of February
        assert node.wait_for("received")[0]["uid"] == "1.2.3.2.3"
        node.wait_for("fetched")
        node.kill()
        new = film(7, **{**CEPH, "StudyDate": "20991231"})
        assert send(pacs.port, new, calling="UNIT", called="ORTHANC") == [0]
        node.start()
        assert node.wait_for("received", 2)[1]["uid"] == "1.2.3.7.3"
        node.wait_for("fetched", 2)
        assert node.stop() == 0
        assert len(node.events("received")) == 2
        assert node.events("source failed") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--source", "silent"), "no query: give --study"),
        (("--source", "nowhere", "--patient", "P1"), "no source nowhere in the configuration, only: deaf, silent"),
        (("--source", "silent", "--date", "yesterday"), "yesterday is not a date"),
        (("--source", "silent", "--patient", "P*"), "must be one ID"),
        (("--source", "silent", "--patient", "P1"), "silent: no answer"),
        (("--source", "deaf", "--patient", "P1"), "deaf: no association"),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    nobody = free_port()
    values = settings(tmp_path)
    values["sources"] = {
        "dicom": [{"name": "deaf", "ae_title": "X", "host": "127.0.0.1", "port": nobody}],
        "dicomweb": [{"name": "silent", "url": f"http://127.0.0.1:{nobody}"}],
    }
    node = RunningNode(tmp_path, values)
    done = fetch(node, *options)
    assert done.exit_code == 2
    assert message in done.output
