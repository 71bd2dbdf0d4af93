"""Rows of measurements: what is empty, what is rounded, and that both kinds of table say the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest
from samples import changed

from monai_ceph.analysis import DEFINITIONS, Measurement, Norm, Norms
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports import measurement_table
from monai_ceph.reports.measurement_table import (
    MEASUREMENT_COLUMNS,
    WIDE_COLUMNS,
    FilmMeasurements,
    measurement_rows,
    wide_row,
    write_measurements_parquet,
)
from monai_ceph.result import Detection


def one(**values: object) -> dict[str, str]:
    """The row of one measurement."""
    fields = {
        "symbol": "SNA",
        "name": "Position of the maxilla",
        "analyses": ("Steiner", "Eastman"),
        "value": 82.0,
        "unit": "degree",
        "reason": None,
        "landmarks": ("S", "N", "A"),
        "uncertain": (),
        "scale": None,
        "definition": "angle",
        "citation": "a book",
    }
    film = FilmMeasurements("a.png", [Measurement.model_validate({**fields, **values})], image_uid="1.2")
    (row,) = measurement_rows(film)
    return dict(zip(MEASUREMENT_COLUMNS, row, strict=True))


def test_a_value_with_all_that_is_known_of_it() -> None:
    norm = Norm(population="people", mean=80, sd=1.5, high=84, low=79, citation="c", verified=True, set="mine")
    row = one(
        interval=(80.51234, 83.48766),
        uncertain=("S", "A"),
        norm=norm,
        deviation=4 / 3,
        flag="above",
        certain=False,
        scale=SpacingSource.USER,
    )
    assert row == {
        "film": "a.png",
        "symbol": "SNA",
        "measurement": "Position of the maxilla",
        "analyses": "Steiner; Eastman",
        "value": "82.000",
        "unit": "degree",
        "low": "80.512",
        "high": "83.488",
        "reason": "",
        "uncertain": "S A",
        "scale": "user",
        "norm": "mine",
        "norm_population": "people",
        "norm_verified": "yes",
        "norm_mean": "80.000",
        "norm_sd": "1.500",
        "norm_low": "79.000",
        "norm_high": "84.000",
        "deviation": "1.333",
        "flag": "above",
        "certain": "no",
        "profile": "",
        "image_uid": "1.2",
    }


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.65142, "ratio", "0.6514"), (-0.0004, "mm", "0.000"), (-0.0006, "mm", "-0.001"), (None, "mm", "")],
)
def test_decimals(value: float | None, unit: str, text: str) -> None:
    assert one(value=value, unit=unit)["value"] == text


def test_without_a_norm_its_columns_are_empty() -> None:
    row = one()
    assert {row[column] for column in MEASUREMENT_COLUMNS if column.startswith("norm")} == {""}
    assert row["deviation"] == row["flag"] == row["certain"] == row["low"] == ""


@pytest.mark.parametrize("films", [0, 1, 3])
def test_parquet_has_the_same_rows(
    detection: Detection, tmp_path: Path, films: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement_table, "_GROUP", 2)
    # landmarks that are not all in a line
    for index in range(0, len(SYMBOLS), 2):
        detection = changed(detection, index, x=20.0 + index**2)
    update = {"pixel_spacing": (0.2, 0.1), "spacing_source": SpacingSource.HEADER, "image_uid": "1.2.3"}
    measured = [
        FilmMeasurements.of(detection.model_copy(update={**update, "file": f"{number}.png"}), Norms())
        for number in range(films)
    ]
    write_measurements_parquet(tmp_path / "a.parquet", iter(measured))
    file = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    assert file.num_row_groups == (films + 1) // 2
    typed = file.read().to_pylist()
    assert tuple(file.schema_arrow.names) == MEASUREMENT_COLUMNS
    assert len(typed) == films * len(DEFINITIONS)
    for row, record in zip((row for film in measured for row in measurement_rows(film)), typed, strict=True):
        for column, text in zip(MEASUREMENT_COLUMNS, row, strict=True):
            value = record[column]
            if isinstance(value, float):
                assert float(text) == pytest.approx(value, abs=6e-4)
            else:
                assert text == (value or "")


def test_a_row_per_film(detection: Detection) -> None:
    film = FilmMeasurements.of(detection.model_copy(update={"pixel_spacing": (0.2, 0.1), "image_uid": "1.2"}))
    row = dict(zip(WIDE_COLUMNS, wide_row(film), strict=True))
    assert [row[each.symbol] for each in film.measurements] == [
        row[MEASUREMENT_COLUMNS.index("value")] for row in measurement_rows(film)
    ]
    # pixels that are not square have no single size
    assert (row["film"], row["pixel_spacing"], row["image_uid"]) == ("film.png", "", "1.2")
