"""Where each part of a machine is, and what it looks like."""

from __future__ import annotations

import math

import numpy as np
import pytest
from style_views import view

from monai_ceph.transforms.styles import STYLES
from monai_ceph.transforms.styles.rand_tracing import _dots

SEEDS = range(20)
HERE = view(zoom=2.0)


def drawn(name: str, seed: int, grey: float = 0.2) -> np.ndarray:
    return STYLES[name].draw(HERE, np.random.RandomState(seed))(np.full(HERE.size, grey, np.float32))


def places(name: str, seed: int) -> np.ndarray:
    """Return the (row, column) of the pixels that a style changed."""
    return np.argwhere(np.abs(drawn(name, seed) - 0.2) > 0.01).astype(float)


def in_mm(points: np.ndarray, anchor: str) -> tuple[np.ndarray, np.ndarray]:
    """Return how far points lie in front of and below a landmark, in mm."""
    steps = (points - HERE.points[anchor]) / HERE.per_mm
    return steps @ HERE.anterior, steps @ HERE.inferior


class TestEarRods:
    def test_they_are_around_porion(self) -> None:
        middles, sizes = [], []
        for seed in SEEDS:
            front, below = in_mm(places("ear_rods", seed), "Po")
            assert np.hypot(front, below).max() < 45
            middles.append([np.mean(front), np.mean(below)])
            sizes.append(np.ptp(front))
        assert np.abs(np.mean(middles, axis=0)).max() < 5
        # offset in any direction
        assert np.std(middles, axis=0).min() > 2
        assert min(sizes) < 8
        assert max(sizes) > 16

    def test_they_brighten(self) -> None:
        brightest = [drawn("ear_rods", seed).max() for seed in SEEDS]
        assert all(0.2 < grey <= 1 for grey in brightest)
        # from plastic to metal
        assert min(brightest) < 0.65
        assert max(brightest) > 0.9

    def test_a_patch_elsewhere_has_none(self) -> None:
        assert STYLES["ear_rods"].reaches(HERE)
        far = view((60, 60))
        assert not STYLES["ear_rods"].reaches(far)


def test_faded_rods_take_the_ring_away_and_nothing_else() -> None:
    ear = HERE.points["Po"]
    rows, columns = np.indices(HERE.size)
    distance = np.hypot(rows - ear[0], columns - ear[1]) / HERE.per_mm
    ring = (0.3 + 0.5 * (np.abs(distance - 8) < 0.8)).astype(np.float32)
    contrasts = []
    for seed in SEEDS:
        faded = STYLES["faded_rods"].draw(HERE, np.random.RandomState(seed))(ring.copy())
        assert np.array_equal(faded[distance > 60], ring[distance > 60])
        contrasts.append((faded[np.abs(distance - 8) < 0.8].mean() - faded[distance < 4].mean()) / 0.5)
    assert np.median(contrasts) < 0.5


def test_the_nasion_rest_comes_from_the_front() -> None:
    for seed in SEEDS:
        front, below = in_mm(places("nasion_rest", seed), "N")
        assert front.min() > -7
        assert np.hypot(front, below).min() < 18
        # the arm leaves the face
        assert front.max() > 10


def test_chin_rests_are_below_the_chin_and_bite_rods_between_the_incisors() -> None:
    kinds = set()
    for seed in SEEDS:
        points = places("chin_rest", seed)
        front, below = in_mm(points, "UI")
        chin_front, chin_below = in_mm(points, "Me")
        if below.max() < 22:
            kinds.add("bite")
            assert np.abs(below[np.abs(front) < 4]).max() < 12
            assert front.min() > -22
        else:
            kinds.add("chin")
            # a front wall is in front of the chin
            assert chin_below[chin_front < 0].min() > -20
    assert kinds == {"bite", "chin"}


def test_head_holders_are_translucent() -> None:
    for seed in SEEDS:
        film = drawn("head_holder", seed)
        assert film.min() >= 0.2 - 1e-6
        assert film.max() <= 1 - 0.8 * 0.75**3 + 1e-5


def test_a_ruler_has_regular_ticks() -> None:
    found = 0
    for seed in range(40):
        film = drawn("ruler", seed)
        points = np.argwhere(film > 0.21)
        if len(points) < 200:
            continue
        (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
        assert max(bottom - top, right - left) <= math.hypot(150, 12) * HERE.per_mm + 3
        upright = bottom - top > right - left
        profile = film[top : bottom + 1, left : right + 1].mean(axis=1 if upright else 0)
        profile = profile[8:-8] - profile[8:-8].mean()
        spectrum = np.abs(np.fft.rfft(profile * np.hanning(len(profile))))
        # most of what varies along the ruler is in a few sharp lines
        found += bool(np.sort(spectrum[2:])[-6:].sum() > 0.4 * spectrum[2:].sum())
    assert found > 15


def test_a_wedge_brightens_the_front_only() -> None:
    for seed in SEEDS:
        film = drawn("wedge", seed)
        rows, columns = np.indices(HERE.size)
        front, below = in_mm(np.stack((rows, columns), axis=-1).reshape(-1, 2).astype(float), "A")
        front, flat = front.reshape(HERE.size), film
        behind = (front < -85) & (np.abs(below.reshape(HERE.size)) < 60)
        assert np.allclose(flat[behind], 0.2)
        assert flat[front > 45].mean() > 0.22


class TestCollimator:
    def test_all_landmarks_are_inside(self) -> None:
        for seed in SEEDS:
            film = drawn("collimator", seed)
            for row, column in HERE.points.values():
                reach = round(2 * HERE.per_mm)
                part = film[
                    round(row) - reach : round(row) + reach + 1, round(column) - reach : round(column) + reach + 1
                ]
                assert np.allclose(part, 0.2)

    def test_outside_is_one_grey_value(self) -> None:
        levels = []
        for seed in SEEDS:
            values, counts = np.unique(np.round(drawn("collimator", seed), 4), return_counts=True)
            others = [value for value, count in zip(values, counts, strict=True) if count > 3000 and value != 0.2]
            assert len(others) <= 1
            levels += others
        assert {0.0, 1.0} <= set(levels)


def test_dental_work_is_at_the_teeth() -> None:
    for seed in SEEDS:
        points = places("dental_work", seed)
        front, below = in_mm(points, "UI")
        assert front.min() > -90
        assert front.max() < 8
        assert np.abs(below).max() < 60
        assert drawn("dental_work", seed).max() > 0.4


class TestTracing:
    def test_dots_are_not_the_landmarks(self) -> None:
        """Half of the dots are near no landmark, and those near one lie 1 to 9 mm off in any direction."""
        offsets, decoys, total = [], 0, 0
        for seed in range(60):
            dots = _dots(HERE, np.random.RandomState(seed))
            for place, symbol in dots:
                total += 1
                away = (place - HERE.points[symbol]) / HERE.per_mm
                if np.hypot(*away) > 9.001:
                    decoys += 1
                else:
                    assert np.hypot(*away) > 0.99
                    offsets.append(away)
        assert decoys > 0.2 * total
        assert np.abs(np.mean(offsets, axis=0)).max() < 0.5
        assert np.median(np.hypot(*np.transpose(offsets))) > 3

    def test_ink_is_bright_or_dark(self) -> None:
        films = [drawn("tracing", seed, 0.5) for seed in SEEDS]
        assert any(film.min() < 0.3 for film in films)
        assert any(film.max() > 0.7 for film in films)
        # thin: most of the film stays as it is
        assert all(np.isclose(film, 0.5).mean() > 0.85 for film in films)


def test_writing_is_legible() -> None:
    """Sharp strokes: between ink and none there are few pixels."""
    for seed in SEEDS:
        film = drawn("writing", seed, 0.5)
        changed = np.abs(film - 0.5) > 0.02
        assert 0 <= changed.mean() < 0.35
    assert sum((np.abs(drawn("writing", seed, 0.5) - 0.5) > 0.15).any() for seed in SEEDS) > 15


@pytest.mark.parametrize("name", ["dental_work", "nasion_rest", "chin_rest", "wedge"])
def test_a_head_that_faces_left_gets_the_mirror_image(name: str) -> None:
    columns = HERE.size[1]
    mirrored = type(HERE)(
        HERE.size,
        HERE.per_mm,
        {symbol: np.array([row, columns - 1 - column]) for symbol, (row, column) in HERE.points.items()},
        HERE.anterior * [1, -1],
        HERE.inferior * [1, -1],
    )
    for seed in range(5):
        found = STYLES[name].draw(mirrored, np.random.RandomState(seed))(np.full(HERE.size, 0.2, np.float32))
        np.testing.assert_allclose(found[:, ::-1], drawn(name, seed), atol=1e-3)
