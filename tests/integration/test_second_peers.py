"""The node with other archives: Orthanc commits itself to reports, dcmqrscp is asked by C-FIND and C-MOVE."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import ORTHANC, RunningNode, film, free_port, listens, orthanc, running, send, settings, wait_until
from pydicom import dcmread

from monai_ceph.pacs.folder import LEDGER

DCMQRSCP = shutil.which("dcmqrscp")
with_dcmqrscp = pytest.mark.skipif(DCMQRSCP is None, reason="dcmqrscp is not installed (apt-get install dcmtk)")


def states(node: RunningNode) -> dict[str, str]:
    with closing(sqlite3.connect(node.folder / LEDGER, timeout=20)) as ledger:
        return dict(ledger.execute("SELECT uid, state FROM films").fetchall())


@pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed (apt-get install orthanc)")
def test_orthanc_commits_itself_to_reports(tmp_path: Path) -> None:
    """Orthanc 1.6 or later reports on an association of its own. What it lost it says, and gets again."""
    values = settings(tmp_path)
    with orthanc(tmp_path / "orthanc", values["port"]) as pacs:
        values["targets"]["dicom"][0].update(ae_title="ORTHANC", port=pacs.port, commitment_s=60)
        with running(tmp_path, values) as node:
            assert send(node.port, film(1)) == [0]
            wait_until(lambda: states(node) == {"1.2.3.1.3": "done"})
            assert {event["answer"] for event in node.events("sent")} == {"committed"}
            assert len(node.events("stored")) == 2
            assert {name: len(uids) for name, uids in pacs.instances().items()} == {"SR": 1, "PR": 1}


class QueryServer:
    """DCMTK's archive.

    Attributes:
        folder: its files.
        port: its port.
    """

    def __init__(self, folder: Path, node_port: int) -> None:
        self.folder, self.port = folder / "db", free_port()
        self.folder.mkdir(parents=True)
        self.config = folder / "dcmqrscp.cfg"
        self.config.write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\nceph = (CEPH, 127.0.0.1, {node_port})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nDCMQRSCP {self.folder} RW (100, 1024mb) ANY\nAETable END\n"
        )

    def modalities(self) -> dict[str, list[Path]]:
        """Return its files by modality."""
        found: dict[str, list[Path]] = {}
        for path in self.folder.glob("*.dcm"):
            found.setdefault(str(dcmread(path, stop_before_pixels=True).Modality), []).append(path)
        return found


@contextmanager
def dcmqrscp(folder: Path, node_port: int) -> Iterator[QueryServer]:
    assert DCMQRSCP is not None
    server = QueryServer(folder, node_port)
    with (folder / "dcmqrscp.log").open("w") as log:
        process = subprocess.Popen([DCMQRSCP, "-c", str(server.config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(server.port))
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    values = settings(tmp_path)
    values["accept"]["calling_ae_titles"] = ["DCMQRSCP"]
    return values


@with_dcmqrscp
def test_films_are_found_and_moved_and_answered(tmp_path: Path, values: dict[str, Any]) -> None:
    """C-FIND, C-MOVE and C-STORE: on a timer, and by ``monai-ceph fetch``. Reports are never fetched as films."""
    with dcmqrscp(tmp_path / "archive", values["port"]) as pacs:
        peer = {"name": "pacs", "ae_title": "DCMQRSCP", "host": "127.0.0.1", "port": pacs.port, "timeout_s": 10}
        values["targets"]["dicom"] = [peer]
        values["sources"] = {"dicom": [{**peer, "every_s": 1, "since": "2020-01-01"}]}
        assert send(pacs.port, film(1), film(2, Modality="CT"), called="DCMQRSCP") == [0, 0]
        with running(tmp_path, values) as node:
            wait_until(lambda: states(node) == {"1.2.3.1.3": "done"})
            wait_until(
                lambda: (
                    {name: len(each) for name, each in pacs.modalities().items()}
                    == {
                        "DX": 1,
                        "CT": 1,
                        "SR": 1,
                        "PR": 1,
                    }
                )
            )
            (report,) = pacs.modalities()["SR"]
            assert dcmread(report).StudyInstanceUID == "1.2.3.1.1"
            # one without a date is in no range of dates
            assert send(pacs.port, film(3, StudyDate="", PatientID="P3"), called="DCMQRSCP") == [0]
            command = [sys.executable, "-m", "monai_ceph", "fetch", "--config", str(node.config)]
            done = subprocess.run(
                [*command, "--source", "pacs", "--patient", "P3"], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 found, 1 with the node"), done.stderr
            wait_until(lambda: states(node).get("1.2.3.3.3") == "done")
            assert set(states(node)) == {"1.2.3.1.3", "1.2.3.3.3"}
            assert [json.dumps(each) for each in node.events("source failed")] == []


@with_dcmqrscp
def test_an_archive_that_commits_itself_to_nothing(tmp_path: Path, values: dict[str, Any]) -> None:
    """dcmqrscp knows no storage commitment: that is said, and the film does not count as answered."""
    with dcmqrscp(tmp_path / "archive", values["port"]) as pacs:
        peer = {"name": "pacs", "ae_title": "DCMQRSCP", "host": "127.0.0.1", "port": pacs.port, "timeout_s": 10}
        values["targets"]["dicom"] = [{**peer, "commitment_s": 60}]
        values["accept"]["calling_ae_titles"] = ["SENDER"]
        with running(tmp_path, values) as node:
            assert send(node.port, film(1)) == [0]
            assert node.wait_for("target failed")[-1]["cause"] == "DCMQRSCP: does not accept Storage Commitment"
            assert states(node) == {"1.2.3.1.3": "detected"}
