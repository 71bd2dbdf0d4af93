"""Radii, status and the places of missing landmarks, with the shipped weights on a film."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.detection import CephalogramDetector
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.json_result import result_json
from monai_ceph.reports.overlay import draw_overlay
from monai_ceph.result import Detection, detected_landmark, longest_sure_radius

Detect = Callable[[Path], Detection]


def test_every_landmark_has_radii(film: Path, detect: Detect) -> None:
    detection = detect(film)
    assert detection.radius_source == "other films"
    found = [mark for mark in detection.landmarks if mark.x is not None]
    assert len(found) >= 17
    for mark in found:
        assert mark.radius_90_px is not None
        assert mark.radius_95_px is not None
        assert 0 < mark.radius_90_px <= mark.radius_95_px
        assert mark.expected_x is None
    assert Detection.model_validate_json(detection.model_dump_json()) == detection


def test_millimetres_follow_the_scale(film: Path, detector: CephalogramDetector) -> None:
    scaled, plain = detector(film, pixel_spacing=0.2), detector(film)
    for with_scale, without in zip(scaled.landmarks, plain.landmarks, strict=True):
        assert without.radius_90_mm is None
        assert with_scale.radius_90_px == without.radius_90_px
        if with_scale.radius_90_px is not None and with_scale.radius_95_px is not None:
            assert with_scale.radius_90_mm == pytest.approx(0.2 * with_scale.radius_90_px)
            assert with_scale.radius_95_mm == pytest.approx(0.2 * with_scale.radius_95_px)


def test_radii_grow_with_the_film(film: Path, detector: CephalogramDetector, tmp_path: Path) -> None:
    picture = Image.open(film)
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC).save(tmp_path / "large.png")
    small, large = (
        np.array([mark.radius_90_px or math.nan for mark in detector(path).landmarks])
        for path in (film, tmp_path / "large.png")
    )
    assert np.nanmedian(large / small) == pytest.approx(2, rel=0.1)


def test_a_covered_landmark_is_missing_and_has_a_place_to_look(
    film: Path, detector: CephalogramDetector, tmp_path: Path
) -> None:
    before = detector(film)
    nasion = before["N"]
    assert nasion.x is not None
    assert nasion.y is not None
    pixels = np.array(Image.open(film))
    reach = pixels.shape[0] // 16
    row, column = round(nasion.y), round(nasion.x)
    area = pixels[row - reach : row + reach, column - reach : column + reach]
    area[...] = int(area.mean())
    Image.fromarray(pixels).save(tmp_path / "covered.png")
    covered = detector(tmp_path / "covered.png")["N"]
    assert covered.status == "missing"
    assert covered.x is covered.radius_90_px is covered.radius_90_mm is None
    assert covered.expected_x is not None
    assert covered.expected_y is not None
    # within a tenth of the head's radius or so, of what was there
    assert math.hypot(covered.expected_x - nasion.x, covered.expected_y - nasion.y) < 0.06 * pixels.shape[0]


def test_the_length_decides_what_is_uncertain(film: Path) -> None:
    for length, status in ((0.001, "uncertain"), (1000.0, "ok")):
        marks = CephalogramDetector("cpu", overrides={"uncertain_radius_mm": length})(film).landmarks
        assert {mark.status for mark in marks} - {"missing"} == {status}


def test_without_an_error_model_scores_decide(film: Path) -> None:
    plain = CephalogramDetector("cpu", overrides={"error_model": None, "uncertain_below": 1.0})(film)
    assert plain.radius_source is None
    assert {mark.status for mark in plain.landmarks} <= {"uncertain", "missing"}
    assert "radius" not in result_json(plain)
    assert "expected_x" not in result_json(plain)


def test_a_length_that_is_no_number_is_refused() -> None:
    with pytest.raises(Exception, match="uncertain_radius_mm must be a number, got 'long'"):
        CephalogramDetector("cpu", overrides={"uncertain_radius_mm": "long"})


def test_tables_have_the_radii(film: Path, detect: Detect, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["detect", str(film), "--out", str(tmp_path / "out"), "--formats", "csv"])
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "landmarks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, mark in zip(rows, detect(film).landmarks, strict=True):
        assert row["radius_90_px"] == ("" if mark.radius_90_px is None else f"{mark.radius_90_px:.1f}")
        assert row["radius_90_mm"] == ""


def test_circles_are_drawn_only_on_request(film: Path, detect: Detect) -> None:
    radiograph, detection = read_radiograph(film), detect(film)
    plain, circled = (np.array(draw_overlay(radiograph, detection, circles)) for circles in (False, True))
    assert circled.shape[0] > plain.shape[0], "a line below the film says what the circles are"
    scale = plain.shape[1] / radiograph.pixels.shape[1]
    rows = int(scale * radiograph.pixels.shape[0])
    row, column = np.nonzero((plain[:rows] != circled[:rows]).any(axis=2))
    from_rings = [
        np.abs(np.hypot(row - scale * mark.y, column - scale * mark.x) - scale * mark.radius_90_px)
        for mark in detection.landmarks
        if mark.x is not None and mark.y is not None and mark.radius_90_px is not None
    ]
    # what is new on the film lies on the circles, and every circle is there
    assert np.min(from_rings, axis=0).max() < 4
    assert all((ring < 2).sum() > 10 for ring in from_rings)


def test_one_landmark_by_hand() -> None:
    given = {"score": 0.9, "spacing": (0.1, 0.4), "uncertain_below": 0.95, "radii": (10.0, 20.0)}
    mark = detected_landmark(1, "S", (5.0, 7.0), uncertain_above=9.9, **given)  # type: ignore[arg-type]
    # pixels that are not square have the side of a square of the same area
    assert (mark.radius_90_px, mark.radius_90_mm, mark.radius_95_mm) == (10, pytest.approx(2), pytest.approx(4))
    assert mark.status == "uncertain"
    # with radii, the score decides nothing
    assert detected_landmark(1, "S", (5.0, 7.0), uncertain_above=10.0, **given).status == "ok"  # type: ignore[arg-type]
    gone = detected_landmark(1, "S", (math.nan, 7.0), expected=(3.0, 4.0), **given)  # type: ignore[arg-type]
    assert (gone.status, gone.radius_90_px, gone.expected_x, gone.expected_y) == ("missing", None, 4, 3)
    untold = detected_landmark(1, "S", (math.nan, 7.0), expected=(math.nan, 4.0), **given)  # type: ignore[arg-type]
    assert untold.expected_x is untold.expected_y is None


def test_a_length_in_pixels() -> None:
    assert longest_sure_radius(5.0, (0.1, 0.1), 99.0) == pytest.approx(50)
    assert longest_sure_radius(5.0, None, 0.25) == pytest.approx(20)
