from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
import pypdfium2
from dicom_films import IMAGE, SERIES, STUDY, detection_on, film, frames_film, header, saved
from made_measurements import some
from pydicom import Dataset, dcmread
from pydicom.uid import EncapsulatedPDFStorage
from samples import radiograph

from monai_ceph.errors import CephError
from monai_ceph.reports.deidentify import deidentified, deidentified_detection
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.encapsulated_pdf import encapsulated_pdf, save_pdf
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.structured_report import structured_report
from monai_ceph.result import Detection

PICTURE = film_png(radiograph(400, 300))


def read_back(folder: Path, detection: Detection, source: Dataset, picture: bytes | None = None) -> Dataset:
    save_pdf(folder / "report.dcm", detection, source, some(), picture)
    return dcmread(folder / "report.dcm")


def text_of(result: Dataset) -> str:
    document = result.EncapsulatedDocument[: result.EncapsulatedDocumentLength]
    return " ".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(document))


def test_the_document_comes_back(tmp_path: Path) -> None:
    result = read_back(tmp_path, detection_on(), header(tmp_path))
    assert result.SOPClassUID == EncapsulatedPDFStorage == "1.2.840.10008.5.1.4.1.1.104.1"
    assert result.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert len(result.EncapsulatedDocument) % 2 == 0
    text = text_of(result)
    assert "DRAFT: not reviewed" in text
    assert "84.0° (83.0 to 85.0)" in text


def test_it_belongs_to_the_study_and_names_its_film(tmp_path: Path) -> None:
    result = read_back(tmp_path, detection_on(), header(tmp_path))
    assert (result.StudyInstanceUID, result.PatientID, result.PatientName) == (STUDY, "P-17", "Doe^Jane")
    (reference,) = result.SourceInstanceSequence
    assert reference.ReferencedSOPInstanceUID == IMAGE
    assert (result.Modality, result.VerificationFlag, result.ConversionType) == ("DOC", "UNVERIFIED", "WSD")
    assert (result.ContentDate, result.ContentTime) == ("20260102", "030405")


def test_its_uids_are_its_own_and_always_the_same(tmp_path: Path) -> None:
    source = header(tmp_path)
    first, second = (encapsulated_pdf(detection_on(), source, some(), None) for _ in range(2))
    report = structured_report(detection_on(), source)
    for name in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert getattr(first, name) == getattr(second, name)
        assert getattr(first, name) != getattr(report, name)
    assert first.SeriesInstanceUID != SERIES
    assert first.EncapsulatedDocument == second.EncapsulatedDocument


def test_neither_patient_nor_file_is_in_the_document(tmp_path: Path) -> None:
    detection = detection_on(file="Doe^Jane/film.dcm")
    text = text_of(read_back(tmp_path, detection, header(tmp_path)))
    assert IMAGE in text
    for name in ("Doe", "Jane", "P-17", "film.dcm", "1980"):
        assert name not in text


def test_a_frame_has_its_number(tmp_path: Path) -> None:
    source = source_header(saved(frames_film(), tmp_path / "film.dcm"))
    result = read_back(tmp_path, detection_on(frame=2), source)
    assert f"{IMAGE}#2" in text_of(result)
    assert result.InstanceNumber == 2


@pytest.mark.parametrize(
    ("said", "picture", "expected"),
    [("NO", PICTURE, "NO"), ("YES", PICTURE, "YES"), (None, PICTURE, "YES"), ("YES", None, "NO")],
)
def test_burned_in_text_is_that_of_the_picture(tmp_path: Path, said: Any, picture: Any, expected: str) -> None:
    result = read_back(tmp_path, detection_on(), header(tmp_path, BurnedInAnnotation=said), picture)
    assert result.BurnedInAnnotation == expected


def test_without_identity(tmp_path: Path) -> None:
    source = deidentified(header(tmp_path))
    result = read_back(tmp_path, deidentified_detection(detection_on()), source)
    whole = (tmp_path / "report.dcm").read_bytes() + text_of(result).encode()
    for trace in (b"Doe", b"Jane", b"P-17", b"19800229", b"20251231", IMAGE.encode(), STUDY.encode(), b"2026"):
        assert trace not in whole
    assert result.PatientIdentityRemoved == "YES"


def test_a_film_without_uids_has_none(tmp_path: Path) -> None:
    source = source_header(saved(film(StudyInstanceUID=None), tmp_path / "film.dcm"))
    with pytest.raises(CephError, match="it has no Study Instance UID"):
        encapsulated_pdf(detection_on(), source, some(), None)
