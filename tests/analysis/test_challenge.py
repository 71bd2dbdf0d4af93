"""The eight classes of the ISBI 2015 challenge."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.analysis import Norms, measure
from monai_ceph.analysis.challenge import (
    MEASURES,
    NO_CLASS,
    challenge_classes,
    challenge_values,
    class_agreement,
    corrected_classes,
    film_classes,
)
from monai_ceph.datasets import isbi2015
from monai_ceph.landmarks import SYMBOLS

NAMES = ("ANB", "SNB", "SNA", "ODI", "APDI", "FHI", "FMA", "MW")
COORDINATE = st.integers(400, 1900)


def head(**places: tuple[float, float]) -> np.ndarray:
    """Landmarks (1, 19, 2) of a face whose lines are level or upright, unless places are given, as (x, y)."""
    drawn = {
        **{"S": (800, 1000), "N": (1400, 1000), "Or": (1300, 1200), "Po": (700, 1200), "A": (1400, 1600)},
        **{"B": (1400, 2000), "Pog": (1400, 2200), "Me": (1200, 2300), "Gn": (1300, 2300), "Go": (800, 2300)},
        **{"LI": (1430, 1800), "UI": (1460, 1800), "PNS": (900, 1500), "ANS": (1400, 1500)},
    } | places
    return np.array([[drawn.get(symbol, (500, 500)) for symbol in SYMBOLS]], dtype=float)


@pytest.mark.parametrize(
    ("overjet", "overbite", "classes"),
    [
        ((2.5, 3.5), (-0.5, 0.5), ("normal",)),
        ((2.5, 3.5), (-4.0, 4.0), ("normal", "large overjet")),
        # between 0 and 2 mm there is no class
        ((0.5, 3.5), (-0.5, 0.5), ("normal",)),
        ((-0.5, 3.5), (-0.5, 0.5), ("normal", "anterior cross bite")),
        (None, (-0.5, 0.5), ("normal",)),
    ],
)
def test_the_doubt_of_the_modified_wits_is_that_of_overjet_and_overbite(
    overjet: tuple[float, float] | None, overbite: tuple[float, float], classes: tuple[str, ...]
) -> None:
    """The tips are 3 mm apart, the upper one ahead."""
    places = dict(zip(SYMBOLS, head()[0].tolist(), strict=True))
    found = measure(places, 0.1, turned=0, mirrored=False, norms=Norms())
    intervals = {"Overjet": overjet, "Overbite": overbite}
    changed = [
        each.model_copy(update={"interval": intervals[each.symbol]}) if each.symbol in intervals else each
        for each in found
    ]
    (mw,) = (each for each in film_classes(changed) if each.symbol == "MW")
    assert (mw.classes, mw.certain) == (classes, len(classes) == 1)


def by_hand(points: np.ndarray) -> list[float]:
    """The eight values with an arc cosine and the sign of a cross product, one vector at a time."""
    place = {symbol: (int(x), int(y)) for symbol, (x, y) in zip(SYMBOLS, points.tolist(), strict=True)}

    def vector(start: str, end: str) -> tuple[int, int]:
        return place[end][0] - place[start][0], place[end][1] - place[start][1]

    def angle(u: tuple[int, int], v: tuple[int, int]) -> float:
        cosine = (u[0] * v[0] + u[1] * v[1]) / (math.hypot(*u) * math.hypot(*v))
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))

    def signed(u: tuple[int, int], v: tuple[int, int]) -> float:
        return math.copysign(angle(u, v), u[0] * v[1] - u[1] * v[0] or 1)

    palate = signed(vector("Po", "Or"), vector("PNS", "ANS"))
    sna, snb = (angle(vector("N", "S"), vector("N", end)) for end in "AB")
    facial = vector("N", "Pog")
    return [
        sna - snb,
        snb,
        sna,
        angle(vector("Me", "Go"), vector("B", "A")) + palate,
        angle(vector("Or", "Po"), facial) - signed(facial, vector("A", "B")) + palate,
        math.hypot(*vector("S", "Go")) / math.hypot(*vector("N", "Me")),
        angle(vector("S", "N"), vector("Go", "Gn")),
        math.hypot(*vector("LI", "UI")) / 10,
    ]


@given(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=19, max_size=19, unique=True))
def test_the_values_are_those_of_the_vectors(places: list[tuple[int, int]]) -> None:
    points = np.array([places], dtype=float)
    found, expected = challenge_values(points)[0], by_hand(points[0])
    np.testing.assert_allclose(found[:7], expected[:7], atol=1e-3)
    assert abs(found[7]) == pytest.approx(expected[7])


def test_the_face_whose_lines_are_level() -> None:
    values = dict(zip(NAMES, challenge_values(head())[0], strict=True))
    assert values["ANB"] == 0
    assert values["SNA"] == values["SNB"] == values["ODI"] == values["APDI"] == 90
    assert values["FMA"] == 0
    assert values["FHI"] == pytest.approx(1300 / math.hypot(200, 1300))
    assert values["MW"] == 3
    assert challenge_classes(head())[0].tolist() == [3, 3, 2, 2, 3, 2, 3, 1]


def test_names_and_order() -> None:
    assert tuple(measure.symbol for measure in MEASURES) == NAMES


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([3.2, 74.6, 79.4, 68.4, 77.6, 0.65, 26.8, 2.0], [1] * 8),
        ([5.7, 78.7, 83.2, 80.5, 85.2, 0.75, 31.4, 4.5], [1] * 8),
        ([3.19, 74.5, 79.3, 68.3, 77.5, 0.649, 26.7, -0.1], [3, 2, 3, 3, 2, 3, 3, 3]),
        ([5.8, 78.8, 83.3, 80.6, 85.3, 0.751, 31.5, 4.6], [2, 3, 2, 2, 3, 2, 2, 4]),
        ([math.nan] * 8, [NO_CLASS] * 8),
    ],
)
def test_limits_belong_to_class_1(values: list[float], classes: list[int]) -> None:
    assert corrected_classes(np.array([values]))[0].tolist() == classes


class TestPeculiarities:
    """What the challenge's code does, and the corrected definition does not."""

    def test_coordinates_are_cut_to_whole_pixels(self) -> None:
        points = head() + 0.99
        np.testing.assert_array_equal(challenge_values(points), challenge_values(head()))

    @pytest.mark.parametrize(
        ("upper", "exact", "corrected"), [(30, 1, 1), (19, 3, NO_CLASS), (0, 2, 2), (-5, 3, 3), (46, 4, 4)]
    )
    def test_a_small_overjet_is_class_3(self, upper: float, exact: int, corrected: int) -> None:
        points = head(UI=(1430 + upper, 1800))
        values = challenge_values(points)
        assert challenge_classes(points)[0, 7] == exact
        assert corrected_classes(values)[0, 7] == corrected

    def test_x_is_compared_as_text(self) -> None:
        points = head(LI=(995, 1800), UI=(1025, 1800))
        assert challenge_values(points)[0, 7] == -3
        assert challenge_classes(points)[0, 7] == 3

    def test_a_missing_landmark_has_no_class_where_it_is_needed(self) -> None:
        classes = challenge_classes(head(B=(math.nan, math.nan)))[0]
        assert [name for name, found in zip(NAMES, classes, strict=True) if found == NO_CLASS] == [
            *("ANB", "SNB", "ODI", "APDI")
        ]


class TestRates:
    """The success classification rate."""

    @staticmethod
    def classes(column: list[int]) -> np.ndarray:
        return np.tile(np.array(column)[:, None], (1, 8))

    def test_the_rate_is_the_mean_of_the_rows(self) -> None:
        truth, found = self.classes([1, 1, 1, 1, 2, 2, 3]), self.classes([1, 1, 1, 2, 2, 3, 3])
        for result in class_agreement(found, truth, exact=False):
            assert result.matrix.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 1]]
            assert result.rate == pytest.approx(100 * (3 / 4 + 1 / 2 + 1) / 3)
            assert result.accuracy == pytest.approx(500 / 7)

    def test_fhi_and_fma_are_exchanged(self) -> None:
        truth, found = self.classes([1, 1, 1, 1, 2, 2, 3]), self.classes([1, 1, 1, 2, 2, 3, 3])
        results = class_agreement(found, truth)
        assert [result.symbol for result in results if result.exchanged] == ["FHI", "FMA"]
        for result in results:
            if result.exchanged:
                assert result.matrix.tolist() == [[3, 0, 0], [1, 1, 0], [0, 1, 1]]
                assert result.rate == pytest.approx(100 * (1 + 1 / 2 + 1 / 2) / 3)

    def test_a_film_without_a_class_is_a_failure(self) -> None:
        truth, found = self.classes([1, 1, 2, NO_CLASS]), self.classes([1, NO_CLASS, 2, 2])
        for result in class_agreement(found, truth, exact=False):
            assert (result.films, result.missing, result.unclassed) == (3, 1, 1)
            assert result.row_totals == (2, 1)
            assert result.rate == pytest.approx(75)

    def test_a_class_that_the_truth_does_not_have_counts_in_no_row(self) -> None:
        for result in class_agreement(self.classes([1, 4]), self.classes([1, 1]), exact=False):
            assert result.classes == (1, 4)
            assert result.matrix.tolist() == [[1, 1], [0, 0]]
            assert result.rate == 50

    def test_no_film_at_all(self) -> None:
        for result in class_agreement(self.classes([1]), self.classes([NO_CLASS])):
            assert result.films == 0
            assert math.isnan(result.rate)
            assert result.as_dictionary()["rate"] is None


REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")


@pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
class TestRealAnnotations:
    """The senior doctor's film 001 is the example in the Readme of the challenge's evaluation code."""

    def test_film_001(self) -> None:
        points = isbi2015(REAL, "train", "senior")[0].landmarks[None, :, ::-1]
        values = [-3.8892, 87.9388, 84.0495, 51.9358, 99.0231, 0.651425, 33.2278, -1.16619]
        np.testing.assert_allclose(challenge_values(points)[0], values, rtol=0, atol=5e-5)
        assert challenge_classes(points)[0].tolist() == [3, 3, 2, 3, 3, 1, 2, 3]

    def test_junior_against_senior(self) -> None:
        films = [film for split in ("train", "test1", "test2") for film in isbi2015(REAL, split)]  # type: ignore[arg-type]
        pairs = [film.annotators() for film in films]
        senior, junior = (
            challenge_classes(np.stack([pair[index][:, ::-1] for pair in pairs if pair])) for index in (0, 1)
        )
        assert len(senior) == 400
        rates = [result.rate for result in class_agreement(junior, senior, exact=False)]
        assert [round(rate, 1) for rate in rates] == [73.6, 79.6, 68.3, 71.8, 80.5, 73.3, 75.4, 87.6]
        assert round(float(np.mean(rates)), 2) == 76.24
        assert [int((senior[:, 7] == each).sum()) for each in (1, 2, 3, 4)] == [139, 0, 144, 117]
