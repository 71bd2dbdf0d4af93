"""A file becomes a `Radiograph`: pixels, scale, and where the scale came from.

`read_radiograph` reads one image, `count_frames` says how many a file holds, `iter_radiographs` and
`find_radiographs` find the files of folders. The MONAI reader is in `monai_ceph.readers.monai_reader`. ITK and nibabel
are imported only when a file needs them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom import DICOM_SUFFIXES, count_dicom_frames, has_preamble, looks_like_dicom, read_dicom
from monai_ceph.readers.files import SUFFIXES, find_radiographs, is_candidate, iter_radiographs, read_head
from monai_ceph.readers.foreign import foreign_kind, unnamed_image
from monai_ceph.readers.itk_image import META_SUFFIXES, RASTER_SUFFIXES, read_meta_image, read_raster
from monai_ceph.readers.nifti import NIFTI_SUFFIXES, read_nifti
from monai_ceph.readers.pixels import WORKING_FOLDER, cause
from monai_ceph.readers.radiograph import (
    NOT_SQUARE,
    Radiograph,
    SpacingSource,
    check_given_spacing,
    in_mm,
    without_planes,
)

__all__ = [
    "SUFFIXES",
    "Radiograph",
    "SpacingSource",
    "count_frames",
    "find_radiographs",
    "is_candidate",
    "iter_radiographs",
    "read_radiograph",
]

_Result = TypeVar("_Result")


def read_radiograph(
    path: str | os.PathLike[str], pixel_spacing: float | None = None, frame: int | None = None
) -> Radiograph:
    """Read one radiograph. DICOM is recognised by content, the other formats by suffix.

    Args:
        path: a DICOM file with any name, or a PNG, JPEG, BMP, TIFF, WebP, JPEG 2000, MetaImage or NIfTI file.
        pixel_spacing: the distance between pixel centres in mm, for rows and columns, that replaces what the
            file says. A warning reports a file that says something else. Pixels that are not square have no such
            distance. From 0.01 to 2, see `monai_ceph.readers.radiograph.SMALLEST_PIXEL`.
        frame: the number, from 1, of the frame of a DICOM file with several. Only that one is decoded.

    Raises:
        ReadError: the file is missing, empty, truncated, no image, or no single radiograph, or its pixels are not
            square and `pixel_spacing` is given. The message names the file and the cause.
        ValueError: `pixel_spacing` is outside these limits, or `frame` is below 1.
    """
    if pixel_spacing is not None:
        check_given_spacing(pixel_spacing)
    if frame is not None and frame < 1:
        raise ValueError(f"frame is {frame}, frames are counted from 1")
    path = Path(path)

    def read(absolute: Path) -> Radiograph:
        radiograph = replace(_read(absolute, frame), path=path)
        return radiograph if pixel_spacing is None else _with_spacing(radiograph, float(pixel_spacing))

    return _report(path, read)


def count_frames(path: str | os.PathLike[str]) -> int:
    """The number of frames of a file: those of a DICOM file, by its header; 1 for the other formats.

    Raises:
        ReadError: as `read_radiograph`, as far as it shows without the pixels.
    """
    return _report(Path(path), _count)


def _report(path: Path, work: Callable[[Path], _Result]) -> _Result:
    """Do something with the absolute path; whatever goes wrong becomes one sentence that names the file."""
    with WORKING_FOLDER:
        absolute = path.absolute()
    try:
        return work(absolute)
    except ReadError as error:
        raise ReadError(f"{path}: {error}.") from error
    except MemoryError:
        raise
    except Exception as error:
        # Decoders document few of their exceptions; whatever they raise, this file cannot be read.
        text = cause(error).replace(f": {absolute}", "").replace(str(absolute), path.name)
        raise ReadError(f"{path}: damaged or truncated: {text}.") from error


def _count(path: Path) -> int:
    reader = _reader(path)
    return count_dicom_frames(path) if reader is read_dicom else 1


def _read(path: Path, frame: int | None) -> Radiograph:
    reader = _reader(path)
    if reader is read_dicom:
        return read_dicom(path, frame)
    if frame is not None and frame > 1:
        raise ReadError(f"there is no frame {frame}, the file holds one image")
    return reader(path)


def _reader(path: Path) -> Callable[[Path], Radiograph]:
    """The function that reads such a file."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)  # where this fails, the folder was named because it cannot be searched
            raise ReadError("a folder, not a file")
        if not stat.S_ISREG(mode):
            raise ReadError("a pipe or a device, not a file")
        head = read_head(path)
    except FileNotFoundError as error:
        raise ReadError("no such file") from error
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or cause(error)}") from error
    if not head:
        raise ReadError("the file is empty")
    name = path.name.lower()
    if has_preamble(head):
        return read_dicom
    # a NIfTI file may be compressed by gzip, whatever its suffix says
    if not name.endswith(NIFTI_SUFFIXES) and (kind := foreign_kind(head, name)) is not None:
        raise ReadError(f"not an image that can be read, but {kind}")
    if name.endswith(RASTER_SUFFIXES):
        return read_raster
    if name.endswith(META_SUFFIXES):
        return read_meta_image
    if name.endswith(NIFTI_SUFFIXES):
        return read_nifti
    if name.endswith(DICOM_SUFFIXES) or looks_like_dicom(head):
        return read_dicom
    if (kind := unnamed_image(head, name)) is not None:
        raise ReadError(f"not recognised by its name: {kind}")
    known = ", ".join(suffix for suffix in SUFFIXES)
    raise ReadError(f"not an image that can be read: no DICOM content, and not one of the suffixes {known}")


def _with_spacing(radiograph: Radiograph, spacing: float) -> Radiograph:
    for note in radiograph.warnings:
        if note.startswith(NOT_SQUARE):  # one number would make them square without a word
            reason = note.removeprefix(NOT_SQUARE).strip(" :.")
            raise ReadError(f"its pixels are not square ({reason}), one pixel spacing cannot be given: leave it out")
    stated = radiograph.pixel_spacing
    notes = without_planes(radiograph.warnings)
    if stated and any(abs(value / spacing - 1) > 0.01 for value in stated):
        notes.append(
            f"The given pixel spacing of {spacing:g} mm replaces {in_mm(*stated)} ({radiograph.spacing_source.label})."
        )
    return replace(
        radiograph, pixel_spacing=(spacing, spacing), spacing_source=SpacingSource.USER, warnings=tuple(notes)
    )
