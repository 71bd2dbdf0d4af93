from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.readers.grey_limits import GreyLimits, grey_limits

# an ordinary film: 10000 pixels, evenly spread from 0 to 999.9
ANATOMY = np.arange(10000) / 10
ALL = (0.0, 100.0)


def limits(*parts: np.ndarray, max_gap: float | None = 0.4) -> GreyLimits:
    return grey_limits(np.concatenate(parts).astype(np.float32), ALL, max_gap)


def close(found: GreyLimits, low: float, high: float, cut: float) -> None:
    assert (found.low, found.high, found.cut) == pytest.approx((low, high, cut), abs=1e-3)


@given(seed=st.integers(0, 99), lower=st.floats(0, 20), upper=st.floats(60, 100))
def test_without_a_gap_they_are_percentiles(seed: int, lower: float, upper: float) -> None:
    sample = np.random.RandomState(seed).uniform(100, 300, (40, 31)).astype(np.float32)
    low, high = np.percentile(sample, (lower, upper)).tolist()
    assert grey_limits(sample, (lower, upper), 0.4) == GreyLimits(low, high, 0.0)
    assert grey_limits(sample, (lower, upper), None) == GreyLimits(low, high, 0.0)


class TestCutOff:
    """The limits are the range of the anatomy, with 5 % added at the end where something was cut off."""

    def test_markers_at_the_highest_value(self) -> None:
        close(limits(ANATOMY, np.full(300, 4095)), 0, 999.9 + 49.995, 300 / 10300)

    def test_outliers_far_below(self) -> None:
        close(limits(ANATOMY, np.full(300, -3000)), -49.995, 999.9, 300 / 10300)

    def test_both_ends(self) -> None:
        found = limits(ANATOMY, np.full(300, -3000), np.full(400, 4095))
        close(found, -49.995, 999.9 + 49.995, 700 / 10700)

    def test_two_far_values_at_one_end(self) -> None:
        close(limits(ANATOMY, np.full(300, 3000), np.full(300, 9000)), 0, 999.9 + 49.995, 600 / 10600)

    def test_air_that_is_most_of_the_film(self) -> None:
        """Air has one value, the anatomy many."""
        close(limits(ANATOMY, np.full(25000, -3000)), -49.995, 999.9, 25 / 35)

    def test_a_small_part_with_more_grey_values_than_the_anatomy(self) -> None:
        close(limits(ANATOMY, np.linspace(10000, 16383, 500)), 0, 999.9 + 49.995, 500 / 10500)

    @pytest.mark.parametrize("edge", [30, 100, 190])
    def test_soft_edges_that_fill_the_gap(self, edge: int) -> None:
        soft = np.concatenate((ANATOMY, np.linspace(1000, 4095, edge), np.full(300, 4095)))
        found = grey_limits(soft, (0.5, 99.5), 0.4)
        sharp = grey_limits(np.concatenate((ANATOMY, np.full(300, 4095))), (0.5, 99.5), 0.4)
        assert found.low == pytest.approx(sharp.low, abs=6)
        assert found.high == pytest.approx(sharp.high, abs=6)
        assert found.cut == pytest.approx((300 + edge) / (10300 + edge), abs=0.005)

    def test_percentiles_of_the_remaining_pixels(self) -> None:
        sample = np.concatenate((ANATOMY, np.full(300, 4095)))
        found = grey_limits(sample, (0.5, 99.5), 0.4)
        low, high = np.percentile(ANATOMY, (0.5, 99.5))
        close(found, low, high + 0.05 * (high - low), 300 / 10300)


class TestKept:
    def test_a_gap_that_is_not_wide_enough(self) -> None:
        # the gap is 0.375 of the range 0..1600
        assert limits(ANATOMY, np.full(300, 1600)) == limits(ANATOMY, np.full(300, 1600), max_gap=None)
        assert limits(ANATOMY, np.full(300, 1700)).cut > 0

    def test_bright_pixels_beyond_the_percentile(self) -> None:
        """The percentile clips them already."""
        sample = np.concatenate((ANATOMY, np.full(30, 4095)))
        assert grey_limits(sample, (0.5, 99.5), 0.4) == grey_limits(sample, (0.5, 99.5), None)

    def test_two_grey_values(self) -> None:
        """If one were cut off, a single value would remain, which shows nothing."""
        assert limits(np.zeros(5000), np.full(5000, 255)) == GreyLimits(0, 255, 0)


@pytest.mark.parametrize("sample", [np.zeros(0), np.zeros((0, 3))])
def test_empty_sample(sample: np.ndarray) -> None:
    assert grey_limits(sample, ALL, 0.4) == GreyLimits(0, 0, 0)


def test_a_single_value() -> None:
    assert grey_limits(np.full((4, 5), 7), ALL, 0.4) == GreyLimits(7, 7, 0)


@given(seed=st.integers(0, 99), end=st.sampled_from([-9.0, 20.0]), share=st.sampled_from([0.03, 0.3]))
def test_the_negative_has_the_limits_of_the_film(seed: int, end: float, share: float) -> None:
    generator = np.random.RandomState(seed)
    sample = generator.normal(0, 1, 3000)
    sample[: round(3000 * share)] = end
    film = grey_limits(sample, (0.5, 99.5), 0.4)
    negative = grey_limits(-generator.permutation(sample), (0.5, 99.5), 0.4)
    assert film.cut == pytest.approx(share, abs=0.005)
    close(negative, -film.high, -film.low, film.cut)
