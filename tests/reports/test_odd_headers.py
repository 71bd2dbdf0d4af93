"""Headers that break a rule of DICOM and are copied literally: text without its character set, UIDs with zeros."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import COLUMNS, DX, IMAGE, ROWS, SERIES, STUDY, film, one_point, saved
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.archives.selection import Selection
from monai_ceph.landmarks import NUM_LANDMARKS
from monai_ceph.reports.deidentify import deidentified
from monai_ceph.reports.dicom_objects import write_object
from monai_ceph.reports.dicom_source import header_warnings, source_header
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.reviewed_report import Review, reviewed_report
from monai_ceph.reports.sr_points import read_points
from monai_ceph.reports.structured_report import save_sr

TEXTS = ("PatientName", "PatientID", "StudyDescription", "ReferringPhysicianName", "AccessionNumber")
NAMES = {
    # the second bytes of these are a backslash, a caret and a lower-case letter
    "Shift-JIS": "山田^太郎=ソ表十".encode("shift_jis"),
    "EUC-KR": "홍^길동".encode("euc_kr"),
    "GB18030": "王^小东".encode("gb18030"),
    "UTF-8": "Müller^Jörg".encode(),
    "Latin-1": "Müller^Jörg".encode("latin-1"),
    "ISO 2022": "山田^太郎".encode("iso2022_jp"),
}
UNDECLARED = "The film has text beyond ASCII and declares no character set"
CONTRADICTED = "The film's text is not in the character set that it declares"


def review_on(observer: str = "Dr. Who") -> Review:
    points = np.full((NUM_LANDMARKS, 2), np.nan)
    points[0] = 50.0
    created = datetime(2026, 1, 2, tzinfo=timezone.utc)
    return Review("film.dcm", IMAGE, ROWS, COLUMNS, points, observer, created)


def save_review(path: Path, _: Any, source: Dataset) -> None:
    write_object(path, reviewed_report(review_on(), source))


WRITERS = [save_sr, save_gsps, save_review]


def padded(raw: bytes) -> bytes:
    return raw + b" " * (len(raw) % 2)


def film_with(path: Path, raw: bytes, declared: Any, syntax: str = ExplicitVRLittleEndian) -> Path:
    """A film whose texts are these bytes, whatever character set it declares."""
    raw = padded(raw)
    marks = {name: chr(ord("a") + number) * len(raw) for number, name in enumerate(TEXTS)}
    saved(film(SpecificCharacterSet=declared, **marks), path, syntax)
    content = path.read_bytes()
    for mark in marks.values():
        assert content.count(mark.encode()) == 1
        content = content.replace(mark.encode(), raw)
    path.write_bytes(content)
    return path


def sentences(document: Dataset) -> str:
    return " ".join(str(element.value) for element in document.iterall() if element.keyword == "TextValue")


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("name", NAMES)
def test_bytes_without_a_character_set(tmp_path: Path, name: str, syntax: str, save: Callable[..., None]) -> None:
    source = source_header(film_with(tmp_path / "film.dcm", NAMES[name], None, syntax))
    save(tmp_path / "a.dcm", one_point(), source)
    result = dcmread(tmp_path / "a.dcm")
    assert "SpecificCharacterSet" not in result
    for text in TEXTS:
        assert result.get_item(text).value == padded(NAMES[name])
        assert result.get_item(text).VR == film()[text].VR
    (warning,) = header_warnings(source)
    assert warning.startswith(UNDECLARED)
    assert save is save_gsps or UNDECLARED in sentences(result)


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("Shift-JIS", "ISO_IR 192"),
        ("Shift-JIS", "ISO_IR 100"),
        ("Shift-JIS", "ISO_IR 13"),
        ("Shift-JIS", "NONSENSE"),
        ("Shift-JIS", "ISO_IR 6"),
        ("EUC-KR", "ISO_IR 192"),
        ("EUC-KR", "ISO_IR 13"),
        ("EUC-KR", ["", "ISO 2022 IR 87"]),
        ("GB18030", "ISO_IR 192"),
        ("UTF-8", "ISO_IR 6"),
        ("UTF-8", "ISO_IR 13"),
        ("UTF-8", "ISO-IR 192"),
        ("Latin-1", "ISO_IR 192"),
        ("Latin-1", "ISO-IR 100"),
        ("ISO 2022", "ISO_IR 100"),
        ("ISO 2022", "ISO_IR 192"),
    ],
)
def test_bytes_of_another_character_set(tmp_path: Path, name: str, declared: Any, save: Callable[..., None]) -> None:
    source = source_header(film_with(tmp_path / "film.dcm", NAMES[name], declared))
    save(tmp_path / "a.dcm", one_point(), source)
    result = dcmread(tmp_path / "a.dcm")
    assert result.SpecificCharacterSet == declared
    for text in TEXTS:
        assert result.get_item(text).value == padded(NAMES[name])
    (warning,) = header_warnings(source)
    assert warning.startswith(CONTRADICTED)


def test_bytes_that_a_wrong_character_set_allows(tmp_path: Path) -> None:
    # all of EUC-KR is letters of Latin-1, and nobody can tell
    source = source_header(film_with(tmp_path / "film.dcm", NAMES["EUC-KR"], "ISO_IR 100"))
    save_sr(tmp_path / "a.dcm", one_point(), source)
    result = dcmread(tmp_path / "a.dcm")
    assert result.SpecificCharacterSet == "ISO_IR 100"
    assert result.get_item("PatientName").value == padded(NAMES["EUC-KR"])


def test_ascii_needs_no_character_set(tmp_path: Path) -> None:
    for declared in (None, "NONSENSE", "ISO_IR 100"):
        source = source_header(film_with(tmp_path / "film.dcm", b"Doe^Jane", declared))
        assert header_warnings(source) == ()
        save_sr(tmp_path / "a.dcm", one_point(), source)
        assert "SpecificCharacterSet" not in dcmread(tmp_path / "a.dcm")


def test_text_of_our_own_is_ascii_beside_unknown_bytes(tmp_path: Path) -> None:
    source = source_header(film_with(tmp_path / "film.dcm", NAMES["Shift-JIS"], None))
    write_object(tmp_path / "a.dcm", reviewed_report(review_on("Jörg Müller"), source))
    result = dcmread(tmp_path / "a.dcm")
    assert result.get_item("PatientName").value == padded(NAMES["Shift-JIS"])
    observers = [str(element.value) for element in result.iterall() if element.keyword == "PersonName"]
    assert observers == ["J?rg M?ller"]


def test_bytes_leave_a_header_that_is_deidentified(tmp_path: Path) -> None:
    raw = NAMES["Shift-JIS"]
    source = deidentified(source_header(film_with(tmp_path / "film.dcm", raw, None)))
    assert header_warnings(source) == ()
    saved(source, tmp_path / "a.dcm")
    assert raw[:4] not in (tmp_path / "a.dcm").read_bytes()


def test_a_description_of_unknown_characters_still_names_a_cephalogram(tmp_path: Path) -> None:
    source = source_header(film_with(tmp_path / "film.dcm", NAMES["Shift-JIS"] + b" CEPH", None))
    source.BodyPartExamined = "CHEST"
    assert Selection(SelectionConfig()).refusal(source) is None


ZEROS = {
    "SOPInstanceUID": "1.2.840.0113619.2.003",
    "SeriesInstanceUID": "1.2.00.7",
    "StudyInstanceUID": "01.2.3",
}


def film_with_zeros(path: Path, *names: str) -> Path:
    dataset = film()
    for name in names:
        dataset.add(DataElement(name, "UI", ZEROS[name], validation_mode=config.IGNORE))
    return saved(dataset, path)


@pytest.mark.parametrize("names", [*((name,) for name in ZEROS), tuple(ZEROS)], ids=" ".join)
def test_uids_with_leading_zeros_are_named_literally(tmp_path: Path, names: tuple[str, ...]) -> None:
    uids = {"SOPInstanceUID": IMAGE, "SeriesInstanceUID": SERIES, "StudyInstanceUID": STUDY}
    uids |= {name: ZEROS[name] for name in names}
    source = source_header(film_with_zeros(tmp_path / "film.dcm", *names))
    assert header_warnings(source) == (
        "A UID of the film has a leading zero, which DICOM does not allow: it was copied as it is.",
    )
    detection = one_point(image_uid=uids["SOPInstanceUID"])
    save_sr(tmp_path / "sr.dcm", detection, source)
    save_gsps(tmp_path / "pr.dcm", detection, source)
    for file in ("sr.dcm", "pr.dcm"):
        result = dcmread(tmp_path / file)
        assert result.StudyInstanceUID == uids["StudyInstanceUID"]
        assert result.SOPInstanceUID.is_valid
        assert result.SeriesInstanceUID.is_valid
        images = [element.value for element in result.iterall() if element.keyword == "ReferencedSOPInstanceUID"]
        assert set(images) == {uids["SOPInstanceUID"]}
        classes = [element.value for element in result.iterall() if element.keyword == "ReferencedSOPClassUID"]
        assert set(classes) == {DX}
    (study,) = dcmread(tmp_path / "sr.dcm").CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == uids["StudyInstanceUID"]
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == uids["SeriesInstanceUID"]
    (series,) = dcmread(tmp_path / "pr.dcm").ReferencedSeriesSequence
    assert series.SeriesInstanceUID == uids["SeriesInstanceUID"]
    assert "leading zero" in sentences(dcmread(tmp_path / "sr.dcm"))
    (found,) = read_points(dcmread(tmp_path / "sr.dcm"))
    assert found == uids["SOPInstanceUID"]


def test_a_review_of_a_film_whose_uids_have_leading_zeros(tmp_path: Path) -> None:
    source = source_header(film_with_zeros(tmp_path / "film.dcm", "SeriesInstanceUID", "StudyInstanceUID"))
    write_object(tmp_path / "a.dcm", reviewed_report(review_on(), source))
    result = dcmread(tmp_path / "a.dcm")
    assert result.StudyInstanceUID == ZEROS["StudyInstanceUID"]
    assert "leading zero" in sentences(result)


def test_a_component_that_is_zero_is_valid(tmp_path: Path) -> None:
    assert header_warnings(source_header(saved(film(StudyInstanceUID="1.0.2.0"), tmp_path / "film.dcm"))) == ()
