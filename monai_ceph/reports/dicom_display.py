"""Display attributes of a presentation state: grayscale pipeline, polarity and displayed area.

A presentation state overrides the display attributes of the image (PS3.4 annex N.2), so they are repeated here: the
Modality LUT, the first VOI LUT or window, and the inversion of MONOCHROME1. Explanations of windows and LUTs are left
out, because they are free text that may identify a patient.
"""

from __future__ import annotations

import math

from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from monai_ceph.readers.dicom_elements import first_term, first_value
from monai_ceph.readers.functional_groups import functional_group
from monai_ceph.readers.lookup_tables import LookupTable, lookup_table
from monai_ceph.result import Detection

__all__ = ["is_grey", "is_inverted", "modality_lut", "pixel_aspect_ratio", "pixel_shape", "voi_lut"]

_SQUARE = 0.001


def is_grey(source: Dataset) -> bool:
    """Return True for MONOCHROME1 and MONOCHROME2; without an interpretation, for one sample per pixel."""
    photometric = first_term(source, "PhotometricInterpretation")
    if photometric:
        return photometric.startswith("MONOCHROME")
    return first_value(source, "SamplesPerPixel") in (None, 1)


def is_inverted(source: Dataset) -> bool:
    """Return True if low values are displayed white: MONOCHROME1, or PresentationLUTShape INVERSE (PS3.3 C.11.6)."""
    inverse = first_term(source, "PresentationLUTShape") == "INVERSE"
    return inverse or first_term(source, "PhotometricInterpretation") == "MONOCHROME1"


def modality_lut(source: Dataset, frame: int | None) -> Dataset:
    """Return the elements of the Modality LUT module (PS3.3 C.11.1): a LUT, a rescale, or nothing."""
    result = Dataset()
    place = _macro(source, frame, "PixelValueTransformationSequence")
    if table := _table(place, "ModalityLUTSequence"):
        item = _lut(table)
        types = [each.get("ModalityLUTType") for each in place.ModalityLUTSequence]
        item.ModalityLUTType = str(next(filter(None, types), "US"))
        result.ModalityLUTSequence = [item]
        return result
    slope, intercept = _number(place, "RescaleSlope"), _number(place, "RescaleIntercept")
    if slope or intercept is not None:
        result.RescaleIntercept = format_number_as_ds(intercept or 0.0)
        result.RescaleSlope = format_number_as_ds(slope or 1.0)
        result.RescaleType = "US"
    return result


def voi_lut(source: Dataset, frame: int | None) -> Dataset | None:
    """Return the item of the Softcopy VOI LUT Sequence (PS3.3 C.11.8), or None if the film has no VOI LUT.

    The first of several LUTs or windows is taken, as viewers do without a presentation state.
    """
    place = _macro(source, frame, "FrameVOILUTSequence")
    result = Dataset()
    if table := _table(place, "VOILUTSequence"):
        result.VOILUTSequence = [_lut(table)]
        return result
    centre, width = _number(place, "WindowCenter"), _number(place, "WindowWidth")
    function = first_term(place, "VOILUTFunction") or "LINEAR"
    # C.11.2.1.2: a LINEAR window is at least 1 wide, the others wider than 0
    if centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None
    result.WindowCenter, result.WindowWidth = format_number_as_ds(centre), format_number_as_ds(width)
    if function in ("LINEAR_EXACT", "SIGMOID"):
        result.VOILUTFunction = function
    return result


def pixel_shape(source: Dataset, detection: Detection) -> Dataset:
    """Return the pixel spacing in mm of the Displayed Area, or without a scale the pixels' proportions, PS3.3 C.10.4.

    The standard wants the aspect ratio only where there is no spacing. With the spacing a viewer can show the film in
    true size, and itkwasm-dicom, which needs the spacing, can read the state.
    """
    result = Dataset()
    if detection.pixel_spacing:
        result.PresentationPixelSpacing = [format_number_as_ds(side) for side in detection.pixel_spacing]
    else:
        result.PresentationPixelAspectRatio = pixel_aspect_ratio(source, detection)
    return result


def pixel_aspect_ratio(source: Dataset, detection: Detection) -> list[int]:
    """Return the ratio of height to width of a pixel as two whole numbers, PS3.3 C.10.4."""
    # a scale that is wrong for the head still gives the right proportions
    stated = detection.pixel_spacing or detection.stated_spacing
    row, column = stated or (1.0, 1.0)
    if not stated:
        ratio = source.get("PixelAspectRatio") or []
        if len(ratio) == 2 and all(float(value) > 0 for value in ratio):
            row, column = float(ratio[0]), float(ratio[1])
    if abs(row / column - 1) < _SQUARE:
        return [1, 1]
    return [max(1, round(1000 * row / max(row, column))), max(1, round(1000 * column / max(row, column)))]


def _number(dataset: Dataset, name: str) -> float | None:
    try:
        value = float(first_value(dataset, name))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _macro(source: Dataset, frame: int | None, name: str) -> Dataset:
    """Return the data set that holds the frame's attributes: its functional groups, or the image itself."""
    found = functional_group(source, frame, name)
    return source if found is None else found


def _table(place: Dataset, name: str) -> LookupTable | None:
    """Return the LUT that the reader applies, which skips empty, damaged and constant ones."""
    return lookup_table(place, name)[0] if name in place else None


def _lut(table: LookupTable) -> Dataset:
    """Return a LUT in one encoding, whatever the source's (PS3.3 C.11.1.1 and C.11.2.1.1)."""
    result = Dataset()
    entries = len(table.values)
    # entries and bits are unsigned even where the type is SS, which it is only for signed input
    unsigned = [entries % 2**16, table.first, table.bits]
    signed = [entries - 2**16 if entries >= 2**15 else entries, table.first, table.bits]
    result.add_new("LUTDescriptor", "SS" if table.first < 0 else "US", signed if table.first < 0 else unsigned)
    result.add_new("LUTData", "OW", table.values.astype("<u2").tobytes())
    return result
