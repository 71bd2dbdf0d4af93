from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import (
    COLUMNS,
    DX,
    IMAGE,
    ROWS,
    SERIES,
    STUDY,
    colour_film,
    detection_on,
    film,
    frames_film,
    saved,
    without,
)
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from samples import changed

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.readers import SpacingSource
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.dicom_uids import tracking_uid
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.result import Detection

GREY, COLOUR = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.11.2"
SCALE = "scale: PixelSpacing, calibrated"
NO_WINDOW = dict.fromkeys(("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"))
CURVE = (np.arange(4096) ** 2 // 4096).astype(np.uint16)


def read_back(folder: Path, detection: Detection, source: Dataset | None = None) -> Dataset:
    path = folder / "pr.dcm"
    save_gsps(path, detection, film() if source is None else source)
    return dcmread(path)


def layers(state: Dataset) -> dict[str, Dataset]:
    return {item.GraphicLayer: item for item in state.GraphicAnnotationSequence}


def points(state: Dataset) -> dict[str, list[float]]:
    """Return (column, row) by tracking identifier."""
    return {
        item.TrackingID: list(item.GraphicData)
        for layer in state.GraphicAnnotationSequence
        for item in layer.get("GraphicObjectSequence", ())
        if item.GraphicType == "POINT"
    }


def texts(state: Dataset) -> list[Dataset]:
    """Return the symbols."""
    return [
        item
        for layer in state.GraphicAnnotationSequence
        for item in layer.TextObjectSequence
        if layer.GraphicLayer != "NOTICE"
    ]


def heads_detection() -> Detection:
    """Return a detection with the landmarks of the mean head, and every fifth uncertain."""
    detection = detection_on()
    shape = np.array(weights.model()["mean_shape"])
    for index, (row, column) in enumerate(shape * 110 + [190, 175]):
        detection = changed(detection, index, x=float(column), y=float(row))
    return detection


def words(state: Dataset, layer: str) -> list[str]:
    return [item.UnformattedTextValue for item in layers(state)[layer].TextObjectSequence]


def lut(first: int = 0, signed: bool = False, words: bool = True) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [4096, first, 12])
    item.add_new("LUTData", "OW" if words else "US", CURVE.tobytes() if words else CURVE.tolist())
    item.LUTExplanation = "by Dr. Who"
    return item


class TestGraphics:
    def test_every_landmark_can_be_read_from_the_presentation_state(self, tmp_path: Path) -> None:
        detection = detection_on()
        found = points(read_back(tmp_path, detection))
        assert found == {
            mark.name: [mark.x + 0.5, mark.y + 0.5]
            for mark in detection.landmarks
            if mark.x is not None and mark.y is not None
        }
        assert len(found) == NUM_LANDMARKS

    def test_units_and_tracking(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on())
        uids = set()
        for layer in ("LANDMARKS", "UNCERTAIN"):
            for item in layers(state)[layer].GraphicObjectSequence:
                assert item.GraphicAnnotationUnits == "PIXEL"
                uids.add(item.TrackingUID)
        assert uids == {tracking_uid(IMAGE, None, symbol) for symbol in SYMBOLS}

    def test_uncertain_ones_have_a_layer_and_a_question_mark(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on())
        expected = [mark.symbol for mark in detection_on().landmarks if mark.status == "uncertain"]
        assert words(state, "UNCERTAIN") == [f"{symbol}?" for symbol in expected]
        assert set(words(state, "LANDMARKS")) == set(SYMBOLS) - set(expected)
        assert [item.GraphicLayer for item in state.GraphicLayerSequence] == ["LANDMARKS", "UNCERTAIN", "NOTICE"]

    def test_missing_and_outside_ones_are_named(self, tmp_path: Path) -> None:
        detection = changed(without(detection_on(), "Po", "Ar"), 7, x=-3.0)
        state = read_back(tmp_path, detection)
        assert words(state, "NOTICE") == ["missing: Po, Ar; outside: Me", SCALE, NOTICE]
        assert {"Porion", "Articulare", "Menton"}.isdisjoint(points(state))

    @pytest.mark.parametrize("source", SpacingSource)
    def test_all_found_leaves_scale_and_notice(self, tmp_path: Path, source: SpacingSource) -> None:
        state = read_back(tmp_path, detection_on(spacing_source=source))
        assert words(state, "NOTICE") == [f"scale: {source.label}", NOTICE]

    def test_nothing_found_at_all(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, without(detection_on(), *SYMBOLS))
        assert list(layers(state)) == ["NOTICE"]
        assert [item.GraphicLayer for item in state.GraphicLayerSequence] == ["NOTICE"]

    @pytest.mark.parametrize("x", [-0.5, 1.0, COLUMNS / 2, COLUMNS - 0.5])
    @pytest.mark.parametrize("y", [-0.5, 1.0, ROWS - 0.5])
    def test_all_graphics_stay_on_the_film(self, tmp_path: Path, x: float, y: float) -> None:
        state = read_back(tmp_path, changed(detection_on(), 1, x=x, y=y))
        for layer in ("LANDMARKS", "UNCERTAIN"):
            for item in layers(state)[layer].GraphicObjectSequence:
                places = np.reshape(item.GraphicData, (-1, 2))
                assert (places >= 0).all()
                assert (places <= (COLUMNS, ROWS)).all()
            for item in layers(state)[layer].TextObjectSequence:
                left, top = item.BoundingBoxTopLeftHandCorner
                right, bottom = item.BoundingBoxBottomRightHandCorner
                assert 0 <= left < right <= COLUMNS
                assert 0 <= top < bottom <= ROWS

    def test_every_symbol_is_nearest_to_its_own_point(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, heads_detection())
        places = np.array(list(points(state).values()))
        found = texts(state)
        assert len(found) == NUM_LANDMARKS
        for item in found:
            box = np.array([item.BoundingBoxTopLeftHandCorner, item.BoundingBoxBottomRightHandCorner])
            nearest = np.clip(places, box[0], box[1])
            from_box = np.linalg.norm(places - nearest, axis=1)
            own = np.flatnonzero((places == list(item.AnchorPoint)).all(axis=1))
            assert from_box.argmin() == own
            assert from_box.min() > 1

    def test_symbols_do_not_cover_each_other(self, tmp_path: Path) -> None:
        boxes = [
            (*item.BoundingBoxTopLeftHandCorner, *item.BoundingBoxBottomRightHandCorner)
            for item in texts(read_back(tmp_path, heads_detection()))
        ]
        for one, other in combinations(boxes, 2):
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart

    def test_text_starts_at_the_side_of_its_point(self, tmp_path: Path) -> None:
        sides = set()
        for item in texts(read_back(tmp_path, changed(heads_detection(), 1, x=298.0))):
            left, right = item.BoundingBoxTopLeftHandCorner[0], item.BoundingBoxBottomRightHandCorner[0]
            left_of_it = (left + right) / 2 < item.AnchorPoint[0]
            assert item.BoundingBoxTextHorizontalJustification == ("RIGHT" if left_of_it else "LEFT")
            sides.add(left_of_it)
        assert sides == {True, False}

    def test_a_symbol_far_from_its_point_has_a_line(self, tmp_path: Path) -> None:
        # nineteen landmarks in so small a place that most symbols must leave it
        detection = detection_on()
        for index in range(NUM_LANDMARKS):
            detection = changed(detection, index, x=150.0 + 3 * (index % 5), y=200.0 + 3 * (index // 5))
        for item in texts(read_back(tmp_path, detection)):
            box = np.array([item.BoundingBoxTopLeftHandCorner, item.BoundingBoxBottomRightHandCorner])
            gap = np.linalg.norm(np.clip(item.AnchorPoint, box[0], box[1]) - item.AnchorPoint)
            assert (item.AnchorPointVisibility == "Y") == (gap > 2 * 0.006 * ROWS)
        assert "Y" in {item.AnchorPointVisibility for item in texts(read_back(tmp_path, detection))}


class TestReferences:
    def test_the_film_in_its_study(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on())
        assert (state.SOPClassUID, state.StudyInstanceUID) == (GREY, STUDY)
        (series,) = state.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == SERIES
        (image,) = series.ReferencedImageSequence
        assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == (DX, IMAGE)
        assert "ReferencedFrameNumber" not in image

    @pytest.mark.parametrize("name", [None, "", "^", "Doe^Jane"])
    def test_no_name_is_five_empty_components(self, tmp_path: Path, name: str | None) -> None:
        """An empty value is valid too, but viewers that build on DCMTK refuse it."""
        assert read_back(tmp_path, detection_on(), film(PatientName=name)).PatientName == (name or "^^^^")

    def test_every_reference_names_the_frame(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on(frame=2), frames_film())
        images = [item.value[0] for item in state.iterall() if item.keyword == "ReferencedImageSequence"]
        assert len(images) == 4
        assert {image.ReferencedFrameNumber for image in images} == {2}

    def test_the_same_detection_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for source in (film(), colour_film()):
            first, second = tmp_path / "a.dcm", tmp_path / "b.dcm"
            save_gsps(first, detection_on(), source)
            save_gsps(second, Detection.model_validate_json(detection_on().model_dump_json()), source)
            assert first.read_bytes() == second.read_bytes()

    def test_times_are_those_of_the_detection(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on(), film(TimezoneOffsetFromUTC="+0100"))
        assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260102", "040405")
        assert (state.InstanceCreationDate, state.InstanceCreationTime) == ("20260102", "040405")

    def test_an_unknown_sop_class(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match=r"film\.dcm: no presentation state can be made for this film"):
            save_gsps(tmp_path / "pr.dcm", detection_on(), film(SOPClassUID="1.2.3.4.5"))
        assert list(tmp_path.iterdir()) == []


class TestDisplay:
    @pytest.mark.parametrize(
        ("photometric", "shape", "expected"),
        [
            ("MONOCHROME2", "IDENTITY", "IDENTITY"),
            ("MONOCHROME2", None, "IDENTITY"),
            ("MONOCHROME1", "INVERSE", "INVERSE"),
            ("MONOCHROME1", None, "INVERSE"),
            (None, None, "IDENTITY"),
        ],
    )
    def test_polarity(self, tmp_path: Path, photometric: Any, shape: Any, expected: str) -> None:
        source = film(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
        assert read_back(tmp_path, detection_on(), source).PresentationLUTShape == expected

    def test_the_first_window_is_copied_without_its_explanation(self, tmp_path: Path) -> None:
        (item,) = read_back(tmp_path, detection_on()).SoftcopyVOILUTSequence
        assert {element.keyword for element in item} == {"WindowCenter", "WindowWidth"}
        assert (item.WindowCenter, item.WindowWidth) == (2048, 4096)

    @pytest.mark.parametrize(
        ("changes", "function"),
        [
            ({"VOILUTFunction": "SIGMOID"}, "SIGMOID"),
            ({"VOILUTFunction": "LINEAR_EXACT", "WindowWidth": [0.5, 1]}, "LINEAR_EXACT"),
            ({"VOILUTFunction": "LINEAR"}, None),
        ],
    )
    def test_the_function_of_a_window(self, tmp_path: Path, changes: dict[str, Any], function: str | None) -> None:
        (item,) = read_back(tmp_path, detection_on(), film(**changes)).SoftcopyVOILUTSequence
        assert item.get("VOILUTFunction") == function

    @pytest.mark.parametrize("changes", [NO_WINDOW, {"WindowWidth": 0}, {"WindowWidth": None}, {"WindowCenter": ""}])
    def test_no_valid_window(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        assert "SoftcopyVOILUTSequence" not in read_back(tmp_path, detection_on(), film(**changes))

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
    @pytest.mark.parametrize(
        ("first", "signed", "as_words"), [(0, False, True), (-2048, True, True), (7, False, False)]
    )
    def test_a_voi_lut(self, tmp_path: Path, syntax: str, first: int, signed: bool, as_words: bool) -> None:
        source = film(VOILUTSequence=[lut(first, signed, as_words)], PixelRepresentation=int(signed))
        if syntax == ExplicitVRBigEndian and as_words:
            source.VOILUTSequence[0].LUTData = CURVE.astype(">u2").tobytes()
        path = saved(source, tmp_path / "film.dcm", syntax)
        (item,) = read_back(tmp_path, detection_on(), source_header(path)).SoftcopyVOILUTSequence
        assert list(item.VOILUTSequence[0].LUTDescriptor) == [4096, first, 12]
        assert np.frombuffer(item.VOILUTSequence[0].LUTData, "<u2").tolist() == CURVE.tolist()
        assert "LUTExplanation" not in item.VOILUTSequence[0]
        assert "WindowCenter" not in item

    def test_a_damaged_voi_lut_is_ignored(self, tmp_path: Path) -> None:
        item = read_back(tmp_path, detection_on(), film(VOILUTSequence=[Dataset()])).SoftcopyVOILUTSequence[0]
        assert item.WindowCenter == 2048

    @pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
    def test_a_lut_that_the_reader_passes_over(self, tmp_path: Path, name: str) -> None:
        empty, constant = Dataset(), lut()
        empty.add_new("LUTDescriptor", "US", None)
        empty.add_new("LUTData", "OW", None)
        constant.LUTData = bytes(2 * 4096)
        for items in ([empty], [constant], [empty, constant]):
            state = read_back(tmp_path, detection_on(), source_header(saved(film(**{name: items}), tmp_path / "a.dcm")))
            assert "ModalityLUTSequence" not in state
            assert (state.RescaleSlope, state.SoftcopyVOILUTSequence[0].WindowCenter) == (1, 2048)
        source = source_header(saved(film(**{name: [empty, constant, lut()]}), tmp_path / "a.dcm"))
        state = read_back(tmp_path, detection_on(), source)
        found = state if name in state else state.SoftcopyVOILUTSequence[0]
        assert np.frombuffer(found[name][0].LUTData, "<u2").tolist() == CURVE.tolist()

    def test_the_lut_of_a_frame_in_big_endian(self, tmp_path: Path) -> None:
        item, window, groups = lut(), Dataset(), Dataset()
        item.LUTData = CURVE.astype(">u2").tobytes()
        window.VOILUTSequence = [item]
        groups.FrameVOILUTSequence = [window]
        path = saved(frames_film(SharedFunctionalGroupsSequence=[groups]), tmp_path / "a.dcm", ExplicitVRBigEndian)
        (found,) = read_back(tmp_path, detection_on(frame=2), source_header(path)).SoftcopyVOILUTSequence
        assert np.frombuffer(found.VOILUTSequence[0].LUTData, "<u2").tolist() == CURVE.tolist()

    def test_rescale(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on(), film(RescaleSlope="0.5", RescaleIntercept="-1024"))
        assert (state.RescaleSlope, state.RescaleIntercept) == (0.5, -1024)
        none = film(RescaleSlope=None, RescaleIntercept=None, RescaleType=None)
        assert "RescaleSlope" not in read_back(tmp_path, detection_on(), none)

    def test_a_modality_lut(self, tmp_path: Path) -> None:
        state = read_back(tmp_path, detection_on(), film(ModalityLUTSequence=[lut()]))
        (item,) = state.ModalityLUTSequence
        assert item.ModalityLUTType == "US"
        assert np.frombuffer(item.LUTData, "<u2").tolist() == CURVE.tolist()
        assert "RescaleSlope" not in state

    def test_the_window_of_the_frame(self, tmp_path: Path) -> None:
        groups = []
        for number in range(3):
            window, group = Dataset(), Dataset()
            window.WindowCenter, window.WindowWidth = 100 * number, 50
            group.FrameVOILUTSequence = [window]
            groups.append(group)
        source = frames_film(PerFrameFunctionalGroupsSequence=groups)
        (item,) = read_back(tmp_path, detection_on(frame=3), source).SoftcopyVOILUTSequence
        assert item.WindowCenter == 200
        # the only frame of an enhanced image needs no number
        source = frames_film(NumberOfFrames=1, PerFrameFunctionalGroupsSequence=groups[1:2])
        (item,) = read_back(tmp_path, detection_on(), source).SoftcopyVOILUTSequence
        assert item.WindowCenter == 100

    @pytest.mark.parametrize(
        ("spacing", "ratio", "size", "proportions"),
        [
            ((0.25, 0.125), None, [0.25, 0.125], None),
            ((0.1, 0.1), [3, 4], [0.1, 0.1], None),
            ((1 / 7, 1 / 7), None, [0.14285714285714, 0.14285714285714], None),
            (None, [3, 4], None, [750, 1000]),
            (None, [0, 4], None, [1, 1]),
            (None, None, None, [1, 1]),
        ],
    )
    def test_the_whole_film_with_its_pixel_spacing_or_else_its_proportions(
        self, tmp_path: Path, spacing: Any, ratio: Any, size: list[float] | None, proportions: list[int] | None
    ) -> None:
        """PS3.3 C.10.4: the aspect ratio is there if the spacing is not, and then only."""
        source = SpacingSource.USER if spacing else SpacingSource.NONE
        detection = detection_on(pixel_spacing=spacing, spacing_source=source)
        (area,) = read_back(tmp_path, detection, film(PixelAspectRatio=ratio)).DisplayedAreaSelectionSequence
        assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
        assert list(area.DisplayedAreaBottomRightHandCorner) == [COLUMNS, ROWS]
        assert area.PresentationSizeMode == "SCALE TO FIT"
        assert area.get("PresentationPixelSpacing") == size
        assert area.get("PresentationPixelAspectRatio") == proportions

    def test_the_proportions_of_an_implausible_scale(self, tmp_path: Path) -> None:
        update = {
            "pixel_spacing": None,
            "stated_spacing": (0.6, 0.3),
            "spacing_source": SpacingSource.IMPLAUSIBLE,
        }
        (area,) = read_back(tmp_path, detection_on(**update)).DisplayedAreaSelectionSequence
        assert list(area.PresentationPixelAspectRatio) == [1000, 500]

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"PhotometricInterpretation": "YBR_FULL_422"},
            {"PhotometricInterpretation": "PALETTE COLOR", "SamplesPerPixel": 1},
            {"PhotometricInterpretation": None},
        ],
    )
    def test_colour_has_a_colour_presentation_state(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        path = saved(colour_film(**changes), tmp_path / "film.dcm")
        state = read_back(tmp_path, detection_on(), source_header(path))
        assert state.SOPClassUID == COLOUR
        assert len(points(state)) == NUM_LANDMARKS
        assert b"RGB XYZ" in state.ICCProfile[:40] or b"RGB Lab" in state.ICCProfile[:40]
        assert "PresentationLUTShape" not in state


def test_circles_on_request(tmp_path: Path) -> None:
    detection = changed(detection_on(), 0, radius_90_px=7.5).model_copy(update={"radius_source": "other films"})
    plain, circled = tmp_path / "plain.dcm", tmp_path / "circled.dcm"
    save_gsps(plain, detection, film())
    save_gsps(circled, detection, film(), circles=True)
    radii = {}
    for path in (plain, circled):
        state = dcmread(path)
        radii[path] = {
            item.TrackingID: float(np.linalg.norm(np.subtract(*np.reshape(item.GraphicData, (2, 2)))))
            for layer in state.GraphicAnnotationSequence
            for item in layer.get("GraphicObjectSequence", ())
            if item.GraphicType == "CIRCLE"
        }
    assert radii[circled]["Sella"] == pytest.approx(7.5, rel=1e-6)
    assert radii[plain]["Sella"] != pytest.approx(7.5, rel=0.1)
    # one whose radius is not known keeps the circle that is for the eye
    assert radii[circled]["Nasion"] == pytest.approx(radii[plain]["Nasion"])
    texts = [text.UnformattedTextValue for text in layers(dcmread(circled))["NOTICE"].TextObjectSequence]
    assert any("90 % of cases" in text for text in texts)
    # other content has another UID
    assert dcmread(plain).SOPInstanceUID != dcmread(circled).SOPInstanceUID
