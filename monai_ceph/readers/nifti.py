"""Read NIfTI files with nibabel.

The affine (RAS+ millimetres) decides how the image is displayed if its axes are parallel to the body's:

=========  ================  ================
plane      x axis points to  y axis points to
=========  ================  ================
axial      left              posterior
coronal    left              inferior
sagittal   anterior          inferior
=========  ================  ================

The first line is what ITK writes for an ordinary picture (identity in LPS), so a PNG that ITK converted keeps its
orientation. The last line is a lateral cephalogram whose face looks right.

The array order decides if there is no affine (both form codes 0), if it is oblique, or if it is exactly the identity,
which `nibabel.Nifti1Image(array, np.eye(4))` stores for an unknown one: the first axis is x, the second y.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.pixels import check_size, finite, grey
from monai_ceph.readers.radiograph import Radiograph, SpacingSource, anisotropy_warnings, usable_spacing

NIFTI_SUFFIXES = (".nii", ".nii.gz")

_OFFSET_LIMIT = 64 * 2**20
_LONGEST_HEADER = 540
_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
_DISPLAY = {frozenset("LP"): "LP", frozenset("LI"): "LI", frozenset("AI"): "AI"}
_FLIPPED = {"R": "L", "A": "P", "S": "I", "L": "R", "P": "A", "I": "S"}


def read_nifti(path: Path) -> Radiograph:
    """Read a NIfTI file with one slice.

    The pixel spacing is ignored with a warning if it is exactly 1 in both directions, the default, or if no cephalogram
    can have it. Without a unit it is taken as mm, as in every NIfTI reader.

    Raises:
        ReadError: if the file is not NIfTI or is truncated, or has several slices or complex pixels.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    _check_offset(path)
    try:
        image = nibabel.load(path)
    except (ImageFileError, HeaderDataError) as error:
        raise ReadError("not a NIfTI image, or its header is damaged") from error
    shape = image.shape
    if min(shape, default=0) < 1:
        raise ReadError("not a NIfTI image, or its header is damaged")
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    if len(axes) != 2:
        raise ReadError(f"the shape is {shape}; a radiograph has one slice with two axes")
    if axes[1] > 2:
        raise ReadError(f"the shape is {shape}, a time series and not one radiograph")
    check_size(shape[axes[1]], shape[axes[0]], path.stat().st_size)
    dtype = image.get_data_dtype()
    if dtype.kind == "c":
        raise ReadError("the pixels are complex numbers; a radiograph has real ones")
    if dtype.names:
        stored = np.asarray(image.dataobj)
        pixels = grey(np.stack([np.squeeze(stored[name]) for name in dtype.names], axis=-1))
    else:
        pixels = np.squeeze(image.get_fdata(dtype=np.float32, caching="unchanged"))
    to_mm = _MM.get(image.header.get_xyzt_units()[0], 1.0)
    zooms = [float(zoom) for zoom in image.header.get_zooms()]

    column, row, flips, orientation, notes = _display_axes(image, axes)
    pixels = pixels.transpose() if (column, row) == tuple(axes) else pixels
    if "row" in flips:
        pixels = pixels[::-1]
    if "column" in flips:
        pixels = pixels[:, ::-1]
    pixels, bad = finite(np.ascontiguousarray(pixels))
    spacing, ignored = usable_spacing("The spacing in the header", zooms[row], zooms[column], to_mm)
    return Radiograph(
        pixels,
        path,
        pixel_spacing=spacing,
        spacing_source=SpacingSource.HEADER if spacing else SpacingSource.NONE,
        patient_orientation=orientation,
        warnings=(*notes, *bad, *ignored, *anisotropy_warnings(spacing)),
    )


def _check_offset(path: Path) -> None:
    """Check the offset of the pixels in the header: nibabel unpacks everything before it and keeps it in memory."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            head = file.read(_LONGEST_HEADER)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ReadError("not a NIfTI image, or its header is damaged") from error
    for order in "<>":
        for length, code, place in ((348, "f", 108), (540, "q", 168)):
            if len(head) >= length and struct.unpack_from(f"{order}i", head)[0] == length:
                offset = struct.unpack_from(f"{order}{code}", head, place)[0]
                if not 0 <= offset <= _OFFSET_LIMIT:
                    raise ReadError("damaged header: the offset of the pixels is out of range")


def _display_axes(image: Any, axes: list[int]) -> tuple[int, int, set[str], tuple[str, str] | None, list[str]]:
    """Return the array axes to display as x and y, which of them to flip, the orientation, and warnings."""
    import nibabel

    as_stored: tuple[int, int, set[str], None] = (axes[0], axes[1], set(), None)
    affine = np.asarray(image.affine, dtype=float)
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return *as_stored, []
    if np.array_equal(affine, np.eye(4)):
        return *as_stored, []
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(np.isfinite(affine)) or np.any(lengths == 0):
        return *as_stored, ["The affine in the header is not valid: the pixels are used as they are stored."]
    if np.any(np.count_nonzero(np.abs(affine[:3, :3] / lengths) > 1e-4, axis=0) != 1):
        return *as_stored, ["The affine in the header is oblique: the pixels are used as they are stored."]
    codes = nibabel.aff2axcodes(affine)
    for column, row in ((axes[0], axes[1]), (axes[1], axes[0])):
        for flip_column in (False, True):
            for flip_row in (False, True):
                right = _FLIPPED[codes[column]] if flip_column else codes[column]
                down = _FLIPPED[codes[row]] if flip_row else codes[row]
                if _DISPLAY.get(frozenset((right, down))) == right + down:
                    flips = {name for name, flip in (("column", flip_column), ("row", flip_row)) if flip}
                    return column, row, flips, ("A", "F") if right == "A" else None, []
    return *as_stored, ["The affine in the header is not valid: the pixels are used as they are stored."]
