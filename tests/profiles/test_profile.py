from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from clinics import HEAD, SHAPE, moving, profile, saved
from hypothesis import assume, given
from hypothesis import strategies as st

from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles import load_profile, profile_text
from monai_ceph.profiles.profile import check_text
from monai_ceph.profiles.words import direction, landmark_words, summary
from monai_ceph.result import ModelIdentity

PO = SYMBOLS.index("Po")
MODEL = ModelIdentity(name="m", version="1", weights_sha256="ab" * 32, recipe_sha256="0", software="s")
SHARE = st.floats(-0.9, 0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\\", min_codepoint=33), min_size=1, max_size=64))
def test_any_name_is_written_and_read(folder: Path, name: str) -> None:
    assume(name.isprintable())
    assert check_text("--name", name) == name
    one = profile(name=name, learned_by="Dr. Käthe Müller", landmarks=moving(Po=(0.123456789, -1 / 3), A=(0.0, 1e-9)))
    assert load_profile(saved(folder, profile_text(one))) == one


def test_the_file_is_readable(tmp_path: Path) -> None:
    text = profile_text(profile())
    assert "\nlandmarks:\n  Po:\n    forward: 0.05\n    down: 0.1\n    films: 12\n" in text
    assert "landmark_set: [S, N, Or, Po, " in text
    assert "null" not in text


def test_a_version_without_quotes(tmp_path: Path) -> None:
    text = profile_text(profile()).replace("'1.0'", "1.0")
    assert load_profile(saved(tmp_path, text)) == profile()


def test_the_hash_follows_the_content_and_not_the_layout(tmp_path: Path) -> None:
    one = profile().identity()
    assert (one.name, one.films, len(one.sha256)) == ("Clinic North", 12, 64)
    text = yaml.safe_dump(yaml.safe_load(profile_text(profile())))
    assert load_profile(saved(tmp_path, text)).identity() == one
    assert profile(landmarks=moving(Po=(0.05, 0.1001))).identity().sha256 != one.sha256
    assert one.label == f"Clinic North (learned from 12 films, {one.sha256[:12]})"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "line 1: not YAML, so not a profile of monai-ceph"),
        ("- 1", "not a profile of monai-ceph: it has no profile_version"),
        ("ae_title: CEPH", "not a profile of monai-ceph: it has no profile_version"),
        ("profile_version: '2.0'", "the profile has version 2.0, and this version of monai-ceph reads 1.0 and 1.1"),
        ("profile_version: '1.0'", "name: Field required"),
    ],
)
def test_what_is_no_profile(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(CephError) as caught:
        load_profile(saved(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "clinic.yaml"))
    assert str(caught.value).endswith(reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("  Po:", "  Xy:", "landmarks: Xy is not in landmark_set"),
        ("forward: 0.05", "forward: .nan", "landmarks.Po.forward: Input should be a finite number"),
        ("forward: 0.05", "forward: 1.5", "landmarks.Po.forward: Input should be less than 1"),
        ("forward: 0.05", "forwards: 0.05", "landmarks.Po.forward: Field required"),
        ("films: 12\nfilms_w", "films: many\nfilms_w", "films: Input should be a valid integer"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = profile_text(profile())
    assert old in text
    with pytest.raises(CephError) as caught:
        load_profile(saved(tmp_path, text.replace(old, new)))
    assert f"clinic.yaml: {reason}" in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CephError, match=r"none.yaml: cannot be read: No such file"):
        load_profile(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["", " a", "a\nb", "a\x85b", "a\\b", "x" * 65])
def test_names_that_no_profile_has(name: str) -> None:
    with pytest.raises(CephError, match=r"^--name .*: give 1 to 64 letters in one line, without a backslash"):
        check_text("--name", name)


def test_other_weights_and_other_landmarks() -> None:
    profile().check(MODEL)
    with pytest.raises(CephError, match=r"^the profile Clinic North was learned with other weights \(cdcdcdcdcdcd, "):
        profile("cd" * 32).check(MODEL)
    with pytest.raises(CephError, match=r"^the profile Clinic North is for 2 other landmarks than the detector finds"):
        profile(landmark_set=("S", "Po")).check(MODEL)


class TestMoving:
    def test_forward_and_down_on_an_upright_film(self) -> None:
        points = 400 * HEAD + (1000, 900)
        moved = profile().moved(points, SHAPE)
        assert moved is not None
        assert moved[PO] - points[PO] == pytest.approx((20, 40))
        assert np.delete(moved, PO, axis=0) == pytest.approx(np.delete(points, PO, axis=0), abs=0)

    def test_on_a_film_that_faces_left(self) -> None:
        points = 400 * HEAD * (-1, 1) + (1000, 900)
        moved = profile().moved(points, SHAPE)
        assert moved is not None
        assert moved[PO] - points[PO] == pytest.approx((-20, 40))

    def test_on_a_film_with_flat_pixels(self) -> None:
        # pixels are half as high as they are wide
        points = 400 * HEAD * (1, 2)
        moved = profile().moved(points, SHAPE, aspect=0.5)
        assert moved is not None
        assert moved[PO] - points[PO] == pytest.approx((20, 80))

    def test_a_missing_landmark_stays_missing(self) -> None:
        points = 400 * HEAD
        points[PO] = np.nan
        moved = profile().moved(points, SHAPE)
        assert moved is not None
        assert np.isnan(moved[PO]).all()
        assert np.isnan(moved).sum() == 2

    def test_too_few_landmarks(self) -> None:
        points = 400 * HEAD
        points[4:] = np.nan
        assert profile().moved(points, SHAPE) is None

    @given(forward=SHARE, down=SHARE)
    def test_an_empty_profile_moves_nothing(self, forward: float, down: float) -> None:
        points = 400 * HEAD + (forward, down)
        moved = profile(landmarks={}).moved(points, SHAPE)
        assert moved is not None
        assert (moved == points).all()


class TestWords:
    @pytest.mark.parametrize(
        ("forward", "down", "words"),
        [
            (1, 1, "lower and further forward"),
            (-1, -1, "higher and further back"),
            (0.1, 1, "lower"),
            (-1, 0.1, "further back"),
            (0, 0, "in the same place"),
        ],
    )
    def test_directions(self, forward: float, down: float, words: str) -> None:
        assert direction(forward, down) == words

    def test_millimetres_only_with_a_scale(self) -> None:
        (words,) = landmark_words(profile())
        assert (words.name, words.films) == ("Porion", "12")
        assert words.lies == "11.2 % of the head's radius lower and further forward"
        assert (words.before, words.after) == ("10.0 % of the head's radius", "3.0 % of the head's radius")
        mark = profile().landmarks["Po"]
        mm = {"forward_mm": 1.5, "down_mm": 3.0, "error_before_mm": 6.3, "error_after_mm": 2.14}
        (words,) = landmark_words(profile(landmarks={"Po": mark.model_copy(update=mm)}))
        assert (words.lies, words.before, words.after) == ("3.4 mm lower and further forward", "6.3 mm", "2.1 mm")

    def test_an_empty_profile_says_so(self) -> None:
        assert summary(profile(landmarks={})).startswith("Nothing to gain on these 12 films: your points differ")
        assert "1 of 19 landmarks move, and the mean error falls from 4.0 % of" in summary(profile())
        assert summary(profile(error_after=0.04)).endswith("no gain shows yet: correct more films.")
