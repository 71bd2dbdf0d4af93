"""Points that a person corrected in a table, on top of a detection."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_films import detection_on

from monai_ceph.datasets.points import FilmPoints
from monai_ceph.errors import CephError
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.corrected import Corrections, corrected
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_rows, write_table
from monai_ceph.result import Detection


def points_of(detection: Detection, **changes: tuple[float, float] | None) -> FilmPoints:
    places: dict[str, tuple[float, float] | None] = {
        mark.symbol: (mark.x, mark.y) for mark in detection.landmarks if mark.x is not None and mark.y is not None
    }
    places |= changes
    return FilmPoints(detection.file, {symbol: place for symbol, place in places.items() if place is not None})


class TestCorrected:
    def test_a_moved_point_counts_and_is_named(self) -> None:
        detection = detection_on()
        x, y = detection["A"].x or 0.0, detection["A"].y or 0.0
        found = corrected(detection, points_of(detection, A=(x + 10, y)), "mine.csv")
        assert (found["A"].x, found["A"].y, found["A"].status) == (x + 10, y, "ok")
        assert found.warnings[0] == "A person placed A (mine.csv)."
        before, after = ({each.symbol: each.value for each in film.measure()} for film in (detection, found))
        assert before["SNA"] != after["SNA"]
        assert before["SNB"] == after["SNB"]

    def test_nothing_changes_if_nothing_was_moved(self) -> None:
        detection = detection_on()
        assert corrected(detection, points_of(detection), "mine.csv") == detection

    def test_rounding_in_a_table_is_no_correction(self, tmp_path: Path) -> None:
        detection = detection_on()
        write_table(tmp_path / "mine.csv", LANDMARK_COLUMNS, landmark_rows(detection))
        assert Corrections([tmp_path / "mine.csv"]).apply(detection) == detection

    def test_a_removed_point_is_missing(self) -> None:
        detection = detection_on()
        found = corrected(detection, points_of(detection, Go=None), "mine.csv")
        assert (found["Go"].x, found["Go"].x_mm, found["Go"].status) == (None, None, "missing")
        assert found.warnings[0] == "A person marked Go as missing (mine.csv)."

    def test_points_that_only_people_place(self) -> None:
        detection = detection_on()
        added = {"U1A": (500.0, 600.0), "L1A": (490.0, 900.0)}
        found = corrected(detection, points_of(detection, **added), "mine.csv")
        values = {each.symbol: each.value for each in found.measure()}
        assert values["IMPA"] is not None
        assert found.warnings[0] == "A person placed U1A, L1A (mine.csv)."
        before, after = (film_report(film, film.measure()).landmarks for film in (detection, found))
        assert (before.split(" landmarks")[0], after.split(" landmarks")[0]) == ("15 of 19", "17 of 21")

    def test_a_scale_in_the_table(self) -> None:
        detection = detection_on().model_copy(update={"pixel_spacing": None, "spacing_source": SpacingSource.NONE})
        points = points_of(detection)
        points.pixel_spacing, points.spacing_source = (0.1, 0.1), SpacingSource.USER
        found = corrected(detection, points, "mine.csv")
        x = detection["S"].x or 0.0
        expected = (0.1, 0.1) if found.spacing_source is SpacingSource.USER else None
        assert found.pixel_spacing == expected
        assert found["S"].x_mm == (pytest.approx(0.1 * x) if expected else None)


class TestCorrections:
    def test_films_are_found_by_name_then_by_uid(self, tmp_path: Path) -> None:
        table = tmp_path / "mine.csv"
        detection = detection_on()
        table.write_text(f"film,symbol,x,y,image_uid\nanother name,S,1,2,{detection.image_uid}\nb.dcm,S,3,4,\n")
        corrections = Corrections([table])
        found = corrections.apply(detection)
        assert (found["S"].x, found["S"].y) == (1, 2)
        assert corrections.unused() == ["b.dcm"]

    def test_a_uid_of_two_films_finds_none(self, tmp_path: Path) -> None:
        table = tmp_path / "mine.csv"
        detection = detection_on()
        uid = detection.image_uid
        table.write_text(f"film,symbol,x,y,image_uid\none,S,1,2,{uid}\ntwo,S,3,4,{uid}\n")
        assert Corrections([table]).apply(detection) is detection

    def test_a_film_in_two_tables(self, tmp_path: Path) -> None:
        for name in ("a.csv", "b.csv"):
            (tmp_path / name).write_text("film,symbol,x,y\none,S,1,2\n")
        with pytest.raises(CephError, match=r"b\.csv: one is also in .*a\.csv; give one of them"):
            Corrections([tmp_path / "a.csv", tmp_path / "b.csv"])
