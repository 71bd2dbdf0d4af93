"""The scale is checked by the distance from Sella to Nasion."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import radiograph

from monai_ceph.analysis.scale import check_scale, rescaled, scale_problem
from monai_ceph.landmarks import NUM_LANDMARKS, index_of
from monai_ceph.readers import Radiograph, SpacingSource

CAL = SpacingSource.PIXEL_SPACING_CALIBRATED


def points(nasion: tuple[float, float] = (100.0, 600.0), sella: tuple[float, float] = (100.0, 100.0)) -> np.ndarray:
    """(19, 2), (row, column), with Sella and Nasion 500 pixels apart in a row."""
    places = np.full((NUM_LANDMARKS, 2), 300.0)
    places[index_of("S")], places[index_of("N")] = sella, nasion
    return places


def film(spacing: tuple[float, float] | None, source: SpacingSource = CAL, *warnings: str) -> Radiograph:
    return replace(radiograph(20, 20), pixel_spacing=spacing, spacing_source=source, warnings=warnings)


@pytest.mark.parametrize(
    ("spacing", "length"), [((0.3, 0.3), "150.0"), ((0.0898, 0.0898), "44.9"), ((0.1902, 0.1902), "95.1")]
)
def test_a_wrong_scale_is_removed_with_a_warning(spacing: tuple[float, float], length: str) -> None:
    checked = check_scale(film(spacing), points())
    assert checked.pixel_spacing is None
    assert checked.spacing_source is SpacingSource.IMPLAUSIBLE
    assert checked.warnings == (
        f"The scale of {spacing[0]:g} x {spacing[1]:g} mm per pixel (PixelSpacing, calibrated) was ignored: S-N is "
        f"{length} mm long, outside 45 to 95 mm.",
    )


@pytest.mark.parametrize("spacing", [(0.09, 0.09), (0.19, 0.19), (0.3, 0.14), (0.03, 0.14)])
def test_a_plausible_scale_is_kept(spacing: tuple[float, float]) -> None:
    given_film = film(spacing)
    assert check_scale(given_film, points()) is given_film


def test_rows_and_columns_have_their_own_spacing() -> None:
    upright = points(nasion=(600.0, 100.0))
    assert scale_problem(upright, (0.14, 0.3)) == (False, None)
    assert scale_problem(upright, (0.3, 0.14))[0]
    # 300 rows of 0.2 mm and 400 columns of 0.2 mm
    assert scale_problem(points(nasion=(400.0, 500.0)), (0.2, 0.2)) == (
        True,
        "S-N is 100.0 mm long, outside 45 to 95 mm.",
    )


def test_a_scale_given_by_the_user_is_checked_too() -> None:
    checked = check_scale(film((0.3, 0.3), SpacingSource.USER), points())
    assert (checked.pixel_spacing, checked.spacing_source) == (None, SpacingSource.IMPLAUSIBLE)
    assert "(given by the user)" in checked.warnings[0]


def test_warnings_about_the_plane_of_a_removed_scale_are_removed() -> None:
    notes = ("The scale is that of the detector: lengths are magnified by an unknown factor.", "The film is dark.")
    checked = check_scale(film((0.3, 0.3), SpacingSource.IMAGER_MAGNIFIED, *notes), points())
    assert len(checked.warnings) == 2
    assert checked.warnings[0] == "The film is dark."


@pytest.mark.parametrize("missing", ["S", "N"])
def test_without_sella_or_nasion_nothing_is_checked(missing: str) -> None:
    places = points()
    places[index_of(missing)] = math.nan
    checked = check_scale(film((0.3, 0.3)), places)
    assert (checked.pixel_spacing, checked.spacing_source) == ((0.3, 0.3), CAL)
    assert checked.warnings == ("The scale was not checked: Sella or Nasion is missing.",)


def test_no_scale_needs_no_check() -> None:
    given_film = film(None, SpacingSource.NONE)
    assert check_scale(given_film, np.full((NUM_LANDMARKS, 2), math.nan)) is given_film


def test_own_landmarks_are_checked_only_with_sella_and_nasion() -> None:
    assert scale_problem(np.zeros((2, 2)), (0.3, 0.3), ("S", "tip")) == (False, None)
    assert scale_problem(np.array([[0.0, 500.0], [1.0, 1.0], [0.0, 0.0]]), (0.3, 0.3), ("N", "tip", "S"))[0]


@given(st.floats(0.01, 2), st.floats(0.01, 2), st.floats(0, 2 * math.pi), st.floats(1, 3000))
def test_the_limits_are_45_and_95_mm(row: float, column: float, angle: float, pixels: float) -> None:
    sella = np.array([500.0, 700.0])
    nasion = sella + pixels * np.array([math.sin(angle), math.cos(angle)])
    length = pixels * math.hypot(row * math.sin(angle), column * math.cos(angle))
    wrong, why = scale_problem(points(tuple(nasion), tuple(sella)), (row, column))
    if min(abs(length - 45), abs(length - 95)) > 1e-6:
        assert wrong == (not 45 < length < 95)
        assert bool(why) == wrong


def test_path_and_pixels_are_kept() -> None:
    given_film = film((0.3, 0.3))
    checked = check_scale(given_film, points())
    assert checked.path == Path("film.png")
    assert checked.pixels is given_film.pixels


def test_the_scale_of_points_without_a_film() -> None:
    upright = {"S": (100.0, 100.0), "N": (100.0, 600.0), "U1A": (0.0, 0.0)}
    assert rescaled(upright, (0.14, 0.3)) == ((0.14, 0.3), SpacingSource.USER)
    assert rescaled(upright, (0.14, 0.3), CAL) == ((0.14, 0.3), CAL)
    assert rescaled(upright, (0.3, 0.14), CAL) == (None, SpacingSource.IMPLAUSIBLE)
    # without S-N nothing is checked
    assert rescaled({"S": (100.0, 100.0)}, (0.3, 0.3), CAL) == ((0.3, 0.3), CAL)
    assert rescaled({}, (0.3, 0.3)) == ((0.3, 0.3), SpacingSource.USER)
