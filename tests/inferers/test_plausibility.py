from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import radiograph

from monai_ceph import weights
from monai_ceph.errors import RejectedError
from monai_ceph.inferers.plausibility import check_film, check_landmarks, shape_residual
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.readers import Radiograph

LIMITS = {"max_shape_residual": 0.25, "min_mean_score": 0.2, "min_evidence": 0.3}
MEAN = np.array(weights.model()["mean_shape"])
GOOD = np.ones(NUM_LANDMARKS)
TURN = np.array([[0, -1], [1, 0]])


def mapped(points: np.ndarray, size: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return size * points @ turn.T + shift


similarities = st.tuples(
    st.floats(0.01, 5000), st.floats(-math.pi, math.pi), st.tuples(*[st.floats(-10000, 10000)] * 2)
)


class TestShapeResidual:
    @given(similarities)
    def test_the_mean_shape_itself(self, similarity: tuple) -> None:
        size, angle, shift = similarity
        assert shape_residual(mapped(MEAN, size, angle, shift), MEAN) == pytest.approx(0, abs=1e-5)

    @given(similarities, st.integers(0, 2**32 - 1))
    def test_does_not_depend_on_turn_size_and_place(self, similarity: tuple, seed: int) -> None:
        shape = MEAN + np.random.default_rng(seed).normal(0, 0.2, MEAN.shape)
        size, angle, shift = similarity
        expected = shape_residual(shape, MEAN)
        assert shape_residual(mapped(shape, size, angle, shift), MEAN) == pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize("mirror", [(1, -1), (-1, 1)])
    def test_a_mirrored_head_is_no_head(self, mirror: tuple[int, int]) -> None:
        assert shape_residual(MEAN * mirror, MEAN) > 0.5

    def test_exact_on_a_cross(self) -> None:
        # a cross with arms of 1; the found one has vertical arms of 3, so the best map doubles it: every arm ends
        # 1 away from its place at 2
        cross = np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]])
        found = np.array([[-3.0, 0], [3, 0], [0, -1], [0, 1]])
        assert shape_residual(found, cross) == pytest.approx(0.5)
        assert shape_residual(100 * found @ TURN + (7, -9), cross) == pytest.approx(0.5)

    def test_landmarks_that_are_not_known_do_not_count(self) -> None:
        found = mapped(MEAN, 300, 0.2, (900, 800))
        found[4] = np.nan
        found[9, 1] = np.nan
        assert shape_residual(found, MEAN) == pytest.approx(0, abs=1e-9)
        found[5] += 400
        kept = np.isfinite(found).all(axis=1)
        assert shape_residual(found, MEAN) == pytest.approx(shape_residual(found[kept], MEAN[kept]))

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_too_few_to_judge(self, count: int) -> None:
        found = np.full_like(MEAN, np.nan)
        found[:count] = MEAN[:count]
        assert shape_residual(found, MEAN) == math.inf

    def test_all_in_one_place(self) -> None:
        assert shape_residual(np.full_like(MEAN, 7.0), MEAN) == math.inf


class TestCheckLandmarks:
    @pytest.mark.parametrize("evidence", [0.3, 1.0, None])
    def test_a_head(self, evidence: float | None) -> None:
        assert check_landmarks(mapped(MEAN, 600, 0.1, (1300, 900)), GOOD, evidence, MEAN, **LIMITS) is None

    @pytest.mark.parametrize("evidence", [0.0, 0.29])
    def test_no_head_is_seen(self, evidence: float) -> None:
        problem = check_landmarks(MEAN, GOOD, evidence, MEAN, **LIMITS)
        assert problem == f"no head is seen, however the image is turned (evidence {evidence:.2f}, below 0.3)"

    def test_low_scores(self) -> None:
        problem = check_landmarks(MEAN, 0.1 * GOOD, None, MEAN, **LIMITS)
        assert problem == "the landmarks' mean score is 0.10, below 0.2"

    def test_scores_of_landmarks_that_are_missing_do_not_count(self) -> None:
        points, scores = MEAN.copy(), 0.25 * GOOD
        points[:6], scores[:6] = np.nan, 0.0
        assert check_landmarks(points, scores, 1.0, MEAN, **LIMITS) is None
        scores[:6], scores[6:] = 1.0, 0.1
        assert check_landmarks(points, scores, 1.0, MEAN, **LIMITS) == "the landmarks' mean score is 0.10, below 0.2"

    def test_facing_left(self) -> None:
        problem = check_landmarks(MEAN * (1, -1), GOOD, 1.0, MEAN, **LIMITS)
        assert problem is not None
        assert "facing right" in problem
        assert "> 0.25" in problem

    def test_nothing_found(self) -> None:
        problem = check_landmarks(np.full_like(MEAN, np.nan), GOOD, 1.0, MEAN, **LIMITS)
        assert problem == "the landmarks' mean score is 0.00, below 0.2"

    def test_another_mean_shape(self) -> None:
        shape = MEAN * (1.0, 3.0)
        assert check_landmarks(mapped(shape, 600, 0.1, (1300, 900)), GOOD, 1.0, shape, **LIMITS) is None
        problem = check_landmarks(MEAN, GOOD, 1.0, shape, **LIMITS)
        assert problem is not None
        assert "shape residual" in problem

    @pytest.mark.parametrize("count", [1, 2])
    def test_too_few_found(self, count: int) -> None:
        points = np.full_like(MEAN, np.nan)
        points[:count] = MEAN[:count]
        problem = check_landmarks(points, GOOD, 1.0, MEAN, **LIMITS)
        assert problem is not None
        assert "residual inf" in problem


class TestCheckFilm:
    def test_a_film(self) -> None:
        check_film(radiograph(1200, 968))
        check_film(radiograph(128, 128))

    @pytest.mark.parametrize(
        ("rows", "columns", "why"),
        [
            (127, 500, "only 500 x 127 pixels"),
            (300, 100, "only 100 x 300 pixels"),
            (200, 601, "a strip of 601 x 200 pixels"),
            (2000, 300, "a strip of 300 x 2000 pixels"),
        ],
    )
    def test_no_film_by_its_size(self, rows: int, columns: int, why: str) -> None:
        with pytest.raises(RejectedError, match=rf"^folder/a\.png: not a lateral cephalogram: {why}$"):
            check_film(radiograph(rows, columns, "folder/a.png"))

    @pytest.mark.parametrize("value", [0.0, 4095.0])
    def test_a_constant_image(self, value: float) -> None:
        pixels = np.full((300, 300), value, dtype=np.float32)
        with pytest.raises(RejectedError, match=r"^folder/a\.png: .* every pixel has the same value$"):
            check_film(Radiograph(pixels, Path("folder/a.png")))
