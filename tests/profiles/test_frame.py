from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph import weights
from monai_ceph.profiles.frame import head_frame

SHAPE = np.array(weights.mean_shape())[:, ::-1]
HEAD = SHAPE - SHAPE.mean(axis=0)
HEAD = HEAD / np.sqrt((HEAD**2).sum(axis=1).mean())


def film(seed: int = 0, spread: float = 0.04) -> np.ndarray:
    """A head that differs from the mean: radius 400 pixels, upright, facing right."""
    return 400 * (HEAD + np.random.default_rng(seed).normal(scale=spread, size=HEAD.shape)) + (900, 1000)


def laid(
    points: np.ndarray, degrees: float, size: float, shift: tuple[float, float], mirrored: bool, aspect: float
) -> np.ndarray:
    """The same head turned, sized, moved and mirrored, on a film with other pixels."""
    angle = np.radians(degrees)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned: np.ndarray = (points * (-1 if mirrored else 1, 1)) @ turn.T + shift
    return turned / (1, aspect)


def test_the_mean_head() -> None:
    frame = head_frame(400 * HEAD + (7, 9), SHAPE)
    assert frame is not None
    assert frame.radius == pytest.approx(400)
    # x forward, y down
    assert frame.to_film(np.array([0.1, -0.02])) == pytest.approx((40, -8))
    assert frame.to_head(np.array([40.0, -8.0])) == pytest.approx((0.1, -0.02))


def test_forward_is_left_on_a_film_that_faces_left() -> None:
    frame = head_frame(400 * HEAD * (-1, 1), SHAPE)
    assert frame is not None
    assert frame.to_film(np.array([0.1, 0.2])) == pytest.approx((-40, 80))


@given(
    degrees=st.floats(-180, 180),
    size=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)),
    mirrored=st.booleans(),
    aspect=st.floats(0.5, 2),
    seed=st.integers(0, 1000),
)
def test_tilt_size_place_and_direction_of_the_head_do_not_matter(
    degrees: float, size: float, shift: tuple[float, float], mirrored: bool, aspect: float, seed: int
) -> None:
    points, step = film(seed), np.array([0.03, -0.08])
    straight = head_frame(points, SHAPE)
    other = laid(points, degrees, size, shift, mirrored, aspect)
    frame = head_frame(other, SHAPE, aspect)
    assert straight is not None
    assert frame is not None
    assert frame.radius == pytest.approx(size * straight.radius)
    moved = laid(points + straight.to_film(step), degrees, size, shift, mirrored, aspect)
    assert other + frame.to_film(step) == pytest.approx(moved, abs=1e-6 * size * 400)
    assert frame.to_head(moved - other) == pytest.approx(np.tile(step, (len(SHAPE), 1)), abs=1e-6)


def test_one_wrong_landmark_hardly_turns_the_head() -> None:
    points = film()
    right = head_frame(points, SHAPE)
    points[3] += (600, -500)
    wrong = head_frame(points, SHAPE)
    assert right is not None
    assert wrong is not None
    step = np.array([1.0, 0.0])
    assert np.linalg.norm(wrong.to_film(step) - right.to_film(step)) < 0.02 * right.radius


def test_missing_landmarks_are_left_out() -> None:
    points = 400 * HEAD
    points[5:] = np.nan
    frame = head_frame(points, SHAPE)
    assert frame is not None
    assert frame.radius == pytest.approx(400)
    points[4] = np.nan
    assert head_frame(points, SHAPE) is None


def test_points_in_one_place_are_no_head() -> None:
    assert head_frame(np.full((19, 2), 7.0), SHAPE) is None
