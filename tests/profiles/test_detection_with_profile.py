"""Detection with a profile: the points move, everything names the profile, and without one nothing changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clinics import moving, profile, saved, shipped_profile

from monai_ceph import CephalogramDetector
from monai_ceph.errors import CephError
from monai_ceph.profiles import Profile, profile_text
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.json_result import result_json
from monai_ceph.result import Detection
from monai_ceph.work.fingerprint import model_fingerprint
from monai_ceph.work.options import Options


@pytest.fixture(scope="module")
def clinic() -> Profile:
    return shipped_profile(landmarks=moving(Po=(0.05, 0.1), S=(0.0, -0.03)))


@pytest.fixture(scope="module")
def with_profile(clinic: Profile, tmp_path_factory: pytest.TempPathFactory) -> CephalogramDetector:
    return CephalogramDetector("cpu", profile=saved(tmp_path_factory.mktemp("profile"), profile_text(clinic)))


@pytest.fixture(scope="module")
def moved(with_profile: CephalogramDetector, film: Path) -> Detection:
    return with_profile(film, force=True)


def test_points_move_and_the_raw_ones_stay(
    moved: Detection, detect: Callable[[Path], Detection], film: Path, clinic: Profile, detector: CephalogramDetector
) -> None:
    plain = detect(film)
    for mark, before in zip(moved.landmarks, plain.landmarks, strict=True):
        assert (mark.raw_x, mark.raw_y) == (before.x, before.y)
        assert (mark.score, mark.status) == (before.score, before.status)
    expected = clinic.moved(plain.points(), detector.mean_shape)
    assert expected is not None
    assert moved.points() == pytest.approx(expected, nan_ok=True)
    assert np.nanmax(np.linalg.norm(moved.points() - plain.points(), axis=1)) > 10
    assert moved.profile == clinic.identity()


def test_measurements_follow_the_moved_points(
    moved: Detection, detect: Callable[[Path], Detection], film: Path
) -> None:
    before = {each.symbol: each.value for each in detect(film).measure()}
    after = {each.symbol: each.value for each in moved.measure()}
    # of S, N and A; and of no moved point
    assert after["SNA"] != before["SNA"]
    assert after["SNA"] is not None
    as_json = {each["symbol"]: each["value"] for each in json.loads(result_json(moved))["measurements"]}
    assert as_json["SNA"] == pytest.approx(after["SNA"])


def test_json_comes_back(moved: Detection) -> None:
    text = moved.model_dump_json()
    assert Detection.model_validate_json(text) == moved
    assert json.loads(text)["profile"]["name"] == "Clinic North"


def test_without_a_profile_there_is_no_trace_of_one(detect: Callable[[Path], Detection], film: Path) -> None:
    found = detect(film)
    for text in (found.model_dump_json(), result_json(found)):
        result = json.loads(text)
        assert "profile" not in result
        assert list(result["landmarks"][0]) == [
            *("number", "name", "symbol", "x", "y", "x_mm", "y_mm", "score", "status", "radius_90_px", "radius_95_px"),
        ]
    assert "profile" not in found.records()[0]


def test_the_first_stage_alone_is_not_moved(
    with_profile: CephalogramDetector, detector: CephalogramDetector, film: Path
) -> None:
    first, plain = (each(film, force=True, stage="global") for each in (with_profile, detector))
    assert (first.points() == plain.points()).all()
    assert (first.profile, first.landmarks[0].raw_x) == (None, None)


def test_a_film_with_too_few_landmarks_stays_as_it_is(
    with_profile: CephalogramDetector, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Profile, "moved", lambda *_: None)
    found = with_profile(film, force=True)
    assert "The profile Clinic North moved nothing: too few landmarks were found." in found.warnings
    assert found.landmarks[0].raw_x is None
    assert found.profile is not None


def test_another_profile_is_another_recipe(
    with_profile: CephalogramDetector, detector: CephalogramDetector, moved: Detection
) -> None:
    """So a run with one detects again, and its DICOM objects have other UIDs."""
    other = CephalogramDetector("cpu", profile=shipped_profile())
    identities = [each.identity for each in (detector, with_profile, other)]
    assert len({identity.recipe_sha256 for identity in identities}) == 3
    assert len({identity.weights_sha256 for identity in identities}) == 1
    assert len({Options().settings(identity) for identity in identities}) == 3
    assert moved.model.recipe_sha256 not in {identities[0].recipe_sha256, identities[2].recipe_sha256}


def test_the_fingerprint_of_a_run_follows_the_profile() -> None:
    found = [model_fingerprint("cpu", profile=each) for each in (None, "ab" * 32, "cd" * 32)]
    assert len({*found, None}) == 4
    assert model_fingerprint("cpu", profile=None) == model_fingerprint("cpu")


def test_a_profile_of_other_weights_is_refused() -> None:
    with pytest.raises(CephError, match="the profile Clinic North was learned with other weights"):
        CephalogramDetector("cpu", profile=profile())


def test_pixels_that_are_not_square(with_profile: CephalogramDetector, clinic: Profile, film: Path) -> None:
    from dataclasses import replace

    radiograph = replace(read_radiograph(film), pixel_spacing=(0.2, 0.1))
    found = with_profile(radiograph, force=True)
    raw = np.array([(mark.raw_x, mark.raw_y) for mark in found.landmarks], dtype=float)
    expected = clinic.moved(raw, with_profile.mean_shape, aspect=2.0)
    assert expected is not None
    assert found.points() == pytest.approx(expected, nan_ok=True)
