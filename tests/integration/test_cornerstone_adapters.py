r"""Cornerstone's adapters make 19 points with names of our report, which OHIF and other viewers can then edit.

MONAI_CEPH_CORNERSTONE_DIR names a folder with the package and what it needs, as .ci/run installs them::

    npm install --ignore-scripts --prefix "$MONAI_CEPH_CORNERSTONE_DIR" \
      @cornerstonejs/adapters@5.14.0 @babel/runtime@7.26.10
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dicom_films import IMAGE, detection_on, film, without

from monai_ceph.landmarks import LANDMARKS, NAMES
from monai_ceph.reports.object_settings import ObjectSettings
from monai_ceph.reports.structured_report import save_sr
from monai_ceph.result import Detection

SCRIPT = Path(__file__).with_name("cornerstone_tool_state.mjs")


def tool_state(folder: Path, detection: Detection, **settings: Any) -> list[dict[str, Any]]:
    """Return what the adapters make of the report of a detection."""
    place = Path(os.environ.get("MONAI_CEPH_CORNERSTONE_DIR") or os.devnull)
    if shutil.which("node") is None or not (place / "node_modules" / "@cornerstonejs" / "adapters").is_dir():
        pytest.skip("MONAI_CEPH_CORNERSTONE_DIR has no @cornerstonejs/adapters, or there is no node")
    save_sr(folder / "sr.dcm", detection, film(), settings=ObjectSettings(**settings))
    command = ["node", SCRIPT, folder / "sr.dcm", place]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("sr_class", ["comprehensive", "comprehensive-3d"])
def test_every_landmark_is_a_point_with_its_name(tmp_path: Path, sr_class: str) -> None:
    detection = detection_on()
    found = tool_state(tmp_path, detection, sr_class=sr_class)
    assert [each["label"] for each in found] == list(NAMES)
    assert [each["finding"] for each in found] == [mark.code.meaning for mark in LANDMARKS]
    assert {each["tool"] for each in found} == {"Probe"}
    assert {each["image"] for each in found} == {f"image:{IMAGE}:1"}
    for each, mark in zip(found, detection.landmarks, strict=True):
        # its pixel centres are at integers, too
        assert each["points"] == [pytest.approx([mark.x, mark.y, 0], abs=1e-3)]


def test_a_missing_landmark_is_no_point(tmp_path: Path) -> None:
    found = tool_state(tmp_path, without(detection_on(), "Po", "Ar"))
    assert [each["label"] for each in found] == [name for name in NAMES if name not in ("Porion", "Articulare")]
