from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from dicom_films import CREATED, without
from hypothesis import given
from hypothesis import strategies as st
from made_measurements import measurement

from monai_ceph.analysis import Measurement
from monai_ceph.analysis.superimposition import REGISTRATIONS, Change, Superimposition, changes, superimpose
from monai_ceph.landmarks import LANDMARKS, SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.result import DetectedLandmark, Detection, ModelIdentity

HEAD = np.random.default_rng(5).uniform(20, 180, (len(SYMBOLS), 2))
"""Landmarks in mm, x right, y down."""


def on_film(places: np.ndarray, spacing: tuple[float, float] | None, **values: Any) -> Detection:
    """Return a detection with these places, (x, y) in pixels."""
    marks = tuple(
        DetectedLandmark(number=mark.number, name=mark.name, symbol=mark.symbol, x=x, y=y, score=0.9, status="ok")
        for mark, (x, y) in zip(LANDMARKS, places.tolist(), strict=True)
    )
    source = SpacingSource.NONE if spacing is None else SpacingSource.USER
    fixed = {"file": "film", "image_uid": None, "rows": 400, "columns": 300, "turned": 0, "mirrored": False}
    model = ModelIdentity(name="m", version="1", weights_sha256="a", recipe_sha256="b", software="s")
    rest = {"inverted": False, "state": "ok", "landmarks": marks, "model": model, "warnings": (), "seconds": {}}
    scale = {"pixel_spacing": spacing, "spacing_source": source, "created": CREATED}
    return Detection(**{**fixed, **rest, **scale, **values})


def moved(places: np.ndarray, degrees: float, by: tuple[float, float], scale: float = 1.0) -> np.ndarray:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * places @ turn.T + by


def places(points: dict[str, tuple[float, float]]) -> np.ndarray:
    return np.array([points[symbol] for symbol in SYMBOLS])


def laid(first: Detection, second: Detection, name: str) -> Superimposition:
    result = superimpose(first, second, REGISTRATIONS[name])
    assert isinstance(result, Superimposition), result
    return result


@given(
    degrees=st.floats(-180, 180),
    by=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    name=st.sampled_from(sorted(REGISTRATIONS)),
    spacing=st.sampled_from([(0.1, 0.1), (0.2, 0.1), (0.15, 0.3)]),
)
def test_the_same_head_moved_and_turned_falls_on_itself(
    degrees: float, by: tuple[float, float], name: str, spacing: tuple[float, float]
) -> None:
    first = on_film(HEAD / 0.25, (0.25, 0.25))
    second = on_film(moved(HEAD, degrees, by) / spacing[::-1], spacing)
    result = laid(first, second, name)
    assert result.in_mm
    assert places(result.first) == pytest.approx(HEAD, abs=1e-9)
    assert places(result.second) == pytest.approx(HEAD, abs=1e-6)


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_film_that_lies_or_faces_otherwise(turned: int, mirrored: bool) -> None:
    """Both are upright and face right in the result. `turned` counts counterclockwise, and mirroring comes last."""
    lying = moved(HEAD * (-1, 1) if mirrored else HEAD, turned, (300.0, 300.0))
    other = on_film(lying, (1.0, 1.0), turned=turned, mirrored=mirrored)
    upright = on_film(HEAD, (1.0, 1.0))
    assert places(laid(upright, other, "sn").second) == pytest.approx(HEAD, abs=1e-9)
    result = laid(other, upright, "sn")
    shift = places(result.first) - HEAD
    assert shift == pytest.approx(np.broadcast_to(shift[0], shift.shape))
    assert places(result.second) == pytest.approx(places(result.first), abs=1e-9)


def test_growth_shows_only_with_a_scale_in_both() -> None:
    first, second = HEAD / 0.1, moved(HEAD, 30, (5, 5), scale=1.1) / 0.1
    grown = laid(on_film(first, (0.1, 0.1)), on_film(second, (0.1, 0.1)), "sn")
    sella, nasion = (np.array(grown.second[symbol]) for symbol in ("S", "N"))
    assert sella == pytest.approx(HEAD[0])
    assert nasion - sella == pytest.approx(1.1 * (HEAD[1] - HEAD[0]))
    for spacings in ((None, (0.1, 0.1)), ((0.1, 0.1), None), (None, None)):
        same = laid(on_film(first, spacings[0]), on_film(second, spacings[1]), "sn")
        assert not same.in_mm
        # in pixels of the first film, whatever is known of it
        assert places(same.first) == pytest.approx(first)
        assert places(same.second) == pytest.approx(first, abs=1e-6)


def test_a_landmark_that_is_missing_is_named() -> None:
    film = on_film(HEAD, None)
    assert superimpose(film, without(film, "S", "N"), REGISTRATIONS["sn"]) == (
        "S and N are missing on the second film."
    )
    assert superimpose(without(film, "PNS"), film, REGISTRATIONS["palatal"]) == "PNS is missing on the first film."
    gone = laid(film, without(film, "Go"), "sn")
    assert gone.second.keys() == set(SYMBOLS) - {"Go"}


def only(first: Measurement, second: Measurement, scales: tuple[bool, bool] = (True, True)) -> Change:
    (change,) = changes([first], [second], scales)
    return change


class TestChanges:
    def test_errors_of_both_films_add_as_squares(self) -> None:
        change = only(measurement("SNA", 80.0, half=3.0), measurement("SNA", 84.0, half=4.0))
        assert change.change == pytest.approx(4.0)
        assert change.interval == pytest.approx((-1.0, 9.0))
        assert change.exceeds is False
        assert only(measurement("SNA", 80.0, half=3.0), measurement("SNA", 74.9, half=4.0)).exceeds is True

    def test_without_an_interval_nothing_is_said_of_the_error(self) -> None:
        change = only(measurement("SNA", 80.0, half=3.0), measurement("SNA", 90.0))
        assert (change.change, change.interval, change.exceeds) == (10.0, None, None)

    def test_an_angle_goes_the_short_way_round(self) -> None:
        assert only(measurement("X", 179.0), measurement("X", -178.0)).change == pytest.approx(3.0)

    @pytest.mark.parametrize(
        ("scales", "reason"),
        [
            ((True, False), "the second film has no known scale"),
            ((False, True), "the first film has no known scale"),
            ((False, False), "neither film has a known scale"),
        ],
    )
    def test_lengths_need_a_scale_in_both(self, scales: tuple[bool, bool], reason: str) -> None:
        values = [70.0 if scale else None for scale in scales]
        pair = [
            measurement("S-N", value, half=1.0, unit="mm", reason=None if value else "no scale") for value in values
        ]
        change = only(pair[0], pair[1], scales)
        assert (change.change, change.reason) == (None, reason)
        ratio = only(measurement("FHI", 0.6, unit="ratio"), measurement("FHI", 0.7, unit="ratio"), scales)
        assert ratio.change == pytest.approx(0.1)

    def test_what_one_film_lacks_is_said(self) -> None:
        change = only(measurement("SNA", 80.0), measurement("SNA", None, reason="missing: A"))
        assert (change.change, change.reason) == (None, "second film: missing: A")

    def test_only_what_both_have(self) -> None:
        both = changes([measurement("A", 1.0), measurement("B", 1.0)], [measurement("B", 2.0)], (True, True))
        assert [each.symbol for each in both] == ["B"]
