from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_films import detection_on
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.commands.compare import same_patient
from monai_ceph.folders import BUNDLES
from monai_ceph.reports.json_result import save_json

OVERLAYS = BUNDLES / "overlays"
QUICK = ("--device", "cpu", "--config", str(OVERLAYS / "no_expansion.json"))


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def stopped(result: Any) -> str:
    """What stopped a command: exit code 2, one line, no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    return str(result.stderr.splitlines()[-1]).removeprefix("monai-ceph: ")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of one film."""
    save_json(tmp_path / "results" / "json" / "film.dcm.json", detection_on())
    return tmp_path / "results"


class TestReport:
    def test_from_results(self, results: Path, tmp_path: Path) -> None:
        result = run("report", results, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert "1 report, all of them drafts. Open " in result.stdout
        assert "Research use, not a medical device." in result.stdout
        assert (tmp_path / "out" / "film.dcm.html").is_file()

    def test_from_films_it_detects_first(self, film: Path, tmp_path: Path) -> None:
        (tmp_path / "text.dcm").write_text("this is no film\n")
        result = run("report", film, tmp_path / "text.dcm", "--out", tmp_path / "out", "--force", *QUICK)
        assert result.exit_code == 1, result.output
        pages = sorted(path.name for path in (tmp_path / "out").glob("*.html"))
        assert pages == [f"{film.name}.html", "index.html"]
        assert "data:image/png" in (tmp_path / "out" / f"{film.name}.html").read_text()
        assert "unreadable: not a DICOM file" in (tmp_path / "out" / "index.html").read_text()
        assert (tmp_path / "out" / "results" / "landmarks.csv").is_file()

    def test_norms_are_those_that_were_named(self, results: Path, tmp_path: Path) -> None:
        sets = tmp_path / "own.yaml"
        sets.write_text(
            "norms:\n  SNA: {population: my clinic, mean: 82, sd: 2, citation: 'own figures', verified: true}\n"
        )
        run("report", results, "--out", tmp_path / "own", "--norms", sets)
        assert "my clinic: own figures" in (tmp_path / "own" / "film.dcm.html").read_text()
        run("report", results, "--out", tmp_path / "none", "--norms", "none")
        assert "No norms are used." in (tmp_path / "none" / "film.dcm.html").read_text()
        assert "gone: no set of norms" in stopped(run("report", results, "--out", tmp_path, "--norms", "gone"))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("gone.dcm",), "gone.dcm: no such file or folder"),
            (("gone.dcm", ".", "lost"), "gone.dcm, lost: no such file or folder"),
            ((".", "--films", "lost"), "lost: no such file or folder"),
            ((".", "--formats", "docx"), "--formats docx: no such format; use html or pdf"),
            ((".", "--pixel-spacing", "5"), "--pixel-spacing 5 cannot be the size of a pixel"),
        ],
    )
    def test_what_cannot_be_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert stopped(run("report", *arguments, "--out", "out")).startswith(said)
        assert list(tmp_path.iterdir()) == []

    def test_points_that_a_person_corrected(self, results: Path, tmp_path: Path) -> None:
        table = tmp_path / "corrected.csv"
        table.write_text("film,symbol,x,y\nanother.dcm,S,1,2\nfilm.dcm,S,20,30\n")
        named = detection_on(file="film.dcm")
        save_json(results / "json" / "film.dcm.json", named)
        result = run("report", results, "--landmarks", table, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        page = (tmp_path / "out" / "film.dcm.html").read_text()
        assert "A person placed S (corrected.csv)." in page
        assert "the corrected tables have films without results: another.dcm" in result.stderr

    def test_a_table_is_no_film(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("film,symbol,x,y\n")
        for command in (("report", tmp_path / "a.csv"), ("compare", tmp_path / "a.csv", tmp_path / "a.csv")):
            said = stopped(run(*command, "--out", tmp_path / "out"))
            assert (
                said == f"{tmp_path / 'a.csv'}: a table is not a film. Give the results or the films, and this table "
                "with --landmarks"
            )

    def test_nothing_is_written_if_one_page_cannot_be(self, results: Path, tmp_path: Path) -> None:
        save_json(results / "json" / "a.dcm.json", detection_on(file="a.dcm", image_uid="1.2.3.4"))
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "film.dcm.html").write_text("mine")
        said = stopped(run("report", results, "--out", tmp_path / "out"))
        assert "film.dcm.html: was not written by this software" in said
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["film.dcm.html"]

    def test_films_without_a_picture_are_counted(self, results: Path, phantoms: Path, tmp_path: Path) -> None:
        result = run("report", results, "--films", phantoms, "--out", tmp_path / "out")
        assert "1 of 1 films were not found, so their reports have no picture" in result.stderr

    def test_no_report_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("{}")
        assert stopped(run("report", tmp_path / "x.json", "--out", tmp_path / "out")) == "no report was written"


class TestCompare:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> tuple[Path, Path]:
        """Results of two films."""
        first, second = tmp_path / "first.json", tmp_path / "second.json"
        save_json(first, detection_on(file="first"))
        save_json(second, detection_on(file="second", image_uid="1.2.3.4"))
        return first, second

    def test_two_results(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        result = run("compare", *pair, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        page = (tmp_path / "out" / "comparison.html").read_text()
        assert "DRAFT: not reviewed" in page
        assert "Nothing says that both films are of one patient" in page
        # nothing changed, and the intervals say so
        assert "exceeded" not in page
        assert "within" in page

    def test_both_formats(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
        result = run("compare", *pair, "--out", tmp_path / "out", "--formats", "html,pdf")
        assert result.exit_code == 0, result.output
        assert (tmp_path / "out" / "comparison.pdf").read_bytes().startswith(b"%PDF")

    def test_the_same_film_twice(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        said = stopped(run("compare", pair[0], pair[0], "--out", tmp_path / "out"))
        assert said == f"{pair[0]}: the same image as {pair[0]}; give two films"

    def test_films_of_two_patients_are_refused_unless_forced(self, dicom: Path, tmp_path: Path) -> None:
        paths = []
        for number, patient in enumerate(("P-1", "P-2", "P-1")):
            dataset = pydicom.dcmread(dicom)
            dataset.PatientID = patient
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
            dataset.save_as(tmp_path / f"{number}.dcm")
            paths.append(tmp_path / f"{number}.dcm")
        said = stopped(run("compare", *paths[:2], "--out", tmp_path / "out", *QUICK))
        assert said == (
            f"{paths[1]}: the films have different Patient IDs than {paths[0]}; --force compares them all the same"
        )
        assert not (tmp_path / "out").exists()
        (said,) = same_patient(*paths[:2], force=True)
        assert said == "The films have different Patient IDs: they were compared because --force was given."
        assert same_patient(paths[0], paths[2], force=False) == []

    def test_films_are_called_by_their_name_without_folders(self, phantoms: Path, tmp_path: Path) -> None:
        films = (phantoms / "001.png", phantoms / "002.png")
        assert run("compare", *films, "--out", tmp_path / "out", *QUICK).exit_code == 0
        page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
        assert "002.png" in page
        assert str(phantoms) not in page

    @pytest.mark.parametrize("order", [1, -1])
    def test_both_films_are_read_before_anything_is_detected(self, phantoms: Path, tmp_path: Path, order: int) -> None:
        film, bad = tmp_path / "film.png", tmp_path / "bad.json"
        film.write_bytes((phantoms / "001.png").read_bytes())
        bad.write_text("{}")
        # the model cannot be loaded there
        said = stopped(run("compare", *[film, bad][::order], "--out", tmp_path / "out", "--device", "nowhere"))
        assert said.startswith(f"{bad}: not a result of monai-ceph")
        said = stopped(run("compare", bad, tmp_path / "gone.png", "--out", tmp_path / "out"))
        assert said.startswith(f"{bad}: not a result of monai-ceph")
        assert said.endswith(f"; {tmp_path / 'gone.png'}: no such file")

    def test_a_page_of_a_person_is_not_replaced(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "comparison.html").write_text("mine")
        assert "was not written by this software" in stopped(run("compare", *pair, "--out", tmp_path))
        assert (tmp_path / "comparison.html").read_text() == "mine"


def test_without_the_extra_pdf_says_what_to_install(results: Path, tmp_path: Path) -> None:
    program = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "reportlab" else find(name, *rest)
sys.modules["reportlab"] = None
from monai_ceph.cli import app
from monai_ceph.work.options import FORMATS, parse_formats
assert parse_formats(["all"]) - {"fhir"} == set(FORMATS) - {"pdf", "fhir"}
app(sys.argv[1:])
"""
    for command in (
        ("report", str(results), "--out", str(tmp_path / "out"), "--formats", "pdf"),
        ("detect", str(results), "--out", str(tmp_path / "out"), "--formats", "pdf"),
        ("compare", "a", "b", "--out", str(tmp_path / "out"), "--formats", "pdf"),
    ):
        done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.strip() == "monai-ceph: reportlab is not installed: pip install 'monai-ceph[report]'"
