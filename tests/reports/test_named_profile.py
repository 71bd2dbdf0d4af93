"""Every output of a detection with a profile names it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_films import detection_on, film
from pydicom import Dataset, dcmread

from monai_ceph.reports.measurement_table import MEASUREMENT_COLUMNS, FilmMeasurements, measurement_rows, wide_row
from monai_ceph.reports.notes import note_lines
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.structured_report import save_sr
from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_columns, landmark_rows, write_table
from monai_ceph.result import Detection, ProfileIdentity

PROFILE = ProfileIdentity(name="Clinic North", sha256="ef" * 32, films=12)
LABEL = "Clinic North (learned from 12 films, efefefefefef)"


def items(parent: Dataset) -> Iterator[Dataset]:
    """All content items of a document."""
    for item in parent.get("ContentSequence", ()):
        yield item
        yield from items(item)


@pytest.fixture
def moved() -> Detection:
    return detection_on().model_copy(update={"profile": PROFILE})


def test_the_band_below_pictures(moved: Detection) -> None:
    assert note_lines(moved)[0] == f"profile: {LABEL}"
    assert note_lines(moved)[1:] == note_lines(detection_on())


def test_the_facts_of_a_report(moved: Detection) -> None:
    facts = dict(film_report(moved, []).facts)
    assert (facts["profile"], facts["profile SHA-256"]) == (LABEL, "ef" * 32)
    assert "profile" not in dict(film_report(detection_on(), []).facts)


def test_the_structured_report(moved: Detection, tmp_path: Path) -> None:
    save_sr(tmp_path / "sr.dcm", moved, film())
    said = [item.TextValue for item in items(dcmread(tmp_path / "sr.dcm")) if "TextValue" in item]
    assert {f"profile={LABEL}", f"profile_sha256={'ef' * 32}"} <= set(said)
    save_sr(tmp_path / "plain.dcm", detection_on(), film())
    assert "profile=" not in (tmp_path / "plain.dcm").read_bytes().decode("latin-1")


def test_the_presentation_state(moved: Detection, tmp_path: Path) -> None:
    save_gsps(tmp_path / "pr.dcm", moved, film())
    assert f"profile: {LABEL}" in str(dcmread(tmp_path / "pr.dcm"))


def test_the_table_of_landmarks(moved: Detection, tmp_path: Path) -> None:
    rows = [row for each in (moved, detection_on()) for row in landmark_rows(each, with_profile=True)]
    write_table(tmp_path / "landmarks.csv", landmark_columns(with_profile=True), rows)
    with (tmp_path / "landmarks.csv").open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [row["profile"] for row in read] == ["Clinic North"] * 19 + [""] * 19
    assert landmark_columns(with_profile=False) == LANDMARK_COLUMNS
    assert {len(row) for row in landmark_rows(moved)} == {len(LANDMARK_COLUMNS)}


def test_tables_of_measurements(moved: Detection) -> None:
    rows = measurement_rows(FilmMeasurements.of(moved))
    assert {dict(zip(MEASUREMENT_COLUMNS, row, strict=True))["profile"] for row in rows} == {"Clinic North"}
    assert wide_row(FilmMeasurements.of(moved))[-1] == "Clinic North"
    assert wide_row(FilmMeasurements.of(detection_on()))[-1] == ""


def test_parquet(moved: Detection, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from monai_ceph.reports.parquet import write_parquet

    write_parquet(tmp_path / "landmarks.parquet", [moved, detection_on()], with_profile=True)
    column = parquet.read_table(tmp_path / "landmarks.parquet").column("profile").to_pylist()
    assert column == ["Clinic North"] * 19 + [None] * 19
