"""``monai-ceph detect`` on one synthetic film with the spacings that real films state."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pydicom
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.folders import BUNDLES
from monai_ceph.readers import SpacingSource
from monai_ceph.reports import dicom_codes as codes

OVERLAYS = BUNDLES / "overlays"
QUICK = ("--device", "cpu", "--config", str(OVERLAYS / "no_expansion.json"))
CALIBRATION = (
    *("PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription", "ImagerPixelSpacing"),
    *("EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient"),
)
# S-N of the film is about 400 pixels long
FILMS: dict[str, dict[str, Any]] = {
    "unknown": {"PixelSpacing": ["1", "1"]},
    "micrometres": {"PixelSpacing": ["148", "148"]},
    "too large": {"PixelSpacing": ["0.3", "0.3"], "PixelSpacingCalibrationType": "GEOMETRY"},
    "rounded": {"PixelSpacing": ["0.15", "0.15"], "ImagerPixelSpacing": ["0.148", "0.148"]},
}
NO_MM = {"unknown": SpacingSource.NONE, "micrometres": SpacingSource.NONE, "too large": SpacingSource.IMPLAUSIBLE}


def detect(films: Path, out: Path, *options: str) -> None:
    formats = "csv,json,parquet,overlay,sr,gsps"
    arguments = ["detect", str(films), "--out", str(out), "--force", "--formats", formats, *QUICK]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (phantom,) = write_phantoms(tmp_path_factory.mktemp("phantom"), 1, 3, height=1612, width=1300)[:1]
    folder = tmp_path_factory.mktemp("films")
    for name, elements in FILMS.items():
        dataset = pydicom.dcmread(phantom)
        for element in CALIBRATION:
            dataset.pop(element, None)
        for element, value in elements.items():
            setattr(dataset, element, value)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
        dataset.save_as(folder / f"{name}.dcm")
    return folder


@pytest.fixture(scope="module")
def results(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    detect(films, out)
    return out


def details(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / "json" / f"{name}.dcm.json").read_text(encoding="utf-8"))


def rows(out: Path, name: str) -> list[dict[str, str]]:
    with (out / "landmarks.csv").open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if Path(row["film"]).stem == name]


@pytest.mark.parametrize(("name", "source"), NO_MM.items())
def test_without_a_scale_no_file_contains_mm(results: Path, name: str, source: SpacingSource) -> None:
    found = details(results, name)
    assert (found["pixel_spacing"], found["spacing_source"]) == (None, source.value)
    assert found["stated_spacing"] == ([0.3, 0.3] if name == "too large" else None)
    assert all(mark["x_mm"] is None and mark["y_mm"] is None for mark in found["landmarks"])
    assert len(rows(results, name)) == 19
    for row in rows(results, name):
        assert (row["x_mm"], row["y_mm"], row["spacing_source"]) == ("", "", source.value)
        assert row["x"]
    table = pyarrow.parquet.read_table(results / "landmarks.parquet").to_pylist()
    typed = [row for row in table if Path(row["film"]).stem == name]
    assert {(row["x_mm"], row["y_mm"], row["spacing_source"]) for row in typed} == {(None, None, source.value)}
    report = pydicom.dcmread(results / "sr" / f"{name}.dcm.dcm")
    values = {element.value for element in report.iterall() if element.keyword == "CodeValue"}
    assert codes.SCALE_SOURCES[source].value in values
    assert codes.HORIZONTAL_SPACING.value not in values
    state = pydicom.dcmread(results / "gsps" / f"{name}.dcm.dcm")
    texts = {element.value for element in state.iterall() if element.keyword == "UnformattedTextValue"}
    assert f"scale: {source}" in texts
    assert (results / "overlays" / f"{name}.dcm.png").is_file()


def test_each_file_says_why_it_has_no_scale(results: Path) -> None:
    unknown, micrometres, large, rounded = (details(results, name)["warnings"] for name in FILMS)
    assert unknown == ["PixelSpacing is exactly 1 x 1 and was ignored: programs write that for an unknown spacing."]
    assert micrometres == ["PixelSpacing 148 x 148 mm was ignored: it looks like micrometres."]
    (sella, nasion), (text,) = details(results, "too large")["landmarks"][:2], large
    length = 0.3 * ((sella["x"] - nasion["x"]) ** 2 + (sella["y"] - nasion["y"]) ** 2) ** 0.5
    assert length > 95
    assert text == (
        "The scale of 0.3 x 0.3 mm per pixel (PixelSpacing, calibrated) was ignored: S-N is "
        f"{length:.1f} mm long, outside 45 to 95 mm."
    )
    assert rounded == [
        "The scale is that of the detector: lengths are magnified by an unknown factor.",
        "PixelSpacing 0.15 x 0.15 mm is ImagerPixelSpacing 0.148 x 0.148 mm after rounding, not a calibration.",
    ]


def test_a_rounded_spacing_is_that_of_the_detector(results: Path) -> None:
    found = details(results, "rounded")
    assert found["pixel_spacing"] == [0.148, 0.148]
    assert found["spacing_source"] == SpacingSource.IMAGER_MAGNIFIED.value
    for mark in found["landmarks"]:
        assert mark["x_mm"] == pytest.approx(0.148 * mark["x"])


def test_a_scale_given_by_hand_is_checked_as_well(films: Path, tmp_path: Path) -> None:
    detect(films / "unknown.dcm", tmp_path / "right", "--pixel-spacing", "0.148")
    found = details(tmp_path / "right", "unknown")
    assert (found["pixel_spacing"], found["spacing_source"]) == ([0.148, 0.148], "user")
    detect(films / "unknown.dcm", tmp_path / "wrong", "--pixel-spacing", "0.4")
    found = details(tmp_path / "wrong", "unknown")
    assert (found["pixel_spacing"], found["spacing_source"], found["stated_spacing"]) == (
        None,
        "implausible",
        [0.4, 0.4],
    )
    assert "0.4 x 0.4 mm per pixel (given by the user) was ignored: S-N is 1" in found["warnings"][-1]
    assert {row["x_mm"] for row in rows(tmp_path / "wrong", "unknown")} == {""}


def test_micrometres_given_by_hand(films: Path, tmp_path: Path) -> None:
    arguments = ["detect", str(films), "--out", str(tmp_path / "out"), "--pixel-spacing", "148"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "monai-ceph: --pixel-spacing 148 cannot be the size of a pixel. Give mm, from 0.01 to 2"
    ]
    assert not (tmp_path / "out").exists()
