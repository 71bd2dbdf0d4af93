from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import CREATED, IMAGE, SERIES, STUDY, colour_film, detection_on, film, saved
from dicomanonymizer.simpledicomanonymizer import initialize_actions
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.tag import Tag
from pydicom.uid import UID
from samples import radiograph

from monai_ceph.reports.deidentify import deidentified, deidentified_detection, deidentified_uid, may_show_identity
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.secondary_capture import save_sc
from monai_ceph.reports.structured_report import save_sr

MARKER = "MARKER"
DATE, TIME, NUMBER = "19131211", "101112.131415", 909090909
NEEDED = {
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet"),
    *("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PresentationLUTShape", "VOILUTFunction"),
    *("ModalityLUTType", "LUTDescriptor", "LUTData", "PixelData", "WindowCenter", "WindowWidth"),
    *("RescaleSlope", "RescaleIntercept", "InstanceNumber"),
}
# texts of the source that must not be in any result
TRACES = (
    MARKER.encode(),
    DATE.encode(),
    b"101112",
    b"131415",
    b"90909090",
    IMAGE.encode(),
    STUDY.encode(),
    SERIES.encode(),
)


def marked_value(vr: str) -> Any:
    if vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"):
        return MARKER
    if vr == "UR":
        return f"http://{MARKER}"
    if vr in ("DA", "TM", "DT"):
        return {"DA": DATE, "TM": TIME, "DT": DATE + TIME}[vr]
    if vr in ("DS", "IS"):
        return str(NUMBER)
    if vr == "UI":
        return "1.2.3.19131211"
    if vr == "AS":
        return "909Y"
    if vr in ("OB", "UN", "OW"):
        return MARKER.encode()
    return None


def marked_elements() -> Iterator[DataElement]:
    """Return all elements of DICOM's dictionary that can hold a marker, except those needed to display the film."""
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 in (0x0000, 0x0002, 0xFFFE) or keyword in NEEDED or not keyword:
            continue
        value = marked_value(vr.split(" or ")[0])
        if value is not None:
            yield DataElement(Tag(tag), vr.split(" or ")[0], value, validation_mode=config.IGNORE)


def marked(dataset: Dataset, depth: int = 2) -> Dataset:
    """Put a marker wherever there is room for it: public and private elements, overlays, and in sequences again."""
    for element in marked_elements():
        dataset.add(element)
    block = dataset.private_block(0x0029, MARKER, create=True)
    block.add_new(1, "LO", MARKER)
    for group in (0x5000, 0x6000, 0x6002):
        dataset.add_new(Tag(group, 0x3000), "OB", MARKER.encode())
        dataset.add_new(Tag(group, 0x4000), "LT", MARKER)
    if depth:
        # one in the profile's table, one not, and one that the presentation state reads
        for name in ("RequestAttributesSequence", "AnatomicRegionSequence", "SharedFunctionalGroupsSequence"):
            setattr(dataset, name, [marked(Dataset(), depth - 1)])
    return dataset


def lut() -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [16, 0, 12])
    item.add_new("LUTData", "OW", np.arange(16, dtype=np.uint16).tobytes())
    item.LUTExplanation = MARKER
    return item


class TestObjectsHoldNoIdentity:
    @pytest.mark.parametrize("make", [film, colour_film])
    def test_no_identifying_text_is_left(self, tmp_path: Path, make: Any) -> None:
        source = marked(make())
        source.VOILUTSequence = [lut()]
        header = source_header(saved(source, tmp_path / "film.dcm"))
        assert header.PatientName == MARKER
        assert header.SharedFunctionalGroupsSequence[0].AnatomicRegionSequence[0].PatientComments == MARKER
        detection, cleaned = deidentified_detection(detection_on(file=f"/films/{MARKER}.dcm")), deidentified(header)
        save_sr(tmp_path / "sr.dcm", detection, cleaned)
        save_gsps(tmp_path / "pr.dcm", detection, cleaned)
        save_sc(tmp_path / "sc.dcm", detection, cleaned, radiograph(detection.rows, detection.columns))
        for name in ("sr.dcm", "pr.dcm", "sc.dcm"):
            content = (tmp_path / name).read_bytes()
            assert [trace for trace in TRACES if trace in content] == []
            assert CREATED.strftime("%Y%m%d").encode() not in content

    def test_the_source_contains_the_identifying_text(self, tmp_path: Path) -> None:
        # without de-identification, the texts that the test above looks for are there
        save_sr(tmp_path / "sr.dcm", detection_on(), marked(film()))
        content = (tmp_path / "sr.dcm").read_bytes()
        assert {trace for trace in TRACES if trace in content} >= {MARKER.encode(), DATE.encode(), STUDY.encode()}

    def test_objects_are_marked_as_deidentified(self, tmp_path: Path) -> None:
        for name, save in (("sr.dcm", save_sr), ("pr.dcm", save_gsps)):
            save(tmp_path / name, deidentified_detection(detection_on()), deidentified(film()))
            result = dcmread(tmp_path / name)
            assert result.PatientIdentityRemoved == "YES"
            assert result.DeidentificationMethod.startswith("PS3.15 Basic Application Level Confidentiality Profile")
            assert result.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
            assert result.LongitudinalTemporalInformationModified == "REMOVED"
            assert not str(result.PatientName).strip("^")
            assert (result.PatientID, result.StudyDate) == ("", "")

    def test_objects_of_a_film_share_their_new_uids(self, tmp_path: Path) -> None:
        detection, source = deidentified_detection(detection_on(), "k"), deidentified(film(), "k")
        save_sr(tmp_path / "sr.dcm", detection, source)
        save_gsps(tmp_path / "pr.dcm", detection, source)
        report, state = dcmread(tmp_path / "sr.dcm"), dcmread(tmp_path / "pr.dcm")
        assert report.StudyInstanceUID == state.StudyInstanceUID == deidentified_uid(STUDY, "k")
        evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
        series = state.ReferencedSeriesSequence[0]
        assert evidence.SeriesInstanceUID == series.SeriesInstanceUID == deidentified_uid(SERIES, "k")
        image = series.ReferencedImageSequence[0].ReferencedSOPInstanceUID
        assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image == deidentified_uid(IMAGE, "k")


class TestDeidentified:
    def test_every_element_of_the_table(self) -> None:
        kept = set()
        header = deidentified(marked(film(), 1))
        for tag in initialize_actions("dicomfields_2026c"):
            if len(tag) == 2:
                value = header.get(Tag(tag))
                if value is not None and any(trace in str(value.value).encode() for trace in TRACES):
                    kept.add(keyword_for_tag(Tag(tag)))
        assert kept == set()

    def test_private_elements_and_overlays_are_gone(self) -> None:
        header = deidentified(marked(film(), 1))
        assert not any(element.tag.is_private for element in header.iterall())
        assert not any(element.tag.group >> 8 == 0x50 for element in header.iterall())
        assert not any(element.tag.group >> 8 == 0x60 and element.tag.element in (0x3000, 0x4000) for element in header)

    def test_uids_in_items_that_stay_are_replaced(self) -> None:
        source, item = film(), Dataset()
        item.FrameOfReferenceUID = STUDY
        item.PatientName = MARKER
        source.AnatomicRegionSequence = [item]
        cleaned = deidentified(source, "k").AnatomicRegionSequence[0]
        assert cleaned.FrameOfReferenceUID == deidentified_uid(STUDY, "k")
        assert not cleaned.PatientName

    def test_the_film_is_still_shown_as_before(self, tmp_path: Path) -> None:
        header = deidentified(source_header(saved(film(VOILUTSequence=[lut()]), tmp_path / "film.dcm")))
        assert list(header.VOILUTSequence[0].LUTDescriptor) == [16, 0, 12]
        for name in ("Rows", "Columns", "PhotometricInterpretation", "WindowCenter", "RescaleSlope"):
            assert header[name].value == film()[name].value

    def test_the_source_stays_as_it_is(self) -> None:
        source = film()
        deidentified(source)
        assert source == film()

    def test_the_same_again(self) -> None:
        assert deidentified(marked(film(), 0)) == deidentified(marked(film(), 0))

    def test_nothing_is_there(self) -> None:
        assert deidentified(Dataset()).PatientIdentityRemoved == "YES"


class TestUids:
    def test_the_same_uid_is_replaced_the_same_way(self) -> None:
        assert deidentified_uid(STUDY) == deidentified_uid(STUDY) != STUDY
        assert deidentified_uid(STUDY) != deidentified_uid(SERIES)
        assert UID(deidentified_uid(STUDY)).is_valid

    def test_another_key_gives_other_uids(self) -> None:
        assert deidentified_uid(STUDY, "a") != deidentified_uid(STUDY, "b")


class TestDetection:
    def test_no_name_no_uid_no_time(self) -> None:
        cleaned = deidentified_detection(detection_on(file=f"/films/{MARKER}.dcm"), "k")
        text = cleaned.model_dump_json()
        assert MARKER not in text
        assert "2026" not in text
        assert cleaned.image_uid == deidentified_uid(IMAGE, "k")
        assert cleaned.landmarks == detection_on().landmarks

    def test_no_uids(self) -> None:
        cleaned = deidentified_detection(detection_on(study_uid=None, series_uid=None, image_uid=None))
        assert (cleaned.study_uid, cleaned.series_uid, cleaned.image_uid, cleaned.file) == (None, None, None, "film")


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"BurnedInAnnotation": "NO"}, None),
        ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation is YES"),
        ({"BurnedInAnnotation": "yes "}, "BurnedInAnnotation is YES"),
        ({"BurnedInAnnotation": None}, "does not say"),
        ({"BurnedInAnnotation": ""}, "does not say"),
        ({"BurnedInAnnotation": "NO", "RecognizableVisualFeatures": "NO"}, None),
        ({"BurnedInAnnotation": "NO", "RecognizableVisualFeatures": "YES"}, "RecognizableVisualFeatures"),
    ],
)
def test_pictures_may_show_identity(changes: dict[str, Any], word: str | None) -> None:
    reason = may_show_identity(film(**changes))
    assert reason is None if word is None else word in str(reason)
    assert may_show_identity(deidentified(film(**changes))) == reason


def test_every_vr_of_the_dictionary_is_handled() -> None:
    # numbers as bytes, tags and sequences hold no marker; everything else does
    rest = {dictionary_VR(tag) for tag in DicomDictionary if marked_value(dictionary_VR(tag).split(" or ")[0]) is None}
    assert rest <= {"AT", "FD", "FL", "NONE", "OD", "OF", "OL", "OV", "SL", "SQ", "SS", "SV", "UL", "US", "UV"} | {
        "US or SS",
        "US or OW",
        "US or SS or OW",
    }
