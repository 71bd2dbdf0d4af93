"""From stored values to displayed grey values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from reader_films import COLUMNS, GREY8, GREY12, RGB8, ROWS, UID, dicom, luma, refuses, same, save

from monai_ceph.readers import read_radiograph


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

    def test_monochrome1_is_inverted_within_its_bits(self, tmp_path: Path) -> None:
        dark = GREY12 // 2
        same(save(dicom(dark, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm"), 4095 - dark)

    def test_signed_monochrome1(self, tmp_path: Path) -> None:
        stored = GREY12.astype(np.int16) - 2048
        same(save(dicom(stored, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm"), -1.0 - stored)

    @pytest.mark.parametrize(
        "elements", [{"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}], ids=str
    )
    @pytest.mark.parametrize("end", ["lowest", "highest"])
    @pytest.mark.parametrize("kind", ["u", "i"])
    @pytest.mark.parametrize("bits", [25, 32, 40, 64])
    def test_inverted_wide_pixels_keep_their_grey_values(
        self, tmp_path: Path, bits: int, kind: str, end: str, elements: dict[str, Any]
    ) -> None:
        low, high = (0, 2**bits - 1) if kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        start = low if end == "lowest" else high - 4095
        stored = np.array([start + int(grey) for grey in GREY12.flat], f"{kind}{4 if bits <= 32 else 8}")
        path = save(dicom(stored.reshape(GREY12.shape), bits, **elements), tmp_path / "a.dcm")
        same(path, GREY12.max() - GREY12.astype(int))

    def test_padding_is_left_out_of_the_inversion(self, tmp_path: Path) -> None:
        stored = GREY12.astype(np.uint32)
        stored[:2] = 2**32 - 1
        dataset = dicom(stored, 32, PhotometricInterpretation="MONOCHROME1")
        dataset.add_new("PixelPaddingValue", "UL", 2**32 - 1)
        expected = GREY12[2:].max() - GREY12.astype(int)
        expected[:2] = 0
        same(save(dataset, tmp_path / "a.dcm"), expected)

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_intercept_shifts_32_bit_pixels_into_float32(self, tmp_path: Path, photometric: str) -> None:
        stored = GREY12.astype(np.uint32) + 2**31
        dataset = dicom(stored, 32, RescaleSlope="1", RescaleIntercept=str(-(2**31)))
        dataset.PhotometricInterpretation = photometric
        inverted = GREY12.max() - GREY12.astype(int)
        same(save(dataset, tmp_path / "a.dcm"), inverted if photometric == "MONOCHROME1" else GREY12)

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_inverse_and_monochrome1_invert_once(self, tmp_path: Path, photometric: str) -> None:
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
        # The range -100..8090 is inverted: the lowest stored value becomes the highest displayed one.
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

    def test_values_are_rounded_for_a_voi_lut(self, tmp_path: Path) -> None:
        curve = np.arange(4096)[::-1].astype(np.uint16)
        dataset = dicom(VOILUTSequence=self.lut(curve, bits=12), RescaleSlope="0.75", RescaleIntercept="0")
        same(save(dataset, tmp_path / "a.dcm"), curve[np.rint(GREY12 * 0.75).astype(int)])

    def test_damaged_voi_lut_warns(self, tmp_path: Path) -> None:
        item = pydicom.Dataset()
        item.add_new("LUTDescriptor", "US", [4096, 0, 12])
        path = save(dicom(VOILUTSequence=Sequence([item])), tmp_path / "a.dcm")
        same(path, GREY12)
        assert "VOI LUT" in read_radiograph(path).warnings[0]

    @pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
    @pytest.mark.parametrize("undefined", [False, True], ids=["length 0", "undefined length"])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_empty_sequence_counts_as_absent(self, tmp_path: Path, syntax: str, undefined: bool, name: str) -> None:
        dataset = dicom(GREY8, 8, syntax, RescaleSlope="2", RescaleIntercept="-7", **{name: Sequence()})
        dataset[name].is_undefined_length = undefined
        path = save(dataset, tmp_path / "a.dcm")
        same(path, GREY8 * 2.0 - 7)
        assert read_radiograph(path).warnings == ()

    @pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
    @pytest.mark.parametrize(
        ("centre", "width"),
        [
            ("500", "100"),
            ("2048", "4096"),
            ("-600", "1500"),
            ("30000", "1000"),
            ("500", "1"),
            ("500", "0"),
            ("500", "-100"),
            (["500", "2048"], ["100", "4096"]),
            (["500", "2048"], "100"),
        ],
        ids=str,
    )
    def test_linear_window_is_not_applied(
        self, tmp_path: Path, centre: str | list[str], width: str | list[str], function: str | None
    ) -> None:
        dataset = dicom(WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
        path = save(dataset, tmp_path / "a.dcm")
        same(path, GREY12)
        assert not read_radiograph(path).warnings

    def test_linear_window_beside_a_voi_lut_and_a_rescale(self, tmp_path: Path) -> None:
        curve = np.arange(4096)[::-1].astype(np.uint16)
        dataset = dicom(VOILUTSequence=self.lut(curve, bits=12), RescaleSlope="1", RescaleIntercept="10")
        dataset.WindowCenter, dataset.WindowWidth = "500", "100"
        same(save(dataset, tmp_path / "a.dcm"), curve[np.minimum(GREY12.astype(int) + 10, 4095)])

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

    @pytest.mark.parametrize("ends", [(3, 9), (9, 3)])
    def test_a_range_of_padding(self, tmp_path: Path, ends: tuple[int, int]) -> None:
        stored = np.maximum(GREY12, 10)
        stored[0, :8] = range(2, 10)
        expected = stored.astype(float)
        # 2 is not padding
        expected[0, 1:8] = 2
        dataset = dicom(stored)
        for name, end in zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), ends, strict=True):
            dataset.add_new(name, "US", end)
        same(save(dataset, tmp_path / "a.dcm"), expected)

    @pytest.mark.parametrize("vr", ["US", "SS"])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_negative_padding(self, tmp_path: Path, vr: str, syntax: str) -> None:
        stored = GREY12.astype(np.int16) - 1000
        stored[:2] = -2000
        dataset = dicom(stored, 16, syntax)
        dataset.add_new("PixelPaddingValue", vr, -2000 if vr == "SS" else 65536 - 2000)
        expected = stored.astype(float)
        expected[:2] = expected[2:].min()
        same(save(dataset, tmp_path / "a.dcm"), expected)

    @pytest.mark.parametrize("bits", [0, 17, 60000])
    def test_lut_of_impossible_depth(self, tmp_path: Path, bits: int) -> None:
        curve = np.arange(4096)
        path = save(dicom(VOILUTSequence=self.lut(curve, bits=bits)), tmp_path / "a.dcm")
        same(path, GREY12)
        assert read_radiograph(path).warnings == ("The VOI LUT is damaged and was not applied.",)
        dataset = dicom(ModalityLUTSequence=self.lut(curve, bits=bits), ModalityLUTType="OD")
        refuses(save(dataset, path), "damaged DICOM header: the Modality LUT cannot be applied")

    @pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_PARTIAL_422", "YBR_FULL_422"])
    def test_brightness_of_colours(self, tmp_path: Path, photometric: str) -> None:
        chroma = np.random.default_rng(4).integers(0, 256, (ROWS, COLUMNS, 2), dtype=np.uint8)
        dataset = dicom(np.dstack([GREY8, chroma]), 8, PhotometricInterpretation=photometric)
        if photometric != "YBR_FULL":
            # two Y values, then one Cb and one Cr (PS3.3 C.7.6.3.1.2)
            pairs = np.dstack([GREY8[:, ::2], GREY8[:, 1::2], chroma[:, ::2]])
            dataset.PixelData = np.ascontiguousarray(pairs).tobytes()
        same(save(dataset, tmp_path / "a.dcm"), GREY8)

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
