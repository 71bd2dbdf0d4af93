"""monai-ceph detect, as it is typed: results, exit codes and messages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from invoked import QUICK, one_line, run, table
from samples import save_grey

from monai_ceph.landmarks import NAMES, NUM_LANDMARKS, SYMBOLS


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


def test_with_trained_weights_a_phantom_needs_no_force(films: Path, tmp_path: Path) -> None:
    result = run("detect", films, "--out", tmp_path / "out", "--formats", "csv,parquet", *QUICK)
    assert result.exit_code == 1, result.output
    assert "5 films: 2 done, 0 uncertain, 1 rejected, 2 failed." in result.stdout
    statuses = [row["status"] for row in table(tmp_path / "out" / "landmarks.csv")]
    assert len(statuses) == 2 * NUM_LANDMARKS
    assert statuses.count("ok") >= 30


def test_a_fhir_server_gets_measurements_and_no_objects_are_made(dicom: Path, tmp_path: Path) -> None:
    pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    from fhir_server import FhirServer, fhir_serving

    with fhir_serving(FhirServer()) as server:
        target = server.url.replace("http://", "fhir+http://")
        result = run("detect", dicom, "--out", tmp_path / "out", "--to", target, "--force", *QUICK)
        assert result.exit_code == 0, result.output
        assert [each["status"] for each in server.of_kind("DiagnosticReport")] == ["preliminary"]
    assert [len(list((tmp_path / "out" / name).glob("*"))) for name in ("fhir", "sr", "gsps")] == [1, 0, 0]


def test_a_folder_with_films_and_others(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_all_done(film: Path, tmp_path: Path) -> None:
    result = run("detect", film, "--out", tmp_path / "out", "--force", "--formats", "csv", *QUICK)
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out" / "overlays").exists()
    assert "overlays" not in result.stdout
    assert table(tmp_path / "out" / "errors.csv") == []


def test_nothing_done(tmp_path: Path) -> None:
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


def test_brackets_in_names_are_not_markup(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[a] film[1].png").write_bytes(film.read_bytes())
    result = run("detect", "[a] film[1].png", "--out", tmp_path / "[b]", "--force", "--formats", "csv", *QUICK)
    assert result.exit_code == 0, result.output
    assert "[a] film[1].png" in result.stdout
    assert str(tmp_path / "[b]") in result.stdout


def test_names_path_and_deidentify_cannot_be_used_together(films: Path, tmp_path: Path) -> None:
    result = run("detect", films, "--out", tmp_path / "out", "--names", "path", "--deidentify")
    assert result.exit_code == 2
    assert "--names path and --deidentify cannot be used together" in result.output


def test_restart_deletes_earlier_results(films: Path, tmp_path: Path) -> None:
    film = films / "visit 2" / "constant.png"
    command = ("detect", film, "--out", tmp_path / "out", "--formats", "csv", *QUICK)
    for options in ((), ("--restart",)):
        assert run(*command, *options).exit_code == 2
    assert "were done before" not in run(*command, "--restart").output
    assert "1 of them were done before." in run(*command).output


def test_a_name_that_is_not_utf_8(dicom: Path, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.dcm")
    try:
        Path(path).write_bytes(dicom.read_bytes())
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    result = run("detect", tmp_path, "--out", tmp_path / "out", "--force", *QUICK)
    assert result.exit_code == 0, result.output
    assert {row["film"] for row in table(tmp_path / "out" / "landmarks.csv")} == {"M\\xfcller.dcm"}


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    message = one_line(run("detect", tmp_path / "films", "--out", tmp_path / "out", *QUICK))
    assert message == f"no film in {tmp_path / 'films'}"
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder(film: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    message = one_line(run("detect", film, "--out", tmp_path / "out", *QUICK))
    assert message == f"--out {tmp_path / 'out'} is a file, and must be a folder"
    message = one_line(run("detect", film, "--out", tmp_path / "out" / "deeper", *QUICK), code=3)
    assert str(tmp_path / "out") in message
    assert (tmp_path / "out").read_text() == "a file"


def test_results_that_cannot_be_written(film: Path, tmp_path: Path) -> None:
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
            "--formats xml: no such format; use csv, parquet, json, markups, "
            "overlay, tracing, tracing-png, sr, gsps, sc, pdf, fhir, or all",
        ),
    ],
)
def test_options_that_make_no_sense(film: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    assert one_line(run("detect", film, "--out", tmp_path / "out", *options)) == message
    assert not (tmp_path / "out").exists()


def test_no_workers(film: Path, tmp_path: Path) -> None:
    assert run("detect", film, "--out", tmp_path / "out", "--workers", "0").exit_code == 2


@pytest.mark.parametrize("value", ["0", "-0.1", "nan", "inf", "100"])
def test_an_impossible_pixel_spacing_is_refused(film: Path, tmp_path: Path, value: str) -> None:
    message = one_line(run("detect", film, "--out", tmp_path / "out", f"--pixel-spacing={value}", *QUICK))
    assert message.startswith("--pixel-spacing ")
    assert "mm" in message


def test_a_pixel_spacing_that_is_not_a_number_is_refused(film: Path, tmp_path: Path) -> None:
    result = run("detect", film, "--out", tmp_path / "out", "--pixel-spacing", "0,1")
    assert result.exit_code == 2
    assert "--pixel-spacing" in result.stderr


def test_a_device_that_is_not_there(film: Path, tmp_path: Path) -> None:
    message = one_line(run("detect", film, "--out", tmp_path / "out", "--device", "gpu"))
    assert message.startswith("device gpu cannot be used: ")


def test_a_config_that_is_not_there(film: Path, tmp_path: Path) -> None:
    message = one_line(run("detect", film, "--out", tmp_path / "out", "--config", tmp_path / "a.json"))
    assert message == f"{tmp_path / 'a.json'}: cannot be read as a config: No such file or directory"


def test_what_no_film_can_have_is_not_said_to_be_written(film: Path, tmp_path: Path) -> None:
    result = run("detect", film, "--out", tmp_path / "out", "--formats", "json,sr", "--force")
    assert "measurement_definitions.json, json/, run.sqlite." in result.stdout.replace("\n", "")
    assert "Not written: sr/. No film has the DICOM header that these need." in result.stderr
    assert not (tmp_path / "out" / "sr").exists()


def test_without_out_the_results_are_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.dcm").write_text("no film")
    assert "Written to results: " in run("detect", "film.dcm").output
    assert (tmp_path / "results" / "errors.csv").read_text().count("film.dcm") > 0


def test_a_persons_table_in_the_folder_of_results_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    save_grey(own / "film.png", np.zeros((64, 48)))
    (own / "landmarks.csv").write_text("file,symbol,x,y\nfilm.png,S,1,2\n")
    assert one_line(run("detect", own, "--out", own)) == (
        f"{own / 'landmarks.csv'}: was not written by an earlier run; move it, or choose another folder with --out"
    )
    assert (own / "landmarks.csv").read_text() == "file,symbol,x,y\nfilm.png,S,1,2\n"
    assert {path.name for path in own.iterdir()} == {"film.png", "landmarks.csv"}


def test_two_films_with_one_uid_are_exit_code_1(dicom: Path, tmp_path: Path) -> None:
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
