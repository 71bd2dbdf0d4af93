"""Radii of a profile: they cover what they say, on films like those that were learned from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from clinics import moving, profile

from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.profiles.estimate import estimate
from monai_ceph.profiles.learn import learned_radii
from monai_ceph.profiles.profile import FILMS_FOR_A_RADIUS, FilmEvidence, Profile, ProfileRadius
from monai_ceph.profiles.radii import conformal_radius, errors_of_placed_points, radii_of_few_films


@pytest.mark.parametrize("share", [0.9, 0.95])
@pytest.mark.parametrize("films", [20, 37])
def test_coverage_of_exchangeable_errors(films: int, share: float) -> None:
    """With n errors and the k-th smallest, a further one lies within with a chance of exactly k / (n + 1)."""
    random = np.random.default_rng(0)
    errors = random.gamma(2, size=(4000, films + 1))
    covered = np.mean([each[-1] <= conformal_radius(each[:-1], share) for each in errors])
    exact = math.ceil((films + 1) * share) / (films + 1)
    assert exact >= share
    assert covered == pytest.approx(exact, abs=3.5 * math.sqrt(exact * (1 - exact) / 4000))


def test_too_few_errors_have_no_radius() -> None:
    assert conformal_radius(np.ones(8), 0.9) == math.inf
    assert conformal_radius(np.arange(9.0), 0.9) == 8
    errors = np.full((FILMS_FOR_A_RADIUS, NUM_LANDMARKS), 0.05)
    errors[0, 0] = np.nan
    assert list(learned_radii(errors)) == list(SYMBOLS[1:])
    assert learned_radii(errors[1:]) == {}
    assert learned_radii(errors)[SYMBOLS[1]] == ProfileRadius(films=FILMS_FOR_A_RADIUS, within_90=0.05, within_95=0.05)


def test_coverage_on_new_films() -> None:
    """Leave-one-out errors of an estimate stand for errors on new films: 40 clinics of 20 films, half of them move."""
    random = np.random.default_rng(1)
    inside = []
    for _ in range(40):
        offsets = np.where(
            random.random((NUM_LANDMARKS, 1)) < 0.5, random.normal(scale=0.05, size=(NUM_LANDMARKS, 2)), 0
        )
        films = offsets + 0.02 * random.standard_t(4, size=(120, NUM_LANDMARKS, 2))
        learned = estimate(films[:20])
        radii = learned_radii(learned.after)
        errors = np.linalg.norm(films[20:] - learned.offsets, axis=2)
        inside.append([errors <= [getattr(radii[s], name) for s in SYMBOLS] for name in ("within_90", "within_95")])
    share_90, share_95 = np.mean(inside, axis=(0, 2, 3))
    assert 0.89 <= share_90 <= 0.94
    assert 0.94 <= share_95 <= 0.98


def clinic_of(films: int, steps: tuple[float, float], **changes: Any) -> Profile:
    """A profile of films that all say the same of every landmark."""
    evidence = tuple(FilmEvidence(picture=f"{number:016x}", steps=(steps,) * NUM_LANDMARKS) for number in range(films))
    return profile(films=films, evidence=evidence, **changes)


OTHERS = np.tile([10.0, 15.0], (NUM_LANDMARKS, 1))


def test_radii_of_enough_films_are_the_clinics_own() -> None:
    radius = ProfileRadius(films=20, within_90=0.02, within_95=0.03)
    taught = clinic_of(20, (0.01, 0.0), landmarks={}, radii=dict.fromkeys(SYMBOLS[:18], radius))
    # the evidence on this film doubles what is usual
    radii, own = taught.radii_on_film(2 * OTHERS, OTHERS, head_radius=400)
    assert radii[:18] == pytest.approx(np.tile([2 * 8.0, 2 * 12.0], (18, 1)))
    assert own.tolist() == [True] * 18 + [False]


def test_below_that_they_follow_the_errors_of_all_landmarks() -> None:
    # every error is 0.02 of 400 px
    taught = clinic_of(5, (0.012, 0.016), landmarks={})
    radii, supported = taught.radii_on_film(OTHERS, OTHERS, head_radius=400)
    assert radii == pytest.approx(np.full((NUM_LANDMARKS, 2), 8.0))
    assert not supported.any()
    # twice as long where the evidence on the film says so
    assert taught.radii_on_film(2 * OTHERS, OTHERS, head_radius=400)[0] == pytest.approx(2 * radii)


def test_a_landmark_with_larger_errors_has_larger_radii_the_more_films_say_so() -> None:
    usual = np.tile([1.0, 1.5], (NUM_LANDMARKS, 1))
    shares = []
    for films in (3, 10, 19):
        errors = np.random.default_rng(films).gamma(2, size=(films, NUM_LANDMARKS))
        errors[:, 0] = 4 * errors[:, 1]
        radii = radii_of_few_films(errors, usual)
        assert (radii[:, 0] < radii[:, 1]).all()
        # the same error of a landmark, four times as large: the power of the ratio is the share of its own errors
        shares.append(math.log(radii[0, 0] / radii[1, 0]) / math.log(4))
    assert shares == pytest.approx([3 / 13, 10 / 20, 19 / 29])


def test_radii_of_few_films_cover_new_films() -> None:
    """40 clinics of 5 films whose errors are half as large again as usual, more at some landmarks than at others."""
    random = np.random.default_rng(3)
    usual = np.tile(np.sqrt(-2 * np.log([0.1, 0.05])), (NUM_LANDMARKS, 1))
    inside = []
    for _ in range(40):
        sizes = 1.5 * np.exp(random.normal(0, 0.2, NUM_LANDMARKS))
        errors = sizes * np.linalg.norm(random.normal(size=(105, NUM_LANDMARKS, 2)), axis=2)
        radii = radii_of_few_films(errors[:5], usual)
        inside.append([errors[5:] <= radii[:, index] for index in (0, 1)])
    share_90, share_95 = np.mean(inside, axis=(0, 2, 3))
    assert 0.86 <= share_90 <= 0.93
    assert 0.92 <= share_95 <= 0.97


def test_a_moved_landmark_counts_with_its_error_after_the_move() -> None:
    still = clinic_of(5, (0.1, 0.0), landmarks={})
    moved = clinic_of(5, (0.1, 0.0), landmarks=moving(**dict.fromkeys(SYMBOLS, (0.1, 0.0))))
    assert still.radii_on_film(OTHERS, OTHERS, head_radius=400)[0] == pytest.approx(np.full((NUM_LANDMARKS, 2), 40.0))
    # every film says exactly the same, so there is no error to learn from
    assert moved.radii_on_film(OTHERS, OTHERS, head_radius=400)[0] == pytest.approx(OTHERS)


def reviewed(films: int, **steps: float) -> Profile:
    """A profile of films on which a reviewer moved some landmarks, each film by another step, and left the others."""
    random = np.random.default_rng(5)
    # tables round to hundredths of a pixel
    said = random.uniform(-3e-5, 3e-5, size=(films, NUM_LANDMARKS, 2))
    for symbol, size in steps.items():
        said[:, SYMBOLS.index(symbol)] += size * random.normal(size=(films, 2))
    evidence = tuple(
        FilmEvidence(picture=f"{number:016x}", steps=tuple((x, y) for x, y in film)) for number, film in enumerate(said)
    )
    return profile(films=films, evidence=evidence, landmarks={}, radii=learned_radii(np.linalg.norm(said, axis=2)))


@pytest.mark.parametrize("films", [3, 10, 25])
@pytest.mark.parametrize("steps", [{}, {"Po": 0.02}], ids=["nothing is moved", "Porion is moved"])
def test_points_that_nobody_placed_do_not_change_a_radius(films: int, steps: dict[str, float]) -> None:
    taught = reviewed(films, **steps)
    radii, supported = taught.radii_on_film(OTHERS, OTHERS, head_radius=400)
    placed = np.array([symbol in steps for symbol in SYMBOLS])
    assert radii[~placed] == pytest.approx(OTHERS[~placed])
    # its own films tell how far off Porion may be, if there are enough
    own = placed & (films >= FILMS_FOR_A_RADIUS)
    assert supported.tolist() == own.tolist()
    assert (radii[own] > 1.2 * OTHERS[own]).all()


def test_a_landmark_that_was_left_on_many_films_has_no_errors() -> None:
    errors = np.full((10, NUM_LANDMARKS), 0.02)
    errors[0, 0], errors[:2, 1], errors[:3, 2] = np.nan, 0, 0.0002
    placed = errors_of_placed_points(errors)
    assert np.isfinite(placed).sum(axis=0).tolist() == [9, 8, 0] + [10] * (NUM_LANDMARKS - 3)
    assert np.nanmin(placed) == 0.02


def test_an_older_profile_with_radii_of_points_that_nobody_placed() -> None:
    radius = ProfileRadius(films=20, within_90=0.0, within_95=0.0)
    taught = clinic_of(20, (0.0, 0.0), landmarks={}, radii=dict.fromkeys(SYMBOLS, radius))
    radii, supported = taught.radii_on_film(OTHERS, OTHERS, head_radius=400)
    assert radii == pytest.approx(OTHERS)
    assert not supported.any()


def test_a_profile_without_evidence_changes_no_radius() -> None:
    radii, supported = profile(landmarks={}).radii_on_film(OTHERS, OTHERS, head_radius=400)
    assert radii == pytest.approx(OTHERS)
    assert not supported.any()
