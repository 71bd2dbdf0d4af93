"""From stored values to displayed grey values (PS3.3 C.11): everything that changes their order or their curve.

1. Modality LUT, or RescaleSlope and RescaleIntercept (PS3.3 C.11.1): always applied.
2. VOI LUT (PS3.3 C.11.2): the first usable item of the VOI LUT Sequence, or a window with VOILUTFunction SIGMOID.
   Both are curves through which the film is meant to be seen. A LINEAR or LINEAR_EXACT window is not applied: it only
   stretches and clips, and a window that was left narrow would clip bone or soft tissue for good. If the anatomy fills
   only a small part of the range, detection finds that part from the pixels (`grey_limits`).
3. MONOCHROME1 (PS3.3 C.7.6.3.1.2) or PresentationLUTShape INVERSE (PS3.3 C.8.11.3 and C.11.6): inverted once, within
   the range of the stored bits, so that the same stored value gives the same grey in every image. With more than 24
   bits float32 cannot resolve that range, and the values are inverted so that the lowest becomes 0.
4. Pixel padding (PS3.3 C.7.5.1.1.2): set to the lowest displayed value.

A LUT that is empty or maps every pixel to one value is skipped with a warning, and so is a damaged VOI LUT; the next
item of the sequence is tried. A damaged Modality LUT is an error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom_elements import given, integer, number, numbers, term
from monai_ceph.readers.lookup_tables import LutFault, lookup_table

_FLOAT32_BITS = 24
_FAULTS: dict[LutFault, str] = {
    "empty": "is empty",
    "damaged": "is damaged",
    "constant": "gives every pixel the same value",
}


def displayed(dataset: Any, stored: np.ndarray, notes: list[str]) -> np.ndarray:
    """Apply Modality LUT, VOI curve, polarity and padding, and return the displayed grey values, (row, column).

    Args:
        dataset: the header.
        stored: the stored values, (row, column).
        notes: the list that warnings for the reviewer are appended to.

    Raises:
        ReadError: if the Modality LUT is damaged: without it the values mean nothing.
    """
    padding = _padding(dataset, stored)
    pixels, low, high = _modality_lut(dataset, stored, notes)
    pixels, low, high = _voi_curve(dataset, pixels, low, high, notes)
    if _inverted(dataset, notes):
        if stored.dtype.kind in "iu" and integer(dataset, "BitsStored", stored.dtype.itemsize * 8) > _FLOAT32_BITS:
            pixels = _below_the_highest(pixels, padding)
        else:
            pixels = np.float32(low + high) - pixels.astype(np.float32, copy=False)
    return _without_padding(pixels, padding, notes)


def _modality_lut(dataset: Any, stored: np.ndarray, notes: list[str]) -> tuple[np.ndarray, float, float]:
    """Apply PS3.3 C.11.1; return the values, and the lowest and highest that the stored bits allow."""
    if stored.dtype.kind == "f":
        low, high = float(np.nanmin(stored)), float(np.nanmax(stored))
    else:
        bits = integer(dataset, "BitsStored", stored.dtype.itemsize * 8)
        signed = integer(dataset, "PixelRepresentation", 0) == 1
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    mapped, highest = _through_table(dataset, "ModalityLUTSequence", stored, notes)
    if mapped is not None:
        return mapped, 0.0, highest
    slope, intercept = (
        number(dataset, name, math.nan if given(dataset, name) else default)
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    if not math.isfinite(slope) or not math.isfinite(intercept) or slope == 0:
        notes.append("RescaleSlope or RescaleIntercept is not valid; neither was applied.")
        return stored, low, high
    if slope == 1 and intercept == 0:
        return stored, low, high
    # the intercept may shift 32-bit values into the range that float32 resolves
    number_type = np.float64 if stored.dtype.itemsize > 2 else np.float32
    pixels = stored.astype(number_type)
    pixels *= number_type(slope)
    pixels += number_type(intercept)
    return pixels, *sorted((low * slope + intercept, high * slope + intercept))  # type: ignore[return-value]


def _voi_curve(
    dataset: Any, pixels: np.ndarray, low: float, high: float, notes: list[str]
) -> tuple[np.ndarray, float, float]:
    """Apply a VOI LUT or a sigmoid (PS3.3 C.11.2), but no linear window; return the values and their range."""
    mapped, highest = _through_table(dataset, "VOILUTSequence", pixels, notes)
    if mapped is not None:
        return mapped, 0.0, highest
    if term(dataset, "VOILUTFunction") == "SIGMOID":
        centre, width = numbers(dataset, "WindowCenter")[:1], numbers(dataset, "WindowWidth")[:1]
        if centre and width and math.isfinite(centre[0]) and math.isfinite(width[0]) and width[0] > 0:
            slope = np.float32(-4 / width[0])
            exponent = np.clip((pixels.astype(np.float32) - np.float32(centre[0])) * slope, -80, 80)
            return np.float32(low) + np.float32(high - low) / (1 + np.exp(exponent)), low, high
        notes.append("The sigmoid window has no valid centre and width, and was not applied.")
    return pixels, low, high


def _through_table(dataset: Any, name: str, pixels: np.ndarray, notes: list[str]) -> tuple[np.ndarray | None, float]:
    """Apply the first usable LUT of a sequence; return the values (None without such a LUT) and its highest value."""
    if not given(dataset, name):
        return None, 0.0
    title = "Modality LUT" if name == "ModalityLUTSequence" else "VOI LUT"
    table, fault = lookup_table(dataset, name)
    if table is not None:
        whole = pixels
        if pixels.dtype.kind == "f":
            whole = np.rint(np.clip(np.nan_to_num(pixels), -(2**31), 2**31 - 1)).astype(np.int64)
        mapped = table.apply(whole)
        if mapped.min() < mapped.max() or whole.min() == whole.max():
            if fault:
                notes.append(f"The first {title} {_FAULTS[fault]}; the next one was applied.")
            return mapped, table.highest
        fault = "constant"
    if fault == "damaged" and title == "Modality LUT":
        raise ReadError("damaged DICOM header: the Modality LUT cannot be applied")
    notes.append(f"The {title} {_FAULTS[fault or 'empty']} and was not applied.")
    return None, 0.0


def _inverted(dataset: Any, notes: list[str]) -> bool:
    """Return True if low values are displayed white. MONOCHROME1 and INVERSE mean the same: both invert only once."""
    shape = term(dataset, "PresentationLUTShape")
    monochrome1 = term(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    if monochrome1 and shape == "IDENTITY":
        notes.append("MONOCHROME1 and PresentationLUTShape IDENTITY contradict each other; MONOCHROME1 was used.")
    return monochrome1 or shape == "INVERSE"


def _below_the_highest(pixels: np.ndarray, padding: np.ndarray | None) -> np.ndarray:
    """Return how far each value is below the highest one outside the padding; exact for integers of any width."""
    highest = pixels.max() if padding is None else pixels.max(where=~padding, initial=pixels.min())
    reflected = np.subtract(highest, pixels)
    # the difference of two signed integers may need the sign bit
    return reflected.view(f"u{reflected.dtype.itemsize}") if reflected.dtype.kind == "i" else reflected


def _padding(dataset: Any, stored: np.ndarray) -> np.ndarray | None:
    """Return where the file declares padding, (row, column) bool; None if no pixel or every pixel is padding."""
    ends = [number(dataset, name, math.nan) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if stored.dtype.kind == "i":
        # some files write the padding value as unsigned although the pixels are signed
        ends = [
            end - 2.0 ** integer(dataset, "BitsAllocated") if end > np.iinfo(stored.dtype).max else end for end in ends
        ]
    if math.isnan(ends[0]):
        return None
    first, last = (ends[0], ends[0]) if math.isnan(ends[1]) else sorted(ends)
    padding = stored == first if first == last else (stored >= first) & (stored <= last)
    return padding if 0 < np.count_nonzero(padding) < padding.size else None


def _without_padding(pixels: np.ndarray, padding: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """Set padding pixels to the lowest value of all other pixels."""
    if padding is None:
        return pixels
    lowest = pixels.min(where=~padding, initial=pixels.max())
    pixels = pixels.astype(np.float32)
    pixels[padding] = lowest
    notes.append(f"{100 * padding.mean():.1f} % of the pixels are padding; they were set to the lowest value.")
    return pixels
