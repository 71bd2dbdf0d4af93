"""Angles, ratios and lengths, on points whose values were computed by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_ceph.analysis import DEFINITIONS, Measurement, measure
from monai_ceph.datasets import isbi2015
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.result import Detection

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")

# x right, y down, the face looks right; a head whose angles are easy to compute
FACE = {
    "S": (0, 0), "N": (100, 0), "Po": (-30, 30), "Or": (70, 30), "A": (100, 100), "B": (80, 150), "Pog": (100, 200),
    "Me": (60, 210), "Gn": (90, 210), "Go": (0, 150), "LI": (97, 124), "UI": (100, 120), "UL": (130, 100),
    "LL": (125, 140), "Sn": (115, 90), "Pog'": (115, 200), "PNS": (30, 80), "ANS": (110, 90), "Ar": (-10, 60),
}  # fmt: skip


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


def values(detection: Detection) -> dict[str, float | None]:
    return {symbol: measurement.value for symbol, measurement in by_symbol(detection).items()}


def degrees(opposite: float, adjacent: float) -> float:
    return float(np.degrees(np.arctan2(opposite, adjacent)))


def test_measurements_match_values_computed_by_hand(detection: Detection) -> None:
    b, palate, mandible = degrees(20, 150), degrees(10, 80), degrees(60, 60)
    ab = degrees(20, 50)  # A to B runs back from the vertical facial plane
    expected = {
        "SNA": 90,
        "SNB": 90 - b,
        "ANB": b,
        # Me-Go runs up and back at 45 degrees, B-A up and forward
        "ODI": 45 + ab + palate,
        "APDI": 90 - ab + palate,
        "FHI": 150 / np.hypot(40, 210),
        "FMA (SN-GoGn)": degrees(60, 90),
        "MW": 0.5,
        "FMA (FH-GoMe)": mandible,
        "Facial angle": 90,
        "Convexity": 0,
        "A-B plane": -ab,
        "FH-PP": palate,
        "Y-axis (FH)": degrees(210, 90),
        "Y-axis (SN)": degrees(210, 90),
        "SN-GoMe": mandible,
        "SN-PP": palate,
        "PP-GoMe": mandible - palate,
        "Saddle": 90 + degrees(10, 60),
        "Articular": 180 - degrees(10, 60) - degrees(10, 90),
        "Gonial": 135 + degrees(10, 90),
        "LAFH/TAFH": np.hypot(50, 120) / np.hypot(40, 210),
        "S-N": 10,
        "S-Go": 15,
        "N-Me": np.hypot(4, 21),
        "N-ANS": np.hypot(1, 9),
        "ANS-Me": 13,
        "Go-Me": np.hypot(6, 6),
    }
    found = values(on_film(detection, points(), (0.1, 0.1)))
    assert list(found) == [definition.symbol for definition in DEFINITIONS]
    assert found == pytest.approx(expected)


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
        ("FMA (FH-GoMe)", {"Go": (0, 230)}, -1),
        ("PP-GoMe", {"Go": (0, 230)}, -1),
        ("SN-GoMe", {"Go": (0, 230)}, -1),
        ("SN-PP", {"ANS": (110, 70)}, -1),
    ],
)
def test_signs_follow_the_definitions(
    detection: Detection, symbol: str, moved: dict[str, tuple[float, float]], sign: int
) -> None:
    found = values(on_film(detection, points(FACE | moved), (0.1, 0.1)))[symbol]
    assert np.sign(found) == sign


HEADS = st.lists(st.floats(-8, 8), min_size=38, max_size=38).map(lambda moves: points() + np.reshape(moves, (19, 2)))
FAST = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FAST
@given(head=HEADS)
def test_identities(detection: Detection, head: np.ndarray) -> None:
    found = values(on_film(detection, head))
    assert found["ANB"] == pytest.approx(found["SNA"] - found["SNB"])
    polygon = found["Saddle"] + found["Articular"] + found["Gonial"]
    assert polygon - 360 == pytest.approx(found["SN-GoMe"])
    assert found["SN-PP"] + found["PP-GoMe"] == pytest.approx(found["SN-GoMe"])
    assert found["FH-PP"] + found["PP-GoMe"] == pytest.approx(found["FMA (FH-GoMe)"])
    assert found["APDI"] == pytest.approx(found["Facial angle"] + found["A-B plane"] + found["FH-PP"])


@FAST
@given(
    head=HEADS,
    turned=st.sampled_from([0, 90, 180, 270]),
    mirrored=st.booleans(),
    spacing=st.tuples(st.floats(0.05, 0.5), st.floats(0.05, 0.5)),
)
def test_rotation_mirroring_and_pixel_size_change_nothing(
    detection: Detection, head: np.ndarray, turned: int, mirrored: bool, spacing: tuple[float, float]
) -> None:
    expected = values(on_film(detection, head, (1.0, 1.0)))
    film = head.copy()
    if mirrored:
        film[:, 0] = 300 - film[:, 0]
    for _ in range(turned // 90):
        # a clockwise quarter turn, which a counterclockwise turn undoes
        film = np.stack([400 - film[:, 1], film[:, 0]], axis=1)
    pixels = film / np.array(spacing[::-1])
    assert values(on_film(detection, pixels, spacing, turned=turned, mirrored=mirrored)) == pytest.approx(expected)


@FAST
@given(head=HEADS, tilt=st.floats(-np.pi, np.pi), scale=st.floats(0.1, 10), mirrored=st.booleans())
def test_angles_and_ratios_do_not_depend_on_rotation_scale_or_mirroring(
    detection: Detection, head: np.ndarray, tilt: float, scale: float, mirrored: bool
) -> None:
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    moved = head @ (scale * turn).T * [-1 if mirrored else 1, 1] + [500, 700]
    expected, found = values(on_film(detection, head)), values(on_film(detection, moved, mirrored=mirrored))
    assert found == pytest.approx(expected, abs=1e-6)


def test_without_a_scale_there_are_no_lengths(detection: Detection) -> None:
    for measurement in measure(on_film(detection, points())):
        is_length = measurement.unit == "mm"
        assert (measurement.value is None) == is_length
        assert measurement.reason == ("the film has no known scale" if is_length else None)
        assert measurement.scale is None


def test_with_an_implausible_scale_there_are_no_lengths(detection: Detection) -> None:
    update = {"spacing_source": SpacingSource.IMPLAUSIBLE, "stated_spacing": (148.0, 148.0)}
    found = by_symbol(on_film(detection, points()).model_copy(update=update))
    for measurement in found.values():
        if measurement.unit == "mm":
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
    assert without == {d.symbol for d in DEFINITIONS if "A" in d.landmarks}


def test_landmarks_that_coincide_have_no_direction(detection: Detection) -> None:
    found = by_symbol(on_film(detection, points(FACE | {"A": FACE["N"], "Me": FACE["N"]}), (0.1, 0.1)))
    assert [(found[s].value, found[s].reason) for s in ("SNA", "FHI")] == [(None, "landmarks coincide")] * 2
    assert found["N-Me"].value == 0


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.symbol)
def test_a_definition_names_what_it_uses(definition: Any) -> None:
    face = {symbol: complex(*FACE[symbol]) for symbol in definition.landmarks}
    definition.compute(face)  # raises KeyError for a landmark that it does not name
    for symbol in definition.landmarks:
        with pytest.raises(KeyError):
            definition.compute({other: place for other, place in face.items() if other != symbol})


def test_the_page_has_every_definition() -> None:
    page = (ROOT / "docs" / "reference" / "measurements.md").read_text().split("## All of them")[1].splitlines()
    rows = [f"| `{d.symbol}` | {d.name}: {d.text} | {d.unit} | {d.citation} |" for d in DEFINITIONS]
    assert [line for line in page if line.startswith("| `")] == rows


@pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
def test_the_first_film_of_the_challenge(detection: Detection) -> None:
    """All values were computed independently of this code."""
    film = isbi2015(REAL, "train", "senior")[0]
    found = values(on_film(detection, film.landmarks[:, ::-1], (0.1, 0.1)))
    expected = {
        "ANB": -3.8892, "SNB": 87.9388, "SNA": 84.0495, "ODI": 51.9358, "APDI": 99.0231, "FHI": 0.651425,
        "FMA (SN-GoGn)": 33.2278, "MW": -1.16619, "SN-GoMe": 36.4161,
    }  # fmt: skip
    assert {symbol: found[symbol] for symbol in expected} == pytest.approx(expected, abs=1e-4)
    rounded = {
        "Facial angle": 87.44, "Convexity": -4.51, "A-B plane": 8.54, "FMA (FH-GoMe)": 35.12, "Y-axis (FH)": 65.23,
        "Y-axis (SN)": 66.52, "SN-PP": 4.34, "FH-PP": 3.04, "PP-GoMe": 32.08, "Saddle": 113.47, "Articular": 149.88,
        "Gonial": 133.07, "LAFH/TAFH": 0.5743,
    }  # fmt: skip
    assert {symbol: found[symbol] for symbol in rounded} == pytest.approx(rounded, abs=6e-3)
