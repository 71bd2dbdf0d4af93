from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_ceph.analysis.agreement import agreement, dahlberg_error, intraclass_correlation

# the worked example of Shrout and Fleiss 1979, table 2, as textbooks and the R package psych repeat it
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def test_icc_of_the_example_of_shrout_and_fleiss() -> None:
    # their mean squares: 11.24 between targets, 32.49 between judges, 1.02 residual
    assert intraclass_correlation(JUDGES) == pytest.approx(0.2898, abs=1e-4)


def test_icc_of_readings_that_differ_by_a_constant() -> None:
    # (2, 4), (4, 6), (6, 8): consistent, with an absolute agreement of 2/3
    assert intraclass_correlation(np.array([[2.0, 4], [4, 6], [6, 8]])) == pytest.approx(2 / 3)


def test_icc_leaves_out_films_that_one_reader_lacks() -> None:
    with_gap = np.vstack((JUDGES, [5, math.nan, 5, 5]))
    assert intraclass_correlation(with_gap) == intraclass_correlation(JUDGES)
    assert math.isnan(intraclass_correlation(JUDGES[:1]))
    assert math.isnan(intraclass_correlation(np.ones((4, 2))))


def test_icc_needs_two_films_and_two_readers() -> None:
    # (1, 1), (2, 2) in tenths: no difference between readers
    assert intraclass_correlation(np.array([[0.1, 0.1], [0.2, 0.2]])) == pytest.approx(1)
    assert math.isnan(intraclass_correlation(np.array([[1.0], [2.0], [3.0]])))


def test_dahlberg() -> None:
    # differences 3, -4, 0: sqrt(25 / 6)
    assert dahlberg_error(np.array([3.0, -4, math.nan, 0])) == pytest.approx(math.sqrt(25 / 6))
    assert math.isnan(dahlberg_error(np.array([math.nan])))


def test_agreement_by_hand() -> None:
    result = agreement(np.array([1.0, 4, math.nan, 7, 5]), np.array([2.0, 2, 2, 4, math.nan]))
    # differences -1, 2, 3
    assert (result.films, result.missing) == (4, 1)
    assert result.mean_absolute == 2
    assert result.bias == pytest.approx(4 / 3)
    sd = math.sqrt(((-7 / 3) ** 2 + (2 / 3) ** 2 + (5 / 3) ** 2) / 2)
    assert result.sd == pytest.approx(sd)
    assert result.low == pytest.approx(4 / 3 - 1.96 * sd)
    assert result.high == pytest.approx(4 / 3 + 1.96 * sd)
    assert result.dahlberg == pytest.approx(math.sqrt(14 / 6))


def test_too_few_films_are_null_in_the_json() -> None:
    one = agreement(np.array([1.0]), np.array([2.0])).as_dictionary()
    assert (one["films"], one["bias"], one["sd"], one["icc"]) == (1, -1.0, None, None)
    none = agreement(np.array([1.0]), np.array([math.nan])).as_dictionary()
    assert (none["films"], none["missing"], none["mean_absolute"]) == (0, 0, None)


READINGS = arrays(np.float64, (5, 2), elements=st.floats(-100, 100, width=16))


@given(READINGS, st.floats(0.5, 4), st.floats(-50, 50))
def test_icc_does_not_depend_on_unit_and_zero(readings: np.ndarray, factor: float, shift: float) -> None:
    before, after = intraclass_correlation(readings), intraclass_correlation(readings * factor + shift)
    if math.isfinite(before) and readings.std() > 1e-3:
        assert after == pytest.approx(before, abs=1e-6)
        assert before <= 1 + 1e-9


@given(READINGS)
def test_dahlberg_is_half_of_the_mean_square(readings: np.ndarray) -> None:
    result = agreement(readings[:, 0], readings[:, 1])
    n = len(readings)
    assert 2 * result.dahlberg**2 == pytest.approx(result.sd**2 * (n - 1) / n + result.bias**2, abs=1e-6)
