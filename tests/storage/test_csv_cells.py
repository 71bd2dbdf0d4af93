from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_ceph.storage.csv_cells import plain_cell, safe_cell

CELLS = {
    "=1+1.dcm": "'=1+1.dcm",
    "+x": "'+x",
    "-x.png": "'-x.png",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t=1",
    "'=1": "''=1",
    "film=1.dcm": "film=1.dcm",
    "'quoted'": "'quoted'",
    "-1.25": "-1.25",
    "+3": "+3",
    "": "",
    "a\x1b[31mb": "a\\x1b[31mb",
    "c\x9bd\x7f": "c\\x9bd\\x7f",
}


@pytest.mark.parametrize(("text", "cell"), CELLS.items())
def test_cells(text: str, cell: str) -> None:
    assert safe_cell(text) == cell


def test_numbers_are_no_text() -> None:
    assert [safe_cell(value) for value in (-1.5, 3, None)] == [-1.5, 3, None]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_a_name_is_read_as_it_was(name: str) -> None:
    assert plain_cell(safe_cell(name)) == name
