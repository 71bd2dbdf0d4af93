"""3D Slicer's markups as a format of a run: on the film where ITK, and so Slicer, places it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fakes import FakeDetector, save_film
from PIL import Image

from monai_ceph.batch import Options, detect_films, parse_formats
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.json_result import read_detection
from monai_ceph.result import Detection


def run(films: Path, **options: bool) -> tuple[Path, list[Detection]]:
    out = films.parent / "out"
    detect_films([films], out, FakeDetector, Options(formats=parse_formats(["json,markups"]), **options))
    return out, [read_detection(file) for file in sorted((out / "json").iterdir())]


def points(file: Path) -> dict[str, list[float]]:
    (markup,) = json.loads(file.read_text(encoding="utf-8"))["markups"]
    assert (markup["type"], markup["coordinateSystem"]) == ("Fiducial", "LPS")
    return {point["label"]: point["position"] for point in markup["controlPoints"]}


def test_the_points_lie_on_the_film_as_itk_places_it(tmp_path: Path) -> None:
    film = save_film(tmp_path / "films" / "a.dcm", 1)
    dataset = pydicom.dcmread(film)
    # a place and a scale that pixels counted from the corner would miss
    dataset.ImagerPixelSpacing = [0.4, 0.2]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [5, 6, 7], [0, 1, 0, 0, 0, -1]
    dataset.save_as(film)
    out, (detection,) = run(film.parent)
    found = points(out / "markups" / "a.dcm.mrk.json")
    on_film = {mark.name: (mark.y, mark.x) for mark in detection.landmarks if mark.x is not None}
    assert found.keys() == on_film.keys()
    pixels = placement_of(film).to_pixels(np.array(list(found.values())))
    np.testing.assert_allclose(pixels, [on_film[name] for name in found], atol=1e-4)


def test_markups_of_a_deidentified_run_have_nothing_of_the_patient(tmp_path: Path) -> None:
    film = save_film(tmp_path / "films" / "Doe^Jane.dcm", 1)
    out, (detection,) = run(film.parent, deidentify=True)
    (file,) = (out / "markups").iterdir()
    text = file.read_text(encoding="utf-8")
    assert file.name == f"{detection.image_uid}.mrk.json"
    assert len(points(file)) == sum(mark.x is not None for mark in detection.landmarks)
    assert "Doe" not in text
    assert str(pydicom.dcmread(film).SOPInstanceUID) not in text


@pytest.mark.parametrize("kind", ["frames", "webp"])
def test_a_film_that_slicer_does_not_show_like_us_has_a_note_instead(tmp_path: Path, kind: str) -> None:
    if kind == "frames":
        save_film(tmp_path / "films" / "a.dcm", 1, frames=2)
        reason = "the film has several frames"
    else:
        (tmp_path / "films").mkdir()
        grey = np.random.default_rng(0).integers(0, 255, (300, 240)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "films" / "a.webp", lossless=True)
        reason = "3D Slicer does not read this file as the film is stored"
    out, detections = run(tmp_path / "films")
    assert len(detections) == (2 if kind == "frames" else 1)
    assert list((out / "markups").glob("*")) == []
    for detection in detections:
        assert f"No markups: {reason}." in detection.warnings
