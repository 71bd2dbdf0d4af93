from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.inferers.exposed_field import ExposedField, exposed_field

ROWS, COLUMNS = 600, 500


def exposed(
    top: int = 0, left: int = 0, bottom: int = ROWS - 1, right: int = COLUMNS - 1, shutter: float = 0.0
) -> torch.Tensor:
    """A film of noise with a shutter around the given rows and columns."""
    film = torch.full((1, ROWS, COLUMNS), shutter)
    noise = torch.rand((1, ROWS, COLUMNS), generator=torch.Generator().manual_seed(1))
    film[:, top : bottom + 1, left : right + 1] = noise[:, top : bottom + 1, left : right + 1]
    return film


def test_without_a_shutter_it_is_the_film() -> None:
    assert exposed_field(exposed()) == ExposedField(0, 0, ROWS - 1, COLUMNS - 1)


# the field takes more than a quarter of a row and of a column
@given(
    st.integers(0, 200), st.integers(0, 150), st.integers(400, ROWS - 1), st.integers(350, COLUMNS - 1), st.floats(0, 1)
)
def test_any_shutter_is_found(top: int, left: int, bottom: int, right: int, shutter: float) -> None:
    assert exposed_field(exposed(top, left, bottom, right, shutter)) == ExposedField(top, left, bottom, right)


def test_a_burned_in_letter_does_not_hide_the_shutter() -> None:
    film = exposed(top=100)
    film[:, 40:60, 20:28] = 1
    assert exposed_field(film).top == 100


def test_the_tip_of_a_nose_before_saturated_air_is_no_edge() -> None:
    film = exposed()
    rows = torch.arange(ROWS)[:, None]
    columns = torch.arange(COLUMNS)[None]
    # a profile like < turned round: 200 columns of air before the tip, in row 300
    film[0, columns > 300 - (rows - 300).abs() / 2] = 0
    assert exposed_field(film) == ExposedField(0, 0, ROWS - 1, COLUMNS - 1)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_film(value: float) -> None:
    assert exposed_field(torch.full((1, ROWS, COLUMNS), value)) == ExposedField(0, 0, ROWS - 1, COLUMNS - 1)


def test_depth_is_to_the_nearest_border() -> None:
    field = ExposedField(10, 20, 110, 220)
    points = torch.tensor([[10.0, 100.0], [60.0, 25.5], [108.0, 100.0], [60.0, 219.0], [5.0, 100.0], [60.0, 230.0]])
    assert field.depth(points).tolist() == [0, 5.5, 2, 1, -5, -10]


def test_depth_of_an_unknown_point_is_unknown() -> None:
    assert ExposedField(0, 0, 9, 9).depth(torch.tensor([[float("nan"), 3.0]])).isnan().all()
