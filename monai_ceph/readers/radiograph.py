"""What a reader returns: the pixels of one radiograph, its scale, and where the scale came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

ANISOTROPY_TOLERANCE = 0.01

NOT_SQUARE = "The pixels are not square"
"""How the warning begins that a film has such pixels, with or without a scale."""


class SpacingSource(str, Enum):
    """Where the pixel spacing came from. DICOM rules: PS3.3 section 10.7.1.

    Only `PIXEL_SPACING_CALIBRATED`, `IMAGER_CORRECTED` and, if the user is right, `USER` are lengths in the
    patient. The others are lengths in some other plane, or cannot be told apart from that.
    """

    PIXEL_SPACING_CALIBRATED = "PixelSpacing, calibrated"
    """PixelSpacing that names its calibration, or differs from the spacing at the detector or scanner."""
    PIXEL_SPACING_UNSTATED = "PixelSpacing, calibration not stated"
    """PixelSpacing alone: PS3.3 10.7.1.1 says that nobody can tell whether it is calibrated."""
    IMAGER_CORRECTED = "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor"
    """Spacing at the detector divided by the magnification that the file names."""
    IMAGER_DISTANCES = "ImagerPixelSpacing / (DistanceSourceToDetector / DistanceSourceToPatient)"
    """Spacing at the detector divided by the ratio of the distances. By PS3.3 C.8.11.5 the second distance ends at
    the support, not in the median plane, so lengths may come out too long."""
    IMAGER_MAGNIFIED = "ImagerPixelSpacing at the detector, magnified"
    """Spacing at the detector; the magnification is unknown, so lengths come out too long."""
    NOMINAL_SCANNED = "NominalScannedPixelSpacing, film plane"
    """Spacing on a scanned film; the magnification is unknown, so lengths come out too long."""
    HEADER = "image header"
    """The header of a MetaImage or a NIfTI file."""
    USER = "given by the user"
    NONE = "none"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One radiograph as it is displayed, upright in its own pixel grid.

    Attributes:
        pixels: float32, shape (row, column), finite. Rows run down and columns run right, as displayed. Air
            is low and bone is high when the file says so (DICOM) or was stored so (all others). The values
            keep the range of the source: nothing is normalised here.
        path: the file that was read.
        image_uid: the DICOM SOP Instance UID, None for other formats.
        series_uid: the DICOM Series Instance UID.
        study_uid: the DICOM Study Instance UID.
        sop_class_uid: the DICOM SOP Class UID.
        frame: number, from 1, of the frame of an image with several; None for an image with one.
        pixel_spacing: (row, column) in mm: the distance between the centres of adjacent rows, then of
            adjacent columns. None if the scale is unknown; it is never guessed.
        spacing_source: where `pixel_spacing` came from.
        patient_orientation: the DICOM PatientOrientation, (direction of rows, direction of columns), such as
            ("A", "F") for a face that looks right. None if unknown.
        warnings: sentences for the person who reviews the result, without the file's name.
    """

    pixels: np.ndarray
    path: Path
    image_uid: str | None = None
    series_uid: str | None = None
    study_uid: str | None = None
    sop_class_uid: str | None = None
    frame: int | None = None
    pixel_spacing: tuple[float, float] | None = None
    spacing_source: SpacingSource = SpacingSource.NONE
    patient_orientation: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()


def valid_spacing(row: float, column: float) -> bool:
    """True if both spacings, in mm, are finite and greater than 0."""
    return all(math.isfinite(value) and value > 0 for value in (row, column))


def anisotropy_warnings(spacing: tuple[float, float] | None) -> list[str]:
    """One sentence if the row and column spacing in mm differ by more than 1 %."""
    if spacing is None or abs(spacing[0] / spacing[1] - 1) <= ANISOTROPY_TOLERANCE:
        return []
    return [f"{NOT_SQUARE}: {spacing[0]:g} mm between rows, {spacing[1]:g} mm between columns."]


def header_spacing(row: float, column: float) -> tuple[float, float] | None:
    """The (row, column) spacing in mm of a MetaImage or NIfTI header, None if it says nothing.

    Exactly 1.0 in both directions is what those formats and their writers store when they know no spacing, so
    it counts as unknown: a real radiograph has pixels far below 1 mm.
    """
    if not valid_spacing(row, column) or (row == 1.0 and column == 1.0):
        return None
    return float(row), float(column)
