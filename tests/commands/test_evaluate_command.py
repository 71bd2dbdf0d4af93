"""monai-ceph evaluate, as it is typed: figures, files and messages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from invoked import QUICK, one_line, run, table
from samples import as_aariz

from monai_ceph.datasets import folder
from monai_ceph.landmarks import NAMES
from monai_ceph.reports.json_result import may_replace


def test_the_figures_printed_are_those_in_the_json(phantoms: Path, tmp_path: Path) -> None:
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


def test_the_overall_row_is_the_mean_of_the_landmarks(phantoms: Path, tmp_path: Path) -> None:
    result = run("evaluate", phantoms, "--method", "global", "--json", tmp_path / "a.json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    # figures of an earlier evaluation may be replaced
    assert may_replace(tmp_path / "a.json", ("dataset", "model", "rows", "landmarks"))
    figures = json.loads((tmp_path / "a.json").read_text())
    for key in ("mre_mm", "sdr_2mm", "sdr_4mm"):
        mean = np.mean([row[key] for row in figures["landmarks"]])
        assert figures["rows"][0][key] == pytest.approx(mean, abs=1e-6)


def test_landmarks_without_annotation_are_null_in_the_json(phantoms: Path, tmp_path: Path) -> None:
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


def test_without_a_known_scale(phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / "001.png").write_bytes((phantoms / "001.png").read_bytes())
    (tmp_path / "landmarks.csv").write_text("file,symbol,x,y\n001.png,S,1,2\n")
    message = one_line(run("evaluate", tmp_path, *QUICK))
    assert "001.png" in message
    assert "need a known scale" in message
    assert "pixel_spacing" in message


def test_a_scale_for_a_dataset_that_states_none(phantoms: Path, tmp_path: Path) -> None:
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


def test_no_dataset(tmp_path: Path) -> None:
    assert one_line(run("evaluate", tmp_path / "nowhere")) == f"{tmp_path / 'nowhere'}: no such folder"
    assert "landmarks.csv" in one_line(run("evaluate", tmp_path))


def test_a_film_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "landmarks.csv").write_text("file,symbol,x,y,pixel_spacing\na.png,S,1,2,0.1\n")
    assert str(tmp_path / "a.png") in one_line(run("evaluate", tmp_path, *QUICK))


def test_a_folder_in_place_of_the_json(phantoms: Path, tmp_path: Path) -> None:
    assert "--json" in one_line(run("evaluate", phantoms, "--json", tmp_path))


@pytest.mark.parametrize("text", ["my notes", '{"landmarks": []}', "[" * 100_000, "[1]"])
def test_a_file_that_it_did_not_write(phantoms: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    message = one_line(run("evaluate", phantoms, "--json", tmp_path / "mine.json"))
    assert message == f"--json {tmp_path / 'mine.json'} was not written by evaluate. Move it, or choose another file"
    assert (tmp_path / "mine.json").read_text() == text


def test_a_study_of_films_that_two_doctors_marked(phantoms: Path, tmp_path: Path) -> None:
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
    phantoms: Path, tmp_path: Path, option: str, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    message = one_line(run("evaluate", phantoms, option, tmp_path))
    assert message.startswith(f"{tmp_path / name}: was not written by this software")
    assert (tmp_path / name).read_text() == "mine"
    assert f"{option} {tmp_path / name} is a file" in one_line(run("evaluate", phantoms, option, tmp_path / name))


def test_plots_without_matplotlib(phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = one_line(run("evaluate", phantoms, "--figures", tmp_path))
    assert message == "matplotlib is not installed: pip install 'monai-ceph[figures]'"


def test_a_split_of_another_dataset(phantoms: Path, tmp_path: Path) -> None:
    as_aariz(phantoms, tmp_path)
    message = one_line(run("evaluate", tmp_path, "--split", "test2"))
    assert "no split 'test2' with ground truth 'mean' in Aariz; it has train, valid, test" in message


def test_unknown_values_of_options_are_refused(phantoms: Path) -> None:
    result = run("evaluate", phantoms, "--split", "test3")
    assert result.exit_code == 2
    assert "test1" in result.stderr
