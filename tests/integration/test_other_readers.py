"""Programs of others that read our objects: dcmqi the report, itkwasm-dicom the presentation state."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_films import COLUMNS, ROWS, detection_on, film, saved

from monai_ceph.landmarks import NAMES
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.structured_report import save_sr


def test_dcmqi_reads_every_landmark_of_the_report(tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("tid1500reader")
    program = str(beside) if beside.is_file() else shutil.which("tid1500reader")
    if program is None:
        pytest.skip("pip install 'monai-ceph[viewer-tests]'")
    detection = detection_on()
    save_sr(tmp_path / "sr.dcm", detection, film())
    command = [program, "--inputDICOM", tmp_path / "sr.dcm", "--outputMetadata", tmp_path / "sr.json"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    found = json.loads((tmp_path / "sr.json").read_text(encoding="utf-8"))["Measurements"]
    assert [group["TrackingIdentifier"] for group in found] == list(NAMES)
    scores = [float(item["value"]) for group in found for item in group["measurementItems"]]
    assert scores == pytest.approx([mark.score for mark in detection.landmarks])


def test_itkwasm_shows_the_film_through_the_presentation_state(tmp_path: Path) -> None:
    """It needs the pixel spacing of the displayed area."""
    wasm = pytest.importorskip("itkwasm_dicom_wasi", reason="pip install 'monai-ceph[viewer-tests]'")
    dataset = film(PixelSpacing=[0.25, 0.125])
    steps = np.array([0, 1024, 2048, 3071, 4095], dtype=np.uint16)
    dataset.PixelData = np.resize(steps, (ROWS, COLUMNS)).tobytes()
    dataset["PixelData"].VR = "OW"
    path = saved(dataset, tmp_path / "film.dcm")
    save_gsps(tmp_path / "pr.dcm", detection_on(pixel_spacing=(0.25, 0.125)), source_header(path))
    state, image = wasm.apply_presentation_state_to_image(path, tmp_path / "pr.dcm")
    assert state["PresentationLabel"] == "CEPH_LANDMARKS"
    assert (state["CurrentWindowCenter"], state["CurrentWindowWidth"]) == (2048, 4096)
    assert list(image.spacing) == [0.125, 0.25]
    assert image.data.shape == (ROWS, COLUMNS)
    assert np.abs(image.data[0, :5].astype(int) - [0, 64, 128, 191, 255]).max() <= 1
