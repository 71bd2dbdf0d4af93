from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clinics import HEAD, SHAPE
from samples import save_grey

from monai_ceph.datasets import Film
from monai_ceph.errors import CephError, RejectedError
from monai_ceph.landmarks import LANDMARKS, SYMBOLS
from monai_ceph.profiles import Profile, load_profile, profile_text
from monai_ceph.profiles.learn import learn, update
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.result import Detection, ModelIdentity, detected_landmark

PO = SYMBOLS.index("Po")


class Clinic:
    """Films on which the detector finds heads in all poses, and a clinic places porion and A elsewhere."""

    identity = ModelIdentity(name="m", version="1", weights_sha256="ab" * 32, recipe_sha256="0", software="s")
    profile: Profile | None = None
    mean_shape = SHAPE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, np.ndarray] = {}
        self.films: list[Film] = []
        self.random = np.random.default_rng(0)

    def __call__(self, source: Radiograph, /) -> Detection:
        if "reject" in source.path.name:
            raise RejectedError(f"{source.path}: not a lateral cephalogram: noise")
        marks = tuple(
            detected_landmark(mark.number, mark.symbol, (y, x), 0.9, None, 0.5)
            for mark, (x, y) in zip(LANDMARKS, self.found[source.path.name].tolist(), strict=True)
        )
        return Detection(
            file=str(source.path),
            image_uid=None,
            rows=100,
            columns=100,
            pixel_spacing=None,
            spacing_source=SpacingSource.NONE,
            turned=0,
            mirrored=False,
            inverted=False,
            state="ok",
            landmarks=marks,
            model=self.identity,
            warnings=(),
            created="2026-01-01T00:00:00Z",
            seconds={},
        )

    def add(self, name: str, spacing: float = np.nan, offset: float = 0.08, seed: int | None = None) -> Film:
        """Put a film into the folder: a head of 400 pixels, turned by up to 30 degrees, every other one faces left."""
        pixels = np.random.default_rng(len(self.films) if seed is None else seed).integers(0, 255, (40, 40))
        save_grey(self.folder / name, pixels)
        angle = np.radians(self.random.uniform(-30, 30))
        side = (1, 1) if len(self.films) % 2 else (-1, 1)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shape = HEAD + self.random.normal(scale=0.02, size=HEAD.shape)
        truth = shape + self.random.normal(scale=0.01, size=HEAD.shape)
        truth[PO] += (offset / 2, offset)
        self.found[name] = 400 * (shape * side) @ turn.T + 900
        place = 400 * (truth * side) @ turn.T + 900
        film = Film(name, self.folder / name, place[:, ::-1], spacing)
        self.films.append(film)
        return film


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def test_what_a_clinic_does_is_learned_whatever_the_pose(clinic: Clinic) -> None:
    for number in range(8):
        clinic.add(f"{number}.png", spacing=0.1)
    profile, left_out = learn(clinic.films, clinic, "north", "Dr. Who")
    assert not left_out
    assert (profile.name, profile.learned_by, profile.films, profile.films_with_scale) == ("north", "Dr. Who", 8, 8)
    assert (profile.weights_sha256, profile.landmark_set) == ("ab" * 32, SYMBOLS)
    porion = profile.landmarks["Po"]
    assert (porion.forward, porion.down) == pytest.approx((0.04, 0.08), abs=0.012)
    # a radius of 400 pixels of 0.1 mm
    assert (porion.forward_mm, porion.down_mm) == pytest.approx((1.6, 3.2), abs=0.5)
    assert porion.error_after < 0.4 * porion.error_before
    assert porion.error_before_mm == pytest.approx(40 * porion.error_before, rel=0.05)
    assert len(profile.landmarks) <= 2


def test_no_millimetres_without_a_scale(clinic: Clinic) -> None:
    for number in range(5):
        clinic.add(f"{number}.png")
    profile, _ = learn(clinic.films, clinic, "north")
    porion = profile.landmarks["Po"]
    assert (porion.forward_mm, porion.error_before_mm, profile.error_after_mm) == (None, None, None)
    assert "mm:" not in profile_text(profile)


def test_millimetres_are_of_the_films_with_a_scale(clinic: Clinic) -> None:
    for number in range(6):
        clinic.add(f"{number}.png", spacing=0.1 if number < 2 else np.nan)
    profile, _ = learn(clinic.films, clinic, "north")
    assert (profile.films, profile.films_with_scale) == (6, 2)
    assert profile.error_before_mm is not None


def test_no_film_or_folder_is_named(clinic: Clinic) -> None:
    for number in range(4):
        clinic.add(f"Doe_John_{number}.png")
    text = profile_text(learn(clinic.films, clinic, "north")[0])
    assert "Doe" not in text
    assert str(clinic.folder) not in text


def test_noise_gives_an_empty_profile(clinic: Clinic) -> None:
    for number in range(6):
        clinic.add(f"{number}.png", offset=0.0)
    profile, _ = learn(clinic.films, clinic, "north")
    assert profile.landmarks == {}
    assert profile.error_after == profile.error_before > 0


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_films(clinic: Clinic, count: int) -> None:
    for number in range(count):
        clinic.add(f"{number}.png")
    with pytest.raises(
        CephError, match=f"^a profile needs 3 different corrected films or more, and there are {count}$"
    ):
        learn(clinic.films, clinic, "north")


def test_the_same_picture_counts_once(clinic: Clinic) -> None:
    for number in range(4):
        clinic.add(f"{number}.png")
    clinic.add("copy.png", seed=0)
    profile, left_out = learn(clinic.films, clinic, "north")
    assert (profile.films, left_out) == (4, ("copy.png: is the same picture as 0.png, and counts once",))
    with pytest.raises(CephError, match=r"there are 2 \(copy.png: is the same picture as 0.png, and counts once\)$"):
        learn([clinic.films[0], clinic.films[1], clinic.films[4]], clinic, "north")


def test_films_that_cannot_be_used_are_left_out(clinic: Clinic) -> None:
    for number in range(3):
        clinic.add(f"{number}.png")
    clinic.add("reject.png")
    clinic.add("text.png")
    (clinic.folder / "text.png").write_text("no image")
    other = clinic.add("other.png")
    other.landmarks[:] += 400
    empty = clinic.add("empty.png")
    empty.landmarks[:] = np.nan
    clinic.add("little.png")
    clinic.found["little.png"][3:] = np.nan
    profile, left_out = learn(clinic.films, clinic, "north")
    assert profile.films == 3
    assert [sentence.split(": ", 1)[0] for sentence in left_out] == [
        *(str(clinic.folder / name) for name in ("reject.png", "text.png")),
        *("other.png", "empty.png", "little.png"),
    ]
    assert left_out[2].endswith("its landmarks are far from those detected; do they belong to another film?")
    assert left_out[3].endswith("has no landmark that was detected and corrected")
    assert left_out[4].endswith("too few landmarks were detected to compare")


def test_a_detector_with_a_profile_teaches_nothing(clinic: Clinic) -> None:
    for number in range(3):
        clinic.add(f"{number}.png")
    clinic.profile, _ = learn(clinic.films, clinic, "north")
    with pytest.raises(ValueError, match="a profile is learned by a detector without one"):
        learn(clinic.films, clinic, "north")


def test_an_update_is_what_learning_from_all_films_at_once_gives(clinic: Clinic) -> None:
    for number in range(9):
        clinic.add(f"{number}.png", spacing=0.1 if number % 2 else np.nan)
    at_once, _ = learn(clinic.films, clinic, "north", "B")
    first, _ = learn(clinic.films[:4], clinic, "north", "A")
    # through the file, as a command does
    file = clinic.folder / "clinic.yaml"
    file.write_text(profile_text(first), encoding="utf-8")
    later, left_out = update(load_profile(file), clinic.films[4:], clinic, "B")
    assert not left_out
    same = {"created", "history"}
    assert later.model_dump(exclude=same) == at_once.model_dump(exclude=same)
    assert [(lesson.films, lesson.learned_by) for lesson in later.history] == [(4, "A"), (5, "B")]
    assert later.history[0] == first.history[0]
    assert later.created == later.history[1].created


def test_an_update_takes_no_film_twice(clinic: Clinic) -> None:
    for number in range(4):
        clinic.add(f"{number}.png")
    first, _ = learn(clinic.films, clinic, "north")
    new = clinic.add("new.png")
    # under another name it is still the same film
    again = clinic.add("again.png", seed=2)
    later, left_out = update(first, [new, again], clinic)
    assert later.films == 5
    assert left_out == ("again.png: the profile north was learned from this film already",)
    with pytest.raises(CephError, match=r"^there is no new film for the profile north \(0.png: .*; 1.png: .*\)$"):
        update(first, clinic.films[:2], clinic)


def test_what_cannot_be_updated(clinic: Clinic) -> None:
    for number in range(4):
        clinic.add(f"{number}.png")
    first, _ = learn(clinic.films, clinic, "north")
    for changes, sentence in (
        ({"weights_sha256": "cd" * 32}, "was learned with other weights"),
        ({"evidence": ()}, "does not say what each film said, as files of version 1.0 do not: learn it again"),
    ):
        with pytest.raises(CephError, match=sentence):
            update(first.model_copy(update=changes), clinic.films, clinic)
