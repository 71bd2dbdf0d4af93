"""Points that are read from SR documents: our own, and those that Cornerstone viewers write."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_films import COLUMNS, IMAGE, SERIES, STUDY, detection_on, film, frames_film, saved, without
from pydicom import Dataset
from pydicom.sequence import Sequence
from samples import changed

from monai_ceph.errors import CephError
from monai_ceph.landmarks import LANDMARKS, NUM_LANDMARKS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.corrected import Corrections
from monai_ceph.reports.corrected_files import is_report, read_corrected_points
from monai_ceph.reports.sr_points import films_of_report
from monai_ceph.reports.structured_report import save_sr

ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
COMMENT, FINDING, SITE = ("121106", "DCM"), ("121071", "DCM"), ("363698007", "SCT")
FREE_TEXT = ("CORNERSTONEFREETEXT", "CORNERSTONEJS")


def code(value: str, scheme: str, meaning: str = "x") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def item(kind: str, name: tuple[str, str] | None, *children: Dataset, **values: object) -> Dataset:
    result = Dataset()
    result.RelationshipType, result.ValueType = "CONTAINS", kind
    if name is not None:
        result.ConceptNameCodeSequence = [code(*name)]
    if children:
        result.ContentSequence = Sequence(children)
    for keyword, value in values.items():
        setattr(result, keyword, value)
    return result


def comment(text: str) -> Dataset:
    return item("TEXT", COMMENT, TextValue=text)


def free_text(name: tuple[str, str], text: str) -> Dataset:
    return item("CODE", name, ConceptCodeSequence=[code(*FREE_TEXT, text)])


def group(
    *said: Dataset, place: tuple[float, ...] = (41.5, 61.5), shape: str = "POINT", frame: int | None = None
) -> Dataset:
    """Return a group as Cornerstone's adapters write it: the point is below a number, without a name."""
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", IMAGE
    if frame is not None:
        image.ReferencedFrameNumber = frame
    point = item(
        *("SCOORD", None, item("IMAGE", None, ReferencedSOPSequence=[image])),
        GraphicType=shape,
        GraphicData=list(place),
    )
    tracking = item("TEXT", ("112039", "DCM"), TextValue="Cornerstone3DTools@^0.1.0:Probe")
    return item("CONTAINER", ("125007", "DCM"), tracking, *said, item("NUM", ("111030", "DCM"), point))


def report(*groups: Dataset) -> Dataset:
    document = Dataset()
    document.SOPClassUID, document.SOPInstanceUID = ENHANCED_SR, "1.2.3.99"
    document.StudyInstanceUID, document.SeriesInstanceUID, document.Modality = STUDY, SERIES, "SR"
    document.ContentSequence = [item("CONTAINER", ("126010", "DCM"), *groups)]
    return document


def places(*groups: Dataset) -> dict[str, tuple[float, float]]:
    (found,) = films_of_report(report(*groups))
    return found.places


class TestOtherPrograms:
    @pytest.mark.parametrize(
        "said",
        [
            comment("Orbitale"),
            comment(" orbitale "),
            comment("Or"),
            free_text(SITE, "Orbitale"),
            free_text(FINDING, "Orbitale"),
            item("CODE", FINDING, ConceptCodeSequence=[code("Orbitale", "99MONAICEPH")]),
            item("CODE", SITE, ConceptCodeSequence=[code("Orbitale", "99MONAICEPH")]),
        ],
    )
    def test_a_landmark_is_recognised_by_its_label_or_its_code(self, said: Dataset) -> None:
        assert places(group(said)) == {"Or": (41.0, 61.0)}

    def test_the_tip_of_an_arrow_is_the_point(self) -> None:
        assert places(group(comment("U1A"), place=(41.5, 61.5, 90.0, 90.0))) == {"U1A": (41.0, 61.0)}

    def test_what_is_no_landmark_is_left_out(self) -> None:
        found = places(
            group(comment("Sella")),
            group(comment("look here")),
            group(comment("Nasion"), shape="POLYLINE", place=(1.0, 2.0, 3.0, 4.0)),
        )
        assert found == {"S": (41.0, 61.0)}

    def test_the_place_of_a_text_box_is_no_point(self) -> None:
        box = item("SCOORD", ("TextPosition", "99CS3D"), GraphicType="POINT", GraphicData=[7.0, 8.0])
        assert places(group(comment("Sella"), box)) == {"S": (41.0, 61.0)}

    def test_frames_are_films(self) -> None:
        found = films_of_report(report(group(comment("S"), frame=1), group(comment("S"), frame=2)))
        assert [(film.film, film.image_uid, film.frame) for film in found] == [
            (f"{IMAGE}#1", IMAGE, 1),
            (f"{IMAGE}#2", IMAGE, 2),
        ]

    def test_two_points_for_one_landmark(self) -> None:
        with pytest.raises(CephError, match="the report has two points for Sella; keep one"):
            films_of_report(report(group(comment("Sella")), group(comment("S"))))

    def test_a_label_and_a_code_that_contradict_each_other(self) -> None:
        coded = item("CODE", FINDING, ConceptCodeSequence=[code("Porion", "99MONAICEPH")])
        with pytest.raises(CephError, match="a point is called Nasion, but has the code of Porion"):
            films_of_report(report(group(comment("Nasion"), coded)))

    def test_a_place_that_is_no_number(self) -> None:
        with pytest.raises(CephError, match="no finite place"):
            films_of_report(report(group(comment("Sella"), place=(float("nan"), 3.0))))

    @pytest.mark.parametrize("document", [report(), film(), Dataset()])
    def test_no_report_of_landmarks(self, tmp_path: Path, document: Dataset) -> None:
        if "ContentSequence" in document:
            assert films_of_report(document) == []
        else:
            with pytest.raises(CephError, match="not a report of landmarks"):
                films_of_report(document)


class TestOurOwn:
    def test_points_and_scale_come_back(self, tmp_path: Path) -> None:
        detection = without(detection_on(), "Po")
        save_sr(tmp_path / "sr.dcm", detection, film())
        (found,) = read_corrected_points(tmp_path / "sr.dcm")
        marks = {mark.symbol: (mark.x, mark.y) for mark in detection.landmarks if mark.x is not None}
        assert found.places == {symbol: pytest.approx(place, abs=1e-4) for symbol, place in marks.items()}
        assert len(found.places) == NUM_LANDMARKS - 1
        assert (found.film, found.image_uid) == (IMAGE, IMAGE)
        assert (found.pixel_spacing, found.spacing_source) == (detection.pixel_spacing, detection.spacing_source)

    def test_no_scale(self, tmp_path: Path) -> None:
        save_sr(tmp_path / "sr.dcm", detection_on(pixel_spacing=None, spacing_source=SpacingSource.NONE), film())
        (found,) = read_corrected_points(tmp_path / "sr.dcm")
        assert (found.pixel_spacing, found.spacing_source) == (None, SpacingSource.NONE)


class TestFiles:
    def test_what_is_a_report(self, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text("film,symbol,x,y\n")
        assert is_report(saved(report(), tmp_path / "no-suffix"))
        assert not is_report(saved(film(), tmp_path / "film.dcm"))
        assert not is_report(tmp_path / "table.csv")
        assert not is_report(tmp_path)

    def test_a_damaged_report_is_named(self, tmp_path: Path) -> None:
        path = saved(report(group(comment("Sella"))), tmp_path / "cut.dcm")
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(CephError, match=r"cut\.dcm: "):
            read_corrected_points(path)

    def test_a_report_without_landmarks_is_named(self, tmp_path: Path) -> None:
        path = saved(report(group(comment("look here"))), tmp_path / "other.dcm")
        with pytest.raises(CephError, match=r"other\.dcm: the report has no point with the name or code of a landmark"):
            read_corrected_points(path)


class TestAsCorrections:
    def written(self, folder: Path, **moved: tuple[float, float]) -> Path:
        """Return a report with every landmark on the film, as a viewer saves it."""
        found = {mark.symbol: (mark.x, mark.y) for mark in detection_on().landmarks} | moved
        groups = [
            group(comment(mark.name), place=(x + 0.5, y + 0.5))
            for mark in LANDMARKS
            if (x := found[mark.symbol][0]) is not None and (y := found[mark.symbol][1]) is not None
        ]
        return saved(report(*groups), folder / "moved.dcm")

    def test_a_moved_point_counts_and_the_others_are_kept(self, tmp_path: Path) -> None:
        detection = detection_on()
        x, y = detection["A"].x or 0.0, detection["A"].y or 0.0
        found = Corrections([self.written(tmp_path, A=(x + 10, y))]).apply(detection)
        assert (found["A"].x, found["A"].y, found["A"].status) == (x + 10, y, "ok")
        assert found.warnings[0] == "A person placed A (moved.dcm)."
        assert found["B"] == detection["B"]

    def test_a_landmark_outside_the_film_is_not_taken_for_deleted(self, tmp_path: Path) -> None:
        detection = changed(detection_on(), 7, x=COLUMNS + 20.0, y=40.0)
        path = saved(report(group(comment("Sella"))), tmp_path / "one.dcm")
        found = Corrections([path]).apply(detection)
        assert found["Me"] == detection["Me"]
        assert found["N"].status == "missing"

    def test_each_frame_has_its_own_points(self, tmp_path: Path) -> None:
        save_sr(tmp_path / "1.dcm", detection_on(frame=1), frames_film())
        corrections = Corrections([tmp_path / "1.dcm"])
        other = detection_on(frame=2)
        assert corrections.apply(other) is other
        assert corrections.apply(detection_on(frame=1)) == detection_on(frame=1)
