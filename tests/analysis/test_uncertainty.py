"""Intervals: the errors of landmarks carried to measurements, checked against simulation."""

from __future__ import annotations

import json
import math
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.analysis import DEFINITIONS, Norms, measure
from monai_ceph.analysis.plane import Face
from monai_ceph.analysis.uncertainty import (
    head_size,
    interval_factor,
    is_mirrored,
    known_bias,
    landmark_errors,
    quarter_turns,
)
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.result import Detection
from monai_ceph.weights import mean_shape

# the mean head, with S-N of 70 mm, and points that a person may add
SCALE = 70 / math.dist(*(mean_shape()[SYMBOLS.index(symbol)] for symbol in ("S", "N")))
HEAD = {symbol: (SCALE * x, SCALE * y) for symbol, (y, x) in zip(SYMBOLS, mean_shape(), strict=True)}
ADDED = {
    "U1A": (11, -8),
    "L1A": (14, 28),
    "U6": (-10, 20),
    "L6": (-10, 21),
    "Prn": (56, -7),
    "Cm": (50, -3),
    "N'": (31, -74),
}
WHOLE = HEAD | ADDED
DRAWS = 20_000


def places_in_mm(detection: Detection) -> dict[str, complex]:
    return {mark.symbol: 0.1 * complex(mark.x, mark.y) for mark in detection.landmarks if mark.x and mark.y}


def simulated() -> dict[str, np.ndarray]:
    """Values of each measurement on many heads whose landmarks are off by their errors."""
    random = np.random.default_rng(7)
    heads = {}
    for symbol, (x, y) in WHOLE.items():
        sigma = 70 * landmark_errors()[symbol]
        heads[symbol] = complex(x, y) + sigma * (random.normal(size=DRAWS) + 1j * random.normal(size=DRAWS))
    face = Face(heads)
    return {each.symbol: each.formula(face) for each in DEFINITIONS if set(each.landmarks) <= WHOLE.keys()}


def general(symbol: str) -> float:
    """The factor of an interval without radii."""
    return interval_factor(symbol, [False])


def test_intervals_hold_95_percent_of_a_simulation() -> None:
    """As linearisation says, before the factor that was counted on films."""
    found = {each.symbol: each for each in measure(WHOLE, 1.0, norms=Norms())}
    draws = simulated()
    assert len(draws) > 70
    for symbol, values in draws.items():
        if symbol == "MW":
            continue
        interval, value = found[symbol].interval, found[symbol].value
        assert interval is not None
        assert value is not None
        half = (interval[1] - interval[0]) / 2 / general(symbol)
        assert sum(interval) / 2 == pytest.approx(value)
        assert half / 1.959964 == pytest.approx(np.std(values), rel=0.05), symbol
        inside = np.mean(np.abs(values - value) < half)
        assert inside == pytest.approx(0.95, abs=0.01), symbol


def test_a_distance_has_the_errors_of_both_ends() -> None:
    """S-N lies nearly along x: along the line both variances add."""
    errors = landmark_errors()
    sn = next(each for each in measure(HEAD, 1.0) if each.symbol == "S-N")
    assert sn.interval is not None
    sigma = 70 * math.hypot(errors["S"], errors["N"])
    assert (sn.interval[1] - sn.interval[0]) / 2 == pytest.approx(general("S-N") * 1.959964 * sigma, rel=1e-6)


def test_what_is_known_of_errors() -> None:
    errors = landmark_errors()
    assert set(SYMBOLS) <= errors.keys()
    # mean 0.46 and standard deviation 0.25 mm on films whose S-N is 59.07 mm
    assert errors["S"] == pytest.approx(math.sqrt((0.46**2 + 0.25**2) / 2) / 59.07)
    # two markings are 1.0 mm apart
    assert errors["Prn"] == pytest.approx(1.0 / math.sqrt(math.pi) / 59.07)


def test_the_errors_are_those_of_the_films_that_were_held_out() -> None:
    file = resources.files("monai_ceph.analysis").joinpath("landmark_errors.json")
    detected = json.loads(file.read_text(encoding="utf-8"))["detected"]
    assert list(detected) == list(SYMBOLS)
    # 0.988 mm over all landmarks: docs/explanation/uncertainty.md
    assert np.mean([mean for mean, _ in detected.values()]) == pytest.approx(0.988, abs=0.005)


def test_a_landmark_whose_error_is_not_known_gives_no_interval() -> None:
    found = {each.symbol: each for each in measure(HEAD | {"Co": (-60.0, -20.0)}, 1.0)}
    assert found["Co-A"].value is not None
    assert (found["Co-A"].interval, found["Co-A"].certain) == (None, None)
    assert found["SNA"].interval is not None


def test_a_value_that_jumps_has_no_interval() -> None:
    found = {each.symbol: each for each in measure(HEAD | {"UI": HEAD["LI"]}, 1.0)}
    assert (found["MW"].value, found["MW"].interval) == (0, None)


def test_the_interval_grows_with_the_head_and_needs_no_scale() -> None:
    small = {each.symbol: each for each in measure(HEAD)}
    large = {each.symbol: each for each in measure({symbol: (9 * x, 9 * y) for symbol, (x, y) in HEAD.items()})}
    scaled = {each.symbol: each for each in measure(HEAD, 0.1)}
    for symbol in ("SNA", "FMA", "Jarabak ratio"):
        assert small[symbol].interval == pytest.approx(large[symbol].interval)
        assert small[symbol].interval == pytest.approx(scaled[symbol].interval)
    assert small["S-N"].interval is None
    low, high = scaled["S-N"].interval or (0, 0)
    assert (low + high) / 2 == pytest.approx(7)
    sigma = 7 * math.hypot(*(landmark_errors()[s] for s in "SN"))
    assert high - low == pytest.approx(general("S-N") * sigma * 2 * 1.959964)


@given(
    size=st.floats(1, 2000),
    tilt=st.floats(-40, 40),
    quarter=st.sampled_from([0, 90, 180, 270]),
    mirrored=st.booleans(),
    missing=st.sets(st.sampled_from(SYMBOLS), max_size=16),
)
def test_size_and_way_of_a_head_with_few_landmarks(
    size: float, tilt: float, quarter: int, mirrored: bool, missing: set[str]
) -> None:
    turn = np.exp(1j * np.radians(tilt + quarter)) * size / 70
    points = {s: complex(-x if mirrored else x, y) * turn + 300 for s, (x, y) in HEAD.items() if s not in missing}
    assert head_size(points) == pytest.approx(size)
    assert is_mirrored(points) is mirrored
    assert quarter_turns(points, mirrored) == quarter


def test_too_few_landmarks() -> None:
    assert head_size({"S": 1j}) is None
    assert head_size({"U1A": 0j, "L1A": 1j}) is None
    assert head_size({"S": 3j, "N": 3j}) is None
    assert not is_mirrored({"S": 0j, "N": -1 + 0j})
    assert quarter_turns({}, mirrored=False) == 0


def test_radii_of_a_film_take_the_place_of_the_usual_errors(detection: Detection) -> None:
    """S-N along a line: both variances add. The radius for 95 % is 2.4477 standard deviations per axis."""
    marks = tuple(mark.model_copy(update={"radius_95_px": 24.477}) for mark in detection.landmarks)
    told = detection.model_copy(update={"landmarks": marks, "pixel_spacing": (0.1, 0.1)})
    sn = next(each for each in told.measure() if each.symbol == "S-N")
    assert sn.value == pytest.approx(0.1 * 10 * math.sqrt(2))
    assert sn.interval is not None
    # 10 px, 1 mm, per axis and landmark
    half = interval_factor("S-N", [True]) * 1.959964 * math.sqrt(2)
    assert (sn.interval[1] - sn.interval[0]) / 2 == pytest.approx(half, rel=1e-4)
    # one that a person moved has no radius: the larger factor counts
    moved = [mark.model_copy(update={"radius_95_px": None}) if mark.symbol == "N" else mark for mark in marks]
    told = told.model_copy(update={"landmarks": tuple(moved)})
    mixed = next(each for each in told.measure() if each.symbol == "S-N")
    sigma = math.hypot(1, landmark_errors()["N"] * (head_size(places_in_mm(told)) or 0))
    assert mixed.interval is not None
    factor = max(interval_factor("S-N", [known]) for known in (True, False))
    assert (mixed.interval[1] - mixed.interval[0]) / 2 == pytest.approx(factor * 1.959964 * sigma, rel=1e-4)


def test_the_factors_of_the_intervals() -> None:
    file = resources.files("monai_ceph.analysis").joinpath("interval_factors.json")
    factors = json.loads(file.read_text(encoding="utf-8"))["factors"]
    counted = {each.symbol for each in DEFINITIONS if each.smooth and set(each.landmarks) <= set(SYMBOLS)}
    assert all(factors[kind].keys() == counted for kind in ("with_radii", "without_radii"))
    assert all(0.3 < factor < 2.5 for kind in factors.values() for factor in kind.values())
    assert interval_factor("SNA", [True, True]) == factors["with_radii"]["SNA"]
    assert interval_factor("SNA", [True, False]) == max(factors[kind]["SNA"] for kind in factors)
    # no film with apices was at hand
    assert (interval_factor("IMPA", [False]), interval_factor("SNA", [])) == (1, 1)


def test_the_known_bias() -> None:
    units = {each.symbol: each.unit for each in DEFINITIONS}
    bias = known_bias()
    assert bias["SNA"] == -0.8
    # what is not told from 0 is not called a bias, and a length has none
    assert "ANB" not in bias
    assert all(units[symbol] != "mm" and off for symbol, off in bias.items())
