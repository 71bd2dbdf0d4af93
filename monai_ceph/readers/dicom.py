"""DICOM radiographs, read by pydicom: DX, CR, RG, PX and secondary captures with one frame.

The grey values follow the DICOM pipeline as far as it changes their order or their curve:

1. Modality LUT or RescaleSlope and RescaleIntercept (PS3.3 C.11.1): always.
2. VOI LUT (PS3.3 C.11.2): the first VOI LUT Sequence item, or a window with VOILUTFunction SIGMOID. Both are
   curves that the film is meant to be seen through. A LINEAR or LINEAR_EXACT window is not applied: it only
   stretches and clips, the stretch is lost in a percentile normalisation that follows anyway, and a window
   that somebody left narrow would clip bone or soft tissue for good.
3. MONOCHROME1 or PresentationLUTShape INVERSE (PS3.3 C.7.6.3.1.2, C.11.4): undone, once, by reflection in the
   range that the stored bits allow, so that equal stored values stay equal whatever else the image shows.

Pixel padding (PS3.3 C.7.5.1.1.2) becomes the lowest displayed value.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.pixels import cause, check_size, finite, grey
from monai_ceph.readers.radiograph import Radiograph, SpacingSource, anisotropy_warnings, valid_spacing

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")

MODALITIES = ("DX", "CR", "RG", "PX", "IO", "RF", "XA", "XC", "HC", "OT", "")
"""Modalities that may hold a cephalogram. Secondary captures are taken whatever modality they name."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PREAMBLE = 128
_SAME_SPACING = 1e-3


def has_preamble(head: bytes) -> bool:
    """True if the first 132 bytes of a file are those of a DICOM file (PS3.10 section 7.1)."""
    return head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def looks_like_dicom(head: bytes) -> bool:
    """True if a file without a preamble starts with a data element of group 0002 or 0008."""
    if len(head) < 8:
        return False
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0
    big = head[:2] == b"\x00\x08" and head[2] == 0
    if not (little or big):
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    # An implicit VR has its length here, and the first elements of a data set are short.
    return little and int.from_bytes(head[4:8], "little") <= 1024


def read_dicom(path: Path) -> Radiograph:
    """Read a DICOM file with one frame, with or without a preamble.

    Raises:
        ReadError: not a DICOM file, truncated, no pixel data, several frames, a modality that is no
            radiograph, or a transfer syntax without a decoder.
    """
    with warnings.catch_warnings(record=True) as caught:
        # pydicom only warns where a file ends too early. Its other remarks are about tags that are not read
        # here.
        warnings.simplefilter("always")
        dataset = _parse(path)
        ends_early = any("end of file" in str(item.message).lower() for item in caught)
        _check_content(dataset, ends_early)
        stored = _decode(dataset, ends_early)
        notes: list[str] = []
        pixels = grey(stored) if stored.ndim == 3 else _displayed(dataset, stored, notes)
    pixels, bad = finite(np.ascontiguousarray(pixels, dtype=np.float32))
    spacing, source, spacing_notes = dicom_spacing(dataset)
    return Radiograph(
        pixels,
        path,
        image_uid=_uid(dataset, "SOPInstanceUID"),
        series_uid=_uid(dataset, "SeriesInstanceUID"),
        study_uid=_uid(dataset, "StudyInstanceUID"),
        sop_class_uid=_uid(dataset, "SOPClassUID"),
        pixel_spacing=spacing,
        spacing_source=source,
        patient_orientation=_orientation(dataset),
        warnings=(*notes, *bad, *spacing_notes),
    )


def dicom_spacing(dataset: Any) -> tuple[tuple[float, float] | None, SpacingSource, list[str]]:
    """The (row, column) pixel spacing in mm, its source and warnings, by PS3.3 section 10.7.1.

    PixelSpacing counts as calibrated if PixelSpacingCalibrationType is set, or if it differs from
    ImagerPixelSpacing and NominalScannedPixelSpacing. If it equals one of them it is that one.
    ImagerPixelSpacing is divided by EstimatedRadiographicMagnificationFactor if there is one. The distances
    of source, detector and patient are not used in its place: DistanceSourceToPatient ends at the support,
    not in the median plane.
    """
    notes: list[str] = []
    pixel = _spacing(dataset, "PixelSpacing", notes)
    imager = _spacing(dataset, "ImagerPixelSpacing", notes)
    nominal = _spacing(dataset, "NominalScannedPixelSpacing", notes)
    references = [reference for reference in (imager, nominal) if reference]
    spacing: tuple[float, float] | None
    if pixel and (
        dataset.get("PixelSpacingCalibrationType")
        or (references and not any(_same(pixel, reference) for reference in references))
    ):
        spacing, source = pixel, SpacingSource.PIXEL_SPACING_CALIBRATED
    elif pixel and not references:
        spacing, source = pixel, SpacingSource.PIXEL_SPACING_UNSTATED
        notes.append("PixelSpacing does not say whether it is calibrated: lengths may be magnified.")
    elif imager and (factor := _magnification(dataset, notes)):
        spacing, source = (imager[0] / factor, imager[1] / factor), SpacingSource.IMAGER_CORRECTED
    elif imager:
        spacing, source = imager, SpacingSource.IMAGER_MAGNIFIED
        notes.append("The scale is that of the detector: lengths are magnified by an unknown factor.")
    elif nominal:
        spacing, source = nominal, SpacingSource.NOMINAL_SCANNED
        notes.append("The scale is that of the scanned film: lengths are magnified by an unknown factor.")
    else:
        spacing, source = None, SpacingSource.NONE
        ratio = _numbers(dataset.get("PixelAspectRatio"))
        if len(ratio) == 2 and valid_spacing(*ratio) and abs(ratio[0] / ratio[1] - 1) > 0.01:
            notes.append(f"The pixels are not square: PixelAspectRatio {ratio[0]:g} to {ratio[1]:g}, no scale.")
    return spacing, source, notes + anisotropy_warnings(spacing)


def _parse(path: Path) -> Any:
    import pydicom
    from pydicom.errors import InvalidDicomError

    with path.open("rb") as file:
        head = file.read(_PREAMBLE + 4)
    if not has_preamble(head) and not looks_like_dicom(head):
        raise ReadError("not a DICOM file")
    try:
        dataset = pydicom.dcmread(path, force=True)
        # Elements are converted on access: a damaged one shows here, as an error of this file.
        dataset.get("SOPClassUID")
    except InvalidDicomError as error:
        raise ReadError("not a DICOM file") from error
    except (EOFError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise ReadError(f"damaged or truncated DICOM: {cause(error)}") from error
    if len(dataset) == 0:
        if has_preamble(head):
            raise ReadError("truncated, the DICOM file ends within its header or its pixel data")
        raise ReadError("not a DICOM file")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        syntax = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax if little else pydicom.uid.ExplicitVRBigEndian
    return dataset


def _check_content(dataset: Any, ends_early: bool) -> None:
    modality = str(dataset.get("Modality") or "").strip().upper()
    sop_class = str(dataset.get("SOPClassUID", ""))
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        if ends_early:
            raise ReadError("truncated, the DICOM file ends before its pixel data")
        doubt = ", perhaps truncated" if modality and modality in MODALITIES else ""
        raise ReadError(f"a DICOM file without pixel data (Modality {modality or 'not given'}){doubt}")
    if modality not in MODALITIES and not sop_class.startswith(_SECONDARY_CAPTURE):
        raise ReadError(f"Modality {modality} is not a radiograph")
    if "Rows" not in dataset or "Columns" not in dataset:
        raise ReadError("a DICOM image without Rows and Columns")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ReadError(f"holds {frames} frames, a radiograph has one")
    check_size(int(dataset.Rows), int(dataset.Columns))


def _decode(dataset: Any, ends_early: bool) -> np.ndarray:
    """The stored values, (row, column), or RGB, (row, column, 3)."""
    from pydicom.pixels import apply_color_lut, get_decoder, pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        name = syntax.name if syntax.name != syntax else f"UID {syntax}"
        raise ReadError(f"no decoder for the transfer syntax {name}, a pydicom plugin such as python-gdcm may have one")
    if ends_early:
        raise ReadError("truncated, the DICOM file ends within its pixel data")
    if not syntax.is_encapsulated and "PixelData" in dataset:
        from pydicom.pixels.utils import get_expected_length

        found, expected = len(dataset.PixelData), get_expected_length(dataset)
        if found < expected:
            raise ReadError(f"truncated, {found} bytes of the {expected} that its pixels take")
    try:
        stored = pixel_array(dataset)
        if str(dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
            stored = apply_color_lut(stored, dataset)
    except MemoryError:
        raise
    except Exception as error:
        # Decoders are plugins: what they raise on damaged data is not documented.
        raise ReadError(f"damaged or truncated pixel data: {cause(error)}") from error
    colour = int(dataset.get("SamplesPerPixel") or 1) > 1 or stored.shape[-1:] == (3,)
    return stored.reshape(stored.shape[-3:] if colour else stored.shape[-2:])


def _displayed(dataset: Any, stored: np.ndarray, notes: list[str]) -> np.ndarray:
    """The grey values as displayed: modality LUT, VOI curve, polarity and padding."""
    pixels, low, high = _modality_lut(dataset, stored, notes)
    pixels, low, high = _voi_curve(dataset, pixels, low, high, notes)
    if _inverted(dataset, notes):
        pixels = np.float32(low + high) - pixels.astype(np.float32, copy=False)
    return _without_padding(dataset, stored, pixels, notes)


def _modality_lut(dataset: Any, stored: np.ndarray, notes: list[str]) -> tuple[np.ndarray, float, float]:
    """The values after PS3.3 C.11.1, and the range that the stored bits allow."""
    from pydicom.pixels import apply_modality_lut

    if stored.dtype.kind == "f":
        low, high = float(np.nanmin(stored)), float(np.nanmax(stored))
    else:
        bits = int(dataset.get("BitsStored") or stored.dtype.itemsize * 8)
        signed = int(dataset.get("PixelRepresentation") or 0) == 1
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if dataset.get("ModalityLUTSequence"):
        try:
            pixels = apply_modality_lut(stored, dataset)
            return pixels, 0.0, 2.0 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
        except Exception as error:
            raise ReadError(f"damaged Modality LUT: {cause(error)}") from error
    slope = _number(dataset, "RescaleSlope", 1.0)
    intercept = _number(dataset, "RescaleIntercept", 0.0)
    if not math.isfinite(slope) or not math.isfinite(intercept) or slope == 0:
        notes.append("RescaleSlope or RescaleIntercept is not valid and was not applied.")
        return stored, low, high
    if slope == 1 and intercept == 0:
        return stored, low, high
    pixels = stored.astype(np.float32)
    pixels *= np.float32(slope)
    pixels += np.float32(intercept)
    return pixels, *sorted((low * slope + intercept, high * slope + intercept))  # type: ignore[return-value]


def _voi_curve(
    dataset: Any, pixels: np.ndarray, low: float, high: float, notes: list[str]
) -> tuple[np.ndarray, float, float]:
    """The values after a VOI LUT or a sigmoid (PS3.3 C.11.2), and their range. No linear windows."""
    from pydicom.pixels.processing import apply_voi

    if dataset.get("VOILUTSequence"):
        try:
            whole = pixels if pixels.dtype.kind in "iu" else np.rint(pixels).astype(np.int32)
            bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
            return apply_voi(whole, dataset), 0.0, 2.0**bits - 1
        except Exception as error:
            notes.append(f"The VOI LUT is damaged and was not applied: {cause(error)}.")
            return pixels, low, high
    if str(dataset.get("VOILUTFunction") or "").strip().upper() == "SIGMOID":
        centre, width = _numbers(dataset.get("WindowCenter"))[:1], _numbers(dataset.get("WindowWidth"))[:1]
        if centre and width and math.isfinite(centre[0]) and math.isfinite(width[0]) and width[0] > 0:
            slope = np.float32(-4 / width[0])
            exponent = np.clip((pixels.astype(np.float32) - np.float32(centre[0])) * slope, -80, 80)
            return np.float32(low) + np.float32(high - low) / (1 + np.exp(exponent)), low, high
        notes.append("The sigmoid window has no valid centre and width and was not applied.")
    return pixels, low, high


def _inverted(dataset: Any, notes: list[str]) -> bool:
    """True if low values are displayed white. MONOCHROME1 and INVERSE mean the same and count once."""
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    monochrome1 = str(dataset.get("PhotometricInterpretation") or "").strip().upper() == "MONOCHROME1"
    if monochrome1 and shape == "IDENTITY":
        notes.append("MONOCHROME1 and PresentationLUTShape IDENTITY contradict each other: MONOCHROME1 was followed.")
    return monochrome1 or shape == "INVERSE"


def _without_padding(dataset: Any, stored: np.ndarray, pixels: np.ndarray, notes: list[str]) -> np.ndarray:
    """Set the pixels that the file declares as padding to the lowest value of the others."""
    ends = [_number(dataset, name, math.nan) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if math.isnan(ends[0]):
        return pixels
    first, last = (ends[0], ends[0]) if math.isnan(ends[1]) else sorted(ends)
    padding = stored == first if first == last else (stored >= first) & (stored <= last)
    count = int(np.count_nonzero(padding))
    if count in (0, pixels.size):
        return pixels
    lowest = pixels.min(where=~padding, initial=pixels.max())
    pixels = pixels.astype(np.float32)
    pixels[padding] = lowest
    notes.append(f"{100 * count / pixels.size:.1f} % of the pixels are padding and were set to the lowest value.")
    return pixels


def _spacing(dataset: Any, name: str, notes: list[str]) -> tuple[float, float] | None:
    if dataset.get(name) in (None, "") or not str(dataset.get(name)):
        return None
    values = _numbers(dataset.get(name))
    if len(values) != 2 or not valid_spacing(*values):
        notes.append(f"{name} is not two positive numbers and was ignored.")
        return None
    return values[0], values[1]


def _magnification(dataset: Any, notes: list[str]) -> float | None:
    """EstimatedRadiographicMagnificationFactor, the distance to the detector over that to the patient."""
    factor = _number(dataset, "EstimatedRadiographicMagnificationFactor", math.nan)
    if math.isnan(factor):
        return None
    # The patient stands between source and detector, so the shadow is never smaller; 3 is far beyond any ceph
    # unit.
    if not 1 <= factor <= 3:
        notes.append(f"EstimatedRadiographicMagnificationFactor {factor:g} is not plausible and was ignored.")
        return None
    return factor


def _same(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SAME_SPACING) for a, b in zip(first, second, strict=True))


def _uid(dataset: Any, name: str) -> str | None:
    return str(dataset.get(name) or "") or None


def _orientation(dataset: Any) -> tuple[str, ...] | None:
    value = dataset.get("PatientOrientation")
    if value is None or isinstance(value, str):
        return None
    directions = tuple(str(direction) for direction in value)
    return directions if len(directions) == 2 and all(directions) else None


def _number(dataset: Any, name: str, default: float) -> float:
    values = _numbers(dataset.get(name))
    return values[0] if values else default


def _numbers(value: Any) -> list[float]:
    """The numbers of an element with any number of values. Empty if it is absent or not numeric."""
    if value is None or value == "":
        return []
    several = isinstance(value, (list, tuple)) or (hasattr(value, "__iter__") and not isinstance(value, (str, bytes)))
    try:
        return [float(item) for item in (value if several else [value])]
    except (TypeError, ValueError):
        return []
