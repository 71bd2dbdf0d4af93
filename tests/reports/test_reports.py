from __future__ import annotations

import csv
from pathlib import Path

import pytest
from samples import changed

from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_rows, write_landmarks, write_table
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import folder_written_beside, written_beside


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


class TestWrittenBeside:
    def test_the_file_appears_at_the_end(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "folder" / "file.txt"
        with written_beside(target) as part:
            part.write_text("new")
            assert not target.exists()
            assert part.parent == target.parent
            assert part.name.startswith(".")
        assert target.read_text() == "new"
        assert not left_over(target.parent)

    def test_an_error_leaves_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "file.txt"
        target.write_text("old")

        def fail() -> None:
            with written_beside(target) as part:
                part.write_text("half")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert target.read_text() == "old"
        assert not left_over(tmp_path)

    def test_a_folder_appears_at_the_end_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "folder"

        def write(error: type[Exception] | None = None) -> None:
            with folder_written_beside(target) as part:
                (part / "file.txt").write_text("new")
                assert not target.exists()
                if error:
                    raise error

        with pytest.raises(KeyError):
            write(KeyError)
        assert list((tmp_path / "new").iterdir()) == []
        write()
        assert [path.name for path in (tmp_path / "new").rglob("*")] == ["folder", "file.txt"]

    def test_nothing_written_is_an_error(self, tmp_path: Path) -> None:
        target = tmp_path / "file.txt"
        with pytest.raises(FileNotFoundError), written_beside(target):
            pass
        assert not target.exists()

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        with pytest.raises(OSError, match="out"), written_beside(tmp_path / "out" / "file.txt"):
            pytest.fail("there is no folder to write to")
        assert (tmp_path / "out").read_text() == "a file"


class TestTables:
    def test_one_row_per_landmark(self, detection: Detection) -> None:
        rows = list(landmark_rows(changed(detection, 1, x=1.005, y=-2.5, score=0.1235, status="uncertain")))
        assert len(rows) == NUM_LANDMARKS
        assert {len(row) for row in rows} == {len(LANDMARK_COLUMNS)}
        assert rows[0] == ["film.png", "Sella", "S", "20.00", "50.00", "0.900", "ok", "", "", "none", *[""] * 4]
        assert rows[1][2:7] == ["N", "1.00", "-2.50", "0.123", "uncertain"]

    def test_millimetres_and_where_they_come_from(self, detection: Detection) -> None:
        calibrated = detection.model_copy(update={"spacing_source": SpacingSource.PIXEL_SPACING_CALIBRATED})
        rows = list(landmark_rows(changed(calibrated, 0, x_mm=0.12345, y_mm=-7.0)))
        assert rows[0][7:] == ["0.123", "-7.000", "pixel_spacing_calibrated", *[""] * 4]

    def test_radii(self, detection: Detection) -> None:
        rows = list(landmark_rows(changed(detection, 0, radius_90_px=15.26, radius_90_mm=1.526, radius_95_px=20.0)))
        assert rows[0][-2:] == ["15.3", "1.53"]
        assert rows[1][-2:] == ["", ""]

    @pytest.mark.parametrize(
        ("spacing", "text"), [((0.125, 0.125), "0.125"), ((0.1, 0.10001), "0.1"), ((0.1, 0.2), ""), (None, "")]
    )
    def test_one_spacing_of_square_pixels(
        self, detection: Detection, spacing: tuple[float, float] | None, text: str
    ) -> None:
        rows = landmark_rows(detection.model_copy(update={"pixel_spacing": spacing}))
        assert {row[LANDMARK_COLUMNS.index("pixel_spacing")] for row in rows} == {text}

    def test_the_uid_of_the_image(self, detection: Detection) -> None:
        rows = landmark_rows(detection.model_copy(update={"image_uid": "1.2.3"}))
        assert {row[LANDMARK_COLUMNS.index("image_uid")] for row in rows} == {"1.2.3"}

    def test_a_missing_landmark_has_empty_places(self, detection: Detection) -> None:
        rows = list(landmark_rows(changed(detection, 4, x=None, y=None, score=0.0, status="missing")))
        assert rows[4] == [
            "film.png",
            "Subspinale (A point)",
            "A",
            "",
            "",
            "0.000",
            "missing",
            "",
            "",
            "none",
            *[""] * 4,
        ]

    def test_names_that_csv_must_quote(self, tmp_path: Path, detection: Detection) -> None:
        name = 'Müller, "Anna"\nfilm.png'
        write_table(tmp_path / "t.csv", LANDMARK_COLUMNS, landmark_rows(detection.model_copy(update={"file": name})))
        assert {row[0] for row in rows_of(tmp_path / "t.csv")[1:]} == {name}

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        write_table(tmp_path / "t.csv", ["file"], [["M\udcfcller.png"]])
        assert rows_of(tmp_path / "t.csv")[1] == ["M\\udcfcller.png"]

    def test_an_empty_table_has_its_header(self, tmp_path: Path) -> None:
        write_table(tmp_path / "t.csv", ["a", "b"], [])
        assert (tmp_path / "t.csv").read_bytes() == b"a,b\n"

    def test_the_table_of_one_film(self, tmp_path: Path, detection: Detection) -> None:
        detection = changed(detection, 4, x=None, y=None, score=0.0, status="missing")
        write_landmarks(
            *(tmp_path / "t.csv", detection.file, detection.landmarks),
            *(detection.pixel_spacing, detection.spacing_source),
        )
        header, *rows = rows_of(tmp_path / "t.csv")
        assert tuple(header) == LANDMARK_COLUMNS
        assert rows == list(landmark_rows(detection))
