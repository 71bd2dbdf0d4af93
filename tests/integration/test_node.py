"""What docs/how-to/node.md describes, with the node in a process of its own, real senders and a real Orthanc."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
import yaml

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
import fakes
from node_torture import torture
from nodes import (
    DEPLOY,
    ORTHANC,
    PYTHON_PLUGIN,
    Orthanc,
    RunningNode,
    SmallDisk,
    film,
    free_port,
    listens,
    orthanc,
    running,
    send,
    settings,
    small_disk,
    wait_until,
)
from services import documented_node

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.config_file import read_config
from monai_ceph.pacs.node import run_node
from monai_ceph.work.film import MakeDetector

STAND_IN = Path(__file__).parents[1] / "pacs" / "stand_in.py"
NO_EXPANSION = Path(__file__).parents[2] / "bundles" / "overlays" / "no_expansion.json"
with_orthanc = pytest.mark.skipif(
    ORTHANC is None or shutil.which("storescu") is None,
    reason="Orthanc or DCMTK is not installed (apt-get install orthanc orthanc-dicomweb dcmtk)",
)


def answered(pacs: Orthanc, count: int, seconds: float = 60) -> dict[str, list[str]]:
    """Wait until Orthanc holds so many reports and presentation states."""

    def complete() -> dict[str, list[str]] | None:
        held = pacs.instances()
        return held if len(held.get("SR", ())) >= count <= len(held.get("PR", ())) else None

    found: dict[str, list[str]] = wait_until(complete, seconds)
    return found


@with_orthanc
@pytest.mark.skipif(
    not PYTHON_PLUGIN.exists(), reason="orthanc-python is not installed (apt-get install orthanc-python)"
)
def test_the_setup_with_orthanc_in_the_documentation(tmp_path: Path, dicom: Path) -> None:
    """docs/how-to/node.md: a film goes to Orthanc by storescu, from there to the node, and is answered in its study."""
    values = yaml.safe_load((DEPLOY / "node.yaml").read_text())
    values.update(port=free_port(), folder=str(tmp_path / "node"))
    values["http"]["port"] = free_port()
    # phantoms of this size are no convincing cephalograms
    values["detect"] = {"device": "cpu", "config": [str(NO_EXPANSION)], "force": True}
    values["spool"] = {"min_free_mb": 0}
    with orthanc(tmp_path / "orthanc", values["port"], forwards=True) as pacs:
        values["targets"]["dicom"][0]["port"] = pacs.port
        values["sources"]["dicomweb"][0]["url"] = pacs.url
        with documented_node(tmp_path, values) as node:
            command = ["storescu", "-aec", "ORTHANC", "127.0.0.1", str(pacs.port), str(dicom)]
            # whom the configuration does not name
            assert subprocess.run(command, capture_output=True, check=False).returncode != 0
            assert pacs.get("/instances") == []
            subprocess.run([*command, "-aet", "UNIT"], check=True)
            node.wait_for("sent", 2, 90)
            found = answered(pacs, 1)
            (report,), (state,) = found["SR"], found["PR"]
            assert len(pacs.get("/studies")) == 1
            # the same film again is taken, and makes nothing new
            (series,) = (each["ID"] for each in pacs.get("/series?expand") if each["MainDicomTags"]["Modality"] == "DX")
            assert pacs.post("/modalities/ceph/store", series.encode())["FailedInstancesCount"] == 0
            node.wait_for("received again")
            assert (pacs.instances()["SR"], pacs.instances()["PR"]) == ([report], [state])
            assert node.stop() == 0
            log = node.log.read_text()
    rows = audit(node)
    assert [row["event"] for row in rows][:3] == ["started", "received", "detected"]
    assert [row["event"] for row in rows].count("sent") == 2
    assert set(rows[2]["objects"]) == {report, state}
    assert rows[2]["weights_sha256"] == rows[0]["weights_sha256"]
    assert list((node.folder / "queue").iterdir()) == []
    for name in ("PatientName", "PatientID"):
        assert str(pydicom.dcmread(dicom).get(name)) not in log + json.dumps(rows)


def audit(node: RunningNode) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "monai_ceph", "node", "audit", "--config", str(node.config)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    return settings(tmp_path)


@with_orthanc
def test_results_go_to_a_dimse_and_a_dicomweb_target(tmp_path: Path, values: dict[str, Any]) -> None:
    with orthanc(tmp_path / "orthanc", values["port"]) as pacs:
        values["targets"]["dicom"][0].update(ae_title="ORTHANC", port=pacs.port, objects=["sr"])
        values["targets"]["dicomweb"] = [{"name": "web", "url": pacs.url}]
        with running(tmp_path, values) as node:
            assert send(node.port, film(1), film(2)) == [0, 0]
            sent = node.wait_for("sent", 6)
            assert {name: len(uids) for name, uids in answered(pacs, 2).items()} == {"SR": 2, "PR": 2}
    by_target = sorted((event["target"], event["kind"]) for event in sent)
    assert by_target == [("pacs", "sr")] * 2 + [("web", "gsps")] * 2 + [("web", "sr")] * 2


@with_orthanc
def test_reports_are_sent_once_the_pacs_is_back(tmp_path: Path, values: dict[str, Any]) -> None:
    pacs = Orthanc(tmp_path / "orthanc", values["port"])
    values["targets"]["dicom"][0].update(ae_title="ORTHANC", port=pacs.port)
    with running(tmp_path, values) as node:
        assert send(node.port, film(1)) == [0]
        node.wait_for("target failed", 2)
        pacs.start()
        try:
            answered(pacs, 1)
        finally:
            pacs.kill()


def test_a_dead_letter_is_retried(tmp_path: Path, values: dict[str, Any]) -> None:
    """Without a PACS: the dead letter holds film, objects and reason; --retry starts it again."""
    values["retry"]["give_up_after_h"] = 1 / 3600
    with running(tmp_path, values) as node:
        assert send(node.port, film(1), film(2, level=1), film(3, level=2), film(4, Modality="CT")) == [0, 0, 0, 0]
        node.wait_for("given up", 2)
        dead = wait_until(lambda: letters(node) if len(letters(node)) == 3 else None)
        assert dead["1.2.3.1.3"]["reason"].startswith("pacs: no association with PACS")
        assert dead["1.2.3.1.3"]["files"] == ["film.dcm", "gsps.dcm", "reason.json", "sr.dcm"]
        assert dead["1.2.3.2.3"]["reason"] == "rejected: not a lateral cephalogram: every pixel has the same value"
        assert dead["1.2.3.3.3"]["reason"] == "the process ended 2 times while working on the film"
        assert [event["cause"] for event in node.wait_for("skipped")] == [
            "not a cephalogram: Modality CT is not in select.modalities"
        ]
        assert node.stop() == 0
        command = [sys.executable, "-m", "monai_ceph", "node", "retry", "--config", str(node.config)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "3 dead letters will be tried again"
        assert letters(node) == {}
        assert len(list((node.folder / "queue").iterdir())) == 3


def letters(node: RunningNode) -> dict[str, Any]:
    found = {}
    for path in (node.folder / "dead").glob("*/reason.json"):
        letter = json.loads(path.read_text())
        found[letter["uid"]] = {
            "reason": letter["reason"],
            "files": sorted(each.name for each in path.parent.iterdir()),
        }
    return found


@pytest.mark.parametrize(
    ("make", "stopped"),
    [
        (fakes.no_weights, False),
        (fakes.dies_of_loading, True),
        (fakes.no_memory, True),
        (fakes.no_memory_for_torch, True),
        (fakes.too_many_files, True),
    ],
)
def test_a_model_that_cannot_be_loaded(values: dict[str, Any], make: MakeDetector, stopped: bool) -> None:
    """What may go well another time is no matter of the configuration, after which a service is not started again."""
    with pytest.raises(CephError) as error:
        run_node(NodeConfig.model_validate(values), make)
    assert isinstance(error.value, StoppedError) is stopped


def test_two_nodes_in_one_folder(tmp_path: Path, values: dict[str, Any]) -> None:
    with running(tmp_path, values) as node:
        command = [sys.executable, str(STAND_IN), str(node.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "another node works there" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_node_at_once(tmp_path: Path, values: dict[str, Any], number: signal.Signals) -> None:
    """With its worker, in the middle of a film that would take minutes; and another node may have the folder."""
    with running(tmp_path, values, seconds=600) as node:
        process = node.process
        assert process is not None
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert send(node.port, film(1)) == [0]
        with sqlite3.connect(node.folder / "node.sqlite") as ledger:
            wait_until(lambda: ledger.execute("SELECT attempts FROM films").fetchone() == (1,))
        ledger.close()
        process.send_signal(number)
        wait_until(lambda: not listens(node.port))
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
        wait_until(lambda: not any(lives(worker) for worker in workers))
        node.start()


def lives(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not SmallDisk.can_be_made(), reason="this process may not mount a small file system")
def test_a_disk_that_is_full_to_the_last_byte(tmp_path: Path, values: dict[str, Any]) -> None:
    """While films come in, and while one is worked on: senders are told to come back, and nothing is half done."""
    values["spool"] = {"min_free_mb": 4}
    with small_disk(Path(values["folder"]), 16) as disk, running(tmp_path, values, seconds=1) as node:
        disk.fill(leave_bytes=2 * 2**20)
        assert send(node.port, film(1)) == [0xA700]
        disk.fill()
        # no room for what comes in before it can be looked at
        assert send(node.port, film(1)) == [None]
        assert "only the reserve of the disk is left" in node.events("association rejected")[0]["cause"]
        disk.empty()
        assert send(node.port, film(1)) == [0]
        node.wait_for("detected")
        assert send(node.port, film(2)) == [0]
        disk.fill()
        node.wait_for("disk or ledger cannot be written")
        assert len(node.events("detected")) == 1
        disk.empty()
        node.wait_for("detected", 2)
        assert node.stop() == 0
    assert [event["uid"] for event in node.events("received")] == ["1.2.3.1.3", "1.2.3.2.3"]
    assert [event["uid"] for event in node.events("detected")] == ["1.2.3.1.3", "1.2.3.2.3"]


@with_orthanc
def test_nothing_is_lost(tmp_path: Path) -> None:
    """The short form of benchmarks/node_torture.py."""
    tally = torture(tmp_path, films=20, seconds=6, seed=3, pause=1.5)
    assert len(tally.sent) == 20
    assert tally.disturbances["node killed"] >= 1
    assert (tally.lost, tally.double, tally.wrong) == (set(), set(), set())
    assert len(tally.corrected) == 2
    # every 20th is no cephalogram
    assert len(tally.dead) == 1
    assert len(tally.answered) == 19


def test_the_container_file() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("the extra node-tests is not installed (make optional)")
    done = subprocess.run([hadolint, str(DEPLOY / "Containerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_configuration_of_the_documentation(tmp_path: Path) -> None:
    read_config(DEPLOY / "node.yaml")
    docs = DEPLOY.parent / "docs"
    pages = [(docs / "how-to" / "node.md").read_text(), (docs / "reference" / "node.md").read_text()]
    part, select = re.findall(r"^```yaml\n(.*?)^```$", "\n".join(pages), re.DOTALL | re.MULTILINE)
    assert SelectionConfig.model_validate(yaml.safe_load(select)["select"]) == SelectionConfig()
    (tmp_path / "node.yaml").write_text(f"{part}folder: node\n")
    config = read_config(tmp_path / "node.yaml")
    assert (config.targets.dicom[0].ae_title, config.sources.dicomweb[0].every_s) == ("DCM4CHEE", 300)
