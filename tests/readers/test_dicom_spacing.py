"""The pixel spacing and its source."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from reader_films import dicom, save

from monai_ceph.errors import ReadError
from monai_ceph.readers import SpacingSource, read_radiograph
from monai_ceph.readers.dicom_spacing import dicom_spacing

CAL, UNSTATED = SpacingSource.PIXEL_SPACING_CALIBRATED, SpacingSource.PIXEL_SPACING_UNSTATED
CORRECTED, MAGNIFIED = SpacingSource.IMAGER_CORRECTED, SpacingSource.IMAGER_MAGNIFIED
BY_DISTANCES = SpacingSource.IMAGER_DISTANCES
NOMINAL, NONE = SpacingSource.NOMINAL_SCANNED, SpacingSource.NONE
IMAGER = ["0.15", "0.15"]
UNKNOWN = "is exactly 1 x 1 and was ignored: programs write that for an unknown spacing."
MICROMETRES = "was ignored: it looks like micrometres."
NO_PIXEL = "was ignored: pixels of a cephalogram have 0.01 to 2 mm."
DISTANCES = {"DistanceSourceToDetector": "1650", "DistanceSourceToPatient": "1500"}


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
            ({"ImagerPixelSpacing": IMAGER, **DISTANCES}, (0.15 / 1.1, 0.15 / 1.1), BY_DISTANCES, "the support"),
            (
                {"ImagerPixelSpacing": IMAGER, "PixelSpacing": IMAGER, **DISTANCES},
                (0.15 / 1.1, 0.15 / 1.1),
                BY_DISTANCES,
                "may still be magnified",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "1.25", **DISTANCES},
                (0.12, 0.12),
                CORRECTED,
                "",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "7", **DISTANCES},
                (0.15 / 1.1, 0.15 / 1.1),
                BY_DISTANCES,
                "Factor 7 is not plausible",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, "PixelSpacing": ["0.136"] * 2, **DISTANCES},
                (0.136, 0.136),
                CAL,
                "",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, **DISTANCES, "DistanceSourceToDetector": "1400"},
                (0.15, 0.15),
                MAGNIFIED,
                "DistanceSourceToDetector / DistanceSourceToPatient 0.933333 is not plausible",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, **DISTANCES, "DistanceSourceToPatient": "150"},
                (0.15, 0.15),
                MAGNIFIED,
                "11 is not plausible",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, **DISTANCES, "DistanceSourceToPatient": "0"},
                (0.15, 0.15),
                MAGNIFIED,
                "de",
            ),
            ({"ImagerPixelSpacing": IMAGER, "DistanceSourceToDetector": "1650"}, (0.15, 0.15), MAGNIFIED, "detector"),
            (DISTANCES, None, NONE, ""),
            ({"NominalScannedPixelSpacing": IMAGER, **DISTANCES}, (0.15, 0.15), NOMINAL, "film"),
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
            # what GDCM and ITK write for an unknown spacing
            ({"PixelSpacing": ["1", "1"]}, None, NONE, f"PixelSpacing {UNKNOWN}"),
            ({"PixelSpacing": ["1.0", "1.000"]}, None, NONE, f"PixelSpacing {UNKNOWN}"),
            (
                {"PixelSpacing": ["1", "1"], "PixelSpacingCalibrationType": "GEOMETRY"},
                None,
                NONE,
                f"PixelSpacing {UNKNOWN}",
            ),
            ({"ImagerPixelSpacing": ["1", "1"]}, None, NONE, f"ImagerPixelSpacing {UNKNOWN}"),
            ({"NominalScannedPixelSpacing": ["1", "1"]}, None, NONE, f"NominalScannedPixelSpacing {UNKNOWN}"),
            (
                {"PixelSpacing": ["1", "1"], "ImagerPixelSpacing": ["0.148", "0.148"]},
                (0.148, 0.148),
                MAGNIFIED,
                f"PixelSpacing {UNKNOWN}",
            ),
            ({"PixelSpacing": ["1", "0.9"]}, (1, 0.9), UNSTATED, "not square"),
            # micrometres, which are not converted to 0.148
            ({"PixelSpacing": ["148", "148"]}, None, NONE, f"PixelSpacing 148 x 148 mm {MICROMETRES}"),
            ({"PixelSpacing": ["100", "100"]}, None, NONE, f"PixelSpacing 100 x 100 mm {MICROMETRES}"),
            ({"ImagerPixelSpacing": ["148", "148"]}, None, NONE, f"ImagerPixelSpacing 148 x 148 mm {MICROMETRES}"),
            (
                {"PixelSpacing": ["148", "74"]},
                None,
                NONE,
                "The pixels are not square: PixelSpacing 148 to 74, no scale.",
            ),
            (
                {"PixelSpacing": ["135", "135"], "ImagerPixelSpacing": ["0.148", "0.148"]},
                (0.148, 0.148),
                MAGNIFIED,
                f"PixelSpacing 135 x 135 mm {MICROMETRES}",
            ),
            # neither mm nor micrometres
            ({"PixelSpacing": ["3", "3"]}, None, NONE, f"PixelSpacing 3 x 3 mm {NO_PIXEL}"),
            ({"PixelSpacing": ["0.000148"] * 2}, None, NONE, f"PixelSpacing 0.000148 x 0.000148 mm {NO_PIXEL}"),
            ({"PixelSpacing": ["0.01", "0.01"]}, (0.01, 0.01), UNSTATED, "does not say"),
            ({"PixelSpacing": ["2", "2"]}, (2, 2), UNSTATED, "does not say"),
            # rounding is not a calibration
            (
                {"PixelSpacing": IMAGER, "ImagerPixelSpacing": ["0.148", "0.148"]},
                (0.148, 0.148),
                MAGNIFIED,
                "PixelSpacing 0.15 x 0.15 mm is ImagerPixelSpacing 0.148 x 0.148 mm after rounding, not a calibration.",
            ),
            (
                {"PixelSpacing": ["0.1", "0.1"], "ImagerPixelSpacing": ["0.099", "0.099"]},
                (0.099, 0.099),
                MAGNIFIED,
                "0.1 x 0.1 mm is ImagerPixelSpacing 0.099 x 0.099 mm after rounding",
            ),
            (
                {"PixelSpacing": ["0.12", "0.12"], "ImagerPixelSpacing": ["0.1244", "0.1244"]},
                (0.1244, 0.1244),
                MAGNIFIED,
                "after rounding",
            ),
            (
                {"PixelSpacing": ["0.15", "0.15"], "NominalScannedPixelSpacing": ["0.148", "0.148"]},
                (0.148, 0.148),
                NOMINAL,
                "0.15 x 0.15 mm is NominalScannedPixelSpacing 0.148 x 0.148 mm after rounding",
            ),
            (
                {
                    "PixelSpacing": IMAGER,
                    "ImagerPixelSpacing": ["0.148", "0.148"],
                    "EstimatedRadiographicMagnificationFactor": "1.25",
                },
                (0.1184, 0.1184),
                CORRECTED,
                "after rounding",
            ),
            (
                {
                    "PixelSpacing": IMAGER,
                    "ImagerPixelSpacing": ["0.148", "0.148"],
                    "PixelSpacingCalibrationType": "GEOMETRY",
                },
                (0.15, 0.15),
                CAL,
                "",
            ),
            # with this many digits, a magnification of 1.038 is a calibration
            (
                {"PixelSpacing": ["0.143", "0.143"], "ImagerPixelSpacing": ["0.1484", "0.1484"]},
                (0.143, 0.143),
                CAL,
                "",
            ),
            (
                {"PixelSpacing": ["0.135", "0.135"], "ImagerPixelSpacing": ["0.148", "0.148"]},
                (0.135, 0.135),
                CAL,
                "",
            ),
            ({"PixelSpacing": ["0.14", "0.14"], "ImagerPixelSpacing": ["0.148"] * 2}, (0.14, 0.14), CAL, ""),
            (
                {"PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": ["0.148", "0.148"]},
                (0.2, 0.2),
                CAL,
                "PixelSpacing 0.2 x 0.2 mm is larger than ImagerPixelSpacing 0.148 x 0.148 mm",
            ),
            # factors of 1 correct nothing
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "1.0"},
                (0.15, 0.15),
                MAGNIFIED,
                "EstimatedRadiographicMagnificationFactor 1 corrects nothing and was ignored. The scale is that of the "
                "detector",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "1", **DISTANCES},
                (0.15 / 1.1, 0.15 / 1.1),
                BY_DISTANCES,
                "EstimatedRadiographicMagnificationFactor 1 corrects nothing",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, **DISTANCES, "DistanceSourceToPatient": "1650"},
                (0.15, 0.15),
                MAGNIFIED,
                "DistanceSourceToDetector / DistanceSourceToPatient 1 corrects nothing and was ignored.",
            ),
            # the shadow on the detector is never smaller than the head
            (
                {"ImagerPixelSpacing": IMAGER, "EstimatedRadiographicMagnificationFactor": "0.97"},
                (0.15, 0.15),
                MAGNIFIED,
                "EstimatedRadiographicMagnificationFactor 0.97 is not plausible and was ignored.",
            ),
            (
                {"ImagerPixelSpacing": IMAGER, **DISTANCES, "DistanceSourceToPatient": "1700"},
                (0.15, 0.15),
                MAGNIFIED,
                "DistanceSourceToDetector / DistanceSourceToPatient 0.970588 is not plausible and was ignored.",
            ),
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

    def test_no_valid_number(self, tmp_path: Path) -> None:
        path = save(dicom(PixelSpacing=["0.25", "0.25"]), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes().replace(b"0.25\\0.25", b"Doe^Jane^X"[:9]))
        radiograph = read_radiograph(path)
        assert radiograph.pixel_spacing is None
        assert radiograph.warnings == ("PixelSpacing is not two positive numbers and was ignored.",)

    @given(st.floats(0.011, 0.99), st.floats(0.011, 0.99), st.floats(1, 3), st.floats(500, 5000))
    def test_spacing_source_text(self, row: float, column: float, factor: float, far: float) -> None:
        dataset = Dataset()
        dataset.ImagerPixelSpacing = [f"{row:.6f}", f"{column:.6f}"]
        dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = f"{far:.6f}", f"{far / factor:.6f}"
        spacing, source, _ = dicom_spacing(dataset)
        if source is BY_DISTANCES:
            assert spacing == pytest.approx((row / factor, column / factor), rel=1e-3)
        else:  # a factor of 1, or rounded to one just above 3
            assert factor - 1 < 1.1e-3 or abs(factor - 3) < 1e-6
            assert source is MAGNIFIED

    def test_given_by_the_user(self, tmp_path: Path) -> None:
        path = save(dicom(ImagerPixelSpacing=IMAGER), tmp_path / "a.dcm")
        radiograph = read_radiograph(path, pixel_spacing=0.1)
        assert radiograph.pixel_spacing == (0.1, 0.1)
        assert radiograph.spacing_source is SpacingSource.USER
        assert len(radiograph.warnings) == 1
        assert "0.1 mm replaces 0.15 x 0.15 mm (ImagerPixelSpacing at the detector" in radiograph.warnings[0]

    @pytest.mark.parametrize(
        ("elements", "reason"),
        [
            ({"PixelAspectRatio": ["2", "1"]}, "PixelAspectRatio 2 to 1, no scale"),
            ({"PixelSpacing": ["0.2", "0.1"]}, "0.2 mm between rows, 0.1 mm between columns"),
            ({"ImagerPixelSpacing": ["0.1", "0.15"]}, "0.1 mm between rows, 0.15 mm between columns"),
        ],
    )
    def test_given_spacing_is_refused_for_non_square_pixels(
        self, tmp_path: Path, elements: dict[str, Any], reason: str
    ) -> None:
        path = save(dicom(**elements), tmp_path / "a.dcm")
        with pytest.raises(ReadError) as caught:
            read_radiograph(path, pixel_spacing=0.1)
        assert str(caught.value) == (
            f"{path}: the pixels are not square ({reason}), so one pixel spacing cannot be right; leave it out."
        )

    @given(st.floats(0.05, 2), st.floats(0.97, 1.03))
    def test_given_spacing_is_used_for_pixels_square_within_1_percent(self, column: float, ratio: float) -> None:
        with TemporaryDirectory() as folder:
            spacing = [f"{column * ratio:.9f}", f"{column:.9f}"]
            path = save(dicom(PixelSpacing=spacing, PixelSpacingCalibrationType="GEOMETRY"), Path(folder) / "a.dcm")
            if abs(ratio - 1) < 0.00999:
                assert read_radiograph(path, pixel_spacing=0.1).pixel_spacing == (0.1, 0.1)
            elif abs(ratio - 1) > 0.01001:
                with pytest.raises(ReadError, match="not square"):
                    read_radiograph(path, pixel_spacing=0.1)

    @given(st.floats(0.05, 0.3), st.floats(1.001, 1.5))
    def test_spacing_within_2_percent_is_not_a_calibration(self, detector: float, magnification: float) -> None:
        dataset = Dataset()
        dataset.ImagerPixelSpacing = [f"{detector:.9f}"] * 2
        dataset.PixelSpacing = [f"{detector / magnification:.9f}"] * 2
        spacing, source, _ = dicom_spacing(dataset)
        if magnification < 1.0199:
            assert (spacing, source) == ((dataset.ImagerPixelSpacing[0],) * 2, MAGNIFIED)
        elif magnification > 1.0501:
            assert (spacing, source) == ((dataset.PixelSpacing[0],) * 2, CAL)

    @pytest.mark.parametrize("stated", ["148", "1"])
    def test_warnings_about_ignored_spacings_remain_with_a_given_one(self, tmp_path: Path, stated: str) -> None:
        path = save(dicom(PixelSpacing=[stated, stated]), tmp_path / "a.dcm")
        radiograph = read_radiograph(path, pixel_spacing=0.148)
        assert radiograph.pixel_spacing == (0.148, 0.148)
        assert radiograph.spacing_source is SpacingSource.USER
        assert len(radiograph.warnings) == 1
        assert radiograph.warnings[0].startswith("PixelSpacing ")

    @pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, 148, 2.01, 0.009])
    def test_given_spacing_must_be_plausible(self, tmp_path: Path, value: float) -> None:
        with pytest.raises(ValueError, match="pixel_spacing"):
            read_radiograph(tmp_path / "a.dcm", pixel_spacing=value)
