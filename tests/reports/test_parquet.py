from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest
from samples import changed

from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports import parquet
from monai_ceph.reports.parquet import write_parquet
from monai_ceph.reports.tables import LANDMARK_COLUMNS
from monai_ceph.result import Detection


def test_the_columns_of_the_csv_typed_and_the_uids(detection: Detection, tmp_path: Path) -> None:
    film = changed(detection, 4, x=None, y=None, x_mm=None, y_mm=None, score=0.0, status="missing")
    film = changed(film, 1, x=1.0051, x_mm=0.1234567)
    film = film.model_copy(update={"study_uid": "1.2", "image_uid": "1.2.3", "frame": 7})
    write_parquet(tmp_path / "a.parquet", [film])
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert tuple(table.column_names[: len(LANDMARK_COLUMNS)]) == LANDMARK_COLUMNS
    assert table.column_names[len(LANDMARK_COLUMNS) :] == [
        *("frame", "study_uid", "series_uid", "radius_95_px", "radius_95_mm"),
    ]
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    numbers = {"x", "y", "score", "x_mm", "y_mm", "pixel_spacing"}
    numbers |= {f"radius_{percent}_{unit}" for percent in (90, 95) for unit in ("px", "mm")}
    assert types == {
        name: "double" if name in numbers else "int32" if name == "frame" else "string" for name in table.column_names
    }
    rows = table.to_pylist()
    assert [row["symbol"] for row in rows] == list(SYMBOLS)
    assert (rows[1]["x"], rows[1]["x_mm"]) == (1.0051, 0.1234567)
    assert rows[4]["x"] is rows[4]["y_mm"] is None
    assert rows[4]["status"] == "missing"
    assert {(row["study_uid"], row["series_uid"], row["image_uid"], row["frame"]) for row in rows} == {
        ("1.2", None, "1.2.3", 7)
    }
    assert {row["spacing_source"] for row in rows} == {str(SpacingSource.NONE)}


@pytest.mark.parametrize("films", [0, 1, 5])
def test_any_number_of_films_in_groups(
    films: int, detection: Detection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP", 2)
    write_parquet(
        tmp_path / "a.parquet", (detection.model_copy(update={"file": f"{number}.png"}) for number in range(films))
    )
    file = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    assert file.num_row_groups == (films + 1) // 2
    names = file.read().column("film").to_pylist()
    assert names == [f"{number}.png" for number in range(films) for _ in range(NUM_LANDMARKS)]
