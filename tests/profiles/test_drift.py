"""Whether a profile still fits: the test keeps its level for all landmarks together, and finds what changed."""

from __future__ import annotations

import numpy as np
import pytest
from clinics import profile

from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.profiles.drift import LEVEL, change_chances, drift
from monai_ceph.profiles.learn import Comparison
from monai_ceph.profiles.profile import FilmEvidence, Profile
from monai_ceph.profiles.words import drift_summary, drift_words

PO = SYMBOLS.index("Po")


def residuals(films: int, seed: int, porion: float = 0.08) -> np.ndarray:
    """Landmarks hang together, with heavy tails, and one in ten is missing."""
    random = np.random.default_rng(seed)
    steps = 0.02 * random.standard_t(3, size=(films, NUM_LANDMARKS, 2)) + 0.02 * random.normal(size=(films, 1, 2))
    steps[:, PO] += (0.0, porion)
    steps[random.random((films, NUM_LANDMARKS)) < 0.1] = np.nan
    return steps


def taught(steps: np.ndarray) -> Profile:
    evidence = tuple(
        FilmEvidence(
            picture=f"{number:016x}",
            steps=tuple(None if np.isnan(step).any() else (step[0], step[1]) for step in film.tolist()),
        )
        for number, film in enumerate(steps)
    )
    return profile(films=len(steps), evidence=evidence)


def compared(steps: np.ndarray, radius: float = np.nan) -> Comparison:
    return Comparison(steps, np.full(len(steps), radius), tuple(f"{number + 99:016x}" for number in range(len(steps))))


def test_the_level_holds_for_all_landmarks_together() -> None:
    called = [
        change_chances(residuals(8, 2 * seed), residuals(4, 2 * seed + 1))[0].min() <= LEVEL for seed in range(300)
    ]
    # 3.5 standard errors of 300 tries
    assert np.mean(called) <= LEVEL + 3.5 * np.sqrt(LEVEL * (1 - LEVEL) / 300)
    assert np.mean(called) >= 0.01


def test_all_choices_are_counted() -> None:
    """With 5 and 2 films there are 21 choices. If no other choice is as far apart, the p-value is one of these."""
    before, after = residuals(5, 1), residuals(2, 2)
    after[:, PO] = (5.0, 5.0)
    chances, smallest = change_chances(before, after)
    assert chances[PO] == smallest == pytest.approx(1 / 21)
    # with two groups of the same size, exchanging them gives the same distance
    before, after = residuals(4, 1), residuals(4, 2)
    before[:, PO], after[:, PO] = (0.0, 0.0), (5.0, 5.0)
    chances, smallest = change_chances(before, after)
    assert chances[PO] == smallest == pytest.approx(2 / 70)


def test_a_landmark_without_films_has_not_changed() -> None:
    before, after = residuals(5, 1), residuals(3, 2)
    after[:, PO] = np.nan
    before[:, 0] = after[:, 0] = np.nan
    chances, _ = change_chances(before, after)
    assert (chances[PO], chances[0]) == (1.0, 1.0)
    assert np.isfinite(chances).all()


def test_what_changed_is_named() -> None:
    known = taught(residuals(12, 1))
    found = drift(known, compared(residuals(8, 2, porion=-0.1), radius=50.0))
    assert [mark.symbol for mark in found.landmarks if mark.changed] == ["Po"]
    porion = found.landmarks[PO]
    assert porion.down == pytest.approx(-0.18, abs=0.05)
    said = drift_summary(known, found)
    assert said.startswith("The profile no longer fits: on 8 new films, Porion lies elsewhere than on the films")
    first = drift_words(found)[0]
    assert (first.name, first.films) == ("Porion", str(porion.films))
    assert "mm higher" in first.lies
    assert first.chance.endswith(", changed")


def test_a_profile_that_fits() -> None:
    steps = residuals(12, 1)
    offset = np.nanmean(steps[:, PO], axis=0)
    moves = profile().landmarks["Po"].model_copy(update={"forward": float(offset[0]), "down": float(offset[1])})
    known = taught(steps).model_copy(update={"landmarks": {"Po": moves}})
    found = drift(known, compared(residuals(8, 2)))
    assert not any(mark.changed for mark in found.landmarks)
    assert found.error_with < found.error_without
    said = drift_summary(known, found)
    assert said.startswith("The profile still fits, as far as 8 new films can tell")
    assert "% of the head's radius" in said
    assert "gains nothing" not in said


def test_too_few_films_say_nothing() -> None:
    known = taught(residuals(12, 1))
    found = drift(known, compared(residuals(1, 2, porion=3.0)))
    assert found.too_few
    assert not any(mark.changed for mark in found.landmarks)
    assert drift_summary(known, found).startswith(
        "It cannot be said whether the profile still fits: 1 new film is too few"
    )
    with pytest.raises(CephError, match=r"^there is no new film to check the profile Clinic North with$"):
        drift(known, compared(np.empty((0, NUM_LANDMARKS, 2))))
