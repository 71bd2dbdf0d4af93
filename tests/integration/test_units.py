"""The units of systemd: valid, closed as far as systemd-analyze can tell, and enough for the review to work."""

from __future__ import annotations

import json
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
import yaml
from nodes import DEPLOY, free_port, listens, wait_until
from review_server import send
from services import NODE, REVIEW, can_run, services

from monai_ceph.detection import CephalogramDetector
from monai_ceph.pacs.review_folder import ReviewFolder
from monai_ceph.work.film import Outcome

UNITS = sorted(DEPLOY.glob("*.service"))
analyses = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@analyses
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid(unit: Path, tmp_path: Path) -> None:
    # the program need not be on this machine
    text = unit.read_text().replace("/opt/monai-ceph/bin/monai-ceph", str(shutil.which("true")))
    (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@analyses
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_exposure_of_a_unit_is_below_3(unit: Path) -> None:
    # the threshold counts tenths
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_units_agree() -> None:
    """Both run as the same user with the same restrictions, and the review reads what the node keeps."""
    read = {}
    for unit in UNITS:
        # a key such as SystemCallFilter may come several times
        parser = ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(unit)
        read[unit.stem] = parser["Service"]
    assert set(read) == {NODE, REVIEW}
    own = {"ExecStart", "StateDirectory", "TimeoutStopSec", "LimitNOFILE"}
    node, review = ({key: value for key, value in read[name].items() if key not in own} for name in (NODE, REVIEW))
    assert node == review
    kept = next(line for line in (DEPLOY / "node.yaml").read_text().splitlines() if "review_folder" in line)
    folder = Path(yaml.safe_load(kept.lstrip("# "))["review_folder"])
    command = read[REVIEW]["ExecStart"].split()
    assert command[command.index("review") + 1] == str(folder / "results")
    assert command[command.index("--films") + 1] == str(folder / "films")
    assert folder.name in read[NODE]["StateDirectory"].split()
    assert {folder.name, f"{folder.name}/results"} <= set(read[REVIEW]["StateDirectory"].split())


@pytest.mark.skipif(not can_run(), reason="no systemd can be started here (root outside of a container)")
def test_the_review_works_under_its_unit(tmp_path: Path, dicom: Path, detector: CephalogramDetector) -> None:
    """The list, a film that GDCM decodes in a process of its own, and a heatmap, for which torch is loaded."""
    film = tmp_path / "film.dcm"
    if shutil.which("dcmcjpeg") is None:
        shutil.copy(dicom, film)
    else:
        subprocess.run(["dcmcjpeg", "+e1", str(dicom), str(film)], check=True)
    detection = detector(film, force=True)
    state = tmp_path / "systemd" / "lib" / "monai-ceph-review"
    assert detection.image_uid is not None
    outcome = Outcome(1, "done", detection=detection.model_dump_json())
    ReviewFolder(state).keep(film, detection.image_uid, [outcome])
    for path in (state, *state.rglob("*")):
        shutil.chown(path, 10001, 10001)
    port, values = free_port(), yaml.safe_load((DEPLOY / "node.yaml").read_text())
    with services(tmp_path / "systemd", REVIEW, values, f"--port {port}") as systemd:
        systemd.control("start", REVIEW)
        wait_until(lambda: listens(port), 60)
        address = f"http://127.0.0.1:{port}"
        (listed,) = send(f"{address}/api/films").json
        of_film = f"{address}/api/films/{listed['id']}"
        assert send(f"{of_film}/pixels").status == 200
        heatmap = send(f"{of_film}/heatmaps/S")
        assert heatmap.status == 200, heatmap.body
        assert json.loads(heatmap.headers["X-Monai-Ceph-Heatmap"])["same_model"] is True
        systemd.control("stop", REVIEW)
        systemd.check_stopped(REVIEW)
