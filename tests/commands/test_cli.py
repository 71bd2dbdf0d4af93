from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from samples import as_aariz, save_grey
from typer.testing import CliRunner

import monai_ceph
from monai_ceph.cli import app
from monai_ceph.datasets import folder
from monai_ceph.folders import BUNDLES
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS, SYMBOLS
from monai_ceph.reports.json_result import may_replace

# one patch per landmark instead of five: the same code in a fraction of the time
OVERLAYS = BUNDLES / "overlays"
QUICK = ("--device", "cpu", "--config", str(OVERLAYS / "no_expansion.json"))

STEPS = ("looking for films", "loading the model", "detecting", "evaluating", "drawing")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def one_line(result: Any, code: int = 2) -> str:
    """Check that a command ended with this exit code and one line, without a traceback; return that line."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if line not in STEPS]
    assert line.startswith("monai-ceph: ")
    return line.removeprefix("monai-ceph: ")


@pytest.fixture
def films(tmp_path: Path, film: Path, dicom: Path) -> Path:
    """A folder with two good films and three other files."""
    root = tmp_path / "films"
    (root / "visit 2").mkdir(parents=True)
    (root / "good.dcm").write_bytes(dicom.read_bytes())
    (root / "visit 2" / "good.png").write_bytes(film.read_bytes())
    other = pydicom.dcmread(dicom)
    # not a copy of the first film, which would count as its duplicate
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    other.save_as(root / "truncated.dcm")
    os.truncate(root / "truncated.dcm", dicom.stat().st_size // 2)
    (root / "text.dcm").write_text("this is no film\n")
    save_grey(root / "visit 2" / "constant.png", np.full((1200, 968), 128))
    (root / "notes.txt").write_text("left alone\n")
    return root


class TestDetect:
    def test_with_trained_weights_a_phantom_needs_no_force(self, films: Path, tmp_path: Path) -> None:
        result = run("detect", films, "--out", tmp_path / "out", "--formats", "csv,parquet", *QUICK)
        assert result.exit_code == 1, result.output
        assert "5 films: 2 done, 0 uncertain, 1 rejected, 2 failed." in result.stdout
        statuses = [row["status"] for row in table(tmp_path / "out" / "landmarks.csv")]
        assert len(statuses) == 2 * NUM_LANDMARKS
        assert statuses.count("ok") >= 30

    def test_a_folder_with_films_and_others(self, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """From a shell, in another process. With --force, so that the quality of the weights does not matter."""
        arguments = ["detect", "films", "--out", "out", "--force", *QUICK]
        command = [sys.executable, "-m", "monai_ceph", *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 1, result.stderr
        out = tmp_path / "out"

        lines = (out / "landmarks.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == (
            "film,landmark,symbol,x,y,score,status,x_mm,y_mm,spacing_source,pixel_spacing,image_uid,"
            "radius_90_px,radius_90_mm"
        )
        rows = table(out / "landmarks.csv")
        good = ["good.dcm", "visit 2/good.png"]
        assert [row["film"] for row in rows] == [name for name in good for _ in range(NUM_LANDMARKS)]
        for index in range(2):
            part = rows[index * NUM_LANDMARKS : (index + 1) * NUM_LANDMARKS]
            assert tuple(row["symbol"] for row in part) == SYMBOLS
            assert tuple(row["landmark"] for row in part) == NAMES
        for row in rows:
            assert row["status"] in ("ok", "uncertain", "missing")
            assert 0 <= float(row["score"]) <= 1
            if row["status"] != "missing":
                assert -200 < float(row["x"]) < 1200
                assert -200 < float(row["y"]) < 1400
            # the DICOM film has a scale, the PNG has none
            scaled = row["film"].endswith(".dcm") and row["status"] != "missing"
            assert bool(row["x_mm"]) == bool(row["y_mm"]) == scaled
            assert bool(row["pixel_spacing"]) == row["film"].endswith(".dcm")
            assert (row["spacing_source"] == "none") == row["film"].endswith(".png")

        errors = table(out / "errors.csv")
        assert list(errors[0]) == ["film", "error"]
        causes = {row["film"]: row["error"] for row in errors}
        assert list(causes) == ["text.dcm", "truncated.dcm", "visit 2/constant.png"]
        assert causes["text.dcm"].startswith("unreadable: not a DICOM file")
        assert causes["truncated.dcm"].startswith("unreadable: truncated")
        assert causes["visit 2/constant.png"].startswith("rejected: ")
        assert sorted(path.name for path in (out / "overlays").iterdir()) == ["good.dcm.png", "good.png.png"]
        assert sorted(path.name for path in (out / "json").iterdir()) == ["good.dcm.json", "good.png.json"]
        assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
            *("duplicates.csv", "errors.csv", "json", "landmarks.csv", "measurement_definitions.json"),
            *("measurements.csv", "overlays", "run.sqlite"),
        ]

        assert "rejected, 2 failed." in result.stdout
        assert "films per second" in result.stdout
        assert (
            "Written to out: landmarks.csv, measurements.csv, errors.csv, duplicates.csv, "
            "measurement_definitions.json, json/, overlays/, run.sqlite." in result.stdout
        )
        assert "reviews every result" in result.stdout
        # the screen shows the errors too, each with its file and without a traceback
        for name in causes:
            assert sum(line.startswith(f"{name}: ") for line in result.stderr.splitlines()) == 1
        assert "Traceback" not in result.stderr

        monkeypatch.chdir(tmp_path)
        again = run(*arguments)
        assert again.exit_code == 1
        assert "5 of them were done before." in again.stdout
        assert (out / "landmarks.csv").read_text(encoding="utf-8").splitlines() == lines

    def test_all_done(self, film: Path, tmp_path: Path) -> None:
        result = run("detect", film, "--out", tmp_path / "out", "--force", "--formats", "csv", *QUICK)
        assert result.exit_code == 0, result.output
        assert not (tmp_path / "out" / "overlays").exists()
        assert "overlays" not in result.stdout
        assert table(tmp_path / "out" / "errors.csv") == []

    def test_nothing_done(self, tmp_path: Path) -> None:
        (tmp_path / "text.dcm").write_text("no film")
        result = run("detect", tmp_path, tmp_path / "nowhere.dcm", "--out", tmp_path / "out", *QUICK)
        assert result.exit_code == 2
        assert [row["error"] for row in table(tmp_path / "out" / "errors.csv")] == [
            "unreadable: not a DICOM file.",
            "unreadable: no such file.",
        ]
        assert table(tmp_path / "out" / "landmarks.csv") == []
        # the path as typed, because nobody knows the name in the tables
        assert f"{tmp_path / 'nowhere.dcm'}: no such file or folder" in result.stderr.splitlines()

    def test_brackets_in_names_are_not_markup(
        self, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("[a] film[1].png").write_bytes(film.read_bytes())
        result = run("detect", "[a] film[1].png", "--out", tmp_path / "[b]", "--force", "--formats", "csv", *QUICK)
        assert result.exit_code == 0, result.output
        assert "[a] film[1].png" in result.stdout
        assert str(tmp_path / "[b]") in result.stdout

    def test_names_path_and_deidentify_cannot_be_used_together(self, films: Path, tmp_path: Path) -> None:
        result = run("detect", films, "--out", tmp_path / "out", "--names", "path", "--deidentify")
        assert result.exit_code == 2
        assert "--names path and --deidentify cannot be used together" in result.output

    def test_restart_deletes_earlier_results(self, films: Path, tmp_path: Path) -> None:
        film = films / "visit 2" / "constant.png"
        command = ("detect", film, "--out", tmp_path / "out", "--formats", "csv", *QUICK)
        for options in ((), ("--restart",)):
            assert run(*command, *options).exit_code == 2
        assert "were done before" not in run(*command, "--restart").output
        assert "1 of them were done before." in run(*command).output

    def test_a_name_that_is_not_utf_8(self, dicom: Path, tmp_path: Path) -> None:
        path = os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.dcm")
        try:
            Path(path).write_bytes(dicom.read_bytes())
        except OSError:
            pytest.skip("this file system takes only UTF-8 names")
        result = run("detect", tmp_path, "--out", tmp_path / "out", "--force", *QUICK)
        assert result.exit_code == 0, result.output
        assert {row["film"] for row in table(tmp_path / "out" / "landmarks.csv")} == {"M\\xfcller.dcm"}

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "films").mkdir()
        message = one_line(run("detect", tmp_path / "films", "--out", tmp_path / "out", *QUICK))
        assert message == f"no film in {tmp_path / 'films'}"
        assert not (tmp_path / "out").exists()

    def test_a_file_in_place_of_the_folder(self, film: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        message = one_line(run("detect", film, "--out", tmp_path / "out", *QUICK))
        assert message == f"--out {tmp_path / 'out'} is a file, and must be a folder"
        message = one_line(run("detect", film, "--out", tmp_path / "out" / "deeper", *QUICK), code=3)
        assert str(tmp_path / "out") in message
        assert (tmp_path / "out").read_text() == "a file"

    def test_results_that_cannot_be_written(self, film: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / ".run.unfinished").write_text("a file")
        message = one_line(run("detect", film, "--out", tmp_path / "out", *QUICK), code=3)
        assert message.startswith(f"{tmp_path / 'out' / '.run.unfinished'}")
        assert message.endswith(". The results so far are kept; the same command continues the run")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                ("--formats", "csv,xml"),
                "--formats xml: no such format; there are csv, parquet, json, markups, "
                "overlay, tracing, tracing-png, sr, gsps, sc, pdf, and all",
            ),
        ],
    )
    def test_options_that_make_no_sense(
        self, film: Path, tmp_path: Path, options: tuple[str, ...], message: str
    ) -> None:
        assert one_line(run("detect", film, "--out", tmp_path / "out", *options)) == message
        assert not (tmp_path / "out").exists()

    def test_no_workers(self, film: Path, tmp_path: Path) -> None:
        assert run("detect", film, "--out", tmp_path / "out", "--workers", "0").exit_code == 2

    @pytest.mark.parametrize("value", ["0", "-0.1", "nan", "inf", "100"])
    def test_an_impossible_pixel_spacing_is_refused(self, film: Path, tmp_path: Path, value: str) -> None:
        message = one_line(run("detect", film, "--out", tmp_path / "out", f"--pixel-spacing={value}", *QUICK))
        assert message.startswith("--pixel-spacing ")
        assert "mm" in message

    def test_a_pixel_spacing_that_is_not_a_number_is_refused(self, film: Path, tmp_path: Path) -> None:
        result = run("detect", film, "--out", tmp_path / "out", "--pixel-spacing", "0,1")
        assert result.exit_code == 2
        assert "--pixel-spacing" in result.stderr

    def test_a_device_that_is_not_there(self, film: Path, tmp_path: Path) -> None:
        message = one_line(run("detect", film, "--out", tmp_path / "out", "--device", "gpu"))
        assert message.startswith("device gpu cannot be used: ")

    def test_a_config_that_is_not_there(self, film: Path, tmp_path: Path) -> None:
        message = one_line(run("detect", film, "--out", tmp_path / "out", "--config", tmp_path / "a.json"))
        assert message == f"{tmp_path / 'a.json'}: cannot be read as a config: No such file or directory"

    def test_no_out(self, film: Path) -> None:
        result = run("detect", film)
        assert result.exit_code == 2
        assert "--out" in result.stderr

    def test_a_persons_table_in_the_folder_of_results_is_refused(self, tmp_path: Path) -> None:
        own = tmp_path / "own"
        own.mkdir()
        save_grey(own / "film.png", np.zeros((64, 48)))
        (own / "landmarks.csv").write_text("file,symbol,x,y\nfilm.png,S,1,2\n")
        assert one_line(run("detect", own, "--out", own)) == (
            f"{own / 'landmarks.csv'}: was not written by an earlier run; move it, or choose another folder with --out"
        )
        assert (own / "landmarks.csv").read_text() == "file,symbol,x,y\nfilm.png,S,1,2\n"
        assert {path.name for path in own.iterdir()} == {"film.png", "landmarks.csv"}

    def test_two_films_with_one_uid_are_exit_code_1(self, dicom: Path, tmp_path: Path) -> None:
        films = tmp_path / "films"
        films.mkdir()
        for number in range(2):
            film = pydicom.dcmread(dicom)
            film.PatientID = f"ZYXWV{number}"
            film.save_as(films / f"{number}.dcm")
        for _ in range(2):
            result = run("detect", films, "--out", tmp_path / "out", "--force", *QUICK)
            assert result.exit_code == 1, result.output
            assert "2 of them share a SOP Instance UID with another image: see errors.csv." in result.output
            assert "ZYXWV" not in result.output
        errors = [row["error"].partition(":")[0] for row in table(tmp_path / "out" / "errors.csv")]
        assert errors == ["clash", "clash"]
        assert len({row["film"] for row in table(tmp_path / "out" / "landmarks.csv")}) == 2


class TestEvaluate:
    def test_the_figures_printed_are_those_in_the_json(self, phantoms: Path, tmp_path: Path) -> None:
        result = run("evaluate", phantoms, "--json", tmp_path / "new" / "figures.json", *QUICK)
        assert result.exit_code == 0, result.output
        figures = json.loads((tmp_path / "new" / "figures.json").read_text(), parse_constant=pytest.fail)
        assert figures["dataset"] == phantoms.name
        assert figures["method"] == "full"
        assert figures["model"]["weights_sha256"]
        assert len(figures["rows"]) == 1
        assert [row["label"] for row in figures["landmarks"]] == [
            f"{number} {name}" for number, name in enumerate(NAMES, start=1)
        ]
        keys = ("mre_mm", "sd_mm", "sdr_2mm", "sdr_2.5mm", "sdr_3mm", "sdr_4mm")
        printed = [line.split() for line in result.stdout.splitlines()]
        for row in (*figures["rows"], *figures["landmarks"]):
            assert row["films"] == 2
            numbers = [f"{row[key]:.{3 if key.endswith('_mm') else 2}f}" for key in keys]
            expected = [*row["label"].split(), f"{row['missing']}/{row['annotated']}", *numbers]
            assert expected in printed, (row, result.stdout)

    def test_the_overall_row_is_the_mean_of_the_landmarks(self, phantoms: Path, tmp_path: Path) -> None:
        result = run("evaluate", phantoms, "--method", "global", "--json", tmp_path / "a.json", "--device", "cpu")
        assert result.exit_code == 0, result.output
        # figures of an earlier evaluation may be replaced
        assert may_replace(tmp_path / "a.json", ("dataset", "model", "rows", "landmarks"))
        figures = json.loads((tmp_path / "a.json").read_text())
        for key in ("mre_mm", "sdr_2mm", "sdr_4mm"):
            mean = np.mean([row[key] for row in figures["landmarks"]])
            assert figures["rows"][0][key] == pytest.approx(mean, abs=1e-6)

    def test_landmarks_without_annotation_are_null_in_the_json(self, phantoms: Path, tmp_path: Path) -> None:
        for path in phantoms.glob("*.png"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        lines = (phantoms / "landmarks.csv").read_text().splitlines()
        (tmp_path / "landmarks.csv").write_text("\n".join(line for line in lines if ",Ar," not in line) + "\n")
        result = run("evaluate", tmp_path, "--method", "global", "--json", tmp_path / "a.json", "--device", "cpu")
        assert result.exit_code == 0, result.output
        text = (tmp_path / "a.json").read_text()
        figures = json.loads(text, parse_constant=pytest.fail)
        assert figures["landmarks"][-1]["mre_mm"] is None
        assert figures["rows"][0]["mre_mm"] > 0

    def test_without_a_known_scale(self, phantoms: Path, tmp_path: Path) -> None:
        (tmp_path / "001.png").write_bytes((phantoms / "001.png").read_bytes())
        (tmp_path / "landmarks.csv").write_text("file,symbol,x,y\n001.png,S,1,2\n")
        message = one_line(run("evaluate", tmp_path, *QUICK))
        assert "001.png" in message
        assert "need a known scale" in message
        assert "pixel_spacing" in message

    def test_a_scale_for_a_dataset_that_states_none(self, phantoms: Path, tmp_path: Path) -> None:
        (tmp_path / "001.png").write_bytes((phantoms / "001.png").read_bytes())
        lines = [line.split(",") for line in (phantoms / "landmarks.csv").read_text().splitlines() if "002" not in line]
        (tmp_path / "landmarks.csv").write_text("\n".join(",".join(line[:-1]) for line in lines) + "\n")
        figures = []
        for spacing in ("0.1", "0.2"):
            given = ["--pixel-spacing", spacing, "--json", tmp_path / f"{spacing}.json"]
            result = run("evaluate", tmp_path, *given, "--method", "global", "--device", "cpu")
            assert result.exit_code == 0, result.output
            figures.append(json.loads((tmp_path / f"{spacing}.json").read_text())["rows"][0]["mre_mm"])
        assert figures[1] == pytest.approx(2 * figures[0])
        assert "--pixel-spacing 12 cannot be the size of a pixel" in one_line(
            run("evaluate", tmp_path, "--pixel-spacing", "12")
        )

    def test_no_dataset(self, tmp_path: Path) -> None:
        assert one_line(run("evaluate", tmp_path / "nowhere")) == f"{tmp_path / 'nowhere'}: no such folder"
        assert "landmarks.csv" in one_line(run("evaluate", tmp_path))

    def test_a_film_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_text("no image")
        (tmp_path / "landmarks.csv").write_text("file,symbol,x,y,pixel_spacing\na.png,S,1,2,0.1\n")
        assert str(tmp_path / "a.png") in one_line(run("evaluate", tmp_path, *QUICK))

    def test_a_folder_in_place_of_the_json(self, phantoms: Path, tmp_path: Path) -> None:
        assert "--json" in one_line(run("evaluate", phantoms, "--json", tmp_path))

    @pytest.mark.parametrize("text", ["my notes", '{"landmarks": []}', "[" * 100_000, "[1]"])
    def test_a_file_that_it_did_not_write(self, phantoms: Path, tmp_path: Path, text: str) -> None:
        (tmp_path / "mine.json").write_text(text)
        message = one_line(run("evaluate", phantoms, "--json", tmp_path / "mine.json"))
        assert (
            message == f"--json {tmp_path / 'mine.json'} was not written by evaluate. Move it, or choose another file"
        )
        assert (tmp_path / "mine.json").read_text() == text

    def test_a_study_of_films_that_two_doctors_marked(self, phantoms: Path, tmp_path: Path) -> None:
        root = tmp_path / "Aariz"
        as_aariz(phantoms, root)
        options = ["--method", "global", "--device", "cpu", "--measurements", "--challenge"]
        targets = ["--json", tmp_path / "a.json", "--out", tmp_path / "out", "--figures", tmp_path / "plots"]
        result = run("evaluate", root, "--ground-truth", "senior", *options, *targets)
        assert result.exit_code == 0, result.output
        figures = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
        assert (figures["split"], figures["ground_truth"]) == ("test", "senior")
        # the junior's points are 30 pixels to the right of the senior's
        spacing = np.mean([film.pixel_spacing for film in folder(phantoms)])
        assert figures["doctors"]["label"] == "junior against senior"
        assert figures["doctors"]["mre_mm"] == pytest.approx(30 * spacing)
        assert len(figures["landmark_agreement"]) == 19
        sna = next(row for row in figures["measurements"] if row["symbol"] == "SNA")
        assert sna["doctors"]["mean_absolute"] == pytest.approx(0, abs=1e-6)
        for rules in ("challenge", "corrected"):
            assert [each["rate"] for each in figures["challenge"][rules]["doctors"]] == [100] * 8
        assert "junior against senior" in result.stdout
        assert "confusion by the challenge's rules" in result.stdout
        errors = table(tmp_path / "out" / "landmark_errors.csv")
        assert {row["film"] for row in errors} == {"001", "002"}
        mean = np.mean([float(row["error_mm"]) for row in errors if row["error_mm"]])
        assert figures["rows"][0]["mre_mm"] == pytest.approx(mean, abs=1e-4)
        assert (tmp_path / "plots" / "bland_altman_1.svg").stat().st_size > 0

    @pytest.mark.parametrize(("option", "name"), [("--out", "film_errors.csv"), ("--figures", "box_plots.svg")])
    def test_results_that_it_did_not_write_stop_it_before_the_work(
        self, phantoms: Path, tmp_path: Path, option: str, name: str
    ) -> None:
        (tmp_path / name).write_text("mine")
        message = one_line(run("evaluate", phantoms, option, tmp_path))
        assert message.startswith(f"{tmp_path / name}: was not written by this software")
        assert (tmp_path / name).read_text() == "mine"
        assert f"{option} {tmp_path / name} is a file" in one_line(run("evaluate", phantoms, option, tmp_path / name))

    def test_plots_without_matplotlib(self, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        message = one_line(run("evaluate", phantoms, "--figures", tmp_path))
        assert message == "matplotlib is not installed: pip install 'monai-ceph[figures]'"

    def test_a_split_of_another_dataset(self, phantoms: Path, tmp_path: Path) -> None:
        as_aariz(phantoms, tmp_path)
        message = one_line(run("evaluate", tmp_path, "--split", "test2"))
        assert "no split 'test2' with ground truth 'mean' in Aariz; it has train, valid, test" in message

    def test_unknown_values_of_options_are_refused(self, phantoms: Path) -> None:
        result = run("evaluate", phantoms, "--split", "test3")
        assert result.exit_code == 2
        assert "test1" in result.stderr


class TestPhantom:
    def test_the_written_folder_is_a_dataset(self, tmp_path: Path) -> None:
        result = run("phantom", tmp_path / "new" / "films", "--count", "1", "--seed", "5")
        assert result.exit_code == 0, result.output
        assert str(tmp_path / "new" / "films") in result.stdout
        (found,) = folder(tmp_path / "new" / "films")
        assert found.name == "001.dcm"
        assert np.isfinite(found.landmarks).all()
        assert found.pixel_spacing == pytest.approx(0.1, rel=0.1)

    @pytest.mark.parametrize(
        "options", [("--count", "0"), ("--seed", "-1"), ("--seed", str(2**32)), ("--format", "jpeg")]
    )
    def test_options_that_make_no_sense(self, tmp_path: Path, options: tuple[str, str]) -> None:
        result = run("phantom", tmp_path / "films", *options)
        assert result.exit_code == 2
        assert options[0] in result.stderr
        assert not (tmp_path / "films").exists()

    @pytest.mark.parametrize("name", ["landmarks.csv", "002.dcm"])
    def test_no_existing_file_is_replaced(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("mine")
        result = run("phantom", tmp_path, "--count", "2")
        assert result.exit_code == 2
        assert one_line(result) == f"{tmp_path / name} exists already. Choose another folder"
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine"

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "films").touch()
        assert one_line(run("phantom", tmp_path / "films", "--count", "1")) == f"{tmp_path / 'films'}: File exists"


class TestTemplate:
    def test_a_completed_template_is_a_dataset(self, tmp_path: Path) -> None:
        result = run("template", "a.png")
        assert result.exit_code == 0
        save_grey(tmp_path / "a.png", np.zeros((20, 20)))
        (tmp_path / "landmarks.csv").write_text(result.stdout)
        (empty,) = folder(tmp_path)
        assert np.isnan(empty.landmarks).all()
        header, *lines = result.stdout.splitlines()
        filled = [line.removesuffix(",,,") + f",{x},{x + 1},0.1" for x, line in enumerate(lines)]
        (tmp_path / "landmarks.csv").write_text("\n".join([header, *filled]) + "\n")
        (found,) = folder(tmp_path)
        assert found.landmarks.tolist() == [[x + 1, x] for x in range(NUM_LANDMARKS)]
        assert found.pixel_spacing == 0.1

    def test_own_landmarks_in_the_template(self) -> None:
        lines = run("template", "a.png", "--landmarks", "tip,S").stdout.splitlines()
        assert lines[1:] == ["a.png,tip,tip,,,", "a.png,Sella,S,,,"]
        assert run("template", "a.png", "--landmarks", " tip, S").stdout.splitlines() == lines

    def test_films_and_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "clinic" / "b").mkdir(parents=True)
        for name in ("clinic/2.png", "clinic/1.png", "clinic/b/3.png"):
            save_grey(tmp_path / name, np.zeros((20, 20)))
        (tmp_path / "clinic" / "notes.txt").write_text("no film")
        result = run("template", "clinic", "4.png", "4.png", "--landmarks", "S")
        files = [line.split(",")[0] for line in result.stdout.splitlines()[1:]]
        assert files == ["1.png", "2.png", "b/3.png", "4.png"]
        (tmp_path / "clinic" / "landmarks.csv").write_text(run("template", "clinic").stdout)
        assert [film.name for film in folder(tmp_path / "clinic")] == ["1.png", "2.png", "b/3.png"]

    def test_a_folder_without_films(self, tmp_path: Path) -> None:
        assert one_line(run("template", tmp_path)) == f"{tmp_path}: contains no film"

    def test_a_name_with_a_comma(self, tmp_path: Path) -> None:
        save_grey(tmp_path / "a,b.png", np.zeros((20, 20)))
        (tmp_path / "landmarks.csv").write_text(run("template", "a,b.png").stdout)
        assert [film.name for film in folder(tmp_path)] == ["a,b.png"]

    @pytest.mark.parametrize("wrong", ["tip,,S", "tip,tip"])
    def test_invalid_landmark_sets_are_refused(self, wrong: str) -> None:
        assert "--landmarks" in one_line(run("template", "--landmarks", wrong))


def test_help_and_version_without_torch() -> None:
    code = """
import sys
from typer.testing import CliRunner
from monai_ceph.cli import app

names = ("bundle", "detect", "evaluate", "phantom", "schema", "template")
for arguments in (["--help"], ["--version"], *([name, "--help"] for name in names)):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (arguments, result.output)
print(*sorted({"torch", "monai", "itk", "pydicom", "numpy"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""


def test_version() -> None:
    assert run("--version").stdout == f"monai-ceph {monai_ceph.__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    output = run().output
    assert all(name in output for name in ("bundle", "detect", "evaluate", "phantom", "schema", "template"))
    assert "not a medical device" in output
