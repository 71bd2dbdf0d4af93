"""Turns a path, an array, a tensor, a PIL image or a DICOM data set into a `Radiograph`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeGuard, Union

import numpy as np
import torch
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from monai_ceph.errors import ReadError
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.pixels import check_size, finite, grey, one_image
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.readers.radiograph import Radiograph, SpacingSource, check_given_spacing

__all__ = ["ACCEPTED", "Source", "as_radiograph", "is_several"]

Source = Union[str, "os.PathLike[str]", np.ndarray, torch.Tensor, Image.Image, Dataset, Radiograph]
"""What a film may be given as."""

ACCEPTED = "a path, a NumPy array, a torch tensor, a PIL image, a pydicom Dataset or a Radiograph"

_MOST_CHANNELS = 4
_EXIF_ORIENTATION = 0x0112
# modes of Pillow whose arrays are grey, grey with alpha, or colour as they are
_PLAIN_MODES = ("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N", "RGB", "RGBA")


def as_radiograph(source: Source, pixel_spacing: float | None = None, number: int | None = None) -> Radiograph:
    """Return a film as a `Radiograph`.

    An array, a tensor or a PIL image has no scale unless `pixel_spacing` gives it. Its shape is (row, column),
    (row, column, channel) or (channel, row, column), with 1 to 4 channels: grey, grey and alpha, RGB, RGBA. Colour
    becomes grey, and alpha is ignored. Values of any range will do; high values are bright. A data set is read by the
    rules for DICOM files: it is written to a temporary file, which is removed at once.

    Args:
        source: the film; see :data:`ACCEPTED`.
        pixel_spacing: mm between pixel centres, for rows and columns. It replaces what a file or a data set says.
        number: position of the film among several, from 1, for the name of a film without a path.

    Raises:
        TypeError: `source` is something else.
        ReadError: it cannot be read as one radiograph. The message names the film and the cause.
        ValueError: `pixel_spacing` is not from 0.01 to 2, or `source` is a Radiograph, which has its own.
    """
    if isinstance(source, Radiograph):
        if pixel_spacing is not None:
            raise ValueError("a Radiograph has its own pixel_spacing: give it to read_radiograph instead")
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_radiograph(source, pixel_spacing)
    where = "" if number is None else f" {number}"
    if isinstance(source, Dataset):
        return _from_dataset(source, Path(_file_of(source) or f"DICOM data set{where}"), pixel_spacing)
    if isinstance(source, np.ndarray):
        name = f"array{where}"
    elif isinstance(source, torch.Tensor):
        name = f"tensor{where}"
    elif isinstance(source, Image.Image):
        name = _file_of(source) or f"PIL image{where}"
    else:
        raise TypeError(f"a film must be {ACCEPTED}, not {type(source).__name__}")
    if pixel_spacing is not None:
        check_given_spacing(pixel_spacing)
    try:
        notes = _check_pil(source) if isinstance(source, Image.Image) else []
        pixels, bad = finite(grey(_one_film(_values(source))))
    except ReadError as error:
        raise ReadError(f"{name}: {error}.") from error
    radiograph = Radiograph(pixels, Path(name), warnings=(*notes, *bad))
    if pixel_spacing is None:
        return radiograph
    spacing = float(pixel_spacing)
    return replace(radiograph, pixel_spacing=(spacing, spacing), spacing_source=SpacingSource.USER)


def is_several(source: Source | Iterable[Source]) -> TypeGuard[Iterable[Source]]:
    """Return whether this is an iterable of films; text, arrays and data sets can be iterated too, and are one."""
    one = (str, bytes, bytearray, Mapping, os.PathLike, np.ndarray, torch.Tensor, Image.Image, Dataset, Radiograph)
    return isinstance(source, Iterable) and not isinstance(source, one)


def _file_of(source: Image.Image | Dataset) -> str | None:
    """Return the file that the object was opened from, if it knows one."""
    name = getattr(source, "filename", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) and name else None


def _values(source: np.ndarray | torch.Tensor | Image.Image) -> np.ndarray:
    if isinstance(source, torch.Tensor):
        values = source.detach().cpu()
        # NumPy has no bfloat16
        return values.float().numpy() if values.dtype is torch.bfloat16 else values.numpy()
    if isinstance(source, Image.Image):
        return np.asarray(source if source.mode in _PLAIN_MODES else source.convert("RGB"))
    return source


def _one_film(values: np.ndarray) -> np.ndarray:
    """Return (row, column) or (row, column, channel).

    Raises:
        ReadError: the values are not numbers, or the array is not one film, or is too small or too large.
    """
    if values.dtype.kind not in "buif":
        raise ReadError(f"its values are {values.dtype}, and pixels must be whole or real numbers")
    found = values
    while found.ndim > 3 and found.shape[0] == 1:
        found = found[0]
    if found.ndim == 3 and 1 <= found.shape[0] <= _MOST_CHANNELS < found.shape[2]:
        found = np.moveaxis(found, 0, 2)
    if found.ndim not in (2, 3) or (found.ndim == 3 and not 1 <= found.shape[2] <= _MOST_CHANNELS):
        raise ReadError(
            f"its shape is {tuple(values.shape)}, and must be (row, column), (row, column, channel) or "
            "(channel, row, column); give several films as a list"
        )
    check_size(*found.shape[:2])
    # values beyond single precision become infinite, and are reported with those that are not finite
    with np.errstate(over="ignore"):
        return found.astype(np.float32)


def _check_pil(image: Image.Image) -> list[str]:
    """Check the size of an image that may not be decoded yet, decode it, and return warnings."""
    one_image((getattr(image, "n_frames", 1), image.height, image.width))
    check_size(image.height, image.width)
    try:
        image.load()
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError) as error:
        raise ReadError("damaged or truncated, Pillow cannot decode it") from error
    if orientation == 1:
        return []
    return [f"The EXIF orientation {orientation} was not applied; the pixels are used as they are stored."]


def _from_dataset(dataset: Dataset, name: Path, pixel_spacing: float | None) -> Radiograph:
    buffer = io.BytesIO()
    try:
        with quiet():
            _write(dataset, buffer)
    except Exception as error:
        # the text of pydicom's errors may quote elements, such as names of patients
        raise ReadError(f"{name}: cannot be encoded as DICOM ({type(error).__name__}).") from None
    # decoders of compressed pixels need a file
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.dcm"
        path.write_bytes(buffer.getbuffer())
        try:
            return replace(read_radiograph(path, pixel_spacing), path=name)
        except ReadError as error:
            raise ReadError(f"{name}: {str(error).removeprefix(f'{path}: ')}") from error


def _write(dataset: Dataset, buffer: io.BytesIO) -> None:
    meta = getattr(dataset, "file_meta", None)
    if "TransferSyntaxUID" in (meta or ()) or dataset.original_encoding != (None, None):
        dcmwrite(buffer, dataset)
    else:
        # a data set made in memory: its pixels are taken as little endian, as almost all are
        implicit, little = ExplicitVRLittleEndian.is_implicit_VR, ExplicitVRLittleEndian.is_little_endian
        dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little)
