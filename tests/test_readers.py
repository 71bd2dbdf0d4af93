"""Readers: exact pixels and scale from files that each test writes itself."""

from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import LoadImage, LoadImaged
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from monai_ceph.errors import ReadError
from monai_ceph.readers import SpacingSource, find_radiographs, is_candidate, pixels, read_radiograph
from monai_ceph.readers.monai_reader import RadiographReader

ROWS, COLUMNS = 30, 40
GREY8 = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)
GREY12 = np.random.default_rng(1).integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16)
RGB8 = np.random.default_rng(2).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
UID = "1.2.826.0.1.3680043.8.498.1"


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


def dicom(
    stored: np.ndarray = GREY12, bits: int = 12, syntax: str = ExplicitVRLittleEndian, **elements: Any
) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID = UID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def save(dataset: pydicom.Dataset, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


def same(path: Path, expected: np.ndarray, atol: float = 0.0) -> None:
    found = read_radiograph(path).pixels
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def refuses(path: Path, cause: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_radiograph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert cause in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250


class TestDicomPixels:
    @pytest.mark.parametrize(
        ("stored", "bits"),
        [
            (GREY8, 8),
            (GREY12, 12),
            (GREY12 * 16, 16),
            ((GREY12.astype(np.int16) - 2048), 12),
            ((GREY12.astype(np.int32) * 16 - 32768).astype(np.int16), 16),
        ],
        ids=["u8", "u12", "u16", "s12", "s16"],
    )
    def test_stored_values(self, tmp_path: Path, stored: np.ndarray, bits: int) -> None:
        same(save(dicom(stored, bits), tmp_path / "a.dcm"), stored)

    def test_identity(self, tmp_path: Path) -> None:
        path = save(dicom(PatientOrientation=["A", "F"]), tmp_path / "a.dcm")
        radiograph = read_radiograph(str(path))
        assert radiograph.path == path
        assert radiograph.image_uid == UID
        assert radiograph.patient_orientation == ("A", "F")
        assert radiograph.pixels.shape == (ROWS, COLUMNS)
        assert radiograph.warnings == ()

    @pytest.mark.parametrize("value", [None, "", ["", ""], "A"])
    def test_unknown_orientation(self, tmp_path: Path, value: Any) -> None:
        path = save(dicom(PatientOrientation=value), tmp_path / "a.dcm")
        assert read_radiograph(path).patient_orientation is None

    def test_monochrome1_is_reflected_in_the_range_of_its_bits(self, tmp_path: Path) -> None:
        dark = GREY12 // 2
        same(save(dicom(dark, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm"), 4095 - dark)

    def test_signed_monochrome1(self, tmp_path: Path) -> None:
        stored = GREY12.astype(np.int16) - 2048
        same(save(dicom(stored, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm"), -1.0 - stored)

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_inverse_counts_once(self, tmp_path: Path, photometric: str) -> None:
        dataset = dicom(PhotometricInterpretation=photometric, PresentationLUTShape="INVERSE")
        same(save(dataset, tmp_path / "a.dcm"), 4095 - GREY12.astype(int))

    def test_monochrome1_with_identity_warns(self, tmp_path: Path) -> None:
        dataset = dicom(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY")
        path = save(dataset, tmp_path / "a.dcm")
        same(path, 4095 - GREY12.astype(int))
        assert "contradict" in read_radiograph(path).warnings[0]

    def test_rescale(self, tmp_path: Path) -> None:
        path = save(dicom(RescaleSlope="0.5", RescaleIntercept="-1024"), tmp_path / "a.dcm")
        same(path, GREY12 * 0.5 - 1024)

    def test_rescale_with_monochrome1(self, tmp_path: Path) -> None:
        dataset = dicom(RescaleSlope="2", RescaleIntercept="-100", PhotometricInterpretation="MONOCHROME1")
        # The range -100..8090 is reflected: the lowest stored value becomes the highest displayed one.
        same(save(dataset, tmp_path / "a.dcm"), 7990 - (GREY12 * 2.0 - 100))

    def test_zero_slope_is_not_applied(self, tmp_path: Path) -> None:
        path = save(dicom(RescaleSlope="0", RescaleIntercept="5"), tmp_path / "a.dcm")
        same(path, GREY12)
        assert "RescaleSlope" in read_radiograph(path).warnings[0]

    def lut(self, values: np.ndarray, first: int = 0, bits: int = 16) -> Sequence:
        item = pydicom.Dataset()
        item.add_new("LUTDescriptor", "US", [len(values), first, bits])
        item.add_new("LUTData", "US", [int(value) for value in values])
        return Sequence([item])

    def test_modality_lut(self, tmp_path: Path) -> None:
        curve = (np.arange(4096) ** 2 // 512).astype(np.uint16)
        dataset = dicom(ModalityLUTSequence=self.lut(curve), ModalityLUTType="OD")
        same(save(dataset, tmp_path / "a.dcm"), curve[GREY12])

    def test_voi_lut_before_inversion(self, tmp_path: Path) -> None:
        curve = (np.arange(4096) ** 2 // 4096).astype(np.uint16)
        dataset = dicom(VOILUTSequence=self.lut(curve, bits=12), PhotometricInterpretation="MONOCHROME1")
        same(save(dataset, tmp_path / "a.dcm"), 4095.0 - curve[GREY12])

    def test_voi_lut_after_rescale(self, tmp_path: Path) -> None:
        curve = np.arange(4096)[::-1].astype(np.uint16)
        dataset = dicom(VOILUTSequence=self.lut(curve, bits=12), RescaleSlope="1", RescaleIntercept="10")
        same(save(dataset, tmp_path / "a.dcm"), curve[np.minimum(GREY12.astype(int) + 10, 4095)])

    def test_damaged_voi_lut_warns(self, tmp_path: Path) -> None:
        item = pydicom.Dataset()
        item.add_new("LUTDescriptor", "US", [4096, 0, 12])
        path = save(dicom(VOILUTSequence=Sequence([item])), tmp_path / "a.dcm")
        same(path, GREY12)
        assert "VOI LUT" in read_radiograph(path).warnings[0]

    @pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
    def test_linear_window_is_left_out(self, tmp_path: Path, function: str | None) -> None:
        dataset = dicom(WindowCenter="500", WindowWidth="100", VOILUTFunction=function)
        same(save(dataset, tmp_path / "a.dcm"), GREY12)

    def test_sigmoid_window(self, tmp_path: Path) -> None:
        dataset = dicom(WindowCenter="2000", WindowWidth="1500", VOILUTFunction="SIGMOID")
        expected = 4095 / (1 + np.exp(-4 * (GREY12.astype(float) - 2000) / 1500))
        same(save(dataset, tmp_path / "a.dcm"), expected, atol=0.01)

    def test_padding_becomes_the_lowest_value(self, tmp_path: Path) -> None:
        stored = np.maximum(GREY12, 10)
        stored[:2] = 0
        dataset = dicom(stored, PhotometricInterpretation="MONOCHROME1")
        dataset.add_new("PixelPaddingValue", "US", 0)
        expected = 4095.0 - stored
        expected[stored == 0] = expected[stored != 0].min()
        path = save(dataset, tmp_path / "a.dcm")
        same(path, expected)
        assert "6.7 % of the pixels are padding" in read_radiograph(path).warnings[0]

    def test_rgb(self, tmp_path: Path) -> None:
        same(save(dicom(RGB8, 8), tmp_path / "a.dcm"), luma(RGB8), atol=1e-3)

    def test_equal_channels_stay_exact(self, tmp_path: Path) -> None:
        same(save(dicom(np.dstack([GREY8] * 3), 8), tmp_path / "a.dcm"), GREY8)

    def test_rgb_by_plane(self, tmp_path: Path) -> None:
        dataset = dicom(RGB8, 8, PlanarConfiguration=1)
        dataset.PixelData = RGB8.transpose(2, 0, 1).tobytes()
        same(save(dataset, tmp_path / "a.dcm"), luma(RGB8), atol=1e-3)

    def test_ybr(self, tmp_path: Path) -> None:
        ybr = np.dstack([GREY8, np.full_like(GREY8, 128), np.full_like(GREY8, 128)])
        same(save(dicom(ybr, 8, PhotometricInterpretation="YBR_FULL"), tmp_path / "a.dcm"), GREY8)

    def test_palette(self, tmp_path: Path) -> None:
        colours = np.random.default_rng(3).integers(0, 256, (256, 3)).astype(np.uint8)
        dataset = dicom(GREY8, 8, PhotometricInterpretation="PALETTE COLOR")
        for channel, name in enumerate(("Red", "Green", "Blue")):
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
            dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(dataset, f"{name}PaletteColorLookupTableData", colours[:, channel].tobytes())
        same(save(dataset, tmp_path / "a.dcm"), luma(colours[GREY8]), atol=1e-3)

    def test_one_frame_of_a_multi_frame(self, tmp_path: Path) -> None:
        same(save(dicom(NumberOfFrames=1), tmp_path / "a.dcm"), GREY12)

    def test_constant_image(self, tmp_path: Path) -> None:
        same(save(dicom(np.full((20, 20), 7, np.uint16)), tmp_path / "a.dcm"), np.full((20, 20), 7))

    def test_float_pixels_with_nan(self, tmp_path: Path) -> None:
        dataset = dicom()
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
        stored = GREY12.astype(np.float32)
        stored[0, :5] = np.nan
        dataset.BitsAllocated = 32
        dataset.FloatPixelData = stored.tobytes()
        path = save(dataset, tmp_path / "a.dcm")
        same(path, np.where(np.isnan(stored), np.nanmin(stored), stored))
        assert read_radiograph(path).warnings[0].startswith("5 pixels were not finite")


class TestDicomFiles:
    @pytest.mark.parametrize(
        "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian], ids=["implicit", "deflated"]
    )
    def test_native_syntaxes(self, tmp_path: Path, syntax: str) -> None:
        same(save(dicom(syntax=syntax), tmp_path / "a.dcm"), GREY12)

    def test_big_endian(self, tmp_path: Path) -> None:
        dataset = dicom(GREY12.astype(">u2"), syntax=ExplicitVRBigEndian)
        same(save(dataset, tmp_path / "a.dcm"), GREY12)

    @pytest.mark.parametrize(("stored", "bits"), [(GREY12, 12), (GREY8, 8), (RGB8, 8)])
    def test_rle(self, tmp_path: Path, stored: np.ndarray, bits: int) -> None:
        dataset = dicom(stored, bits)
        dataset.compress(RLELossless, encoding_plugin="pydicom")
        expected = luma(stored) if stored.ndim == 3 else stored
        same(save(dataset, tmp_path / "a.dcm"), expected, atol=1e-3)

    @pytest.mark.parametrize(
        ("kind", "syntax", "options"),
        [
            ("JPEG", JPEGBaseline8Bit, {"quality": 95}),
            ("JPEG2000", JPEG2000Lossless, {"no_jp2": True}),
        ],
    )
    def test_jpeg(self, tmp_path: Path, kind: str, syntax: str, options: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        Image.fromarray(GREY8).save(buffer, kind, **options)
        dataset = dicom(GREY8, 8, syntax=syntax)
        dataset.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        path = save(dataset, tmp_path / "a.dcm")
        same(path, np.asarray(Image.open(buffer)))
        dataset.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()[:-300]])
        dataset["PixelData"].is_undefined_length = True
        refuses(save(dataset, path), "damaged or truncated pixel data")

    def test_no_suffix(self, tmp_path: Path) -> None:
        same(save(dicom(), tmp_path / "IM000001"), GREY12)

    def test_content_wins_over_the_suffix(self, tmp_path: Path) -> None:
        same(save(dicom(), tmp_path / "a.png"), GREY12)

    @pytest.mark.parametrize("name", ["a.dcm", "IM000001", "a.bin"])
    @pytest.mark.parametrize("implicit", [True, False])
    def test_no_preamble(self, tmp_path: Path, name: str, implicit: bool) -> None:
        dataset = dicom()
        del dataset.file_meta
        dataset.save_as(tmp_path / name, implicit_vr=implicit, little_endian=True)
        same(tmp_path / name, GREY12)


CAL, UNSTATED = SpacingSource.PIXEL_SPACING_CALIBRATED, SpacingSource.PIXEL_SPACING_UNSTATED
CORRECTED, MAGNIFIED = SpacingSource.IMAGER_CORRECTED, SpacingSource.IMAGER_MAGNIFIED
NOMINAL, NONE = SpacingSource.NOMINAL_SCANNED, SpacingSource.NONE
IMAGER = ["0.15", "0.15"]


class TestDicomSpacing:
    @pytest.mark.parametrize(
        ("elements", "spacing", "source", "warned"),
        [
            ({}, None, NONE, ""),
            ({"PixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1), UNSTATED, "does not say"),
            ({"PixelSpacing": ["0.12", "0.12"], "ImagerPixelSpacing": IMAGER}, (0.12, 0.12), CAL, ""),
            ({"PixelSpacing": IMAGER, "ImagerPixelSpacing": IMAGER}, (0.15, 0.15), MAGNIFIED, "detector"),
            (
                {"PixelSpacing": ["0.15001"] * 2, "ImagerPixelSpacing": IMAGER},
                (0.15, 0.15),
                MAGNIFIED,
                "detector",
            ),
            (
                {
                    "PixelSpacing": IMAGER,
                    "ImagerPixelSpacing": IMAGER,
                    "PixelSpacingCalibrationType": "FIDUCIAL",
                },
                (0.15, 0.15),
                CAL,
                "",
            ),
            (
                {"PixelSpacing": ["0.1", "0.1"], "PixelSpacingCalibrationType": "GEOMETRY"},
                (0.1, 0.1),
                CAL,
                "",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "1.25"},
                (0.12, 0.12),
                CORRECTED,
                "",
            ),
            (
                {
                    "PixelSpacing": IMAGER,
                    "ImagerPixelSpacing": IMAGER,
                    "EstimatedRadiographicMagnificationFactor": "1.25",
                },
                (0.12, 0.12),
                CORRECTED,
                "",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "0"},
                (0.15, 0.15),
                MAGNIFIED,
                "not plausible",
            ),
            ({"ImagerPixelSpacing": IMAGER}, (0.15, 0.15), MAGNIFIED, "detector"),
            ({"NominalScannedPixelSpacing": ["0.2", "0.2"]}, (0.2, 0.2), NOMINAL, "film"),
            (
                {"NominalScannedPixelSpacing": ["0.2", "0.2"], "PixelSpacing": ["0.2", "0.2"]},
                (0.2, 0.2),
                NOMINAL,
                "film",
            ),
            (
                {"NominalScannedPixelSpacing": ["0.2", "0.2"], "PixelSpacing": ["0.18", "0.18"]},
                (0.18, 0.18),
                CAL,
                "",
            ),
            ({"PixelAspectRatio": ["1", "2"]}, None, NONE, "PixelAspectRatio 1 to 2"),
            ({"PixelAspectRatio": ["1", "1"]}, None, NONE, ""),
            ({"PixelSpacing": ["0", "0"]}, None, NONE, "ignored"),
            ({"PixelSpacing": None}, None, NONE, ""),
            ({"PixelSpacing": "0.1"}, None, NONE, "ignored"),
            (
                {"PixelSpacing": ["0.3", "0.25"], "PixelSpacingCalibrationType": "GEOMETRY"},
                (0.3, 0.25),
                CAL,
                "0.3 mm between rows, 0.25 mm between columns",
            ),
        ],
    )
    def test_rules(
        self,
        tmp_path: Path,
        elements: dict[str, Any],
        spacing: tuple[float, float] | None,
        source: SpacingSource,
        warned: str,
    ) -> None:
        radiograph = read_radiograph(save(dicom(**elements), tmp_path / "a.dcm"))
        assert radiograph.spacing_source is source
        assert radiograph.pixel_spacing == (spacing if spacing is None else pytest.approx(spacing, abs=1e-12))
        assert warned in " ".join(radiograph.warnings)
        assert bool(warned) == bool(radiograph.warnings)

    def test_given_by_the_user(self, tmp_path: Path) -> None:
        path = save(dicom(ImagerPixelSpacing=IMAGER), tmp_path / "a.dcm")
        radiograph = read_radiograph(path, pixel_spacing=0.1)
        assert radiograph.pixel_spacing == (0.1, 0.1)
        assert radiograph.spacing_source is SpacingSource.USER
        assert len(radiograph.warnings) == 1
        assert "0.1 mm replaces 0.15 x 0.15 mm (ImagerPixelSpacing at the detector" in radiograph.warnings[0]

    @pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf])
    def test_user_spacing_must_be_positive(self, tmp_path: Path, value: float) -> None:
        with pytest.raises(ValueError, match="pixel_spacing"):
            read_radiograph(tmp_path / "a.dcm", pixel_spacing=value)


class TestDicomErrors:
    def test_truncated_pixels(self, tmp_path: Path) -> None:
        path = save(dicom(), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:-700])
        refuses(path, "truncated")

    def test_short_pixel_data(self, tmp_path: Path) -> None:
        path = save(dicom(PixelData=GREY12.tobytes()[:-100]), tmp_path / "a.dcm")
        refuses(path, "truncated, 2300 bytes of the 2400")

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    def test_truncated_rle(self, tmp_path: Path, share: float) -> None:
        dataset = dicom()
        dataset.compress(RLELossless, encoding_plugin="pydicom")
        path = save(dataset, tmp_path / "a.dcm")
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        refuses(path, "truncated")

    @pytest.mark.parametrize("length", [132, 140, 200, 300, 400])
    def test_truncated_header(self, tmp_path: Path, length: int) -> None:
        path = save(dicom(), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:length])
        refuses(path, "truncated")

    def test_text_as_dicom(self, tmp_path: Path) -> None:
        (tmp_path / "a.dcm").write_text("this is no image" * 20)
        refuses(tmp_path / "a.dcm", "not a DICOM file")

    def test_report(self, tmp_path: Path) -> None:
        dataset = dicom(Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
        del dataset.PixelData
        refuses(save(dataset, tmp_path / "a.dcm"), "without pixel data (Modality SR)")

    def test_modality(self, tmp_path: Path) -> None:
        dataset = dicom(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
        refuses(save(dataset, tmp_path / "a.dcm"), "Modality CT is not a radiograph")

    def test_secondary_capture_of_any_modality(self, tmp_path: Path) -> None:
        dataset = dicom(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
        same(save(dataset, tmp_path / "a.dcm"), GREY12)

    def test_frames(self, tmp_path: Path) -> None:
        dataset = dicom(NumberOfFrames=2)
        dataset.PixelData = GREY12.tobytes() * 2
        refuses(save(dataset, tmp_path / "a.dcm"), "holds 2 frames")

    @pytest.mark.parametrize("syntax", [JPEGLosslessSV1, "1.2.3.4"])
    def test_no_decoder(self, tmp_path: Path, syntax: str) -> None:
        dataset = dicom()
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        if syntax == JPEGLosslessSV1:
            refuses(save(dataset, tmp_path / "a.dcm"), "no decoder for the transfer syntax JPEG Lossless")
        else:
            dataset.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
            refuses(tmp_path / "a.dcm", "no decoder for the transfer syntax UID 1.2.3.4")

    def test_damaged_jpeg(self, tmp_path: Path) -> None:
        dataset = dicom(GREY8, 8, syntax=JPEGBaseline8Bit)
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + b"no jpeg at all" * 9])
        dataset["PixelData"].is_undefined_length = True
        refuses(save(dataset, tmp_path / "a.dcm"), "damaged or truncated pixel data: Unable to decode")

    def test_too_small(self, tmp_path: Path) -> None:
        refuses(save(dicom(GREY12[:15]), tmp_path / "a.dcm"), "40 x 15 pixels is too small")

    def test_too_large(self, tmp_path: Path) -> None:
        refuses(save(dicom(Rows=60000, Columns=60000), tmp_path / "a.dcm"), "too large")

    def test_no_rows(self, tmp_path: Path) -> None:
        dataset = dicom()
        del dataset.Rows
        refuses(save(dataset, tmp_path / "a.dcm"), "without Rows")

    def test_directory_record(self, tmp_path: Path) -> None:
        dataset = dicom(SOPClassUID="1.2.840.10008.1.3.10")
        del dataset.PixelData, dataset.Modality
        refuses(save(dataset, tmp_path / "DICOMDIR"), "without pixel data")


class TestRaster:
    @pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif", ".tiff"])
    def test_grey(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(GREY8).save(path)
        same(path, GREY8)
        radiograph = read_radiograph(path)
        assert radiograph.pixel_spacing is None
        assert radiograph.spacing_source is SpacingSource.NONE
        assert radiograph.image_uid is None
        assert radiograph.warnings == ()

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_grey16(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(GREY12 * 16).save(path)
        same(path, GREY12 * 16)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_rgb(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(RGB8).save(path)
        same(path, luma(RGB8), atol=1e-3)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_alpha_is_ignored(self, tmp_path: Path, suffix: str) -> None:
        rgba = np.dstack([RGB8, GREY8])
        Image.fromarray(rgba).save(tmp_path / f"rgba{suffix}")
        same(tmp_path / f"rgba{suffix}", luma(RGB8), atol=1e-3)
        Image.fromarray(np.dstack([GREY8, GREY8[::-1]])).save(tmp_path / f"la{suffix}")
        same(tmp_path / f"la{suffix}", GREY8)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_palette(self, tmp_path: Path, suffix: str) -> None:
        image = Image.fromarray(RGB8).quantize(16)
        image.save(tmp_path / f"a{suffix}")
        same(tmp_path / f"a{suffix}", luma(np.asarray(image.convert("RGB"))), atol=1e-3)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_one_bit(self, tmp_path: Path, suffix: str) -> None:
        Image.fromarray(GREY8 > 127).save(tmp_path / f"a{suffix}")
        same(tmp_path / f"a{suffix}", np.where(GREY8 > 127, 255, 0))

    @pytest.mark.parametrize("progressive", [False, True])
    def test_jpeg(self, tmp_path: Path, progressive: bool) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(GREY8).save(path, quality=95, progressive=progressive, dpi=(300, 300))
        same(path, np.asarray(Image.open(path)), atol=1)
        assert read_radiograph(path).pixel_spacing is None

    def test_jpeg_rgb(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpeg"
        Image.fromarray(RGB8).save(path, quality=95, subsampling=0)
        same(path, luma(np.asarray(Image.open(path))), atol=2)

    def test_exif_orientation_warns(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(GREY8).save(tmp_path / "a.jpg", exif=exif)
        radiograph = read_radiograph(tmp_path / "a.jpg")
        assert radiograph.pixels.shape == (ROWS, COLUMNS)
        assert "EXIF orientation 6 is not applied" in radiograph.warnings[0]

    @pytest.mark.parametrize("photometric", [0, 1])
    def test_white_is_zero(self, tmp_path: Path, photometric: int) -> None:
        entries = [
            (256, COLUMNS), (257, ROWS), (258, 8), (259, 1), (262, photometric), (273, 8), (277, 1),
            (278, ROWS), (279, GREY8.size),
        ]  # fmt: skip
        directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        head = b"II*\0" + struct.pack("<I", 8 + GREY8.size) + GREY8.tobytes()
        (tmp_path / "a.tif").write_bytes(head + struct.pack("<H", len(entries)) + directory + b"\0\0\0\0")
        same(tmp_path / "a.tif", GREY8 if photometric else 255 - GREY8)

    def test_wrong_suffix(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        (tmp_path / "a.png").rename(tmp_path / "a.jpg")
        same(tmp_path / "a.jpg", GREY8)

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
    def test_truncated(self, tmp_path: Path, suffix: str, share: float) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(GREY8).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        refuses(path, "damaged" if share < 0.1 or suffix in (".png", ".tif") else "truncated")

    def test_truncated_jpeg_with_a_whole_thumbnail(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(GREY8[:16, :16]).save(path)
        thumbnail = path.read_bytes()
        Image.fromarray(GREY8).save(path, exif=b"Exif\0\0" + thumbnail)
        same(path, np.asarray(Image.open(path)), atol=1)
        path.write_bytes(path.read_bytes()[:-200])
        refuses(path, "truncated, the JPEG data stops before its end marker")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".mha", ".nii", ".nii.gz", ".dcm"])
    def test_text(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").write_text("not an image\n" * 30)
        refuses(tmp_path / f"a{suffix}", "not a")

    def test_pages(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(GREY8)])
        refuses(tmp_path / "a.tif", "holds 2 frames or slices")

    def test_size_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.fromarray(GREY8[:, :12]).save(tmp_path / "small.png")
        refuses(tmp_path / "small.png", "12 x 30 pixels is too small")
        monkeypatch.setattr(pixels, "MAX_PIXELS", 1000)
        Image.fromarray(GREY8).save(tmp_path / "large.png")
        refuses(tmp_path / "large.png", "40 x 30 pixels is too large")

    def test_bomb(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(data)
        refuses(tmp_path / "a.png", "250 million")


class TestMetaImage:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
    def test_values_and_spacing(self, tmp_path: Path, dtype: Any) -> None:
        import itk

        stored = GREY8.astype(dtype) - (50 if np.dtype(dtype).kind != "u" else 0)
        image = itk.image_from_array(stored)
        image.SetSpacing([0.2, 0.1])
        itk.imwrite(image, str(tmp_path / "a.mha"))
        same(tmp_path / "a.mha", stored)
        radiograph = read_radiograph(tmp_path / "a.mha")
        assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))
        assert radiograph.spacing_source is SpacingSource.HEADER
        assert "not square" in radiograph.warnings[0]

    def test_one_is_no_spacing(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8), str(tmp_path / "a.mhd"))
        same(tmp_path / "a.mhd", GREY8)
        assert read_radiograph(tmp_path / "a.mhd").pixel_spacing is None

    def test_slices(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8[None]), str(tmp_path / "one.mha"))
        same(tmp_path / "one.mha", GREY8)
        itk.imwrite(itk.image_from_array(np.stack([GREY8] * 3)), str(tmp_path / "three.mha"))
        refuses(tmp_path / "three.mha", "holds 3 frames or slices")

    def test_nan(self, tmp_path: Path) -> None:
        import itk

        stored = GREY8.astype(np.float32)
        stored[3, 4] = np.inf
        itk.imwrite(itk.image_from_array(stored), str(tmp_path / "a.mha"))
        assert read_radiograph(tmp_path / "a.mha").pixels[3, 4] == GREY8.min()
        itk.imwrite(itk.image_from_array(np.full((20, 20), np.nan, np.float32)), str(tmp_path / "b.mha"))
        refuses(tmp_path / "b.mha", "no pixel holds a finite value")

    def test_truncated(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8), str(tmp_path / "a.mha"))
        (tmp_path / "a.mha").write_bytes((tmp_path / "a.mha").read_bytes()[:-300])
        refuses(tmp_path / "a.mha", "fewer than the header announces")

    def test_raw_file_missing(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8), str(tmp_path / "a.mhd"))
        next(tmp_path.glob("*raw")).unlink()
        refuses(tmp_path / "a.mhd", "the pixels are missing")


def nifti(path: Path, stored: np.ndarray, affine: Any = None, **header: Any) -> Path:
    image = nibabel.Nifti1Image(stored, affine)
    if "units" in header:
        image.header.set_xyzt_units(header["units"])
    nibabel.save(image, path)
    return path


class TestNifti:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_lps_identity(self, tmp_path: Path, suffix: str) -> None:
        path = nifti(tmp_path / f"a{suffix}", GREY8.T, np.diag([-0.2, -0.1, 1, 1]))
        same(path, GREY8)
        radiograph = read_radiograph(path)
        assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))
        assert radiograph.spacing_source is SpacingSource.HEADER

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_what_itk_writes_equals_the_png(self, tmp_path: Path, suffix: str) -> None:
        import itk

        Image.fromarray(GREY8).save(tmp_path / "a.png")
        itk.imwrite(itk.imread(str(tmp_path / "a.png")), str(tmp_path / f"a{suffix}"))
        same(tmp_path / f"a{suffix}", read_radiograph(tmp_path / "a.png").pixels)
        assert read_radiograph(tmp_path / f"a{suffix}").pixel_spacing is None

    def test_flips_and_permutations_by_the_affine(self, tmp_path: Path) -> None:
        # The same picture, stored to the right and to the front, as a canonical RAS file has it.
        same(nifti(tmp_path / "ras.nii", GREY8.T[::-1, ::-1], np.diag([0.2, 0.1, 1, 1])), GREY8)
        swapped = np.array([[0, -0.2, 0, 0], [-0.1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        path = nifti(tmp_path / "swapped.nii", GREY8, swapped)
        same(path, GREY8)
        assert read_radiograph(path).pixel_spacing == pytest.approx((0.1, 0.2))

    def test_sagittal_faces_right(self, tmp_path: Path) -> None:
        # Axis 0 is the one slice, axis 1 runs to the front, axis 2 runs up.
        stored = GREY8[::-1].T[None]
        path = nifti(tmp_path / "a.nii", stored, np.diag([1, 0.2, 0.1, 1]))
        same(path, GREY8)
        assert read_radiograph(path).patient_orientation == ("A", "F")

    def test_array_order_without_an_affine(self, tmp_path: Path) -> None:
        same(nifti(tmp_path / "none.nii", GREY8.T), GREY8)
        same(nifti(tmp_path / "eye.nii", GREY8.T, np.eye(4)), GREY8)
        turned = np.eye(4)
        turned[:2, :2] = [[0.08, -0.06], [0.06, 0.08]]
        path = nifti(tmp_path / "oblique.nii", GREY8.T, turned)
        same(path, GREY8)
        assert "oblique" in read_radiograph(path).warnings[0]

    def test_one_is_no_spacing_and_units(self, tmp_path: Path) -> None:
        assert read_radiograph(nifti(tmp_path / "a.nii", GREY8.T, np.diag([-1, -1, 1, 1]))).pixel_spacing is None
        path = nifti(tmp_path / "b.nii", GREY8.T, np.diag([-100, -100, 1, 1]), units="micron")
        assert read_radiograph(path).pixel_spacing == pytest.approx((0.1, 0.1))

    def test_one_slice_and_scaling(self, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(GREY12.T[:, :, None, None].astype(np.int16), np.diag([-1, -1, 1, 1]))
        image.header.set_slope_inter(0.5, -10)
        nibabel.save(image, tmp_path / "a.nii")
        same(tmp_path / "a.nii", GREY12 * 0.5 - 10)

    def test_rgb(self, tmp_path: Path) -> None:
        stored = np.ascontiguousarray(RGB8.transpose(1, 0, 2)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])
        path = nifti(tmp_path / "a.nii", stored[..., 0][:, :, None], np.diag([-1, -1, 1, 1]))
        same(path, luma(RGB8), atol=1e-3)

    def test_stack_and_complex(self, tmp_path: Path) -> None:
        refuses(nifti(tmp_path / "a.nii", np.dstack([GREY8.T] * 2)), "one slice")
        refuses(nifti(tmp_path / "b.nii", GREY8.T.astype(np.complex64)), "complex")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
    def test_truncated(self, tmp_path: Path, suffix: str, share: float) -> None:
        path = nifti(tmp_path / f"a{suffix}", GREY8.T)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        refuses(path, "damaged")


class TestFiles:
    def test_missing_folder_and_empty(self, tmp_path: Path) -> None:
        refuses(tmp_path / "a.png", "no such file")
        refuses(tmp_path, "a folder, not a file")
        (tmp_path / "a.dcm").touch()
        refuses(tmp_path / "a.dcm", "the file is empty")

    def test_unknown_suffix(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("SNA 82\n")
        refuses(tmp_path / "notes.txt", "not an image that can be read")

    def test_whatever_a_decoder_raises(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(path: Path) -> None:
            raise AttributeError("first line\nsecond line")

        Image.fromarray(GREY8).save(tmp_path / "a.png")
        monkeypatch.setattr("monai_ceph.readers.read_raster", fail)
        refuses(tmp_path / "a.png", "damaged or truncated: first line.")

    def test_find(self, tmp_path: Path) -> None:
        for name in (
            "b.png",
            "a.JPG",
            "sub/c.nii.gz",
            "sub/d.mha",
            ".hidden.png",
            ".git/e.png",
            "labels.csv",
        ):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("x")
        (tmp_path / "sub" / "notes.json").write_text("{}")
        (tmp_path / "sub" / "x.raw").write_text("x")
        save(dicom(), tmp_path / "sub" / "IM1")
        save(dicom(), tmp_path / "sub" / "DICOMDIR")
        expected = [tmp_path / name for name in ("a.JPG", "b.png", "sub/IM1", "sub/c.nii.gz", "sub/d.mha")]
        assert find_radiographs([tmp_path]) == expected
        assert find_radiographs([str(tmp_path / "b.png"), tmp_path, tmp_path])[0] == tmp_path / "b.png"
        assert len(find_radiographs([tmp_path / "b.png", tmp_path])) == 5
        named = [tmp_path / "labels.csv", tmp_path / "missing.dcm"]
        assert find_radiographs(named) == named
        assert find_radiographs([]) == []

    def test_is_candidate(self, tmp_path: Path) -> None:
        assert not is_candidate(tmp_path)
        assert not is_candidate(tmp_path / "missing.png")
        (tmp_path / "folder.png").mkdir()
        assert not is_candidate(tmp_path / "folder.png")


class TestMonaiReader:
    def test_load_image(self, tmp_path: Path) -> None:
        path = save(dicom(PixelSpacing=["0.2", "0.1"], PixelSpacingCalibrationType="GEOMETRY"), tmp_path / "a.dcm")
        image = LoadImage(reader=RadiographReader, ensure_channel_first=True)(path)
        assert isinstance(image, MetaTensor)
        assert image.shape == (1, ROWS, COLUMNS)
        assert image.dtype == torch.float32
        np.testing.assert_array_equal(image[0].numpy(), GREY12)
        assert image.affine.shape == (3, 3)
        assert torch.equal(image.affine, torch.eye(3, dtype=image.affine.dtype))
        assert image.meta["filename_or_obj"] == str(path)
        assert (image.meta["row_spacing"], image.meta["column_spacing"]) == (0.2, 0.1)
        assert image.meta["image_uid"] == UID
        assert image.meta["spacing_source"] == "PixelSpacing, calibrated"
        assert tuple(image.meta["spatial_shape"]) == (ROWS, COLUMNS)

    def test_batch(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        save(dicom(PixelSpacing=["0.1", "0.1"]), tmp_path / "b.dcm")
        load = LoadImaged(keys="image", reader=RadiographReader, ensure_channel_first=True)
        data = Dataset([{"image": str(tmp_path / "a.png")}, {"image": str(tmp_path / "b.dcm")}], load)
        (batch,) = DataLoader(data, batch_size=2)
        assert batch["image"].shape == (2, 1, ROWS, COLUMNS)
        assert batch["image"].affine.shape == (2, 3, 3)
        np.testing.assert_array_equal(batch["image"][0, 0].numpy(), GREY8)
        assert torch.isnan(batch["image"].meta["row_spacing"]).tolist() == [True, False]
        assert batch["image"].meta["image_uid"] == ["", UID]

    def test_error_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match=r"missing\.png: no such file"):
            LoadImage(reader=RadiographReader)(tmp_path / "missing.png")

    def test_suffixes_and_options(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        reader = RadiographReader(pixel_spacing=0.1)
        assert reader.verify_suffix(tmp_path / "a.png")
        assert not reader.verify_suffix([tmp_path / "a.png", tmp_path / "labels.csv"])
        assert reader.get_data(reader.read(tmp_path / "a.png"))[1]["row_spacing"] == 0.1
        with pytest.raises(ValueError, match="one file at a time"):
            reader.read([tmp_path / "a.png", tmp_path / "a.png"])

    def test_import_is_light(self) -> None:
        import subprocess
        import sys

        code = "import sys, monai_ceph.readers; print({'itk', 'nibabel', 'monai'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


def test_relative_paths_while_another_thread_loads_itk(tmp_path: Path) -> None:
    # ITK changes the working folder while it loads: a fresh process, and threads that start together
    for number in range(4):
        Image.fromarray(np.full((32, 40), number, np.uint8)).save(tmp_path / f"{number}.png")
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from monai_ceph.readers import read_radiograph\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    films = list(pool.map(read_radiograph, [f'{n}.png' for n in range(4)]))\n"
        "print([int(film.pixels.max()) for film in films], [str(film.path) for film in films])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 1, 2, 3] ['0.png', '1.png', '2.png', '3.png']"
