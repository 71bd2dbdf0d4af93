"""Results after review say what a person did; the dataset teaches it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_films import IMAGE
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.datasets import open_dataset
from monai_ceph.reports.sr_points import read_points
from monai_ceph.review.models import Point, Save, Sign
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


def test_the_sr_is_verified_by_the_person(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", N=(40.0, 62.5), U6=(100, 110))
    run("export", service.results, "--films", films, "--out", tmp_path / "out")
    document = pydicom.dcmread(tmp_path / "out" / "sr" / "a.dcm.dcm")
    assert document.VerificationFlag == "VERIFIED"
    (observer,) = document.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Dr. Exämple"
    assert document.PatientName == "Doe^Jane"
    assert read_points(document)[IMAGE][1].tolist() == [62.5, 40.0]
    assert "Upper first molar" in str(document)
    state = pydicom.dcmread(tmp_path / "out" / "gsps" / "a.dcm.dcm")
    assert (state.ContentCreatorName, state.ContentDescription) == ("Dr. Exämple", "Cephalometric landmarks, reviewed")


def test_only_signed_films_count_unless_drafts_are_wanted(service: ReviewService, films: Path, tmp_path: Path) -> None:
    review(service, "a.dcm", sign=False, N=(40.0, 62.5))
    assert "no film was written" in run("export", service.results, "--out", tmp_path / "x", code=2)
    run("export", service.results, "--films", films, "--out", tmp_path / "out", "--drafts")
    document = pydicom.dcmread(tmp_path / "out" / "sr" / "a.dcm.dcm")
    assert document.VerificationFlag == "UNVERIFIED"
    assert "unreviewed" in pydicom.dcmread(tmp_path / "out" / "gsps" / "a.dcm.dcm").ContentDescription
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
