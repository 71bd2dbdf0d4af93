"""What a reader returns: the pixels of one radiograph, its pixel spacing, and where that comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from pathlib import Path

import numpy as np

ANISOTROPY_TOLERANCE = 0.01

NOT_SQUARE = "The pixels are not square"
"""The start of the warning for a film with such pixels, with or without a scale."""

SMALLEST_PIXEL, LARGEST_PIXEL = 0.01, 2.0
"""Limits of a pixel spacing in mm. A head is about 200 mm wide. Below the first limit a film of it has more pixels than
the readers accept (250 million). Above the second its shorter side has fewer than the 128 pixels that detection needs.
"""

_PLANES = ("PixelSpacing does not say", "The scale is that of")


class SpacingSource(str, Enum):
    """Where the pixel spacing comes from (for DICOM see PS3.3 section 10.7.1).

    The value is a slug for JSON and tables; `label` is the text for people.

    Only `PIXEL_SPACING_CALIBRATED`, `IMAGER_CORRECTED` and, if the user is right, `USER` are lengths in the
    patient. The others are lengths in some other plane, or cannot be told apart from that.
    """

    PIXEL_SPACING_CALIBRATED = "pixel_spacing_calibrated"
    """PixelSpacing that names its calibration, or differs from the spacing at the detector or scanner."""
    PIXEL_SPACING_UNSTATED = "pixel_spacing_unstated"
    """PixelSpacing without more: by PS3.3 10.7.1.1 it may or may not be calibrated."""
    IMAGER_CORRECTED = "imager_corrected"
    """Spacing at the detector divided by the magnification that the file names."""
    IMAGER_DISTANCES = "imager_distances"
    """Spacing at the detector divided by the ratio of the distances. By PS3.3 C.8.11.5 the second distance ends at
    the support, not in the median plane, so lengths may come out too long."""
    IMAGER_MAGNIFIED = "imager_magnified"
    """Spacing at the detector; the magnification is unknown, so lengths come out too long."""
    NOMINAL_SCANNED = "nominal_scanned"
    """Spacing on a scanned film; the magnification is unknown, so lengths come out too long."""
    HEADER = "header"
    """The header of a MetaImage or a NIfTI file."""
    USER = "user"
    IMPLAUSIBLE = "implausible"
    """A spacing was stated, by the file or the user, but with it the head would have an impossible size."""
    NONE = "none"
    """No spacing is known."""

    def __str__(self) -> str:
        return self.value

    @property
    def label(self) -> str:
        """The text for people."""
        return _LABELS[self]


_LABELS = {
    SpacingSource.PIXEL_SPACING_CALIBRATED: "PixelSpacing, calibrated",
    SpacingSource.PIXEL_SPACING_UNSTATED: "PixelSpacing, calibration not stated",
    SpacingSource.IMAGER_CORRECTED: "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor",
    SpacingSource.IMAGER_DISTANCES: "ImagerPixelSpacing / (DistanceSourceToDetector / DistanceSourceToPatient)",
    SpacingSource.IMAGER_MAGNIFIED: "ImagerPixelSpacing at the detector, magnified",
    SpacingSource.NOMINAL_SCANNED: "NominalScannedPixelSpacing, film plane",
    SpacingSource.HEADER: "image header",
    SpacingSource.USER: "given by the user",
    SpacingSource.IMPLAUSIBLE: "implausible",
    SpacingSource.NONE: "none",
}


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One radiograph as it is displayed, upright in its own pixel grid.

    Attributes:
        pixels: float32, (row, column), finite. Row 0 is at the top and column 0 on the left, as displayed. In DICOM
            high values are displayed bright; the other formats keep their stored values. The values keep the range of
            the source: nothing is normalised here.
        path: the file that was read.
        image_uid: the DICOM SOP Instance UID; None for other formats, as for the next three.
        series_uid: the DICOM Series Instance UID.
        study_uid: the DICOM Study Instance UID.
        sop_class_uid: the DICOM SOP Class UID.
        frame: which frame of a multi-frame image this is, counted from 1; None for an image with one frame.
        pixel_spacing: (row, column) in mm: the distance between the centres of adjacent rows, then of
            adjacent columns. None if the scale is unknown; it is never guessed.
        spacing_source: where `pixel_spacing` comes from.
        patient_orientation: the DICOM PatientOrientation, (direction of rows, direction of columns), such as
            ("A", "F") for a face that looks right. None if unknown.
        warnings: sentences for the reviewer, without the file's name.
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
    """Return True if both numbers are finite and greater than 0."""
    return all(math.isfinite(value) and value > 0 for value in (row, column))


def plausible_spacing(row: float, column: float) -> bool:
    """Return True if a cephalogram can have this pixel spacing in mm; see :data:`SMALLEST_PIXEL`."""
    return all(SMALLEST_PIXEL <= value <= LARGEST_PIXEL for value in (row, column))


def check_given_spacing(spacing: float) -> None:
    """Check a pixel spacing that a user gives, in mm.

    Raises:
        TypeError: it is not one number.
        ValueError: it is outside :data:`SMALLEST_PIXEL` and :data:`LARGEST_PIXEL`.
    """
    if not isinstance(spacing, Real) or isinstance(spacing, bool):
        raise TypeError(
            f"pixel_spacing must be one number, mm per pixel in rows and columns, not {type(spacing).__name__}"
        )
    if not plausible_spacing(spacing, spacing):
        raise ValueError(
            f"pixel_spacing is {spacing}, it must be mm per pixel, from {SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}"
        )


def in_mm(row: float, column: float) -> str:
    """Return a spacing as text, such as ``0.15 x 0.15 mm``."""
    return f"{row:g} x {column:g} mm"


def square_spacing(spacing: tuple[float, float] | None) -> float | None:
    """Return the one number of a (row, column) spacing, in mm per pixel; None if unknown or not square."""
    return spacing[0] if spacing and math.isclose(*spacing, rel_tol=1e-3) else None


def usable_spacing(
    name: str, row: float, column: float, to_mm: float = 1.0
) -> tuple[tuple[float, float] | None, list[str]]:
    """Return the (row, column) spacing of a file in mm, or None and the reasons why it is not used.

    Exactly 1 in both directions counts as unknown, because GDCM, ITK, NIfTI and MetaImage store it if they know no
    spacing. A spacing that no cephalogram can have is ignored, and not converted from a guessed unit.

    Args:
        name: the element or the header, for the start of each sentence.
        row: spacing between rows, in the unit of the file.
        column: spacing between columns, in the unit of the file.
        to_mm: mm per unit of the file.
    """
    if not valid_spacing(row, column):
        return None, [f"{name} is not two positive numbers and was ignored."]
    if row == column == 1.0:
        return None, [f"{name} is exactly 1 x 1 and was ignored: programs write that for an unknown spacing."]
    spacing = row * to_mm, column * to_mm
    if plausible_spacing(*spacing):
        return spacing, []
    micrometres = plausible_spacing(*(value / 1000 for value in spacing))
    why = (
        "it looks like micrometres"
        if micrometres
        else f"pixels of a cephalogram have {SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g} mm"
    )
    notes = [f"{name} {in_mm(*spacing)} was ignored: {why}."]
    if abs(row / column - 1) > ANISOTROPY_TOLERANCE:
        notes.append(f"{NOT_SQUARE}: {name} {row:g} to {column:g}, no scale.")
    return None, notes


def without_planes(notes: Iterable[str]) -> list[str]:
    """Remove the warnings about the plane of the scale, for a film whose scale was dropped or replaced."""
    return [note for note in notes if not note.startswith(_PLANES)]


def anisotropy_warnings(spacing: tuple[float, float] | None) -> list[str]:
    """Return a warning if the row and column spacing differ by more than 1 %."""
    if spacing is None or abs(spacing[0] / spacing[1] - 1) <= ANISOTROPY_TOLERANCE:
        return []
    return [f"{NOT_SQUARE}: {spacing[0]:g} mm between rows, {spacing[1]:g} mm between columns."]
