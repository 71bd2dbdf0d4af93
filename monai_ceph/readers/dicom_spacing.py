"""The pixel spacing of a DICOM radiograph, and where it comes from (PS3.3 section 10.7.1)."""

from __future__ import annotations

import math
from typing import Any

from monai_ceph.readers.dicom_elements import given, number, numbers
from monai_ceph.readers.radiograph import (
    NOT_SQUARE,
    SpacingSource,
    anisotropy_warnings,
    in_mm,
    usable_spacing,
    valid_spacing,
)

# relative difference up to which two numbers are the same number, written with fewer digits
_EQUAL = 1e-3
# The median plane of the head is at least 80 mm in front of the detector and at most 4 m from the source, so a
# calibration to that plane changes the spacing by at least 2 %; with a source at 1.5 to 2 m by at least 4 %.
_ROUNDING = 0.02
# the largest relative error of rounding 0.1 mm to two decimals
_ROUNDING_TO_HUNDREDTHS = 0.05


def dicom_spacing(dataset: Any) -> tuple[tuple[float, float] | None, SpacingSource, list[str]]:
    """Return the (row, column) pixel spacing in mm (None if unknown), its source, and warnings for the reviewer.

    The first of these that applies:

    1. PixelSpacing, if it is calibrated: PixelSpacingCalibrationType is set, or it differs from ImagerPixelSpacing
       and NominalScannedPixelSpacing by more than rounding. If it equals one of them, it counts as that one. If it is
       the only spacing, it is used with a warning, because the file does not say whether it is calibrated.
    2. ImagerPixelSpacing divided by EstimatedRadiographicMagnificationFactor. A factor of 1 corrects nothing and is
       ignored with a warning.
    3. ImagerPixelSpacing divided by DistanceSourceToDetector / DistanceSourceToPatient. The latter is measured to the
       side of the support that faces the patient (PS3.3 C.8.11.5), which is behind the median plane of the head, so
       this ratio is somewhat too small; a warning says so.
    4. ImagerPixelSpacing unchanged: at the detector, magnified.
    5. NominalScannedPixelSpacing: on the film, magnified.

    A spacing that is exactly 1 or that no cephalogram can have is ignored with a warning; see
    :func:`~monai_ceph.readers.radiograph.usable_spacing`. Damaged elements raise no error.
    """
    notes: list[str] = []
    pixel = _spacing(dataset, "PixelSpacing", notes)
    imager = _spacing(dataset, "ImagerPixelSpacing", notes)
    nominal = _spacing(dataset, "NominalScannedPixelSpacing", notes)
    references = {"ImagerPixelSpacing": imager, "NominalScannedPixelSpacing": nominal}
    known = {name: reference for name, reference in references.items() if reference}
    same_as = next((name for name, reference in known.items() if pixel and _rounded(pixel, reference)), None)
    spacing: tuple[float, float] | None
    if pixel and (given(dataset, "PixelSpacingCalibrationType") or (known and same_as is None)):
        spacing, source = pixel, SpacingSource.PIXEL_SPACING_CALIBRATED
    elif pixel and not known:
        spacing, source = pixel, SpacingSource.PIXEL_SPACING_UNSTATED
        notes.append("PixelSpacing does not say whether it is calibrated: lengths may be magnified.")
    elif imager and (factor := _factor(dataset, notes)):
        spacing, source = (imager[0] / factor, imager[1] / factor), SpacingSource.IMAGER_CORRECTED
    elif imager and (factor := _ratio_of_distances(dataset, notes)):
        spacing, source = (imager[0] / factor, imager[1] / factor), SpacingSource.IMAGER_DISTANCES
        notes.append(
            "The scale is that of the plane at DistanceSourceToPatient, in DICOM the support behind the head: lengths "
            "may still be magnified."
        )
    elif imager:
        spacing, source = imager, SpacingSource.IMAGER_MAGNIFIED
        notes.append("The scale is that of the detector: lengths are magnified by an unknown factor.")
    elif nominal:
        spacing, source = nominal, SpacingSource.NOMINAL_SCANNED
        notes.append("The scale is that of the scanned film: lengths are magnified by an unknown factor.")
    else:
        spacing, source = None, SpacingSource.NONE
        ratio = numbers(dataset, "PixelAspectRatio")
        if len(ratio) == 2 and valid_spacing(*ratio) and abs(ratio[0] / ratio[1] - 1) > 0.01:
            notes.append(f"{NOT_SQUARE}: PixelAspectRatio {ratio[0]:g} to {ratio[1]:g}, no scale.")
    if pixel and imager and source is SpacingSource.PIXEL_SPACING_CALIBRATED and pixel[0] > imager[0] * (1 + _ROUNDING):
        notes.append(
            f"PixelSpacing {in_mm(*pixel)} is larger than ImagerPixelSpacing {in_mm(*imager)}, as if the detector "
            "showed the head too small: lengths may be wrong."
        )
    if pixel and same_as and source is not SpacingSource.PIXEL_SPACING_CALIBRATED:
        notes += _rounding_warnings(pixel, same_as, known[same_as])
    return spacing, source, notes + anisotropy_warnings(spacing)


def _spacing(dataset: Any, name: str, notes: list[str]) -> tuple[float, float] | None:
    if not given(dataset, name):
        return None
    found = numbers(dataset, name)
    spacing, why_not = usable_spacing(name, *(found if len(found) == 2 else (math.nan, math.nan)))
    notes += why_not
    return spacing


def _factor(dataset: Any, notes: list[str]) -> float | None:
    name = "EstimatedRadiographicMagnificationFactor"
    return _plausible(number(dataset, name, math.nan), name, notes)


def _ratio_of_distances(dataset: Any, notes: list[str]) -> float | None:
    detector, patient = (number(dataset, f"DistanceSourceTo{end}", math.nan) for end in ("Detector", "Patient"))
    if not patient:
        return None
    return _plausible(detector / patient, "DistanceSourceToDetector / DistanceSourceToPatient", notes)


def _plausible(factor: float, name: str, notes: list[str]) -> float | None:
    if math.isnan(factor):
        return None
    if math.isclose(factor, 1, rel_tol=_EQUAL):
        notes.append(f"{name} {factor:g} corrects nothing and was ignored.")
        return None
    # The patient is between source and detector, so the image is never smaller; no cephalostat comes near 3.
    if 1 <= factor <= 3:
        return factor
    notes.append(f"{name} {factor:g} is not plausible and was ignored.")
    return None


def _rounded(pixel: tuple[float, float], reference: tuple[float, float]) -> bool:
    """Return True if a PixelSpacing is another spacing with fewer digits, and not a calibration of it."""
    return all(
        math.isclose(ours, theirs, rel_tol=_ROUNDING)
        or (math.isclose(ours, theirs, rel_tol=_ROUNDING_TO_HUNDREDTHS) and _hundredths(ours, theirs))
        for ours, theirs in zip(pixel, reference, strict=True)
    )


def _hundredths(rounded: float, exact: float) -> bool:
    return math.isclose(rounded, round(rounded, 2), abs_tol=1e-9) and abs(rounded - exact) <= 0.005 + 1e-9


def _rounding_warnings(pixel: tuple[float, float], name: str, reference: tuple[float, float]) -> list[str]:
    if all(math.isclose(ours, theirs, rel_tol=_EQUAL) for ours, theirs in zip(pixel, reference, strict=True)):
        return []
    return [f"PixelSpacing {in_mm(*pixel)} is {name} {in_mm(*reference)} after rounding, not a calibration."]
