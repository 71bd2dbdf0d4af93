from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.save_landmarks import SaveLandmarksd


def saver(folder: Path, **options: Any) -> SaveLandmarksd:
    return SaveLandmarksd(
        "predicted", score_key="score", ref_key="image", file_key="file", output_dir=str(folder / "out"), **options
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_per_film_also_where_two_have_one_name(tmp_path: Path) -> None:
    save = saver(tmp_path)
    points = torch.arange(2 * NUM_LANDMARKS, dtype=torch.float64).reshape(-1, 2)
    points[3] = torch.nan
    for file in ("a/film.dcm", "b/film.dcm", "b/other.png", "a/film.dcm"):
        item = {
            "predicted": points,
            "score": torch.full((NUM_LANDMARKS,), 0.5),
            "image": torch.zeros(1, 2, 2),
            "file": file,
        }
        assert save(item) == item
    found = {}
    for path in (tmp_path / "out").glob("*.csv"):
        rows = rows_of(path)
        assert len(rows) == NUM_LANDMARKS
        assert (rows[1]["symbol"], rows[1]["x"], rows[1]["y"], rows[1]["x_mm"]) == ("N", "3.00", "2.00", "")
        assert (rows[3]["x"], rows[3]["y"], rows[3]["status"]) == ("", "", "missing")
        assert {row["spacing_source"] for row in rows} == {"none"}
        (found[path.name],) = {row["film"] for row in rows}
    assert found == {
        "film.dcm.landmarks.csv": "a/film.dcm",
        "film.dcm.2.landmarks.csv": "b/film.dcm",
        "other.png.landmarks.csv": "b/other.png",
    }


def test_a_set_of_the_users_own_with_a_scale(tmp_path: Path) -> None:
    meta = {"row_spacing": 0.2, "column_spacing": 0.1, "spacing_source": SpacingSource.USER.value}
    item = {
        "predicted": torch.tensor([[10.0, 20.0], [30.0, 40.0]]),
        "score": torch.tensor([0.9, 0.3]),
        "image": MetaTensor(torch.zeros(1, 2, 2), affine=torch.eye(3), meta=meta),
        "file": "film.png",
    }
    saver(tmp_path, symbols=("S", "tip"), uncertain_below=0.4)(item)
    first, second = rows_of(tmp_path / "out" / "film.png.landmarks.csv")
    assert (first["landmark"], first["symbol"], first["status"]) == ("Sella", "S", "ok")
    assert (first["x_mm"], first["y_mm"], first["spacing_source"]) == ("2.000", "2.000", "user")
    assert (second["landmark"], second["symbol"], second["status"]) == ("tip", "tip", "uncertain")
    assert second["score"] == "0.300"


def test_a_scale_that_does_not_fit_the_head(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    meta = {"row_spacing": 0.3, "column_spacing": 0.3, "spacing_source": SpacingSource.USER.value}
    item = {
        "predicted": torch.tensor([[10.0, 20.0], [10.0, 520.0]]),
        "score": torch.tensor([0.9, 0.9]),
        "image": MetaTensor(torch.zeros(1, 2, 2), affine=torch.eye(3), meta=meta),
        "file": "film.png",
    }
    saver(tmp_path, symbols=("S", "N"))(item)
    for row in rows_of(tmp_path / "out" / "film.png.landmarks.csv"):
        assert (row["x_mm"], row["y_mm"], row["spacing_source"]) == ("", "", "implausible")
    assert caplog.messages == ["film.png: the scale was ignored: S-N is 150.0 mm long, outside 45 to 95 mm."]


def test_another_number_of_landmarks_than_symbols(tmp_path: Path) -> None:
    item = {"predicted": torch.zeros(7, 2), "score": torch.zeros(7), "image": torch.zeros(1, 2, 2), "file": "film.png"}
    with pytest.raises(ValueError, match=r"film\.png: 7 landmarks with 7 scores, for 19 symbols.*landmarks"):
        saver(tmp_path)(item)
    assert not (tmp_path / "out").exists()


def item_of(score: float) -> dict[Any, Any]:
    return {
        "predicted": torch.zeros(NUM_LANDMARKS, 2),
        "score": torch.full((NUM_LANDMARKS,), score),
        "image": torch.zeros(1, 2, 2),
        "file": "film.png",
    }


class TestATableThatIsThere:
    def test_from_an_earlier_run_is_replaced(self, tmp_path: Path) -> None:
        for score in (0.5, 0.75, 0.5):
            saver(tmp_path)(item_of(score))
            assert rows_of(tmp_path / "out" / "film.png.landmarks.csv")[0]["score"] == f"{score:.3f}"

    @pytest.mark.parametrize("written", [True, False])
    def test_of_a_person_or_corrected_is_not(self, tmp_path: Path, written: bool) -> None:
        table = tmp_path / "out" / "film.png.landmarks.csv"
        table.parent.mkdir()
        if written:
            saver(tmp_path)(item_of(0.5))
        table.write_text("of a person")
        with pytest.raises(
            CephError, match=r"film\.png\.landmarks\.csv: was not written by this software, or was changed"
        ):
            saver(tmp_path)(item_of(0.5))
        assert table.read_text() == "of a person"
        assert not list(table.parent.glob("*.part"))

    def test_from_a_run_that_was_killed_is_replaced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class KilledError(Exception):
            pass

        def die(self: Path, target: Path) -> None:
            raise KilledError

        saver(tmp_path)(item_of(0.5))
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", die)
            with pytest.raises(KilledError):
                saver(tmp_path)(item_of(0.6))
        saver(tmp_path)(item_of(0.7))
        with (tmp_path / "out" / ".monai-ceph.sha256").open("a") as stream:
            stream.write("0123  half a line")
        for score in (0.8, 0.9):
            saver(tmp_path)(item_of(score))
            assert rows_of(tmp_path / "out" / "film.png.landmarks.csv")[0]["score"] == f"{score:.3f}"
