"""Read one image file: choose the reader, and turn every failure into one error that names the file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom import DICOM_SUFFIXES, count_dicom_frames, has_preamble, looks_like_dicom, read_dicom
from monai_ceph.readers.files import SUFFIXES, first_bytes, read_head
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
from monai_ceph.readers.unsupported import misnamed_image, unsupported_kind

__all__ = ["count_frames", "read_radiograph"]

_Result = TypeVar("_Result")


def read_radiograph(
    path: str | os.PathLike[str],
    pixel_spacing: float | None = None,
    frame: int | None = None,
    opened: io.FileIO | None = None,
) -> Radiograph:
    """Read one radiograph. DICOM is recognised by content, the other formats by suffix.

    Args:
        path: a DICOM file with any name, or a PNG, JPEG, BMP, TIFF, WebP, JPEG 2000, MetaImage or NIfTI file.
        pixel_spacing: mm per pixel, the same for rows and columns, from 0.01 to 2 (see
            `monai_ceph.readers.radiograph.SMALLEST_PIXEL`). It replaces the pixel spacing in the file, with a warning
            if that differs. It cannot be given for a file whose pixels are not square.
        frame: which frame of a multi-frame DICOM file to read, counted from 1. Only that frame is decoded.
        opened: the same file from `open_file`, if it is open already. A DICOM file is then not opened again; decoders
            of other formats open the path themselves.

    Raises:
        ReadError: if the file is missing, empty, truncated, not an image or not a single radiograph, or if
            `pixel_spacing` is given and its pixels are not square. The message names the file and the cause.
        ValueError: if `pixel_spacing` is out of range, or `frame` is below 1.
    """
    if pixel_spacing is not None:
        check_given_spacing(pixel_spacing)
    if frame is not None and frame < 1:
        raise ValueError(f"frame is {frame}; frames are counted from 1")
    path = Path(path)

    def read(absolute: Path) -> Radiograph:
        radiograph = replace(_read(absolute, frame, opened), path=path)
        return radiograph if pixel_spacing is None else _with_spacing(radiograph, float(pixel_spacing))

    return _report(path, read)


def count_frames(path: str | os.PathLike[str], opened: io.FileIO | None = None) -> int:
    """Return the number of frames: for a DICOM file from its header, for all other formats 1.

    Args:
        path: the file.
        opened: the same file from `open_file`, if it is open already.

    Raises:
        ReadError: as in `read_radiograph`, for problems that show before the pixels are decoded.
    """
    return _report(Path(path), lambda absolute: _count(absolute, opened))


def _report(path: Path, work: Callable[[Path], _Result]) -> _Result:
    """Call `work` with the absolute path, and raise every failure as a ReadError that names the file."""
    with WORKING_FOLDER:
        absolute = path.absolute()
    try:
        return work(absolute)
    except ReadError as error:
        raise ReadError(f"{path}: {error}.") from error
    except MemoryError:
        raise
    except Exception as error:
        # Decoders document few of their exceptions. Whatever they raise, the file cannot be read.
        text = cause(error).replace(f": {absolute}", "").replace(str(absolute), path.name)
        raise ReadError(f"{path}: damaged or truncated: {text}.") from error


def _count(path: Path, opened: io.FileIO | None) -> int:
    reader = _reader(path, opened)
    return count_dicom_frames(path, opened) if reader is read_dicom else 1


def _read(path: Path, frame: int | None, opened: io.FileIO | None) -> Radiograph:
    reader = _reader(path, opened)
    if reader is read_dicom:
        return read_dicom(path, frame, opened)
    if frame is not None and frame > 1:
        raise ReadError(f"there is no frame {frame}; the file holds one image")
    return reader(path)


def _reader(path: Path, opened: io.FileIO | None) -> Callable[[Path], Radiograph]:
    """Return the function that reads this kind of file."""
    head = _head(path, opened)
    if not head:
        raise ReadError("the file is empty")
    name = path.name.lower()
    if has_preamble(head):
        return read_dicom
    # NIfTI files may be gzip files, with either suffix
    if not name.endswith(NIFTI_SUFFIXES) and (kind := unsupported_kind(head, name)) is not None:
        raise ReadError(f"not a readable image but {kind}")
    if name.endswith(RASTER_SUFFIXES):
        return read_raster
    if name.endswith(META_SUFFIXES):
        return read_meta_image
    if name.endswith(NIFTI_SUFFIXES):
        return read_nifti
    if name.endswith(DICOM_SUFFIXES) or looks_like_dicom(head):
        return read_dicom
    if (kind := misnamed_image(head, name)) is not None:
        raise ReadError(f"the suffix does not match: {kind}")
    raise ReadError(f"not a readable image: no DICOM content, and none of the suffixes {', '.join(SUFFIXES)}")


def _head(path: Path, opened: io.FileIO | None) -> bytes:
    try:
        if opened is not None:
            return first_bytes(opened)
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)  # fails if the folder may not be opened, which is then the error
            raise ReadError("a folder, not a file")
        if not stat.S_ISREG(mode):
            raise ReadError("a pipe or a device, not a file")
        return read_head(path)
    except FileNotFoundError as error:
        raise ReadError("no such file") from error
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or cause(error)}") from error


def _with_spacing(radiograph: Radiograph, spacing: float) -> Radiograph:
    for note in radiograph.warnings:
        if note.startswith(NOT_SQUARE):  # one number would silently make them square
            reason = note.removeprefix(NOT_SQUARE).strip(" :.")
            raise ReadError(f"the pixels are not square ({reason}), so one pixel spacing cannot be right; leave it out")
    stated = radiograph.pixel_spacing
    notes = without_planes(radiograph.warnings)
    if stated and any(abs(value / spacing - 1) > 0.01 for value in stated):
        notes.append(
            f"The given pixel spacing of {spacing:g} mm replaces {in_mm(*stated)} ({radiograph.spacing_source.label})."
        )
    return replace(
        radiograph, pixel_spacing=(spacing, spacing), spacing_source=SpacingSource.USER, warnings=tuple(notes)
    )
