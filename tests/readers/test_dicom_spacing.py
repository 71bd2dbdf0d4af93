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

    def test_no_number(self, tmp_path: Path) -> None:
        path = save(dicom(PixelSpacing=["0.25", "0.25"]), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes().replace(b"0.25\\0.25", b"Doe^Jane^X"[:9]))
        radiograph = read_radiograph(path)
        assert radiograph.pixel_spacing is None
        assert radiograph.warnings == ("PixelSpacing is not two positive numbers and was ignored.",)

    @given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(1, 3), st.floats(500, 5000))
    def test_the_source_says_what_the_spacing_is(self, row: float, column: float, factor: float, far: float) -> None:
        dataset = Dataset()
        dataset.ImagerPixelSpacing = [f"{row:.6f}", f"{column:.6f}"]
        dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = f"{far:.6f}", f"{far / factor:.6f}"
        spacing, source, _ = dicom_spacing(dataset)
        if source is BY_DISTANCES:
            assert spacing == pytest.approx((row / factor, column / factor), rel=1e-3)
        else:  # rounded to a factor just outside 1 to 3
            assert min(abs(factor - 1), abs(factor - 3)) < 1e-6
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
    def test_one_number_is_refused_for_pixels_that_are_not_square(
        self, tmp_path: Path, elements: dict[str, Any], reason: str
    ) -> None:
        path = save(dicom(**elements), tmp_path / "a.dcm")
        with pytest.raises(ReadError) as caught:
            read_radiograph(path, pixel_spacing=0.1)
        assert str(caught.value) == (
            f"{path}: its pixels are not square ({reason}), one pixel spacing cannot be given: leave it out."
        )

    @given(st.floats(0.05, 2), st.floats(0.97, 1.03))
    def test_a_given_spacing_is_taken_where_pixels_are_square_within_a_hundredth(
        self, column: float, ratio: float
    ) -> None:
        with TemporaryDirectory() as folder:
            spacing = [f"{column * ratio:.9f}", f"{column:.9f}"]
            path = save(dicom(PixelSpacing=spacing, PixelSpacingCalibrationType="GEOMETRY"), Path(folder) / "a.dcm")
            if abs(ratio - 1) < 0.00999:
                assert read_radiograph(path, pixel_spacing=0.1).pixel_spacing == (0.1, 0.1)
            elif abs(ratio - 1) > 0.01001:
                with pytest.raises(ReadError, match="not square"):
                    read_radiograph(path, pixel_spacing=0.1)

    @pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf])
    def test_user_spacing_must_be_positive(self, tmp_path: Path, value: float) -> None:
        with pytest.raises(ValueError, match="pixel_spacing"):
            read_radiograph(tmp_path / "a.dcm", pixel_spacing=value)
