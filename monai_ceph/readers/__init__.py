"""A file becomes a `Radiograph`: pixels, scale, and where the scale came from.

`read_radiograph` reads one file, `find_radiographs` lists the files of folders. The MONAI reader is in
`monai_ceph.readers.monai_reader`. ITK and nibabel are imported only when a file needs them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom import DICOM_SUFFIXES, has_preamble, looks_like_dicom, read_dicom
from monai_ceph.readers.itk_image import META_SUFFIXES, RASTER_SUFFIXES, read_meta_image, read_raster
from monai_ceph.readers.nifti import NIFTI_SUFFIXES, read_nifti
from monai_ceph.readers.pixels import WORKING_FOLDER, cause
from monai_ceph.readers.radiograph import Radiograph, SpacingSource

__all__ = ["SUFFIXES", "Radiograph", "SpacingSource", "find_radiographs", "is_candidate", "read_radiograph"]

SUFFIXES = (*DICOM_SUFFIXES, *RASTER_SUFFIXES, *META_SUFFIXES, *NIFTI_SUFFIXES)
"""The suffixes that `read_radiograph` knows. DICOM files need none."""

_HEAD = 132


def read_radiograph(path: str | os.PathLike[str], pixel_spacing: float | None = None) -> Radiograph:
    """Read one radiograph. DICOM is recognised by content, the other formats by suffix.

    Args:
        path: a DICOM file with any name, or a PNG, JPEG, BMP, TIFF, MetaImage or NIfTI file.
        pixel_spacing: the distance between pixel centres in mm, for rows and columns, that replaces what the
            file says. A warning reports a file that says something else.

    Raises:
        ReadError: the file is missing, empty, truncated, no image, or no single radiograph. The message names
            the file and the cause.
        ValueError: `pixel_spacing` is not a finite number above 0.
    """
    if pixel_spacing is not None and not (math.isfinite(pixel_spacing) and pixel_spacing > 0):
        raise ValueError(f"pixel_spacing is {pixel_spacing}, it must be a number of mm above 0")
    path = Path(path)
    with WORKING_FOLDER:
        absolute = path.absolute()
    try:
        radiograph = replace(_read(absolute), path=path)
    except ReadError as error:
        raise ReadError(f"{path}: {error}.") from error
    except MemoryError:
        raise
    except Exception as error:
        # Decoders document few of their exceptions; whatever they raise, this file cannot be read.
        text = cause(error).replace(f": {path}", "").replace(str(path), path.name)
        raise ReadError(f"{path}: damaged or truncated: {text}.") from error
    return radiograph if pixel_spacing is None else _with_spacing(radiograph, float(pixel_spacing))


def is_candidate(path: str | os.PathLike[str]) -> bool:
    """True for a file that looks like a radiograph: a known suffix, or a DICOM preamble.

    False for folders, hidden files and DICOMDIR.
    """
    path = Path(path)
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR" or not path.is_file():
        return False
    if path.name.lower().endswith(SUFFIXES):
        return True
    try:
        return has_preamble(_head(path))
    except OSError:
        return False


def find_radiographs(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the radiographs in files and folders, each once.

    Folders are searched to any depth, in sorted order, without hidden folders. What is named as a file is
    always listed, even if it is missing or has an unknown suffix, so that reading it reports why it is no
    radiograph.

    Args:
        paths: files and folders.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            found[path] = None
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if is_candidate(Path(folder, name)):
                    found[Path(folder, name)] = None
    return list(found)


def _read(path: Path) -> Radiograph:
    if path.is_dir():
        raise ReadError("a folder, not a file")
    try:
        head = _head(path)
    except FileNotFoundError as error:
        raise ReadError("no such file") from error
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or cause(error)}") from error
    if not head:
        raise ReadError("the file is empty")
    name = path.name.lower()
    if has_preamble(head):
        return read_dicom(path)
    if name.endswith(RASTER_SUFFIXES):
        return read_raster(path)
    if name.endswith(META_SUFFIXES):
        return read_meta_image(path)
    if name.endswith(NIFTI_SUFFIXES):
        return read_nifti(path)
    if name.endswith(DICOM_SUFFIXES) or looks_like_dicom(head):
        return read_dicom(path)
    known = ", ".join(suffix for suffix in SUFFIXES)
    raise ReadError(f"not an image that can be read: no DICOM content, and not one of the suffixes {known}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _with_spacing(radiograph: Radiograph, spacing: float) -> Radiograph:
    stated = radiograph.pixel_spacing
    notes = [note for note in radiograph.warnings if not note.startswith(_SCALE_NOTES)]
    if stated and any(abs(value / spacing - 1) > 0.01 for value in stated):
        notes.append(
            f"The given pixel spacing of {spacing:g} mm replaces {stated[0]:g} x {stated[1]:g} mm "
            f"({radiograph.spacing_source})."
        )
    return replace(
        radiograph, pixel_spacing=(spacing, spacing), spacing_source=SpacingSource.USER, warnings=tuple(notes)
    )


_SCALE_NOTES = ("PixelSpacing does not say", "The scale is that of")
