"""The application for MONAI Deploy, and its bundle operator's reader, with the real SDK."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_films import film as dicom_film
from dicom_films import saved

from monai_ceph.result import Detection

pytest.importorskip("monai.deploy", reason="MONAI Deploy is not in this environment (make test-map)")

from monai.deploy.core import Application
from monai.deploy.operators.monai_bundle_inference_operator import get_bundle_config

from monai_ceph.zoo.bundle import write_bundle

APPLICATION = Path(__file__).parents[2] / "deploy" / "map"
SOP_CLASSES = {
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
    "sc": "1.2.840.10008.5.1.4.1.1.7",
}


@pytest.fixture(scope="module")
def app() -> Iterator[type[Application]]:
    sys.path.insert(0, str(APPLICATION))
    from app import CephalogramApp

    # the SDK gives the root logger handlers of its own
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CephalogramApp
    root.handlers[:], root.level = handlers, level
    sys.path.remove(str(APPLICATION))


def points_of(item: pydicom.Dataset) -> Iterator[tuple[float, float]]:
    """Yield all points of a report."""
    for part in item.get("ContentSequence", ()):
        if part.ValueType == "SCOORD" and part.GraphicType == "POINT":
            column, row = part.GraphicData
            yield float(column), float(row)
        yield from points_of(part)


def test_films_go_in_and_objects_come_out(
    app: Any, dicom: Path, detect: Callable[[Path], Detection], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A film without pixels is named, and the other one has its three objects."""
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    dataset = pydicom.dcmread(dicom)
    dataset.save_as(films / "good.dcm")
    saved(dicom_film(), films / "without-pixels.dcm")
    app([sys.executable, "map", "--input", str(films), "--output", str(out)]).run()
    uid = str(dataset.SOPInstanceUID)
    assert {path.name for path in out.iterdir()} == {f"{uid}.{kind}.dcm" for kind in SOP_CLASSES}
    for kind, sop_class in SOP_CLASSES.items():
        written = pydicom.dcmread(out / f"{uid}.{kind}.dcm")
        assert written.SOPClassUID == sop_class
        assert (written.StudyInstanceUID, written.PatientID) == (dataset.StudyInstanceUID, dataset.PatientID)
    found = detect(dicom)
    expected = {(mark.x + 0.5, mark.y + 0.5) for mark in found.landmarks if mark.x is not None and mark.y is not None}
    points = set(points_of(pydicom.dcmread(out / f"{uid}.sr.dcm")))
    np.testing.assert_allclose(sorted(points), sorted(expected), atol=0.02)
    (error,) = (line for line in "".join(capfd.readouterr()).splitlines() if "[ERROR]" in line)
    assert f"{films / 'without-pixels.dcm'}: a DICOM file without pixel data" in error


def test_results_are_not_overwritten(app: Any, dicom: Path, tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    out.mkdir()
    dataset = pydicom.dcmread(dicom)
    dataset.save_as(films / "good.dcm")
    mine = out / f"{dataset.SOPInstanceUID}.gsps.dcm"
    mine.write_bytes(b"mine")
    with pytest.raises(Exception, match="no film has results: the errors above say why"):
        app([sys.executable, "map", "--input", str(films), "--output", str(out)]).run()
    assert [path.name for path in out.iterdir()] == [mine.name]
    assert mine.read_bytes() == b"mine"


def test_the_bundle_keeps_its_metadata_in_the_sdk(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path).folder
    for place in (bundle, bundle / "models" / "model.ts"):
        config = get_bundle_config(str(place), ["inference"])
        assert config["_meta_"]["name"] == "Cephalogram landmark detection"
        assert config["_meta_"]["network_data_format"]["outputs"]["pred"]["num_channels"] == 20
