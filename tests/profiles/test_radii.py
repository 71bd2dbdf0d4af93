"""Radii of a profile: they cover what they say, on films like those that were learned from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.profiles.estimate import estimate
from monai_ceph.profiles.profile import FILMS_FOR_A_RADIUS, ProfileRadius
from monai_ceph.profiles.radii import conformal_radius, learned_radii


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
