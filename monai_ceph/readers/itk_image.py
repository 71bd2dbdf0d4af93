"""Read PNG, JPEG, BMP, TIFF and MetaImage files with ITK, and WebP and JPEG 2000 files with Pillow.

Only MetaImage states a meaningful pixel spacing. The resolution in the other formats is that of a printer or a screen
(72, 96 and 300 dpi are defaults), so these files have no scale.

Pillow reads the headers first: it recognises the true format behind any suffix, and the size before memory is
allocated. It also decodes what ITK gets wrong or cannot read: one-bit BMP, and TIFF other than plain grey or RGB (see
`tiff`; ITK returns grey with alpha as interleaved values and has no Python type for palettes), and whole films in the
plainest formats, to save the seconds that ITK takes to import (see `simple_image`).
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from monai_ceph.errors import ReadError
from monai_ceph.readers.native_stdout import captured_lines
from monai_ceph.readers.pixels import WORKING_FOLDER, check_size, finite, grey, one_image
from monai_ceph.readers.radiograph import Radiograph, SpacingSource, anisotropy_warnings, usable_spacing
from monai_ceph.readers.simple_image import simple_pixels
from monai_ceph.readers.tiff import GREY_MODES, TiffLayout, tiff_layout, unknown_white_is_zero

PILLOW_SUFFIXES = (".webp", ".jp2", ".j2k")
"""Suffixes of formats that neither ITK nor the viewers built on it can read."""

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", *PILLOW_SUFFIXES)
META_SUFFIXES = (".mha", ".mhd")

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "JPEG2000")
_FOR_PILLOW = ("WEBP", "JPEG2000")
_EXIF_ORIENTATION = 0x0112
_FILE_LIMIT = 2 * 2**30
_META_HEADER_LIMIT = 2**16
_MAX_CHANNELS = 4
_META_MM = {"": 1.0, "?": 1.0, "um": 0.001, "mm": 1.0, "cm": 10.0}
# how libjpeg's messages start (its jerror.h); ITK prints them before it raises an error or carries on
_LIBJPEG = (
    *("Bogus ", "Corrupt JPEG data", "Premature end of JPEG", "Inconsistent progression", "Empty JPEG image"),
    *("Invalid progressive", "Invalid component ID", "Invalid SOS", "Invalid JPEG", "Unsupported JPEG"),
    *(
        "Unsupported color conversion",
        "Unsupported marker type",
        "Huffman table ",
        "Missing Huffman",
        "Not a JPEG file",
    ),
    *("Quantization table ", "Arithmetic table ", "Too many color components", "Unknown Adobe", "Sampling factors"),
)


def read_raster(path: Path) -> Radiograph:
    """Read a PNG, JPEG, BMP, TIFF, WebP or JPEG 2000 file. It has no scale.

    Raises:
        ReadError: if the file is none of these formats, is truncated, has several pages, is too small or too large, or
            is a TIFF that cannot be decoded exactly.
    """
    kind, mode, orientation, tiff = _probe(path)
    if kind == "JPEG":
        _check_jpeg(path)
    elif kind == "BMP":
        _check_bmp(path)
    libjpeg_messages: list[str] = []
    if tiff and not tiff.for_itk:
        tiff.check()
        pixels = tiff.with_sign(_decode_with_pillow(tiff.as_stored(path)))
    elif mode == "1" or kind in _FOR_PILLOW:
        pixels = _decode_with_pillow(path)
    elif (simple := simple_pixels(path, kind)) is not None:
        pixels = simple
    else:
        with WORKING_FOLDER, captured_lines(_LIBJPEG, libjpeg_messages):
            pixels, _ = _decode_with_itk(path, f"{kind}ImageIO")
    if tiff:
        pixels = tiff.black_is_zero(pixels)
    pixels, notes = finite(grey(pixels))
    if libjpeg_messages:
        notes.append(f"The JPEG data are damaged, and parts of the film may be wrong: {libjpeg_messages[0]}.")
    if orientation not in (None, 1):
        which = "orientation" if tiff else "EXIF orientation"
        notes.append(f"The {which} {orientation} was not applied; the pixels are used as they are stored.")
    return Radiograph(pixels, path, warnings=tuple(notes))


def read_meta_image(path: Path) -> Radiograph:
    """Read a MetaImage file.

    Its pixel spacing is ignored with a warning if it is exactly 1 in both directions, the default, or if no cephalogram
    can have it. DistanceUnits may be um, mm or cm; mm if it is absent, as in ITK. With any other unit the film has no
    scale, and a warning says so.

    Raises:
        ReadError: if the file is not a MetaImage or is truncated, the raw file is missing or outside the folder, or
            there are several slices or complex pixels.
    """
    fields = _check_meta_header(path)
    raw = fields["ElementDataFile"]
    pixels, io = _decode_with_itk(path, "MetaImageIO", None if raw.upper() == "LOCAL" else _file_name(raw))
    pixels, notes = finite(grey(pixels))
    to_mm = _META_MM.get(fields.get("DistanceUnits", "").lower())  # ITK ignores the unit
    if to_mm is None:
        spacing, ignored = None, ["The spacing in the header was ignored: DistanceUnits is not um, mm or cm."]
    else:
        spacing, ignored = usable_spacing("The spacing in the header", io.GetSpacing(1), io.GetSpacing(0), to_mm)
    if any(abs(io.GetDirection(axis)[axis] - 1) > 1e-6 for axis in range(2)):
        notes.append("The direction in the header was not applied; the pixels are used as they are stored.")
    return Radiograph(
        pixels,
        path,
        pixel_spacing=spacing,
        spacing_source=SpacingSource.HEADER if spacing else SpacingSource.NONE,
        warnings=(*notes, *ignored, *anisotropy_warnings(spacing)),
    )


class _Header(NamedTuple):
    """The format (one of `_FORMATS`), Pillow's mode, the orientation in JPEG, WebP or TIFF, the layout of a TIFF."""

    kind: str
    mode: str
    orientation: int | None
    tiff: TiffLayout | None


def _probe(path: Path) -> _Header:
    """Read the header and check the size."""
    size = path.stat().st_size
    if size > _FILE_LIMIT:
        raise ReadError(f"the file has {size} bytes; the limit is {_FILE_LIMIT}")
    with warnings.catch_warnings():
        # Pillow's decompression bomb warning would come before check_size names the real limit
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
            raise ReadError(f"too many pixels; the limit for this format is {limit} million") from error
        except Image.UnidentifiedImageError as error:
            known = unknown_white_is_zero(path)
            raise ReadError(
                known or "not a PNG, JPEG, BMP, TIFF, WebP or JPEG 2000 image, or its header is damaged"
            ) from error
        with image:
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            frames = getattr(image, "n_frames", 1) if kind in ("TIFF", "WEBP") else 1
            one_image((frames, image.height, image.width))
            check_size(image.height, image.width, size)
            if kind == "TIFF":
                tiff = tiff_layout(image)
                return _Header(kind, image.mode, tiff.orientation, tiff)
            exif = image.getexif() if kind in ("JPEG", "WEBP") else {}
            return _Header(kind, image.mode, exif.get(_EXIF_ORIENTATION), None)


def _check_jpeg(path: Path) -> None:
    """Check that the end marker is there: libjpeg only warns, and fills what is missing with grey."""
    data = path.read_bytes()
    position = 2
    # skip the segments before the first scan: a thumbnail in one of them has an end marker, too
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        if data[position + 1] == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if data.find(b"\xff\xd9", position) < 0:
        raise ReadError("truncated: the JPEG data have no end marker")


def _check_bmp(path: Path) -> None:
    """Compare the length of the file with the header: ITK leaves missing pixels undefined."""
    with path.open("rb") as file:
        head = file.read(54)
    if len(head) < 54:
        return
    offset, width, height, bits, compression = (
        struct.unpack_from(code, head, at)[0]
        for code, at in (("<I", 10), ("<i", 18), ("<i", 22), ("<H", 28), ("<I", 30))
    )
    needed = offset + (width * bits + 31) // 32 * 4 * abs(height)
    if compression == 0 and path.stat().st_size < needed:
        raise ReadError(f"truncated: {path.stat().st_size} of {needed} bytes")


def _check_meta_header(path: Path) -> dict[str, str]:
    """Check the size of the image and the name of the file with its pixels, before ITK relies on them.

    Returns:
        The fields of the header.
    """
    with path.open("rb") as file:
        head = file.read(_META_HEADER_LIMIT)
    fields: dict[str, str] = {}
    for line in head.split(b"\n"):
        name, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            break
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    raw = fields.get("ElementDataFile")
    if not raw or "DimSize" not in fields:
        raise ReadError("not a MetaImage, or its header is damaged")
    try:
        lengths = [int(length) for length in fields["DimSize"].split()]
        channels = int(fields.get("ElementNumberOfChannels") or 1)
    except ValueError:  # its text would quote the header
        raise ReadError("not a MetaImage, or its header is damaged") from None
    if len(lengths) < 2:
        raise ReadError("one dimension instead of two")
    source = path
    if raw.upper() != "LOCAL":
        source = path.parent / _file_name(raw)
        if Path(raw).is_absolute() or ".." in Path(raw).parts:
            raise ReadError("the header names a raw file outside its folder; move the file into the folder")
        if not source.is_file():
            raise ReadError("the raw file that the header names is missing")
    one_image(tuple(reversed(lengths)))
    if not 1 <= channels <= _MAX_CHANNELS:
        raise ReadError(f"{channels} channels instead of 1 to {_MAX_CHANNELS}")
    check_size(lengths[1], lengths[0], source.stat().st_size)
    return fields


def _file_name(raw: str) -> str:
    """Return a file name from a header that was decoded as latin-1, which keeps its bytes."""
    return os.fsdecode(raw.encode("latin-1"))


def _decode_with_pillow(source: Path | io.BytesIO) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(source, formats=_FORMATS) as image:
            if image.mode in GREY_MODES:
                return np.asarray(image)
            if image.mode in ("LA", "La", "1"):
                return np.asarray(image.convert("L"))
            return np.asarray(image.convert("RGB"))


def _decode_with_itk(path: Path, io_name: str, beside: str | None = None) -> tuple[np.ndarray, Any]:
    """Decode a file; `beside` is the file with the pixels, if the header names one."""
    # ITK loads its parts on first use, anywhere, so the lock is held for all of it
    with WORKING_FOLDER, _utf8_path(path, beside) as named:
        return _itk_pixels(named, io_name)


@contextmanager
def _utf8_path(path: Path, beside: str | None) -> Iterator[Path]:
    """Yield a path that ITK accepts: its Python wrapping takes only UTF-8, so other paths get a temporary link."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with TemporaryDirectory(prefix="monai-ceph-") as folder:
            link = Path(folder, f"film{path.suffix}")
            link.symlink_to(path)
            if beside is not None:
                Path(folder, beside).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, beside).symlink_to(path.parent / beside)
            yield link
    else:
        yield path


def _itk_pixels(path: Path, io_name: str) -> tuple[np.ndarray, Any]:
    """Return the pixels, (row, column) or (row, column, channel), and ITK's ImageIO object with the header."""
    import itk  # takes seconds, so only when a file needs it

    io = getattr(itk, io_name).New()
    if not io.CanReadFile(str(path)) and io_name == "MetaImageIO":
        raise ReadError("not a MetaImage, or its header is damaged")
    io.SetFileName(str(path))
    io.ReadImageInformation()
    # ITK's first axis is x, numpy's last
    shape = tuple(io.GetDimensions(axis) for axis in reversed(range(io.GetNumberOfDimensions())))
    if len(shape) < 2:
        raise ReadError("one dimension instead of two")
    one_image(shape)
    check_size(*shape[-2:])
    if "complex" in io.GetPixelTypeAsString(io.GetPixelType()):
        raise ReadError("the pixels are complex numbers; a radiograph has real ones")
    component = {
        itk.CommonEnums.IOComponent_UCHAR: itk.UC,
        itk.CommonEnums.IOComponent_USHORT: itk.US,
        itk.CommonEnums.IOComponent_SHORT: itk.SS,
        itk.CommonEnums.IOComponent_DOUBLE: itk.D,
    }.get(io.GetComponentType(), itk.F)
    channels = io.GetNumberOfComponents()
    image_type = (itk.Image if channels == 1 else itk.VectorImage)[component, max(2, min(len(shape), 4))]
    reader = itk.ImageFileReader[image_type].New()
    reader.SetImageIO(io)
    reader.SetFileName(str(path))
    try:
        reader.Update()
    except RuntimeError as error:
        if io_name != "MetaImageIO":
            raise
        raise ReadError("truncated: the pixels are missing or too few") from error
    view = itk.array_view_from_image(reader.GetOutput())
    # a copy, because the view uses the memory of the ITK image, which is freed when this function returns
    pixels = np.array(view.reshape(shape[-2:] if channels == 1 else (*shape[-2:], channels)))
    return pixels, io
