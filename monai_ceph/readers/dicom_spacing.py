"""The pixel spacing of a DICOM radiograph, and where it came from: PS3.3 section 10.7.1."""

from __future__ import annotations

import math
from typing import Any

from monai_ceph.readers.dicom_elements import given, number, numbers
from monai_ceph.readers.radiograph import NOT_SQUARE, SpacingSource, anisotropy_warnings, valid_spacing

_SAME_SPACING = 1e-3


def dicom_spacing(dataset: Any) -> tuple[tuple[float, float] | None, SpacingSource, list[str]]:
    """The (row, column) pixel spacing in mm, its source and warnings.

    1. PixelSpacing, if it is calibrated: PixelSpacingCalibrationType is set, or it differs from
       ImagerPixelSpacing and NominalScannedPixelSpacing. If it equals one of them it is that one; alone it is
       taken, and a warning says that nobody knows whether it is calibrated.
    2. ImagerPixelSpacing divided by EstimatedRadiographicMagnificationFactor.
    3. ImagerPixelSpacing divided by DistanceSourceToDetector / DistanceSourceToPatient. The latter ends at the
       side of the support that faces the patient (PS3.3 C.8.11.5), beyond the median plane of the head, so this
       ratio is rather too small; a warning says so.
    4. ImagerPixelSpacing as it is: at the detector, magnified.
    5. NominalScannedPixelSpacing: on the film, magnified.

    The dataset may be any with these elements; nothing is raised.
    """
    notes: list[str] = []
    pixel = _spacing(dataset, "PixelSpacing", notes)
    imager = _spacing(dataset, "ImagerPixelSpacing", notes)
    nominal = _spacing(dataset, "NominalScannedPixelSpacing", notes)
    references = [reference for reference in (imager, nominal) if reference]
    spacing: tuple[float, float] | None
    if pixel and (
        given(dataset, "PixelSpacingCalibrationType")
        or (references and not any(_same(pixel, reference) for reference in references))
    ):
        spacing, source = pixel, SpacingSource.PIXEL_SPACING_CALIBRATED
    elif pixel and not references:
        spacing, source = pixel, SpacingSource.PIXEL_SPACING_UNSTATED
        notes.append("PixelSpacing does not say whether it is calibrated: lengths may be magnified.")
    elif imager and (factor := _factor(dataset, notes)):
        spacing, source = (imager[0] / factor, imager[1] / factor), SpacingSource.IMAGER_CORRECTED
    elif imager and (factor := _ratio_of_distances(dataset, notes)):
        spacing, source = (imager[0] / factor, imager[1] / factor), SpacingSource.IMAGER_DISTANCES
        notes.append(
            "The scale is that of the plane that DistanceSourceToPatient names, by DICOM the support and not the "
            "middle of the head: lengths may still be magnified."
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
    return spacing, source, notes + anisotropy_warnings(spacing)


def _spacing(dataset: Any, name: str, notes: list[str]) -> tuple[float, float] | None:
    found = numbers(dataset, name)
    if len(found) == 2 and valid_spacing(*found):
        return found[0], found[1]
    if given(dataset, name):
        notes.append(f"{name} is not two positive numbers and was ignored.")
    return None


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
    # The patient is between source and detector, so the shadow is never smaller; 3 is far beyond any ceph unit.
    if 1 <= factor <= 3:
        return factor
    notes.append(f"{name} {factor:g} is not plausible and was ignored.")
    return None


def _same(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SAME_SPACING) for a, b in zip(first, second, strict=True))
