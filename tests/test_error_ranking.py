"""The figures of benchmarks/error_ranking.py on errors and annotations that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_ceph.datasets import Film

pytest.importorskip("scipy", reason="SciPy is not installed (make label)")

from error_ranking import doctors_apart, drawn, over_films


def test_a_doctors_habit_is_not_taken_for_a_difference() -> None:
    # the junior marks every landmark 6 pixels lower than the senior, and the last of film 2 another 10 to the side
    spread = np.zeros((5, 3, 2))
    spread[:, :, 0] = 3
    spread[2, 2, 1] = 5
    films = [
        Film(f"{index}", Path(f"{index}.bmp"), np.full((3, 2), 50.0), 0.1, each) for index, each in enumerate(spread)
    ]
    apart = doctors_apart(films)
    assert apart[2, 2] == pytest.approx(1.0)
    assert np.delete(apart.ravel(), 8) == pytest.approx(np.zeros(14))


def test_films_of_one_doctor_are_named() -> None:
    with pytest.raises(SystemExit, match="film 7 has no points of two doctors"):
        doctors_apart([Film("film 7", Path("7.bmp"), np.zeros((3, 2)), 0.1)])


def test_radii_that_are_the_errors_rank_all_draws_and_radii_of_one_length_none() -> None:
    random = np.random.default_rng(0)
    errors = random.exponential(1.0, (20, 3))
    assert drawn(2 * errors, errors, 1.0, random) == pytest.approx((1.0, 0.0))
    assert drawn(np.ones_like(errors), errors, 1.0, random) == pytest.approx((0.5, 0.0))
    assert over_films(2 * errors, errors, 1.0, random) == pytest.approx(0.0)
    assert over_films(random.permutation(errors), errors, 1.0, random) > 0.03
