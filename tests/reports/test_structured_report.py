from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from dicom_films import (
    COLUMNS,
    DX,
    IMAGE,
    ROWS,
    SERIES,
    STUDY,
    detection_on,
    film,
    frames_film,
    header,
    one_point,
    without,
)
from pydicom import Dataset, dcmread
from samples import changed

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.landmarks import CODING_SCHEME, LANDMARKS, NAMES, NUM_LANDMARKS, SYMBOLS, Code
from monai_ceph.readers import SpacingSource
from monai_ceph.reports import dicom_codes as codes
from monai_ceph.reports.dicom_uids import tracking_uid
from monai_ceph.reports.measured_values import MEASUREMENT_CODES
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.sr_points import read_points
from monai_ceph.reports.structured_report import image_position, save_sr
from monai_ceph.result import Detection


def read_back(folder: Path, detection: Detection, source: Dataset | None = None) -> hd.sr.ComprehensiveSR:
    path = folder / "sr.dcm"
    save_sr(path, detection, film() if source is None else source)
    return hd.sr.srread(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> hd.sr.ComprehensiveSR:
    """The SR of `detection_on()` and `film()`."""
    return read_back(tmp_path_factory.mktemp("plain"), detection_on())


def on_a_head(detection: Detection) -> Detection:
    """Return the detection with its landmarks where a head has them."""
    for index, (y, x) in enumerate(weights.mean_shape()):
        detection = changed(detection, index, x=150 + 80 * x, y=200 + 80 * y)
    return detection


SHOWN = [
    ("Target Region", Code("69536005", "SCT", "Head")),
    ("Image View", Code("399067008", "SCT", "lateral")),
]


def planar(document: Any) -> list[Any]:
    return document.content.get_planar_roi_measurement_groups()


def others(document: Any) -> list[Any]:
    return document.content.get_image_measurement_groups()


def triple(concept: Any) -> Code:
    return Code(concept.value, concept.scheme_designator, concept.meaning)


def answers(group: Any, question: Code) -> list[Code]:
    found = group.get_qualitative_evaluations(codes.concept(question))
    return [triple(item.value) for evaluation in found for item in evaluation]


def numbers(group: Any, name: Code) -> list[tuple[float, str]]:
    found = group.get_measurements(codes.concept(name))
    return [(item.value, item.unit.value) for item in found]


def value(item: Any) -> Any:
    """Return the value of a content item: a code, a number with its unit, or a text."""
    if item.ValueType == "NUM":
        return item.value, item.unit.value
    return triple(item.value) if item.ValueType == "CODE" else item.value


def section(document: Any, meaning: str) -> list[Any]:
    """Return the containers of a name below the root."""
    return [item for item in document.content[0].ContentSequence if item.name.meaning == meaning]


def without_point(document: Any) -> list[dict[str, Any]]:
    """Return the landmarks among the qualitative evaluations: the values of each, by the name of the concept."""
    (container,) = section(document, "Qualitative Evaluations")
    found = [item for item in container.ContentSequence if item.name.value == codes.LANDMARK_STATUS.value]
    parts = [[item, *item.ContentSequence, *item.ContentSequence[2].ContentSequence] for item in found]
    return [{part.name.meaning: value(part) for part in items} for items in parts]


def library(document: Any) -> list[Any]:
    """Return the entries of the Image Library."""
    (container,) = section(document, "Image Library")
    (group,) = container.ContentSequence
    return list(group.ContentSequence)


def descriptors(entry: Any) -> list[tuple[str, Any]]:
    return [(item.name.meaning, value(item)) for item in entry.ContentSequence]


def texts(document: Any, name: Code) -> list[str]:
    items = hd.sr.utils.find_content_items(document, name=codes.concept(name), recursive=True)
    return [item.TextValue for item in items]


class TestImagePosition:
    @pytest.mark.parametrize(
        ("x", "y", "expected"),
        [
            (0.0, 0.0, (0.5, 0.5)),
            (-0.5, -0.5, (0.0, 0.0)),
            (COLUMNS - 0.5, ROWS - 0.5, (COLUMNS, ROWS)),
            (-0.501, 3.0, None),
            (3.0, -0.501, None),
            (COLUMNS - 0.499, 3.0, None),
            (3.0, ROWS - 0.499, None),
            (None, None, None),
        ],
    )
    def test_from_the_corner_of_the_first_pixel(self, x: Any, y: Any, expected: Any) -> None:
        assert image_position(changed(detection_on(), 0, x=x, y=y).landmarks[0], detection_on()) == expected


class TestLandmarks:
    def test_every_landmark_can_be_read_from_the_report(self, plain: hd.sr.ComprehensiveSR) -> None:
        detection = detection_on()
        groups = planar(plain)
        assert len(groups) == NUM_LANDMARKS
        for landmark, mark, group in zip(LANDMARKS, detection.landmarks, groups, strict=True):
            assert mark.x is not None
            assert mark.y is not None
            region = group.roi
            assert region.graphic_type == hd.sr.GraphicTypeValues.POINT
            assert region.value.tolist() == [[mark.x + 0.5, mark.y + 0.5]]
            assert triple(group.finding_type) == landmark.code
            # OHIF shows the first one as the name of the point
            assert [triple(site.value) for site in group.finding_sites] == [
                *dict.fromkeys((landmark.code, landmark.site))
            ]
            assert group.tracking_identifier == landmark.name
            assert group.tracking_uid == tracking_uid(IMAGE, None, landmark.symbol)
            assert numbers(group, codes.LANDMARK_SCORE) == [(mark.score, "1")]
            assert answers(group, codes.LANDMARK_STATUS) == [codes.STATUSES[mark.status]]

    def test_a_group_has_what_cornerstone_needs_to_make_its_point_editable(self, plain: hd.sr.ComprehensiveSR) -> None:
        groups = section(plain, "Imaging Measurements")[0].ContentSequence
        assert len(groups) == NUM_LANDMARKS
        for landmark, group in zip(LANDMARKS, groups, strict=True):
            (region,) = (item for item in group.ContentSequence if item.ValueType == "SCOORD")
            (score,) = (item for item in group.ContentSequence if item.ValueType == "NUM")
            (again,) = (item for item in score.ContentSequence if item.ValueType == "SCOORD")
            assert again.RelationshipType == "INFERRED FROM"
            assert (again.GraphicType, list(again.GraphicData)) == ("POINT", list(region.GraphicData))
            assert again.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == IMAGE
            comments = [item for item in group.ContentSequence if item.name.value == codes.COMMENT.value]
            assert [item.TextValue for item in comments] == [landmark.name]

    def test_radii_in_mm_or_pixels_after_the_score(self, tmp_path: Path) -> None:
        detection = changed(detection_on(), 0, radius_90_px=12.25, radius_90_mm=1.5)
        detection = changed(detection, 1, radius_90_px=20.5)
        document = read_back(tmp_path, detection)
        found = [numbers(group, codes.LANDMARK_RADIUS) for group in planar(document)]
        assert found[:3] == [[(1.5, "mm")], [(20.5, "{pixels}")], []]
        first = section(document, "Imaging Measurements")[0].ContentSequence[0]
        names = [item.name.meaning for item in first.ContentSequence if item.ValueType == "NUM"]
        assert names == [codes.LANDMARK_SCORE.meaning, codes.LANDMARK_RADIUS.meaning]

    def test_to_single_precision(self, tmp_path: Path) -> None:
        points = np.random.default_rng(0).random((NUM_LANDMARKS, 3)) * (COLUMNS - 1, ROWS - 1, 1)
        detection = detection_on()
        for index, (x, y, score) in enumerate(points.tolist()):
            detection = changed(detection, index, x=x, y=y, score=score)
        for point, group in zip(points, planar(read_back(tmp_path, detection)), strict=True):
            assert group.roi.value == pytest.approx(point[None, :2] + 0.5, rel=2**-24)
            # a decimal string has 16 characters
            assert numbers(group, codes.LANDMARK_SCORE)[0][0] == pytest.approx(point[2], rel=1e-12)

    def test_a_missing_landmark_is_a_qualitative_evaluation(self, tmp_path: Path) -> None:
        document = read_back(tmp_path, without(detection_on(), "Po", "Ar"))
        assert {group.tracking_identifier for group in planar(document)}.isdisjoint({"Porion", "Articulare"})
        found = without_point(document)
        assert [item["Finding"] for item in found] == [LANDMARKS[3].code, LANDMARKS[18].code]
        assert found[0] == {
            "Status of the landmark": codes.STATUSES["missing"],
            "Tracking Identifier": "Porion",
            "Tracking Unique Identifier": tracking_uid(IMAGE, None, "Po"),
            "Finding": LANDMARKS[3].code,
            "Finding Site": LANDMARKS[3].site,
            "Algorithm Name": "test",
            "Algorithm Version": "1, weights abababababab",
            "Algorithm Parameters": "recipe_sha256=" + "cd" * 32,
            "Score of the landmark": (0.125, "1"),
        }

    def test_nothing_found_at_all(self, tmp_path: Path) -> None:
        document = read_back(tmp_path, without(detection_on(), *SYMBOLS))
        assert planar(document) == []
        assert [item["Tracking Identifier"] for item in without_point(document)] == list(NAMES)
        assert section(document, "Imaging Measurements") == []

    def test_a_landmark_outside_the_image_keeps_its_place_as_numbers(self, tmp_path: Path) -> None:
        document = read_back(tmp_path, changed(detection_on(), 7, x=-3.25, y=401.0))
        assert len(planar(document)) == NUM_LANDMARKS - 1
        (found,) = without_point(document)
        assert found["Tracking Identifier"] == "Menton"
        assert found["Status of the landmark"] == codes.STATUSES["ok"]
        assert found["Column position of a landmark outside the image"] == (-2.75, "{pixels}")
        assert found["Row position of a landmark outside the image"] == (401.5, "{pixels}")

    @pytest.mark.parametrize("gone", [(), ("Po", "Ar"), SYMBOLS])
    def test_no_group_lacks_a_point(self, tmp_path: Path, gone: tuple[str, ...]) -> None:
        """OHIF shows an error page where a group has no SCOORD."""
        document = read_back(tmp_path, changed(without(detection_on(), *gone), 7, x=-3.25, y=401.0))
        assert others(document) == []
        for group in (item for part in section(document, "Imaging Measurements") for item in part.ContentSequence):
            assert [item.ValueType for item in group.ContentSequence].count("SCOORD") == 1

    @pytest.mark.parametrize("frame", [1, 3])
    def test_every_reference_names_the_frame(self, tmp_path: Path, frame: int) -> None:
        document = read_back(tmp_path, without(detection_on(frame=frame), "S"), frames_film())
        items = [item for item in document.iterall() if item.keyword == "ReferencedSOPSequence"]
        frames = [item.value[0].get("ReferencedFrameNumber") for item in items]
        # 18 points, each twice, and the image library; the evidence is the whole image
        assert frames.count(frame) == 2 * (NUM_LANDMARKS - 1) + 1
        assert frames.count(None) == 1


def derived(document: Any) -> dict[str, tuple[float, str, dict[str, Any]]]:
    """Return value, unit and properties of each measurement, by the value of its code."""
    return {
        item.name.value: (
            item.value,
            item.unit.value,
            {part.name.value: value(part) for part in item.get("ContentSequence", ())},
        )
        for part in section(document, "Derived Imaging Measurements")
        for item in part.ContentSequence
    }


class TestMeasurements:
    def test_each_one_with_a_value_comes_back(self, tmp_path: Path) -> None:
        detection = on_a_head(detection_on())
        measured = {each.symbol: each for each in detection.measure() if each.value is not None}
        assert {"SNA", "FMA", "S-N", "Jarabak ratio", "FHI"} <= {
            symbol for symbol, each in measured.items() if each.interval
        }
        found = derived(read_back(tmp_path, detection))
        assert found.keys() == {MEASUREMENT_CODES[symbol].value for symbol in measured}
        units = {"degree": "deg", "mm": "mm", "percent": "%", "ratio": "1"}
        for symbol, each in measured.items():
            number, unit, properties = found[MEASUREMENT_CODES[symbol].value]
            assert (number, unit) == (pytest.approx(each.value, rel=1e-10), units[each.unit])
            low, high = each.interval or (None, None)
            expected = {
                "IntervalLow": low,
                "IntervalHigh": high,
                "371886008": None if high is None else high - each.value,
                "371885007": None if low is None else each.value - low,
            }
            assert {name: properties[name] for name in expected if name in properties} == {
                name: (pytest.approx(end, rel=1e-9, abs=1e-9), unit)
                for name, end in expected.items()
                if end is not None
            }

    def test_what_loinc_has_is_an_equivalent_of_the_private_code(self, tmp_path: Path) -> None:
        (part,) = section(read_back(tmp_path, on_a_head(detection_on())), "Derived Imaging Measurements")
        names = {item.name.value: item.name.get("EquivalentCodeSequence", ()) for item in part.ContentSequence}
        found = {name: [(each.CodeValue, each.CodingSchemeDesignator) for each in names[name]] for name in names}
        assert (found["ANSMe"], found["SNPog"], found["SNA"]) == ([("60634-3", "LN")], [("60671-5", "LN")], [])
        assert sum(map(len, found.values())) == 6

    def test_no_millimetres_without_a_scale(self, tmp_path: Path) -> None:
        detection = on_a_head(detection_on(pixel_spacing=None, spacing_source=SpacingSource.NONE, warnings=()))
        found = derived(read_back(tmp_path, detection))
        assert "SNA" in found
        assert "mm" not in {unit for _, unit, _ in found.values()}

    def test_what_needs_a_missing_landmark_is_left_out(self, tmp_path: Path) -> None:
        found = derived(read_back(tmp_path, without(on_a_head(detection_on()), "A")))
        assert "SNB" in found
        assert not {"SNA", "ANB"} & found.keys()

    def test_measurements_of_uncertain_landmarks_say_so(self, tmp_path: Path) -> None:
        detection = on_a_head(detection_on())
        for index in range(NUM_LANDMARKS):
            detection = changed(detection, index, status="uncertain" if SYMBOLS[index] == "A" else "ok")
        found = derived(read_back(tmp_path, detection))
        said = {name for name, (_, _, properties) in found.items() if "LandmarkStatus" in properties}
        assert "SNA" in said
        assert "SNB" not in said
        assert found["SNA"][2]["LandmarkStatus"] == codes.STATUSES["uncertain"]

    def test_readers_of_landmarks_find_them_beside_measurements(self, tmp_path: Path) -> None:
        detection = on_a_head(detection_on())
        points = read_points(read_back(tmp_path, detection))
        assert points[IMAGE] == pytest.approx(detection.points()[:, ::-1], abs=1e-3)

    def test_highdicom_reads_and_writes_it_once_more(self, tmp_path: Path) -> None:
        document = read_back(tmp_path, on_a_head(detection_on()))
        document.save_as(tmp_path / "again.dcm")
        again = hd.sr.srread(tmp_path / "again.dcm")
        assert derived(again) == derived(document)
        assert len(planar(again)) == NUM_LANDMARKS

    def test_nothing_found_at_all(self, tmp_path: Path) -> None:
        assert section(read_back(tmp_path, without(detection_on(), *SYMBOLS)), "Derived Imaging Measurements") == []


class TestFilm:
    @pytest.mark.parametrize("source", [source for source in SpacingSource if source is not SpacingSource.NONE])
    def test_the_image_library_has_the_scale_and_where_it_came_from(
        self, tmp_path: Path, source: SpacingSource
    ) -> None:
        document = read_back(tmp_path, one_point(spacing_source=source))
        (entry,) = library(document)
        assert (entry.referenced_sop_class_uid, entry.referenced_sop_instance_uid) == (DX, IMAGE)
        assert descriptors(entry) == [
            ("Modality", Code("DX", "DCM", "Digital Radiography")),
            *SHOWN,
            ("Pixel Data Rows", (400.0, "{pixels}")),
            ("Pixel Data Columns", (300.0, "{pixels}")),
            ("Horizontal Pixel Spacing", (0.125, "mm")),
            ("Vertical Pixel Spacing", (0.25, "mm")),
            ("Source of the scale", codes.SCALE_SOURCES[source]),
        ]
        assert {item.RelationshipType for item in entry.ContentSequence} == {"HAS ACQ CONTEXT"}

    def test_no_scale_and_a_modality_without_a_code(self, tmp_path: Path) -> None:
        detection = detection_on(pixel_spacing=None, spacing_source=SpacingSource.NONE)
        (entry,) = library(read_back(tmp_path, detection, film(Modality="OT")))
        assert descriptors(entry) == [
            *SHOWN,
            ("Pixel Data Rows", (400.0, "{pixels}")),
            ("Pixel Data Columns", (300.0, "{pixels}")),
            ("Source of the scale", codes.SCALE_SOURCES[SpacingSource.NONE]),
        ]

    def test_the_image_library_comes_before_the_measurements(self, plain: hd.sr.ComprehensiveSR) -> None:
        parts = [item.name.meaning for item in plain.content[0].ContentSequence if item.ValueType == "CONTAINER"]
        assert parts == [
            *("Image Library", "Imaging Measurements", "Derived Imaging Measurements", "Qualitative Evaluations")
        ]

    @pytest.mark.parametrize("state", ["ok", "uncertain"])
    def test_the_report_contains_the_state(self, tmp_path: Path, state: Any) -> None:
        document = read_back(tmp_path, one_point(state=state))
        (item,) = hd.sr.utils.find_content_items(document, name=codes.concept(codes.FILM_STATE), recursive=True)
        assert triple(item.value) == codes.FILM_STATES[state]


class TestDocument:
    def test_notice_and_warnings(self, plain: hd.sr.ComprehensiveSR) -> None:
        assert texts(plain, codes.NOTICE) == [NOTICE]
        assert texts(plain, codes.WARNING) == ["The head is turned.", "The scale is magnified."]

    def test_the_report_is_unverified(self, plain: hd.sr.ComprehensiveSR) -> None:
        assert (plain.CompletionFlag, plain.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
        assert plain.PreliminaryFlag == "PRELIMINARY"
        assert plain.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"

    def test_the_software_and_its_weights(self, plain: hd.sr.ComprehensiveSR) -> None:
        (observer,) = plain.content.get_observer_contexts()
        attributes = observer.observer_identifying_attributes
        assert observer.observer_type.meaning == "Device"
        assert (attributes.manufacturer_name, attributes.model_name) == ("monai-ceph", "test")
        assert plain.Manufacturer == "monai-ceph"
        scheme = "DCM"
        assert set(texts(plain, Code("111001", scheme, "Algorithm Name"))) == {"test"}
        assert set(texts(plain, Code("111003", scheme, "Algorithm Version"))) == {"1, weights abababababab"}
        assert set(texts(plain, Code("111002", scheme, "Algorithm Parameters"))) == {
            "weights_sha256=" + "ab" * 32,
            "recipe_sha256=" + "cd" * 32,
        }

    def test_evidence_is_the_film_in_its_study(self, plain: hd.sr.ComprehensiveSR) -> None:
        assert plain.get_evidence(current_procedure_only=True) == [(STUDY, SERIES, IMAGE, DX)]
        assert plain.StudyInstanceUID == STUDY
        assert plain.SeriesInstanceUID != SERIES

    def test_the_private_scheme_is_identified(self, plain: hd.sr.ComprehensiveSR) -> None:
        (item,) = plain.CodingSchemeIdentificationSequence
        assert item.CodingSchemeDesignator == CODING_SCHEME
        used = {item.value for item in plain.iterall() if item.keyword == "CodingSchemeDesignator"}
        assert used <= {CODING_SCHEME, "DCM", "SCT", "FMA", "LN", "UCUM", "UMLS", "RFC5646"}

    def test_the_same_detection_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = tmp_path / "a" / "sr.dcm", tmp_path / "b" / "sr.dcm"
        save_sr(first, detection_on(), header(tmp_path))
        save_sr(second, Detection.model_validate_json(detection_on().model_dump_json()), header(tmp_path))
        assert first.read_bytes() == second.read_bytes()

    @pytest.mark.parametrize(
        ("offset", "date", "time"),
        [(None, "20260102", "030405"), ("-0430", "20260101", "223405"), ("+0100", "20260102", "040405")],
    )
    def test_times_are_those_of_the_detection(self, tmp_path: Path, offset: Any, date: str, time: str) -> None:
        elsewhere = detection_on().created.astimezone(timezone(timedelta(hours=9)))
        document = read_back(tmp_path, one_point(created=elsewhere), film(TimezoneOffsetFromUTC=offset))
        assert (document.ContentDate, document.ContentTime) == (date, time)
        assert (document.InstanceCreationDate, document.InstanceCreationTime) == (date, time)
        assert document.get("TimezoneOffsetFromUTC") == offset
        moment = datetime.strptime(document.ObservationDateTime, "%Y%m%d%H%M%S%z")
        assert moment == detection_on().created

    def test_patient_and_study_are_copied_from_the_film(self, tmp_path: Path) -> None:
        document = read_back(tmp_path, one_point(), header(tmp_path))
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
            assert document[name].value == film()[name].value
        assert document.InstanceNumber == 4
        assert "InstitutionName" not in document

    @pytest.mark.parametrize(
        ("character_set", "name", "warning", "expected"),
        [
            ("ISO_IR 100", "Doe^Jane", "Plain.", None),
            ("ISO_IR 100", "Müller^Jörg", "Plain.", "ISO_IR 100"),
            ("ISO_IR 100", "Müller^Jörg", "Not in Latin-1: Ω.", "ISO_IR 192"),
            ("ISO_IR 126", "Διονυσιος", "Plain.", "ISO_IR 126"),
            (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Plain.", ["", "ISO 2022 IR 87"]),
            (None, "Doe^Jane", "Ω", "ISO_IR 192"),
        ],
    )
    def test_the_character_set_holds_every_text(
        self, tmp_path: Path, character_set: Any, name: str, warning: str, expected: Any
    ) -> None:
        source = header(tmp_path, SpecificCharacterSet=character_set, PatientName=name)
        save_sr(tmp_path / "sr.dcm", one_point(warnings=(warning,)), source)
        document = dcmread(tmp_path / "sr.dcm")
        assert document.get("SpecificCharacterSet") == expected
        assert str(document.PatientName) == name
        assert texts(hd.sr.srread(tmp_path / "sr.dcm"), codes.WARNING) == [warning]

    @pytest.mark.filterwarnings("ignore:The value length")
    def test_a_long_identifier_is_not_cut(self, tmp_path: Path) -> None:
        document = read_back(tmp_path, one_point(), header(tmp_path, PatientID="9" * 63 + "-" + "8" * 30))
        assert document.PatientID == "9" * 63 + "-" + "8" * 30

    def test_an_unknown_sop_class(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match=r"film\.dcm: no SR can be made for this film"):
            save_sr(tmp_path / "sr.dcm", detection_on(), film(SOPClassUID="1.2.3.4.5"))
        assert list(tmp_path.iterdir()) == []
