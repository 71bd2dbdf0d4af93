"""``monai-ceph measure``, from films, from results of detect, and from tables."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from invoked import QUICK, one_line, run, table
from samples import changed

from monai_ceph.analysis import DEFINITIONS, measure
from monai_ceph.datasets import folder
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.json_result import save_json
from monai_ceph.reports.measurement_table import MEASUREMENT_COLUMNS, WIDE_COLUMNS
from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_rows, write_table
from monai_ceph.result import Detection

# angles of a mean face, in pixels of a film; S-N is 640 pixels long
FACE = {
    "S": (800, 1000), "N": (1432, 900), "Po": (560, 1190), "Or": (1320, 1180), "A": (1430, 1500), "B": (1390, 1880),
    "Pog": (1390, 2030), "Me": (1330, 2090), "Gn": (1365, 2070), "Go": (720, 1760), "LI": (1470, 1700),
    "UI": (1490, 1710),
}  # fmt: skip


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def by_symbol(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["symbol"]: row for row in rows}


def write(path: Path, lines: list[str], header: str = "film,symbol,x,y,pixel_spacing") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """A table of two films that are not there, the first with a scale."""
    lines = [f"one.dcm,{symbol},{x},{y},0.11" for symbol, (x, y) in FACE.items()]
    lines += [f"two.png,{symbol},{x},{y}," for symbol, (x, y) in FACE.items()]
    return write(tmp_path / "landmarks.csv", lines)


class TestTables:
    def test_a_row_per_film_and_measurement(self, points: Path) -> None:
        result = run("measure", points)
        assert result.exit_code == 0, result.output
        rows = rows_of(result.stdout)
        assert tuple(rows[0]) == MEASUREMENT_COLUMNS
        assert [(row["film"], row["symbol"]) for row in rows] == [
            (film, definition.symbol) for film in ("one.dcm", "two.png") for definition in DEFINITIONS
        ]
        for film, spacing in (("one.dcm", 0.11), ("two.png", None)):
            found = by_symbol([row for row in rows if row["film"] == film])
            for each in measure(FACE, spacing):
                row = found[each.symbol]
                assert row["reason"] == (each.reason or "")
                if each.value is not None:
                    assert float(row["value"]) == pytest.approx(each.value, abs=6e-4)
                    assert float(row["low"] or "nan") <= float(row["value"]) or each.interval is None
        one, two = (by_symbol([row for row in rows if row["film"] == film]) for film in ("one.dcm", "two.png"))
        assert (one["S-N"]["scale"], one["SNA"]["scale"]) == ("user", "")
        assert (two["S-N"]["value"], two["S-N"]["reason"]) == ("", "the film has no known scale")
        assert one["IMPA"]["reason"] == "missing: L1A"

    def test_a_row_per_film(self, points: Path) -> None:
        rows = rows_of(run("measure", points, "--wide").stdout)
        assert tuple(rows[0]) == WIDE_COLUMNS
        assert [(row["film"], row["spacing_source"], row["pixel_spacing"]) for row in rows] == [
            ("one.dcm", "user", "0.11"),
            ("two.png", "none", ""),
        ]
        long = by_symbol(rows_of(run("measure", points).stdout)[: len(DEFINITIONS)])
        assert {symbol: rows[0][symbol] for symbol in long} == {s: row["value"] for s, row in long.items()}
        assert (rows[1]["S-N"], rows[1]["SNA"]) == ("", rows[0]["SNA"])

    def test_points_that_a_person_added(self, points: Path) -> None:
        with points.open("a") as stream:
            stream.write("one.dcm,U1A,1440,1560,0.11\none.dcm,L1A,1400,1850,0.11\n")
        found = by_symbol(rows_of(run("measure", points).stdout)[: len(DEFINITIONS)])
        added = FACE | {"U1A": (1440, 1560), "L1A": (1400, 1850)}
        expected = {each.symbol: each.value for each in measure(added, 0.11)}
        for symbol in ("IMPA", "FMIA", "U1-SN", "Interincisal", "U1-NA (deg)"):
            assert float(found[symbol]["value"]) == pytest.approx(expected[symbol], abs=6e-4)
        assert found["UL-E"]["reason"] == "missing: UL, Pog', Prn"

    def test_a_corrected_table_of_detect(self, detection: Detection, tmp_path: Path) -> None:
        """x and y count, x_mm and y_mm do not; uncertain landmarks are named."""
        film = detection.model_copy(update={"pixel_spacing": (0.1, 0.1), "spacing_source": SpacingSource.USER})
        for index, symbol in enumerate(SYMBOLS):
            x, y = FACE.get(symbol, (None, None))
            values = {"x": x, "y": y, "x_mm": x and 0.1 * x, "y_mm": y and 0.1 * y}
            film = changed(film, index, status="missing" if x is None else "ok", **values)
        film = changed(film, SYMBOLS.index("A"), status="uncertain", x=1500.0)
        write_table(tmp_path / "landmarks.csv", LANDMARK_COLUMNS, landmark_rows(film))
        found = by_symbol(rows_of(run("measure", tmp_path / "landmarks.csv").stdout))
        (sna,) = (each for each in film.measure() if each.symbol == "SNA")
        assert float(found["SNA"]["value"]) == pytest.approx(sna.value, abs=6e-4)
        assert (found["SNA"]["uncertain"], found["SNB"]["uncertain"]) == ("A", "")
        assert found["S-N"]["scale"] == "user"

    def test_pixels_that_are_not_square_have_their_scale_in_mm_columns(
        self, detection: Detection, tmp_path: Path
    ) -> None:
        film = detection.model_copy(
            update={"pixel_spacing": (0.2, 0.1), "spacing_source": SpacingSource.PIXEL_SPACING_CALIBRATED}
        )
        for index, symbol in enumerate(SYMBOLS):
            x, y = FACE.get(symbol, (None, None))
            values = {"x": x, "y": y and y / 2, "x_mm": x and 0.1 * x, "y_mm": y and 0.1 * y}
            film = changed(film, index, status="missing" if x is None else "ok", **values)
        # one was moved, and its millimetres were not
        film = changed(film, SYMBOLS.index("A"), x=1400.0)
        write_table(tmp_path / "landmarks.csv", LANDMARK_COLUMNS, landmark_rows(film))
        found = by_symbol(rows_of(run("measure", tmp_path / "landmarks.csv").stdout))
        for each in film.measure():
            value = found[each.symbol]["value"]
            assert float(value or "nan") == pytest.approx(
                float("nan") if each.value is None else each.value, abs=2e-3, nan_ok=True
            )
        assert found["S-N"]["scale"] == "pixel_spacing_calibrated"
        line = one_line(run("measure", tmp_path / "landmarks.csv", "--pixel-spacing", 0.1))
        assert "film.png: its pixels are not square" in line
        save_json(tmp_path / "a.json", film.model_copy(update={"warnings": ("The pixels are not square: 0.2 mm.",)}))
        assert "not square" in one_line(run("measure", tmp_path / "a.json", "--pixel-spacing", 0.1))

    def test_a_scale_that_cannot_be_right_gives_no_lengths(self, points: Path) -> None:
        rows = rows_of(run("measure", points, "--pixel-spacing", 0.9).stdout)
        for row in rows:
            if row["symbol"] == "S-N":
                assert (row["value"], row["reason"]) == ("", "the stated scale is implausible")
        assert by_symbol(rows)["SNA"]["value"]

    def test_a_head_that_faces_left(self, points: Path, tmp_path: Path) -> None:
        mirrored = [f"one.dcm,{symbol},{3000 - x},{y},0.11" for symbol, (x, y) in FACE.items()]
        other = write(tmp_path / "left.csv", mirrored)
        right = rows_of(run("measure", points).stdout)[: len(DEFINITIONS)]
        assert rows_of(run("measure", other).stdout) == right

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (["a.png,SX,1,2,"], "line 2: no landmark has the symbol 'SX'"),
            (["a.png,S,1,2,", "a.png,S,1,2,"], "line 3: a second row for S of a.png"),
            (["a.png,S,1,,"], "line 2: S has only one of x and y"),
            (["a.png,S,1,b,"], "line 2: y is 'b', not a number"),
            (["a.png,S,1,2,0"], "line 2: pixel_spacing is 0"),
            (["a.png,S,1,2,0.1", "a.png,N,1,2,0.2"], "line 3: pixel_spacing of a.png is 0.2, but 0.1"),
            ([], "the table has no rows"),
        ],
    )
    def test_a_wrong_row_is_named(self, tmp_path: Path, lines: list[str], said: str) -> None:
        file = write(tmp_path / "a.csv", lines)
        line = one_line(run("measure", file))
        assert line.startswith(str(file))
        assert said in line

    def test_without_a_column(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.csv", ["a.png,1,2"], "film,x,y")
        assert "line 1: no column symbol" in one_line(run("measure", file))

    def test_a_misspelt_column_is_named(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.csv", ["a.png,S,1,2,0.1"], "film,symbol,x,y,pixel_spacng")
        assert "line 1: does the column pixel_spacng mean pixel_spacing?" in one_line(run("measure", file))
        for header, said in (
            ("Pixel Spacing (mm)", "pixel spacing (mm) mean pixel_spacing?"),
            ("PixelSpacing", "pixelspacing mean pixel_spacing?"),
            ("image-UID", "image-uid mean image_uid?"),
            ("Stauts", "stauts mean status?"),
            ("x (mm)", "x (mm) mean x_mm?"),
        ):
            assert said in one_line(run("measure", write(file, ["a.png,S,1,2,0.1"], f"film,symbol,x,y,{header}")))
        for header in ("remarks", "name", "score", "state", "file", "image"):
            other = write(tmp_path / "b.csv", ["a.png,S,1,2,0.1"], f"film,symbol,x,y,{header}")
            assert run("measure", other).exit_code == 0, header

    def test_a_reader_that_closes_the_pipe_is_no_error(self, points: Path) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "monai_ceph", "measure", points, "--wide"]
        ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=300, check=False)
        os.close(writing)
        assert (ended.returncode, ended.stderr) == (1, b"")

    def test_a_film_of_two_sources(self, points: Path, tmp_path: Path) -> None:
        other = write(tmp_path / "other.csv", [f"two.png,{symbol},{x},{y}," for symbol, (x, y) in FACE.items()])
        result = run("measure", points, other, "--wide")
        assert result.exit_code == 1
        assert [row["film"] for row in rows_of(result.stdout)] == ["one.dcm", "two.png"]
        assert f"{other}: two.png was measured from {points}; measure it in another call" in result.stderr


class TestNorms:
    def test_norms_that_cannot_be_used_are_named(self, points: Path) -> None:
        said = "the norms of A-Nperp, Pog-Nperp, ANS-Me are for one sex and are not used; give --sex F or --sex M"
        assert said in run("measure", points, "--norms", "mcnamara").stderr
        assert run("measure", points, "--norms", "mcnamara", "--sex", "F").stderr == ""
        assert "have no effect without --norms" in run("measure", points, "--sex", "F").stderr

    def test_norms_of_an_age_are_named_once_without_an_age(self, points: Path) -> None:
        said = run("measure", points, "--norms", "downs", "--norms", "ricketts").stderr
        assert said.replace("\n", " ").strip() == (
            "without --age, norms of an age are used for all films: "
            "12 to 17 years: Facial angle, Convexity, A-B plane, FMA, Y-axis (FH); "
            "9 to 10 years: Maxillary depth, FH-PP, A-NPog, L1-APog (mm)"
        )
        assert run("measure", points, "--norms", "ricketts", "--age", "9").stderr == ""

    def test_a_row_per_film_has_no_norms(self, points: Path) -> None:
        said = one_line(run("measure", points, "--wide", "--norms", "steiner"))
        assert "--wide has no columns for norms" in said

    def test_a_set_by_name_and_a_file_of_ones_own(self, points: Path, tmp_path: Path) -> None:
        mine = tmp_path / "mine.yaml"
        mine.write_text("norms:\n  SNA: {mean: 60, sd: 1, population: us, citation: here}\n")
        rows = by_symbol(rows_of(run("measure", points, "--norms", mine, "--norms", "steiner").stdout))
        assert (rows["SNA"]["norm"], rows["SNA"]["norm_population"], rows["SNA"]["flag"]) == (
            "mine.yaml",
            "us",
            "above",
        )
        assert (rows["SNB"]["norm"], rows["SNB"]["norm_mean"], rows["SNB"]["norm_verified"]) == (
            "steiner",
            "80.000",
            "no",
        )
        assert (rows["SNB"]["norm_low"], rows["SNB"]["norm_high"]) == ("78.000", "82.000")
        assert rows["FMA"]["norm"] == rows["FMA"]["flag"] == ""

    def test_sex_and_age(self, points: Path) -> None:
        for sex, mean, people in (("F", "0.400", "adults, female"), ("M", "1.100", "adults, male")):
            found = rows_of(run("measure", points, "--norms", "mcnamara", "--sex", sex).stdout)
            rows = by_symbol(found[: len(DEFINITIONS)])
            assert (rows["A-Nperp"]["norm_mean"], rows["A-Nperp"]["norm_population"]) == (mean, people)
        rows = by_symbol(rows_of(run("measure", points, "--norms", "mcnamara").stdout)[: len(DEFINITIONS)])
        assert rows["A-Nperp"]["norm"] == ""
        rows = by_symbol(rows_of(run("measure", points, "--norms", "ricketts", "--age", 30).stdout))
        assert rows["FMA"]["norm"] == ""

    def test_none(self, points: Path) -> None:
        assert {row["norm"] for row in rows_of(run("measure", points, "--norms", "none").stdout)} == {""}

    def test_a_wrong_file(self, points: Path, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("norms:\n  SNA: {mean: 1}\n")
        assert "a.yaml, line 2: norms.SNA" in one_line(run("measure", points, "--norms", tmp_path / "a.yaml"))
        assert "no set of norms" in one_line(run("measure", points, "--norms", "nobody"))


class TestOutputs:
    def test_a_file_is_replaced_by_its_writer_only(self, points: Path, tmp_path: Path) -> None:
        out = tmp_path / "new" / "m.csv"
        assert run("measure", points, "--out", out).exit_code == 0
        assert out.read_text() == run("measure", points).stdout
        assert run("measure", points, "--wide", "--out", out).exit_code == 0
        assert len(table(out)) == 2
        out.write_text("mine\n")
        assert "was not written by this software, or was changed since" in one_line(
            run("measure", points, "--out", out)
        )
        assert out.read_text() == "mine\n"
        # before the work: the model cannot be loaded there
        film = ("film.png", "--out", out, "--device", "nowhere")
        assert "was not written by this software" in one_line(run("measure", *film))

    def test_parquet(self, points: Path, tmp_path: Path) -> None:
        assert run("measure", points, "--out", tmp_path / "m.parquet", "--norms", "steiner").exit_code == 0
        rows = pyarrow.parquet.read_table(tmp_path / "m.parquet").to_pylist()
        assert tuple(rows[0]) == MEASUREMENT_COLUMNS
        expected = {each.symbol: each for each in measure(FACE, 0.11)}
        for row in rows[: len(DEFINITIONS)]:
            each = expected[row["symbol"]]
            assert (row["value"], row["reason"]) == (each.value, each.reason)
            assert (row["low"], row["high"]) == (each.interval or (None, None))
        assert rows[0]["norm_verified"] is False

    @pytest.mark.parametrize("arguments", [("--out", "a.txt"), ("--out", "a.parquet", "--wide")])
    def test_what_cannot_be(self, points: Path, arguments: tuple[str, ...]) -> None:
        assert "--" in one_line(run("measure", points, *arguments))

    def test_what_fails_costs_no_other_source(self, points: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.json").write_text("{}")
        result = run("measure", tmp_path / "bad.json", points, tmp_path / "none.png", "--wide")
        assert result.exit_code == 1
        assert [row["film"] for row in rows_of(result.stdout)] == ["one.dcm", "two.png"]
        said = result.stderr.splitlines()
        assert said == [
            f"monai-ceph: {tmp_path / 'bad.json'}: not a result of monai-ceph: it has no schema_version such as 3.0",
            f"monai-ceph: {tmp_path / 'none.png'}: no such file or folder",
        ]

    def test_nothing_measured_replaces_nothing(self, points: Path, tmp_path: Path) -> None:
        out = tmp_path / "m.csv"
        run("measure", points, "--out", out)
        before = out.read_text()
        assert run("measure", tmp_path / "none.csv", "--out", out).exit_code == 2
        assert out.read_text() == before


class TestResultsOfDetect:
    @pytest.fixture
    def film(self, detection: Detection) -> Detection:
        for index, symbol in enumerate(SYMBOLS):
            x, y = FACE.get(symbol, (None, None))
            detection = changed(detection, index, x=x, y=y, status="missing" if x is None else "ok")
        update: dict[str, Any] = {"pixel_spacing": (0.1, 0.1), "spacing_source": SpacingSource.IMAGER_MAGNIFIED}
        return detection.model_copy(update=update)

    def test_json(self, film: Detection, tmp_path: Path) -> None:
        save_json(tmp_path / "a.json", film)
        found = by_symbol(rows_of(run("measure", tmp_path / "a.json").stdout))
        assert {row["film"] for row in found.values()} == {"film.png"}
        for each in film.measure():
            assert found[each.symbol]["reason"] == (each.reason or "")
        assert found["S-N"]["scale"] == "imager_magnified"
        length = float(found["S-N"]["value"])
        other = by_symbol(rows_of(run("measure", tmp_path / "a.json", "--pixel-spacing", 0.11).stdout))
        assert (float(other["S-N"]["value"]), other["S-N"]["scale"]) == (pytest.approx(1.1 * length, abs=1e-3), "user")

    def test_what_is_no_json_of_detect(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"schema_version": "2.1", "file": 3}')
        assert "not a result of monai-ceph: file: " in one_line(run("measure", tmp_path / "a.json"))
        (tmp_path / "b.json").write_text("no JSON")
        assert "not a result of monai-ceph: Invalid JSON" in one_line(run("measure", tmp_path / "b.json"))

    def test_films_and_a_folder_of_results(
        self, phantoms: Path, detect: Callable[[Path], Detection], tmp_path: Path
    ) -> None:
        out = tmp_path / "results"
        assert run("detect", phantoms / "001.png", "--out", out, "--formats", "csv,json,parquet", *QUICK).exit_code == 0
        scale = folder(phantoms)[0].pixel_spacing
        written = table(out / "measurements.csv")
        typed = pyarrow.parquet.read_table(out / "measurements.parquet").to_pylist()
        assert [row["symbol"] for row in written] == [row["symbol"] for row in typed]
        assert all(
            float(row["value"] or "nan") == pytest.approx(each["value"], abs=6e-4)
            for row, each in zip(written, typed, strict=True)
            if each["value"] is not None
        )
        assert {row["reason"] for row in written if row["symbol"] in ("S-N", "ANS-Me")} == {
            "the film has no known scale"
        }
        assert rows_of(run("measure", out).stdout) == written
        film = run("measure", phantoms / "001.png", "--pixel-spacing", scale, *QUICK)
        assert film.exit_code == 0, film.output
        assert {row["film"] for row in rows_of(film.stdout)} == {"001.png"}
        found = by_symbol(rows_of(film.stdout))
        for row in written:
            if row["unit"] != "mm":
                assert found[row["symbol"]]["value"] == row["value"]
        assert float(found["S-N"]["value"]) > 40

    def test_films_of_a_folder_are_called_by_their_path_below_it(self, phantoms: Path, tmp_path: Path) -> None:
        (tmp_path / "DOE^JOHN" / "first visit").mkdir(parents=True)
        (tmp_path / "DOE^JOHN" / "first visit" / "a.png").hardlink_to(phantoms / "001.png")
        measured = run("measure", tmp_path / "DOE^JOHN", *QUICK)
        assert {row["film"] for row in rows_of(measured.stdout)} == {"first visit/a.png"}

    def test_a_folder_of_results_without_json(self, tmp_path: Path) -> None:
        (tmp_path / "run.sqlite").touch()
        assert "a run without JSON" in one_line(run("measure", tmp_path))
