from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_films import COLUMNS, DX, IMAGE, NAMES, ROWS, detection_on, film, frames_film, header, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_VR
from samples import noise, save_grey

from monai_ceph.errors import CephError
from monai_ceph.reports.dicom_source import INHERITED, image_reference, inherited, source_header
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.structured_report import structured_report

MANDATORY = INHERITED[:9]
IDENTITY = tuple(name for name in MANDATORY if film().get(name))


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """Exchange bytes of a file for as many others."""
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


class TestSourceHeader:
    def test_the_whole_header_without_pixels(self, tmp_path: Path) -> None:
        dataset = film()
        dataset.PixelData = bytes(2 * ROWS * COLUMNS)
        dataset["PixelData"].VR = "OW"
        read = source_header(saved(dataset, tmp_path / "film.dcm"))
        assert "PixelData" not in read
        assert read.PatientID == "P-17"
        assert list(read.WindowCenter) == [2048, 1000]

    def test_uids_of_the_file_meta_information(self, tmp_path: Path) -> None:
        read = header(tmp_path, SOPClassUID=None, SOPInstanceUID=None)
        assert (read.SOPClassUID, read.SOPInstanceUID) == (DX, IMAGE)

    def test_no_preamble(self, tmp_path: Path) -> None:
        path = tmp_path / "bare"
        film().save_as(path, implicit_vr=True, little_endian=True)
        assert source_header(path).PatientID == "P-17"

    def test_an_image_that_is_no_dicom(self, tmp_path: Path) -> None:
        path = save_grey(tmp_path / "film.png", noise(20, 20))
        with pytest.raises(CephError, match=r"film\.png: not a DICOM file"):
            source_header(path)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match=r"gone\.dcm: the DICOM header cannot be read \(FileNotFoundError\)"):
            source_header(tmp_path / "gone.dcm")

    def test_an_error_quotes_nothing_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "film.dcm"
        path.write_bytes(saved(film(), path).read_bytes()[:150])
        with pytest.raises(CephError, match=r"film\.dcm") as caught:
            image_reference(source_header(path), detection_on())
        assert "Doe" not in str(caught.value)

    @pytest.mark.parametrize("name", NAMES)
    def test_names_in_any_script(self, tmp_path: Path, name: str) -> None:
        character_set, text = NAMES[name]
        read = header(tmp_path, SpecificCharacterSet=character_set, PatientName=text)
        assert str(read.PatientName) == text
        assert read.SpecificCharacterSet == character_set

    def test_elements_that_cannot_be_converted_are_left_out(self, tmp_path: Path) -> None:
        item = Dataset()
        item.BitsStored = 0x1234
        path = saved(film(InstanceNumber=12345678, OtherPatientIDsSequence=[item]), tmp_path / "film.dcm")
        # a number that is not valid, and two bytes for a value of four
        patched(path, b"12345678", b"twelve-8")
        patched(path, b"\x28\x00\x01\x01US\x02\x00\x34\x12", b"\x28\x00\x01\x01UL\x02\x00\x34\x12")
        read = source_header(path)
        assert not read.OtherPatientIDsSequence[0]
        assert read.PatientID == "P-17"
        assert structured_report(detection_on(), read).InstanceNumber == 1


class TestInherited:
    def test_all_of_it(self, tmp_path: Path) -> None:
        source = header(tmp_path, IssuerOfPatientID="Clinic", TimezoneOffsetFromUTC="+0530")
        cleaned = inherited(source)
        assert {element.keyword for element in cleaned} == set(INHERITED[:12])
        for element in cleaned:
            assert element.value == source[element.tag].value

    def test_nothing_is_there(self) -> None:
        cleaned = inherited(Dataset())
        assert {element.keyword for element in cleaned} == set(MANDATORY)
        assert not any(element.value for element in cleaned)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("PatientSex", "f", "F"),
            ("PatientSex", "Male", "M"),
            ("PatientSex", "W", ""),
            ("PatientBirthDate", "1980.02.29", "19800229"),
            ("PatientBirthDate", "1980-02-29", "19800229"),
            ("PatientBirthDate", "19810229", ""),
            ("PatientBirthDate", "1980", ""),
            ("PatientBirthDate", "29.02.1980", ""),
            ("StudyTime", "12:34:56", "123456"),
            ("StudyTime", "1234", "1234"),
            ("StudyTime", "123456.789", "123456.789"),
            ("StudyTime", "noon", ""),
            ("StudyTime", "256000", ""),
            ("PatientID", "P-17\x00 ", "P-17"),
            ("PatientID", ["P-17", "P-18"], "P-17"),
            ("PatientName", "Doe^Jane\n", "Doe^Jane"),
            # a shortened identifier would be another patient's
            ("AccessionNumber", "12345678901234567890", "12345678901234567890"),
            ("PatientID", "9" * 80, "9" * 80),
        ],
    )
    def test_values_that_are_not_valid(self, name: str, value: Any, expected: str) -> None:
        source = Dataset()
        source.add(DataElement(name, dictionary_VR(name), value, validation_mode=config.IGNORE))
        assert inherited(source)[name].value == expected

    @given(st.dictionaries(st.sampled_from(MANDATORY), st.text(max_size=16)))
    def test_any_values_in_a_file_give_a_valid_source(self, values: dict[str, str]) -> None:
        source = Dataset()
        for name, value in values.items():
            source.add(DataElement(name, dictionary_VR(name), value, validation_mode=config.IGNORE))
        cleaned = inherited(source)
        for name in MANDATORY:
            # what a validator would refuse is empty, and no text holds a control character
            assert str(cleaned[name].value).isprintable()
            DataElement(name, dictionary_VR(name), cleaned[name].value, validation_mode=config.RAISE)

    def test_deidentified_without_a_method(self) -> None:
        source = Dataset()
        source.PatientIdentityRemoved = "YES"
        assert "PatientIdentityRemoved" not in inherited(source)
        source.DeidentificationMethod = "by hand"
        assert inherited(source).PatientIdentityRemoved == "YES"

    @settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        gone=st.sets(st.sampled_from((*INHERITED[:12], "InstanceNumber", "SpecificCharacterSet", "Modality"))),
        empty=st.sets(st.sampled_from(INHERITED[:9])),
    )
    def test_nothing_that_is_missing_is_an_error(self, tmp_path: Path, gone: set[str], empty: set[str]) -> None:
        source = header(tmp_path, **dict.fromkeys(empty, ""), **dict.fromkeys(gone - empty))
        for number, make in enumerate((structured_report, presentation_state)):
            path = tmp_path / f"{number}.dcm"
            make(detection_on(), source).save_as(path, enforce_file_format=True)
            result = dcmread(path)
            for name in IDENTITY:
                assert name in result
                # a presentation state without a name has one of empty components
                found = str(result[name].value).strip("^")
                assert found == ("" if name in gone | empty else str(film()[name].value))


class TestImageReference:
    def test_uids_and_size(self, tmp_path: Path) -> None:
        reference = image_reference(header(tmp_path), detection_on())
        assert (reference.SOPClassUID, reference.SOPInstanceUID) == (DX, IMAGE)
        assert (reference.Rows, reference.Columns) == (ROWS, COLUMNS)
        assert not reference.PatientName

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("SOPClassUID", "SOP Class UID"),
            ("SOPInstanceUID", "SOP Instance UID"),
            ("SeriesInstanceUID", "Series Instance UID"),
            ("StudyInstanceUID", "Study Instance UID"),
        ],
    )
    def test_no_uid(self, name: str, title: str) -> None:
        with pytest.raises(CephError, match=rf"film\.dcm: no DICOM object can refer to the film, it has no {title}\."):
            image_reference(film(**{name: None}), detection_on())

    @pytest.mark.parametrize("text", ["1.2.Doe", "1..2", ".1.2", "1.2.", "1.2." + "3" * 61, "1 2"])
    def test_an_invalid_uid_is_refused(self, text: str) -> None:
        source = film()
        source.add(DataElement("StudyInstanceUID", "UI", text, validation_mode=config.IGNORE))
        with pytest.raises(CephError, match="has an invalid Study Instance UID"):
            image_reference(source, detection_on())

    def test_the_header_of_another_film(self) -> None:
        with pytest.raises(CephError, match=r"the header belongs to image 1\.2\.9, the detection to 1\.2\.3\.3"):
            image_reference(film(SOPInstanceUID="1.2.9"), detection_on())
        with pytest.raises(CephError, match="Rows 401, the detection 400"):
            image_reference(film(Rows=401), detection_on())

    def test_a_detection_that_knows_no_uid(self) -> None:
        assert image_reference(film(), detection_on(image_uid=None)).SOPInstanceUID == IMAGE

    @pytest.mark.parametrize("frame", [1, 3])
    def test_frames(self, frame: int) -> None:
        assert image_reference(frames_film(), detection_on(frame=frame)).SOPInstanceUID == IMAGE

    @pytest.mark.parametrize(("frame", "words"), [(None, "names none"), (4, "is of frame 4")])
    def test_a_frame_that_is_not_there(self, frame: int | None, words: str) -> None:
        with pytest.raises(CephError, match=f"the film has 3 frames, the detection {words}"):
            image_reference(frames_film(), detection_on(frame=frame))
