"""Results after review say what a person did; the dataset teaches it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_films import IMAGE, detection_on
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.datasets import open_dataset
from monai_ceph.reports.json_result import save_json
from monai_ceph.reports.sr_points import read_points
from monai_ceph.review.models import Calibration, Point, Save, Sign
from monai_ceph.review.service import ReviewService


def review(service: ReviewService, name: str, sign: bool = True, **moved: tuple[float, float] | None) -> None:
    """Move points of a film, and sign."""
    film = next(each for each in service.films.all() if each.detection.file == name)
    before = service.current(film)
    points = {point.symbol: point for point in before.points}
    for symbol, place in moved.items():
        x, y = place or (None, None)
        points[symbol] = Point(symbol=symbol, x=x, y=y, source="absent" if place is None else "human")
    reviewer = "Dr. Exämple"
    body = Save(based_on=before.revision, reviewer=reviewer, points=tuple(points.values()))
    saved = service.save(film, body)
    if sign:
        service.sign(film, Sign(based_on=saved.revision, reviewer=reviewer))


def run(*arguments: Any, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["review", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def service(results: Path, films: Path) -> ReviewService:
    return ReviewService(results, [films])


def test_tables_mark_the_points_of_a_person(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", N=(40.0, 62.5), Po=None, U6=(100, 110))
    out = tmp_path / "out"
    run("export", service.results, "--films", films, "--out", out)
    rows = {row["symbol"]: row for row in table(out / "landmarks.csv")}
    told = ("x", "y", "x_mm", "score", "status", "source", "observer", "state", "revision")
    assert [rows["N"][name] for name in told] == [
        *("40.00", "62.50", "5.000", "", "reviewed", "human", "Dr. Exämple", "final", "2"),
    ]
    assert [rows["Po"][name] for name in told[:7]] == ["", "", "", "", "missing", "absent", "Dr. Exämple"]
    assert [rows["A"][name] for name in told[3:7]] == ["0.562", "ok", "detected", ""]
    assert rows["U6"]["source"] == "human"
    assert len(rows) == 20
    film = json.loads((out / "json" / "a.dcm.json").read_text(encoding="utf-8"))
    marks = {mark["symbol"]: mark for mark in film["landmarks"]}
    assert (marks["N"]["score"], marks["N"]["moved_from"], marks["N"]["status"]) == (None, [30.25, 60.75], "reviewed")
    assert film["review"]["reviewer"] == "Dr. Exämple"
    page = (out / "reports" / "a.dcm.html").read_text(encoding="utf-8")
    assert "Reviewed and signed by Dr. Exämple" in page
    assert {row["film"] for row in table(out / "measurements.csv")} == {"a.dcm"}


def test_each_point_has_the_name_of_who_placed_it(service: ReviewService, films: Path, tmp_path: Path) -> None:
    """The person who signs is not the person who moved every point."""
    film = next(each for each in service.films.all() if each.detection.file == "a.dcm")
    line = Calibration(x1=0, y1=0, x2=0, y2=100, mm=20)
    for based_on, (reviewer, symbol) in enumerate((("Dr. One", "N"), ("Dr. Two", "A"))):
        points = {point.symbol: point for point in service.current(film).points}
        points[symbol] = Point(symbol=symbol, x=100, y=110, source="human")
        save = Save(based_on=based_on, reviewer=reviewer, points=tuple(points.values()), calibration=line)
        service.save(film, save)
    service.sign(film, Sign(based_on=2, reviewer="Dr. Two"))
    out = tmp_path / "out"
    run("export", service.results, "--films", films, "--out", out)
    rows = {row["symbol"]: row["observer"] for row in table(out / "landmarks.csv")}
    assert (rows["N"], rows["A"], rows["B"]) == ("Dr. One", "Dr. Two", "")
    written = json.loads((out / "json" / "a.dcm.json").read_text(encoding="utf-8"))
    assert written["review"]["calibration"]["by"] == "Dr. One"
    assert "calibrated by Dr. One" in (out / "reports" / "a.dcm.html").read_text(encoding="utf-8")
    document = pydicom.dcmread(out / "sr" / "a.dcm.r3.dcm").to_json()
    assert "The reviewer placed or moved: A." in document
    assert "Dr. One placed or moved: N." in document
    assert "The scale was calibrated by Dr. One." in document


def test_a_radius_is_told_of_points_that_the_detector_placed_and_of_no_other(
    results: Path, films: Path, tmp_path: Path
) -> None:
    told = detection_on(file="a.dcm")
    marks = tuple(mark.model_copy(update={"radius_90_px": 12.34, "radius_95_px": 16.0}) for mark in told.landmarks)
    save_json(results / "json" / "a.dcm.json", told.model_copy(update={"landmarks": marks}))
    review(ReviewService(results, [films]), "a.dcm", N=(40.0, 62.5), Po=None, U6=(100, 110))
    run("export", results, "--films", films, "--out", tmp_path / "out")
    rows = {row["symbol"]: row for row in table(tmp_path / "out" / "landmarks.csv")}
    assert [rows[symbol]["radius_90_px"] for symbol in ("A", "N", "Po", "U6")] == ["12.3", "", "", ""]
    # 0.125 by 0.25 mm: the side of a square of that area
    assert rows["A"]["radius_90_mm"] == "2.18"
    film = json.loads((tmp_path / "out" / "json" / "a.dcm.json").read_text(encoding="utf-8"))
    assert {mark["symbol"]: mark["radius_90_px"] for mark in film["landmarks"]}["N"] is None


def test_the_sr_is_verified_by_the_person(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", N=(40.0, 62.5), U6=(100, 110))
    run("export", service.results, "--films", films, "--out", tmp_path / "out")
    document = pydicom.dcmread(tmp_path / "out" / "sr" / "a.dcm.r2.dcm")
    assert document.VerificationFlag == "VERIFIED"
    (observer,) = document.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Dr. Exämple"
    assert document.PatientName == "Doe^Jane"
    assert read_points(document)[IMAGE][1].tolist() == [62.5, 40.0]
    assert "Upper first molar" in str(document)
    state = pydicom.dcmread(tmp_path / "out" / "gsps" / "a.dcm.r2.dcm")
    assert (state.ContentCreatorName, state.ContentDescription) == ("Dr. Exämple", "Cephalometric landmarks, reviewed")


def test_the_fhir_report_is_final(service: ReviewService, films: Path, tmp_path: Path) -> None:
    pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
    review(service, "a.dcm", N=(40.0, 62.5), U6=(100, 110))
    run("export", service.results, "--films", films, "--out", tmp_path / "out")
    bundle = json.loads((tmp_path / "out" / "fhir" / "a.dcm.json").read_text(encoding="utf-8"))
    report = bundle["entry"][-1]["resource"]
    assert (report["resourceType"], report["status"]) == ("DiagnosticReport", "final")
    assert report["resultsInterpreter"] == [{"display": "Dr. Exämple"}]
    assert {entry["request"]["method"] for entry in bundle["entry"][1:]} == {"PUT"}


def test_a_later_version_names_the_report_that_it_replaces(service: ReviewService, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    review(service, "a.dcm", N=(40.0, 62.5))
    run("export", service.results, "--films", films, "--out", out)
    first = out / "sr" / "a.dcm.r2.dcm"
    before = first.read_bytes()
    assert "PredecessorDocumentsSequence" not in pydicom.dcmread(first)
    review(service, "a.dcm", N=(50.0, 62.5))
    run("export", service.results, "--films", films, "--out", out)
    # a third version, of which nobody asked for an export in between
    review(service, "a.dcm", A=(50.0, 70.5))
    review(service, "a.dcm", A=(51.0, 70.5))
    run("export", service.results, "--films", films, "--out", out)
    assert first.read_bytes() == before
    documents = [pydicom.dcmread(out / "sr" / f"a.dcm.r{number}.dcm") for number in (2, 4, 6, 8)]
    assert len({document.SOPInstanceUID for document in documents}) == 4
    for earlier, later in pairwise(documents):
        (study,) = later.PredecessorDocumentsSequence
        (series,) = study.ReferencedSeriesSequence
        (named,) = series.ReferencedSOPSequence
        assert study.StudyInstanceUID == later.StudyInstanceUID == earlier.StudyInstanceUID
        assert series.SeriesInstanceUID == later.SeriesInstanceUID == earlier.SeriesInstanceUID
        assert named.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
        assert named.ReferencedSOPClassUID == earlier.SOPClassUID


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (apt-get install dicom3tools)")
def test_dciodvfy_finds_no_error(service: ReviewService, films: Path, tmp_path: Path) -> None:
    for place in ((40.0, 62.5), (50.0, 62.5)):
        review(service, "a.dcm", N=place, U6=(100, 110))
    run("export", service.results, "--films", films, "--out", tmp_path / "out")
    for file in (tmp_path / "out").rglob("*.dcm"):
        # it prints text in the character set of the file
        done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, errors="replace", check=False)
        assert "Error" not in done.stdout + done.stderr, done.stderr
        assert done.returncode == 0


def test_tracings_and_pdf_are_renewed(service: ReviewService, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pictures = []
    for place in ((40.0, 62.5), (80.0, 62.5)):
        review(service, "a.dcm", N=place)
        said = run("export", service.results, "--films", films, "--out", out)
        pictures.append((out / "tracings" / "a.dcm.png").read_bytes())
        svg = (out / "tracings" / "a.dcm.svg").read_text(encoding="utf-8")
        assert f'points="{place[0]:g},{place[1]:g} ' in svg
        assert "reviewed and signed by Dr. Exämple" in svg
    assert pictures[0] != pictures[1]
    if find_spec("reportlab") is None:
        assert "no PDF: the extra report is not installed" in said
        assert not (out / "reports" / "a.dcm.pdf").exists()
        return
    pdfium = pytest.importorskip("pypdfium2")
    pages = pdfium.PdfDocument(out / "reports" / "a.dcm.pdf")
    assert "Reviewed and signed by Dr. Exämple" in " ".join(page.get_textpage().get_text_range() for page in pages)


def test_pdf_and_secondary_capture_are_dicom_objects_if_asked_for(
    service: ReviewService, films: Path, tmp_path: Path
) -> None:
    """What sending makes is also among the files: of signed films, once per version, and never written again."""
    pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
    out = tmp_path / "out"
    export = ("export", service.results, "--films", films, "--out", out, "--drafts", "--objects")
    review(service, "a.dcm", sign=False, N=(40.0, 62.5))
    run(*export, "pdf,sc")
    # nobody signed, and nobody asked for an SR
    assert list(out.rglob("*.dcm")) == []
    review(service, "a.dcm", N=(41.0, 62.5))
    run(*export, "pdf, SC,sr")
    made = {path.relative_to(out).as_posix(): path for path in out.rglob("*.dcm")}
    assert set(made) == {f"{kind}/a.dcm.r3.dcm" for kind in ("pdf", "sc", "sr")}
    datasets = {name.split("/")[0]: pydicom.dcmread(path) for name, path in made.items()}
    classes = {kind: dataset.SOPClassUID.name for kind, dataset in datasets.items()}
    assert classes["pdf"] == "Encapsulated PDF Storage"
    assert "Secondary Capture Image Storage" in classes["sc"]
    assert datasets["pdf"].VerificationFlag == datasets["sr"].VerificationFlag == "VERIFIED"
    assert len({dataset.StudyInstanceUID for dataset in datasets.values()}) == 1
    before = {name: path.stat().st_mtime_ns for name, path in made.items()}
    run(*export, "sr,pdf,sc")
    assert {name: path.stat().st_mtime_ns for name, path in made.items()} == before


def test_an_unknown_object_is_refused(service: ReviewService, tmp_path: Path) -> None:
    told = run("export", service.results, "--out", tmp_path / "out", "--objects", "sr,xml", code=2)
    assert "--objects sr,xml: use some of sr, gsps, pdf, sc" in told
    assert not (tmp_path / "out").exists()


def test_exports_quote_the_audit(service: ReviewService, films: Path, tmp_path: Path) -> None:
    out, reviews = tmp_path / "out", service.results / "reviews"
    review(service, "a.dcm", N=(40.0, 62.5))
    run("export", service.results, "--films", films, "--out", out)
    last = json.loads((reviews / "audit.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    link = {"sequence": 2, "hash": last["hash"]}
    assert json.loads((out / "json" / "a.dcm.json").read_text(encoding="utf-8"))["review"]["audit"] == link
    assert json.loads((out / "audit.head.json").read_text(encoding="utf-8")) == link
    assert last["hash"].encode() in (out / "sr" / "a.dcm.r2.dcm").read_bytes()
    assert "all 3 lines that are quoted elsewhere" in run("audit", service.results, "--verify", out)
    # all that the folder of reviews has is rolled back
    (reviews / "a.dcm" / "0002.json").unlink()
    audit = reviews / "audit.jsonl"
    audit.write_text(audit.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    assert "lines were cut off at the end" in run("audit", service.results, code=1)
    (reviews / "audit.head.json").unlink()
    assert "The audit is whole" in run("audit", service.results)
    said = run("audit", service.results, "--verify", out / "sr" / "a.dcm.r2.dcm", code=1)
    assert "a.dcm.r2.dcm quotes line 2, which was cut off" in said
    assert "does not quote" in run("audit", service.results, "--verify", results_file(service), code=2)


def results_file(service: ReviewService) -> Path:
    return service.results / "json" / "a.dcm.json"


def test_only_signed_films_count_unless_drafts_are_wanted(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", sign=False, N=(40.0, 62.5))
    assert "no film was written" in run("export", service.results, "--out", tmp_path / "x", code=2)
    run("export", service.results, "--films", films, "--out", tmp_path / "out", "--drafts")
    document = pydicom.dcmread(tmp_path / "out" / "sr" / "a.dcm.r1.dcm")
    assert document.VerificationFlag == "UNVERIFIED"
    assert "unreviewed" in pydicom.dcmread(tmp_path / "out" / "gsps" / "a.dcm.r1.dcm").ContentDescription
    # a draft after the signature does not count either
    review(service, "a.dcm", N=(50.0, 62.5))
    review(service, "a.dcm", sign=False, N=(60.0, 62.5))
    run("export", service.results, "--films", films, "--out", tmp_path / "out")
    assert {row["symbol"]: row["x"] for row in table(tmp_path / "out" / "landmarks.csv")}["N"] == "50.00"


def test_a_file_of_a_person_is_not_replaced(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", N=(40.0, 62.5))
    (tmp_path / "landmarks.csv").write_text("mine")
    assert "landmarks.csv: was not written by this software" in run(
        "export", service.results, "--films", films, "--out", tmp_path, code=2
    )
    assert (tmp_path / "landmarks.csv").read_text() == "mine"


def test_a_dataset_has_the_reviewed_points(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", N=(40.0, 62.5))
    review(service, "b.png", S=(33.0, 44.0), Go=None)
    out = tmp_path / "dataset"
    run("export", service.results, "--films", films, "--out", out, "--as", "dataset")
    found = {film.image.resolve(): film for film in open_dataset(out)}
    assert found.keys() == {films / "a.dcm", films / "b.png"}
    assert found[films / "a.dcm"].landmarks[1].tolist() == [62.5, 40.0]
    assert found[films / "b.png"].landmarks[0].tolist() == [44.0, 33.0]


def test_the_audit_is_checked_and_written_as_a_table(service: ReviewService, tmp_path: Path) -> None:
    assert "nobody reviewed" in run("audit", service.results, code=2)
    review(service, "a.dcm", N=(40.0, 62.5))
    assert "The audit is whole" in run("audit", service.results, "--csv", tmp_path / "audit.csv")
    rows = table(tmp_path / "audit.csv")
    assert [(row["event"], row["symbol"], row["detected_x"], row["x"], row["reviewer"]) for row in rows] == [
        ("saved", "N", "30.2500", "40.0000", "Dr. Exämple"),
        ("signed", "N", "30.2500", "40.0000", "Dr. Exämple"),
    ]
    file = service.results / "reviews" / "audit.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("40.0", "41.0", 1), encoding="utf-8")
    assert "line 1 was changed" in run("audit", service.results, code=1)


def test_reviews_of_another_image_are_not_mixed_up(service: ReviewService, results: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", N=(40.0, 62.5))
    file = results / "json" / "a.dcm.json"
    file.write_text(file.read_text().replace(IMAGE, "9.9.9"))
    assert "the review is of another image" in run("export", results, "--out", tmp_path / "x", code=2)
