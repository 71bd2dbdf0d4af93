"""Angles, ratios and lengths, on points that were worked out by hand."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_ceph.analysis import ANALYSES, DEFINITIONS, Definition, Measurement, measure
from monai_ceph.analysis.plane import Face
from monai_ceph.datasets import isbi2015
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.result import Detection

REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")

# x right, y down, the face looks right; a head that is drawn so that angles can be told
FACE = {
    "S": (0, 0), "N": (100, 0), "Po": (-30, 30), "Or": (70, 30), "A": (100, 100), "B": (80, 150), "Pog": (100, 200),
    "Me": (60, 210), "Gn": (90, 210), "Go": (0, 150), "LI": (97, 124), "UI": (100, 120), "UL": (130, 100),
    "LL": (125, 140), "Sn": (115, 90), "Pog'": (115, 200), "PNS": (30, 80), "ANS": (110, 90), "Ar": (-10, 60),
}  # fmt: skip
# what a person may add
ADDED = {
    "U1A": (90, 90), "L1A": (87, 154), "U6": (50, 116), "L6": (50, 124), "Prn": (155, 90), "Cm": (135, 85),
    "N'": (110, 0), "G'": (105, -30), "Co": (-20, 40), "Ba": (-30, 90), "PT": (20, 40), "D": (85, 190),
    "UMT": (45, 118), "LMT": (45, 122), "UPM": (65, 119), "LPM": (65, 121),
}  # fmt: skip
WHOLE = FACE | ADDED


def points(face: dict[str, tuple[float, float]] = FACE) -> np.ndarray:
    """(19, 2), (x, y)."""
    return np.array([face[symbol] for symbol in SYMBOLS], dtype=np.float64)


def on_film(detection: Detection, xy: np.ndarray, spacing: tuple[float, float] | None = None, **more: Any) -> Detection:
    """The detection with landmarks at (19, 2) (x, y) pixels; NaN is a missing one."""
    marks = [
        mark.model_copy(update={"x": float(x), "y": float(y)} if np.isfinite(x) else {"x": None, "y": None})
        for mark, (x, y) in zip(detection.landmarks, xy, strict=True)
    ]
    source = SpacingSource.USER if spacing else SpacingSource.NONE
    return detection.model_copy(
        update={"landmarks": tuple(marks), "pixel_spacing": spacing, "spacing_source": source, **more}
    )


def by_symbol(detection: Detection) -> dict[str, Measurement]:
    return {measurement.symbol: measurement for measurement in measure(detection)}


OF_THE_MODEL = {each.symbol for each in DEFINITIONS if set(each.landmarks) <= set(SYMBOLS)}


def values(detection: Detection) -> dict[str, float | None]:
    return {symbol: measurement.value for symbol, measurement in by_symbol(detection).items()}


def degrees(opposite: float, adjacent: float) -> float:
    return float(np.degrees(np.arctan2(opposite, adjacent)))


def of_points(face: dict[str, tuple[float, float]], **more: Any) -> dict[str, Measurement]:
    return {measurement.symbol: measurement for measurement in measure(face, **more)}


def test_values_of_a_face_drawn_on_squared_paper() -> None:
    b, palate, mandible = degrees(20, 150), degrees(10, 80), degrees(60, 60)
    ab = degrees(20, 50)  # A to B runs back from the vertical facial plane
    upper, lower = degrees(10, 30), degrees(10, 30)  # incisors lean forward
    occlusal = degrees(2, 48.5)
    bisector = np.radians((palate + mandible) / 2)
    l1_nb, pog_nb = 203 / np.hypot(20, 150), 400 / np.hypot(20, 150)
    expected = {
        "SNA": 90,
        "SNB": 90 - b,
        "ANB": b,
        "SND": 90 - degrees(15, 190),
        "SN-GoGn": degrees(60, 90),
        "SN-OP": occlusal,
        "U1-NA (deg)": upper,
        "U1-NA (mm)": 0,
        "L1-NB (deg)": lower - b,
        "L1-NB (mm)": l1_nb,
        "Pog-NB": pog_nb,
        "Interincisal": 180 - upper - lower,
        "Facial angle": 90,
        "Convexity": 0,
        "A-B plane": -ab,
        "FMA": mandible,
        "Y-axis (FH)": degrees(210, 90),
        "FH-OP": occlusal,
        "L1-OP": lower - occlusal,
        "U1-APog (mm)": 0,
        "IMPA": mandible + lower,
        "FMIA": 90 - lower,
        "Facial axis": 180 - degrees(90, 130) - degrees(170, 70),
        "Maxillary depth": 90,
        "A-NPog": 0,
        "L1-APog (mm)": -0.3,
        "L1-APog (deg)": lower,
        "FH-PP": palate,
        "UL-E": -235 / np.hypot(40, 110),
        "LL-E": -130 / np.hypot(40, 110),
        "A-Nperp": 0,
        "Pog-Nperp": 0,
        "U1-A": 0,
        "Co-A": np.hypot(12, 6),
        "Co-Gn": np.hypot(11, 17),
        "Co-Gn - Co-A": np.hypot(11, 17) - np.hypot(12, 6),
        "ANS-Me": 13,
        "Saddle": 90 + degrees(10, 60),
        "Articular": 180 - degrees(10, 60) - degrees(10, 90),
        "Gonial": 135 + degrees(10, 90),
        "Upper gonial": degrees(10, 90) + degrees(100, 150),
        "Lower gonial": degrees(150, 100) + 45,
        "Björk sum": 360 + mandible,
        "SN-GoMe": mandible,
        "S-N": 10,
        "S-Ar": np.hypot(1, 6),
        "Ar-Go": np.hypot(1, 9),
        "Go-Me": np.hypot(6, 6),
        "S-Go": 15,
        "N-Me": np.hypot(4, 21),
        "Jarabak ratio": 100 * 150 / np.hypot(40, 210),
        "ANB (Eastman)": b - 4.5,
        "PP-MP": mandible - palate,
        "SN-PP": palate,
        "LAFH/TAFH": 100 * 130 / np.hypot(40, 210),
        "U1-PP": 90 + upper + palate,
        "Wits": 2,
        "Wits (bisected)": (2 * 48.5 - 5 * 2) / np.hypot(48.5, 2),
        "Wits (MM)": 2 * np.cos(bisector) - 5 * np.sin(bisector),
        "App-Bpp": (2 * 80 - 5 * 10) / np.hypot(80, 10),
        # Me-Go runs up and back at 45 degrees, B-A up and forward
        "ODI": 45 + ab + palate,
        "APDI": 90 - ab + palate,
        "SN-FH": 0,
        "SNPog": 90,
        "Y-axis (SN)": degrees(210, 90),
        "N-ANS": np.hypot(1, 9),
        "N-ANS/ANS-Me": np.hypot(1, 9) / 13,
        "U1-SN": 90 + upper,
        "Overjet": 0.3,
        "Overbite": -0.4,
        "Holdaway": l1_nb - pog_nb,
        "UL-SnPog'": 1.5,
        "LL-SnPog'": 1,
        "LL-H": 10 / np.hypot(15, 100),
        "Sn-H": 165 / np.hypot(15, 100),
        "H angle (NB)": degrees(15, 100) - b,
        "H angle": degrees(15, 100) + degrees(5, 200),
        "Z angle": degrees(60, 10),
        "Nasolabial": degrees(5, 20) + degrees(10, 15),
        "Soft convexity": degrees(10, 120),
        "Soft facial angle": 90 + degrees(5, 200),
        "FHI": 150 / np.hypot(40, 210),
        "MW": 0.5,
    }
    found = {symbol: each.value for symbol, each in of_points(WHOLE, spacing=0.1).items()}
    assert list(found) == [definition.symbol for definition in DEFINITIONS]
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("symbol", "moved", "sign"),
    [
        ("Convexity", {"A": (105, 100)}, 1),
        ("Convexity", {"A": (95, 100)}, -1),
        ("A-B plane", {"B": (110, 150)}, 1),
        ("ANB", {"B": (110, 150)}, -1),
        ("FH-PP", {"ANS": (110, 70)}, -1),
        ("MW", {"UI": (90, 120)}, -1),
        # the mandibular plane rises in front
        ("FMA", {"Go": (0, 230)}, -1),
        ("PP-MP", {"Go": (0, 230)}, -1),
        ("SN-GoMe", {"Go": (0, 230)}, -1),
        ("SN-PP", {"ANS": (110, 70)}, -1),
        ("SN-GoGn", {"Go": (0, 230)}, -1),
        # incisors that lean back, or stand behind
        ("U1-NA (deg)", {"U1A": (110, 90)}, -1),
        ("L1-NB (deg)", {"L1A": (107, 154)}, -1),
        ("L1-APog (deg)", {"L1A": (107, 154)}, -1),
        ("L1-OP", {"L1A": (107, 154)}, -1),
        ("U1-NA (mm)", {"UI": (95, 120)}, -1),
        ("U1-NA (mm)", {"UI": (105, 120)}, 1),
        ("U1-A", {"UI": (95, 120)}, -1),
        ("U1-APog (mm)", {"UI": (95, 120)}, -1),
        ("L1-NB (mm)", {"LI": (60, 124)}, -1),
        ("L1-APog (mm)", {"LI": (104, 124)}, 1),
        ("Pog-NB", {"Pog": (60, 200)}, -1),
        ("A-NPog", {"A": (95, 100)}, -1),
        ("A-NPog", {"A": (105, 100)}, 1),
        ("A-Nperp", {"A": (95, 100)}, -1),
        ("Pog-Nperp", {"Pog": (110, 200)}, 1),
        ("Overjet", {"UI": (90, 120)}, -1),
        ("Overbite", {"UI": (100, 130)}, 1),
        ("Wits", {"B": (120, 150)}, -1),
        ("Wits (bisected)", {"B": (120, 150)}, -1),
        ("Wits (MM)", {"B": (80, 150)}, -1),
        ("App-Bpp", {"B": (120, 150)}, -1),
        ("UL-E", {"UL": (155, 100)}, 1),
        ("LL-E", {"LL": (150, 140)}, 1),
        ("UL-SnPog'", {"UL": (110, 100)}, -1),
        ("LL-SnPog'", {"LL": (110, 140)}, -1),
        ("LL-H", {"LL": (115, 140)}, -1),
        ("Sn-H", {"Sn": (140, 90)}, -1),
        ("H angle", {"UL": (105, 100)}, -1),
        ("Soft convexity", {"Sn": (100, 90)}, -1),
    ],
)
def test_signs(symbol: str, moved: dict[str, tuple[float, float]], sign: int) -> None:
    found = of_points(WHOLE | moved, spacing=0.1)[symbol].value
    assert np.sign(found) == sign


def test_the_z_angle_uses_the_lip_that_the_profile_line_touches() -> None:
    assert of_points(WHOLE)["Z angle"].value == pytest.approx(degrees(60, 10))
    ahead = WHOLE | {"UL": (140, 100)}
    assert of_points(ahead)["Z angle"].value == pytest.approx(degrees(100, 25))


HEADS = st.lists(st.floats(-8, 8), min_size=38, max_size=38).map(lambda moves: points() + np.reshape(moves, (19, 2)))
WHOLE_HEADS = st.lists(st.floats(-5, 5), min_size=2 * len(WHOLE), max_size=2 * len(WHOLE)).map(
    lambda moves: {
        symbol: (x + dx, y + dy)
        for (symbol, (x, y)), (dx, dy) in zip(WHOLE.items(), np.reshape(moves, (-1, 2)).tolist(), strict=True)
    }
)
FAST = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FAST
@given(head=HEADS)
def test_identities(detection: Detection, head: np.ndarray) -> None:
    found = values(on_film(detection, head))
    assert found["ANB"] == pytest.approx(found["SNA"] - found["SNB"])
    polygon = found["Saddle"] + found["Articular"] + found["Gonial"]
    assert polygon - 360 == pytest.approx(found["SN-GoMe"])
    assert found["Björk sum"] == pytest.approx(polygon)
    assert found["Upper gonial"] + found["Lower gonial"] == pytest.approx(found["Gonial"])
    assert found["SN-FH"] + found["FMA"] == pytest.approx(found["SN-GoMe"])
    assert found["Jarabak ratio"] == pytest.approx(100 * found["FHI"])
    assert found["SN-PP"] + found["PP-MP"] == pytest.approx(found["SN-GoMe"])
    assert found["FH-PP"] + found["PP-MP"] == pytest.approx(found["FMA"])
    assert found["APDI"] == pytest.approx(found["Facial angle"] + found["A-B plane"] + found["FH-PP"])


@FAST
@given(head=WHOLE_HEADS)
def test_identities_of_the_incisors(head: dict[str, tuple[float, float]]) -> None:
    found = {symbol: each.value for symbol, each in of_points(head, spacing=0.2).items()}
    assert found["FMA"] + found["IMPA"] + found["FMIA"] == pytest.approx(180)
    steiner = found["U1-NA (deg)"] + found["L1-NB (deg)"] + found["ANB"] + found["Interincisal"]
    assert steiner == pytest.approx(180)
    assert found["U1-SN"] + found["SN-PP"] == pytest.approx(found["U1-PP"])
    assert found["Holdaway"] == pytest.approx(found["L1-NB (mm)"] - found["Pog-NB"])


@FAST
@given(
    head=WHOLE_HEADS,
    tilt=st.floats(-25, 25),
    quarter=st.sampled_from([0, 90, 180, 270]),
    scale=st.floats(0.1, 10),
    mirrored=st.booleans(),
)
def test_the_way_the_head_lies_is_told_by_its_shape(
    head: dict[str, tuple[float, float]], tilt: float, quarter: int, scale: float, mirrored: bool
) -> None:
    """A table of points does not say how the film lies; the face has only one profile."""
    angle = np.radians(tilt + quarter)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.array([-1, 1]) if mirrored else np.ones(2)
    moved = {symbol: tuple(scale * turn @ (flip * place) + [900, 700]) for symbol, place in head.items()}
    expected = {symbol: each.value for symbol, each in of_points(head, spacing=1.0).items()}
    found = {symbol: each.value for symbol, each in of_points(moved, spacing=1 / scale).items()}
    # its sign is told by the rows of the upright film
    assert abs(found.pop("MW")) == pytest.approx(abs(expected.pop("MW")), abs=1e-6)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_the_modified_wits_of_a_turned_table(turned: int, mirrored: bool) -> None:
    film = np.array(list((WHOLE | {"UI": (90, 120)}).values())) * [-1 if mirrored else 1, 1]
    for _ in range(turned // 90):
        # a quarter turn clockwise, which one counterclockwise undoes
        film = np.stack([-film[:, 1], film[:, 0]], axis=1)
    found = of_points(dict(zip(WHOLE, film.tolist(), strict=True)), spacing=0.1)["MW"]
    assert found.value == pytest.approx(-np.hypot(0.7, 0.4))


@FAST
@given(
    head=HEADS,
    turned=st.sampled_from([0, 90, 180, 270]),
    mirrored=st.booleans(),
    spacing=st.tuples(st.floats(0.05, 0.5), st.floats(0.05, 0.5)),
)
def test_the_way_a_film_lies_and_its_pixels_change_nothing(
    detection: Detection, head: np.ndarray, turned: int, mirrored: bool, spacing: tuple[float, float]
) -> None:
    expected = values(on_film(detection, head, (1.0, 1.0)))
    film = head.copy()
    if mirrored:
        film[:, 0] = 300 - film[:, 0]
    for _ in range(turned // 90):
        # a quarter turn with the clock, which a turn against it undoes
        film = np.stack([400 - film[:, 1], film[:, 0]], axis=1)
    pixels = film / np.array(spacing[::-1])
    assert values(on_film(detection, pixels, spacing, turned=turned, mirrored=mirrored)) == pytest.approx(expected)


@FAST
@given(head=HEADS, tilt=st.floats(-np.pi, np.pi), scale=st.floats(0.1, 10), mirrored=st.booleans())
def test_angles_and_ratios_are_those_of_the_shape(
    detection: Detection, head: np.ndarray, tilt: float, scale: float, mirrored: bool
) -> None:
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    moved = head @ (scale * turn).T * [-1 if mirrored else 1, 1] + [500, 700]
    expected, found = values(on_film(detection, head)), values(on_film(detection, moved, mirrored=mirrored))
    assert found == pytest.approx(expected, abs=1e-6)


def test_without_a_scale_there_are_no_lengths(detection: Detection) -> None:
    for measurement in measure(on_film(detection, points())):
        if measurement.symbol not in OF_THE_MODEL:
            continue
        is_length = measurement.unit == "mm"
        assert (measurement.value is None) == is_length
        assert measurement.reason == ("the film has no known scale" if is_length else None)
        assert measurement.scale is None


def test_with_an_implausible_scale_there_are_no_lengths(detection: Detection) -> None:
    update = {"spacing_source": SpacingSource.IMPLAUSIBLE, "stated_spacing": (148.0, 148.0)}
    found = by_symbol(on_film(detection, points()).model_copy(update=update))
    for measurement in found.values():
        if measurement.unit == "mm" and measurement.symbol in OF_THE_MODEL:
            assert (measurement.value, measurement.reason) == (None, "the stated scale is implausible")
            assert measurement.scale is None
    assert found["SNA"].value is not None


def test_a_length_names_its_scale(detection: Detection) -> None:
    found = by_symbol(on_film(detection, points(), (0.1, 0.1)))
    assert (found["S-N"].scale, found["SNA"].scale) == (SpacingSource.USER, None)


def test_pixels_that_are_not_square_without_a_scale(detection: Detection) -> None:
    warning = "The pixels are not square: PixelAspectRatio 2 to 1, no scale."
    assert set(values(on_film(detection, points(), warnings=(warning,))).values()) == {None}
    found = by_symbol(on_film(detection, points(), (0.2, 0.1), warnings=(warning,)))
    assert found["SNA"].value is not None


def test_missing_and_uncertain_landmarks(detection: Detection) -> None:
    xy = points()
    xy[SYMBOLS.index("A")] = np.nan
    film = on_film(detection, xy)
    marks = tuple(m.model_copy(update={"status": "uncertain"}) if m.symbol == "S" else m for m in film.landmarks)
    found = by_symbol(film.model_copy(update={"landmarks": marks}))
    assert (found["SNA"].value, found["SNA"].reason) == (None, "missing: A")
    assert found["SNB"].value is not None
    assert (found["SNB"].uncertain, found["Facial angle"].uncertain) == (("S",), ())
    without = {symbol for symbol, m in found.items() if m.reason == "missing: A"}
    assert without == {d.symbol for d in DEFINITIONS if "A" in d.landmarks and d.symbol in OF_THE_MODEL}


def test_landmarks_that_coincide_have_no_direction(detection: Detection) -> None:
    found = by_symbol(on_film(detection, points(FACE | {"A": FACE["N"], "Me": FACE["N"]}), (0.1, 0.1)))
    assert [(found[s].value, found[s].reason) for s in ("SNA", "FHI")] == [(None, "landmarks coincide")] * 2
    assert found["N-Me"].value == 0


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.symbol)
def test_a_definition_names_what_it_uses(definition: Definition) -> None:
    places = {symbol: complex(*WHOLE[symbol]) for symbol in definition.landmarks}
    definition.formula(Face(places))  # raises KeyError for one that it does not name
    for symbol in definition.landmarks:
        with pytest.raises(KeyError):
            definition.formula(Face({other: place for other, place in places.items() if other != symbol}))


def test_symbols_are_unique_and_analyses_known() -> None:
    symbols = [definition.symbol for definition in DEFINITIONS]
    assert len(set(symbols)) == len(symbols)
    assert {analysis for definition in DEFINITIONS for analysis in definition.analyses} == set(ANALYSES)
    challenge = {each.symbol for each in DEFINITIONS if "ISBI 2015 challenge" in each.analyses}
    assert challenge == {"ANB", "SNB", "SNA", "ODI", "APDI", "FHI", "SN-GoGn", "MW"}


def test_what_nineteen_points_allow() -> None:
    found = of_points(FACE, spacing=0.1)
    assert {symbol for symbol, each in found.items() if each.value is not None} == OF_THE_MODEL
    assert len(OF_THE_MODEL) == 59
    assert found["IMPA"].reason == "missing: L1A"
    assert found["Interincisal"].reason == "missing: U1A, L1A"
    assert found["Wits (bisected)"].reason == "missing: U6, L6"


def test_an_array_and_a_table_of_points_are_the_same() -> None:
    assert measure(points(), 0.1) == measure(FACE, (0.1, 0.1))
    with pytest.raises(ValueError, match=r"shape \(19, 2\)"):
        measure(np.zeros((18, 2)))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"spacing": 0.0}, "mm per pixel"), ({"spacing": (0.1, math.nan)}, "mm per pixel"), ({"turned": 45}, "turned")],
)
def test_what_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        measure(FACE, **options)


def test_a_detection_measures_itself(detection: Detection) -> None:
    film = on_film(detection, points(), (0.1, 0.1))
    assert film.measure() == measure(film)
    assert film.measure() == measure(FACE, 0.1, turned=0, mirrored=False)


@pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
def test_the_first_film_of_the_challenge(detection: Detection) -> None:
    """All values were computed apart from this code."""
    film = isbi2015(REAL, "train", "senior")[0]
    found = values(on_film(detection, film.landmarks[:, ::-1], (0.1, 0.1)))
    expected = {
        "ANB": -3.8892, "SNB": 87.9388, "SNA": 84.0495, "ODI": 51.9358, "APDI": 99.0231, "FHI": 0.651425,
        "SN-GoGn": 33.2278, "MW": -1.16619, "SN-GoMe": 36.4161, "Björk sum": 396.4161,
    }  # fmt: skip
    assert {symbol: found[symbol] for symbol in expected} == pytest.approx(expected, abs=6e-5)
    rounded = {
        "SNPog": 86.14, "Facial angle": 87.44, "Maxillary depth": 85.35, "Convexity": -4.51, "A-B plane": 8.54,
        "FMA": 35.12, "Y-axis (FH)": 65.23, "Y-axis (SN)": 66.52, "SN-FH": 1.30, "SN-PP": 4.34, "FH-PP": 3.04,
        "PP-MP": 32.08, "Saddle": 113.47, "Articular": 149.88, "Gonial": 133.07, "Jarabak ratio": 65.14,
        "LAFH/TAFH": 57.43, "N-ANS/ANS-Me": 0.75, "A-Nperp": -5.13, "Pog-Nperp": -5.27, "A-NPog": -2.31,
        "U1-NA (mm)": 10.66, "L1-NB (mm)": 6.07, "Pog-NB": -3.70, "L1-APog (mm)": 10.13, "Overjet": -1.04,
        "Overbite": -0.52, "Wits (MM)": -15.47,
    }  # fmt: skip
    assert {symbol: found[symbol] for symbol in rounded} == pytest.approx(rounded, abs=5e-3)
    tenths = {"Upper gonial": 48.8, "Lower gonial": 84.3, "ANS-Me": 72.4}
    assert {symbol: found[symbol] for symbol in tenths} == pytest.approx(tenths, abs=0.05)
