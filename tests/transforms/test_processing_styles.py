"""What each style of the detector, its computer and scanners does to grey values."""

from __future__ import annotations

import numpy as np
import pytest
from style_views import phantom, view

from monai_ceph.transforms.styles import STYLES
from monai_ceph.transforms.styles.filters import blurred
from monai_ceph.transforms.styles.rand_local_contrast import equalized

SEEDS = range(12)
HERE = view()
FILM = phantom()[0][0].numpy()


def changed(name: str, seed: int, film: np.ndarray = FILM) -> np.ndarray:
    return STYLES[name].draw(HERE, np.random.RandomState(seed))(film.copy())


def detail(film: np.ndarray) -> float:
    """Return how much neighbouring pixels differ."""
    return float(np.abs(np.diff(film, axis=0)).mean() + np.abs(np.diff(film, axis=1)).mean())


class TestBlurred:
    @pytest.mark.parametrize("sigma", [0.5, 1.5, 4, 12])
    def test_a_point_becomes_a_gaussian(self, sigma: float) -> None:
        film = np.zeros((161, 121), np.float32)
        film[80, 60] = 1
        found = blurred(film, sigma)
        assert found.sum() == pytest.approx(1, rel=0.02)
        rows = np.arange(161) - 80
        assert (found.sum(axis=1) @ rows**2) ** 0.5 == pytest.approx(sigma, rel=0.15)
        # at its place, within a part of its width
        assert found.sum(axis=1) @ rows == pytest.approx(0, abs=0.15 * sigma)

    def test_an_even_film_stays_even(self) -> None:
        for sigma in (0.1, 1, 7, 40):
            np.testing.assert_allclose(blurred(np.full((30, 50), 0.3, np.float32), sigma), 0.3, atol=1e-5)


def test_edge_enhancement_adds_detail() -> None:
    gains = [detail(changed("edge_enhancement", seed)) / detail(FILM) for seed in SEEDS]
    assert min(gains) > 1.02
    assert max(gains) > 1.8


class TestLocalContrast:
    def test_a_slope_of_1_changes_nothing(self) -> None:
        np.testing.assert_allclose(equalized(FILM, (3, 2), 1.0), FILM, atol=0.01)

    def test_without_a_limit_one_tile_spreads_the_grey_values_evenly(self) -> None:
        found = equalized(0.4 + 0.2 * FILM, (1, 1), 1000.0)
        ranks = (0.4 + 0.2 * FILM).ravel().argsort().argsort() / FILM.size
        assert np.abs(found.ravel() - ranks).mean() < 0.02

    def test_one_tile_keeps_the_order(self) -> None:
        found = equalized(FILM, (1, 1), 3.0)
        order = FILM.ravel().argsort()
        assert (np.diff(found.ravel()[order]) > -0.01).all()

    def test_tiles_leave_no_edges(self) -> None:
        ramp = np.linspace(0.3, 0.5, 120, dtype=np.float32)[None].repeat(90, axis=0)
        found = equalized(ramp, (3, 4), 4.0)
        assert np.abs(np.diff(found, axis=1)).max() < 5 * np.diff(ramp, axis=1).max() + 0.005

    def test_dark_parts_get_more_contrast(self) -> None:
        dark = 0.05 * FILM
        assert min(detail(changed("local_contrast", seed, dark)) for seed in SEEDS) > 1.1 * detail(dark)


def test_scatter_takes_contrast() -> None:
    losses = [changed("scatter", seed).std() / FILM.std() for seed in SEEDS]
    assert max(losses) < 1
    assert min(losses) < 0.8
    assert all(detail(changed("scatter", seed)) < detail(FILM) for seed in SEEDS)


def test_grid_lines_run_one_way() -> None:
    for seed in SEEDS:
        lines = changed("grid_lines", seed, np.full(HERE.size, 0.5, np.float32)) - 0.5
        along = min(np.abs(np.diff(lines, axis=0)).mean(), np.abs(np.diff(lines, axis=1)).mean())
        across = max(np.abs(np.diff(lines, axis=0)).mean(), np.abs(np.diff(lines, axis=1)).mean())
        assert along < 0.25 * across
        assert 0.002 < lines.std() < 0.1


def test_detectors_are_sharper_and_blurrier() -> None:
    gains = [detail(changed("detector", seed)) / detail(FILM) for seed in range(20)]
    assert min(gains) < 0.9
    assert max(gains) > 1.1


class TestQuantumNoise:
    def test_it_is_stronger_behind_bone(self) -> None:
        dark, bright = (np.full(HERE.size, grey, np.float32) for grey in (0.2, 0.9))
        noises = [[(changed("quantum_noise", seed, film) - film).std() for film in (dark, bright)] for seed in SEEDS]
        assert all(behind_air <= behind_bone * 1.001 for behind_air, behind_bone in noises)
        assert max(behind_bone / behind_air for behind_air, behind_bone in noises) > 1.5

    def test_the_mean_stays(self) -> None:
        assert all(abs((changed("quantum_noise", seed) - FILM).mean()) < 0.005 for seed in SEEDS)


class TestPixels:
    def test_nothing_moves(self) -> None:
        rows, columns = np.indices(HERE.size)
        dot = np.exp(-((rows - 150.3) ** 2 + (columns - 100.7) ** 2) / (2 * 6**2)).astype(np.float32)
        for seed in SEEDS:
            found = changed("pixels", seed, dot) ** 3
            place = np.array([(found * rows).sum(), (found * columns).sum()]) / found.sum()
            np.testing.assert_allclose(place, [150.3, 100.7], atol=0.35)

    def test_something_is_lost(self) -> None:
        losses = [np.abs(changed("pixels", seed) - FILM).mean() for seed in SEEDS]
        assert min(losses) > 0
        assert max(losses) < 0.05


def test_a_scan_keeps_the_order_of_neighbours() -> None:
    """Yellowing and uneven light are smooth."""
    for seed in SEEDS:
        found = changed("film_scan", seed)
        steps, before = np.diff(found, axis=1), np.diff(FILM, axis=1)
        strong = np.abs(before) > 0.05
        assert (np.sign(steps[strong]) == np.sign(before[strong])).mean() > 0.99
        assert np.ptp(found) < np.ptp(FILM) + 0.35


def test_scratches_and_dust_are_small() -> None:
    for seed in SEEDS:
        share = (np.abs(changed("scratches", seed) - FILM) > 0.02).mean()
        assert 0 < share < 0.08
