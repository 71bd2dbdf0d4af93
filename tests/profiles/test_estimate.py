"""Statistics on simulated films whose true offsets are known."""

from __future__ import annotations

import numpy as np
import pytest

from monai_ceph.profiles.estimate import estimate

MARKS = 19
# standard deviation of a person's points along an axis, by landmark: from 0.3 to 1.5
NOISE = np.geomspace(0.3, 1.5, MARKS)
TRUE = np.zeros((MARKS, 2))
TRUE[:6] = [(2.0, 1.0), (-1.5, 0.5), (0.0, 2.5), (1.0, -1.0), (-2.0, -2.0), (3.0, 0.0)]


def films(count: int, seed: int, offsets: np.ndarray = TRUE) -> np.ndarray:
    """Residuals of ``count`` films: the offsets and noise."""
    noise = np.random.default_rng(seed).normal(size=(count, MARKS, 2)) * NOISE[:, None]
    return offsets + noise


def test_the_offset_is_near_the_true_one() -> None:
    found = estimate(films(20, seed=1))
    assert found.kept[:6].all()
    # four standard errors of the mean
    assert (np.linalg.norm(found.offsets - TRUE, axis=1)[:6] < 4 * NOISE[:6] / 20**0.5).all()
    assert found.films.tolist() == [20] * MARKS
    assert found.after[:, :6].mean() < 0.5 * found.before[:, :6].mean()


@pytest.mark.parametrize("count", [3, 5, 10])
def test_noise_seldom_gives_a_profile(count: int) -> None:
    """By the false discovery rate, 5 % of clinics without habits of their own get an offset of any landmark."""
    wrong = sum(estimate(films(count, seed, 0 * TRUE)).kept.any() for seed in range(200))
    assert wrong <= 20


def test_few_of_the_landmarks_that_move_are_chance() -> None:
    """Above the nominal 5 %, because the noisiest landmarks borrow a variance that is too small for them."""
    kept = np.array([estimate(films(10, seed)).kept for seed in range(50)])
    assert kept[:, :6].mean() > 0.98
    assert kept[:, 6:].sum() / kept.sum() < 0.1


def test_one_wrong_film_of_ten_does_not_turn_it() -> None:
    apart, without = [], []
    for seed in range(20):
        right = films(10, seed)
        wrong = right.copy()
        # another film's points, or points in another unit
        wrong[0] = np.random.default_rng(seed).normal(scale=40, size=(MARKS, 2))
        found, before = estimate(wrong), estimate(right)
        assert found.kept[:6].all()
        apart.append(np.linalg.norm(found.offsets - before.offsets, axis=1)[:6] / NOISE[:6])
        without.append(np.linalg.norm(wrong.mean(axis=0) - right.mean(axis=0), axis=1)[:6] / NOISE[:6])
    assert np.mean(apart) < 0.4
    assert np.mean(without) > 10


def test_one_wrong_film_of_three_gives_nothing_wrong() -> None:
    for seed in range(20):
        residuals = films(3, seed, 0 * TRUE)
        residuals[0] += 40
        assert not estimate(residuals).kept.any()


def test_an_offset_is_shrunk_by_its_variance() -> None:
    few, many = (estimate(films(count, seed=3)) for count in (4, 100))
    for found, residuals in ((few, films(4, seed=3)), (many, films(100, seed=3))):
        lengths, means = np.linalg.norm(found.offsets, axis=1), np.linalg.norm(residuals.mean(axis=0), axis=1)
        assert (lengths[found.kept] < 1.2 * means[found.kept]).all()
    assert np.linalg.norm(many.offsets[4]) == pytest.approx(8**0.5, rel=0.05)


def test_films_that_agree_give_their_offset() -> None:
    residuals = np.tile(TRUE, (4, 1, 1))
    found = estimate(residuals)
    assert found.kept.tolist() == [True] * 6 + [False] * 13
    assert found.offsets == pytest.approx(TRUE)
    assert found.after == pytest.approx(np.zeros((4, MARKS)))
    assert found.before[0, 0] == pytest.approx(5**0.5)


def test_points_that_were_only_accepted_give_nothing() -> None:
    found = estimate(np.zeros((5, MARKS, 2)))
    assert not found.kept.any()
    assert not found.offsets.any()


def test_a_landmark_on_two_films_is_left_out() -> None:
    residuals = np.tile(TRUE, (5, 1, 1))
    residuals[2:, 0] = np.nan
    found = estimate(residuals)
    assert found.films[:2].tolist() == [2, 5]
    assert found.kept[:6].tolist() == [False, True, True, True, True, True]
    assert np.isnan(found.after[2:, 0]).all()
    assert found.after[0, 0] == found.before[0, 0]


def test_a_landmark_on_no_film() -> None:
    residuals = films(5, seed=5)
    residuals[:, 7] = np.nan
    found = estimate(residuals)
    assert (found.films[7], bool(found.kept[7]), found.offsets[7].tolist()) == (0, False, [0.0, 0.0])
    assert np.isfinite(found.offsets).all()


def test_leave_one_out_tells_what_new_films_show() -> None:
    """Its mean error is that of films that were not learned from, within what is chance."""
    said, true = [], []
    for seed in range(30):
        found = estimate(films(8, seed))
        new = films(40, 1000 + seed)
        said.append(found.after.mean())
        true.append(np.linalg.norm(new - found.offsets, axis=2).mean())
    assert np.mean(said) == pytest.approx(np.mean(true), rel=0.04)
