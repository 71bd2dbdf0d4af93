"""Pixel spacing, grey values and orientation of each frame of enhanced multi-frame images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from reader_films import dicom, refuses, same, save
from sample_files import compressed, picture

from monai_ceph.readers import Radiograph, SpacingSource, read_radiograph
from monai_ceph.readers.functional_groups import MACROS, functional_group

FRAMES = np.stack([picture(30, 40, bits=12, seed=seed) for seed in range(3)])
WORD_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"
ENHANCED_XA = "1.2.840.10008.5.1.4.1.1.12.1.1"
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
MEASURES, DETECTOR = "PixelMeasuresSequence", "FramePixelDataPropertiesSequence"
VALUES, WINDOW, ORIENTATION = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PatientOrientationInFrameSequence",
)


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def group(**macros: dict[str, Any]) -> Dataset:
    """An item of a functional groups sequence, from attributes by macro."""
    return item(**{name: Sequence([item(**elements)]) for name, elements in macros.items()})


def enhanced(
    shared: Dataset | None = None,
    own: list[Dataset] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    **elements: Any,
) -> Dataset:
    """A secondary capture with three frames and functional groups."""
    elements = {"SOPClassUID": WORD_CAPTURE, "NumberOfFrames": len(FRAMES), **elements}
    dataset = dicom(FRAMES[0], 12, syntax, **elements)
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    dataset.PixelData = FRAMES.astype(order).tobytes()
    if shared is not None:
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    if own is not None:
        dataset.PerFrameFunctionalGroupsSequence = Sequence(own)
    return dataset


def read(dataset: Dataset, folder: Path, frame: int = 2) -> Radiograph:
    return read_radiograph(save(dataset, folder / "a.dcm"), frame=frame)


def curve(values: np.ndarray) -> Sequence:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(values), 0, 12])
    table.add_new("LUTData", "US", [int(value) for value in values])
    return Sequence([table])


class TestScale:
    @pytest.mark.parametrize("syntax", SYNTAXES)
    @pytest.mark.parametrize("shared", [True, False], ids=["shared", "per frame"])
    def test_pixel_measures(self, tmp_path: Path, syntax: str, shared: bool) -> None:
        groups = [group(**{MEASURES: {"PixelSpacing": [f"0.{row}", "0.25"]}}) for row in (1, 2, 3)]
        dataset = enhanced(groups[1], None, syntax) if shared else enhanced(None, groups, syntax)
        found = read(dataset, tmp_path)
        assert found.pixel_spacing == (0.2, 0.25)
        assert found.spacing_source is SpacingSource.PIXEL_SPACING_UNSTATED
        assert "does not say whether it is calibrated" in found.warnings[0]

    @pytest.mark.parametrize(
        ("elements", "macros", "spacing", "source"),
        [
            (
                {"PixelSpacingCalibrationType": "FIDUCIAL"},
                {MEASURES: {"PixelSpacing": ["0.2", "0.2"]}},
                (0.2, 0.2),
                SpacingSource.PIXEL_SPACING_CALIBRATED,
            ),
            (
                {"ImagerPixelSpacing": ["0.3", "0.3"]},
                {MEASURES: {"PixelSpacing": ["0.2", "0.2"]}},
                (0.2, 0.2),
                SpacingSource.PIXEL_SPACING_CALIBRATED,
            ),
            (
                {"NominalScannedPixelSpacing": ["0.2", "0.2"]},
                {MEASURES: {"PixelSpacing": ["0.2", "0.2"]}},
                (0.2, 0.2),
                SpacingSource.NOMINAL_SCANNED,
            ),
            (
                {"SOPClassUID": ENHANCED_XA, "Modality": "XA"},
                {DETECTOR: {"ImagerPixelSpacing": ["0.3", "0.3"]}},
                (0.3, 0.3),
                SpacingSource.IMAGER_MAGNIFIED,
            ),
            (
                {"EstimatedRadiographicMagnificationFactor": "1.5"},
                {DETECTOR: {"ImagerPixelSpacing": ["0.3", "0.3"]}},
                (0.3 / 1.5, 0.3 / 1.5),
                SpacingSource.IMAGER_CORRECTED,
            ),
            # the macro is used, and attributes it lacks are removed
            ({"PixelSpacing": ["0.9", "0.9"]}, {MEASURES: {"SliceThickness": "1"}}, None, SpacingSource.NONE),
        ],
        ids=["calibration type", "other than at the detector", "film", "detector", "magnification", "none"],
    )
    def test_same_spacing_rules_as_for_single_frames(
        self,
        tmp_path: Path,
        elements: dict[str, Any],
        macros: dict[str, Any],
        spacing: tuple[float, float] | None,
        source: SpacingSource,
    ) -> None:
        found = read(enhanced(group(**macros), **elements), tmp_path)
        assert (found.pixel_spacing, found.spacing_source) == (spacing, source)

    def test_the_macro_of_the_frame_is_used(self, tmp_path: Path) -> None:
        shared = group(**{MEASURES: {"PixelSpacing": ["0.1", "0.1"]}})
        own = [Dataset(), group(**{MEASURES: {"PixelSpacing": ["0.2", "0.2"]}}), Dataset()]
        dataset = enhanced(shared, own, PixelSpacing=["0.9", "0.9"])
        assert [read(dataset, tmp_path, frame).pixel_spacing for frame in (1, 2, 3)] == [
            (0.1, 0.1),
            (0.2, 0.2),
            (0.1, 0.1),
        ]

    def test_multi_frame_captures_have_top_level_attributes(self, tmp_path: Path) -> None:
        """PS3.3 C.8.6.3: the attributes of the Multi-frame Secondary Capture Image module."""
        film = {"NominalScannedPixelSpacing": ["0.2", "0.2"], "RescaleSlope": "2", "RescaleIntercept": "-7"}
        found = read(enhanced(**film, PresentationLUTShape="IDENTITY"), tmp_path)
        assert (found.pixel_spacing, found.spacing_source) == ((0.2, 0.2), SpacingSource.NOMINAL_SCANNED)
        np.testing.assert_array_equal(found.pixels, FRAMES[1] * 2.0 - 7)


class TestGreyValues:
    @pytest.mark.parametrize("syntax", SYNTAXES)
    def test_pixel_value_transformation(self, tmp_path: Path, syntax: str) -> None:
        own = [group(**{VALUES: {"RescaleSlope": f"{slope}", "RescaleIntercept": "-5"}}) for slope in (1, 2, 3)]
        path = save(enhanced(None, own, syntax), tmp_path / "a.dcm")
        for frame, slope in ((1, 1), (2, 2), (3, 3)):
            same(path, FRAMES[frame - 1] * float(slope) - 5, frame=frame)

    @pytest.mark.parametrize("syntax", SYNTAXES)
    def test_voi_lut(self, tmp_path: Path, syntax: str) -> None:
        values = (np.arange(4096) ** 2 // 4096).astype(np.uint16)
        shared = group(**{WINDOW: {"VOILUTSequence": curve(values)}})
        # in an image with functional groups, a LUT at the top level is ignored
        dataset = enhanced(shared, None, syntax, VOILUTSequence=curve(values[::-1]))
        same(save(dataset, tmp_path / "a.dcm"), values[FRAMES[2]], frame=3)

    def test_sigmoid_and_linear_windows(self, tmp_path: Path) -> None:
        window = {"WindowCenter": "2000", "WindowWidth": "1500"}
        own = [
            group(**{WINDOW: {**window, "VOILUTFunction": "SIGMOID"}}),
            group(**{WINDOW: window}),
            Dataset(),
        ]
        path = save(enhanced(None, own), tmp_path / "a.dcm")
        same(path, 4095 / (1 + np.exp(-4 * (FRAMES[0].astype(float) - 2000) / 1500)), atol=0.01, frame=1)
        same(path, FRAMES[1], frame=2)
        same(path, FRAMES[2], frame=3)

    def test_the_last_of_many_compressed_frames(self, tmp_path: Path) -> None:
        dataset = compressed("jpeg-2000", FRAMES, 12, SOPClassUID=WORD_CAPTURE)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [group(**{VALUES: {"RescaleSlope": "1", "RescaleIntercept": f"{number}"}}) for number in (1, 2, 3)]
        )
        same(save(dataset, tmp_path / "a.dcm"), FRAMES[2] + 3.0, frame=3)

    def test_a_file_with_one_frame(self, tmp_path: Path) -> None:
        dataset = dicom(FRAMES[0], 12, SOPClassUID=ENHANCED_XA, Modality="XA", NumberOfFrames=1)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [group(**{VALUES: {"RescaleSlope": "3", "RescaleIntercept": "0"}})]
        )
        same(save(dataset, tmp_path / "a.dcm"), FRAMES[0] * 3.0)


def test_orientation(tmp_path: Path) -> None:
    own = [Dataset(), group(**{ORIENTATION: {"PatientOrientation": ["P", "F"]}}), Dataset()]
    dataset = enhanced(None, own, PatientOrientation=["A", "F"])
    assert [read(dataset, tmp_path, frame).patient_orientation for frame in (1, 2)] == [("A", "F"), ("P", "F")]


class TestDamage:
    @pytest.mark.parametrize("name", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
    @pytest.mark.parametrize("content", ["", "a text", b"\x00\x01", []], ids=repr)
    def test_a_value_instead_of_a_sequence_is_ignored(self, tmp_path: Path, name: str, content: Any) -> None:
        dataset = enhanced()
        if isinstance(content, list):
            setattr(dataset, name, Sequence(content))
        else:
            dataset.add_new(name, "OB" if isinstance(content, bytes) else "LO", content)
        same(save(dataset, tmp_path / "a.dcm"), FRAMES[1], frame=2)

    @pytest.mark.parametrize("macro", MACROS)
    def test_a_macro_with_a_value_instead_of_a_sequence_is_ignored(self, tmp_path: Path, macro: str) -> None:
        shared = Dataset()
        shared.add_new(macro, "LO", "a text")
        found = read(enhanced(shared, PixelSpacing=["0.2", "0.2"]), tmp_path)
        assert found.pixel_spacing == (0.2, 0.2)
        np.testing.assert_array_equal(found.pixels, FRAMES[1])

    def test_values_that_are_not_valid(self, tmp_path: Path) -> None:
        shared = group(**{MEASURES: {"PixelSpacing": ["0", "-1"]}, VALUES: {"RescaleSlope": "0"}})
        found = read(enhanced(shared), tmp_path)
        assert found.pixel_spacing is None
        np.testing.assert_array_equal(found.pixels, FRAMES[1])
        assert [warning.split()[0] for warning in found.warnings] == ["RescaleSlope", "PixelSpacing"]
        table = Dataset()
        table.add_new("LUTDescriptor", "US", [4096, 0, 12])
        table.add_new("LUTData", "OW", b"too short")
        shared = group(**{VALUES: {"ModalityLUTSequence": Sequence([table])}})
        refuses(save(enhanced(shared), tmp_path / "a.dcm"), "the Modality LUT cannot be applied", frame=1)

    def test_fewer_groups_than_frames(self) -> None:
        own = [group(**{MEASURES: {"PixelSpacing": ["0.2", "0.2"]}})]
        dataset = enhanced(None, own)
        assert functional_group(dataset, 1, MEASURES).PixelSpacing == [0.2, 0.2]
        assert functional_group(dataset, None, MEASURES).PixelSpacing == [0.2, 0.2]
        assert functional_group(dataset, 2, MEASURES) is None
