from __future__ import annotations

import csv
from pathlib import Path

import torch

from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.transforms import SaveLandmarksd


def test_a_table_per_film_also_where_two_have_one_name(tmp_path: Path) -> None:
    save = SaveLandmarksd("predicted", file_key="file", output_dir=str(tmp_path / "out"))
    points = torch.arange(2 * NUM_LANDMARKS, dtype=torch.float64).reshape(-1, 2)
    points[3] = torch.nan
    for file in ("a/film.dcm", "b/film.dcm", "b/other.png", "a/film.dcm"):
        item = {"predicted": points, "file": file, "kept": 1}
        assert save(item) == item
    found = {}
    for path in (tmp_path / "out").iterdir():
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == NUM_LANDMARKS
        assert (rows[1]["symbol"], rows[1]["x"], rows[1]["y"]) == ("N", "3.00", "2.00")
        assert (rows[3]["x"], rows[3]["y"]) == ("", "")
        (found[path.name],) = {row["file"] for row in rows}
    assert found == {
        "film.dcm.landmarks.csv": "a/film.dcm",
        "film.dcm.2.landmarks.csv": "b/film.dcm",
        "other.png.landmarks.csv": "b/other.png",
    }
