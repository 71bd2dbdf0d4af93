"""Decode the stored values of one frame of a DICOM file (PS3.5 section 8), in any of these transfer syntaxes.

===========================================  ===========================================
transfer syntax                              decoder
===========================================  ===========================================
uncompressed, deflated, RLE                  pydicom
JPEG baseline, JPEG extended with 8 bits     Pillow (libjpeg-turbo)
JPEG 2000                                    Pillow (OpenJPEG)
JPEG extended with 12 bits, JPEG lossless,   GDCM, in a separate process
JPEG-LS
===========================================  ===========================================

Compressed data whose own header contradicts the DICOM header are refused before they are decoded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.codestream import CodestreamHeader, codestream_header
from monai_ceph.readers.dicom_elements import integer, term
from monai_ceph.readers.dicom_file import DicomFile
from monai_ceph.readers.gdcm_decoder import decode_with_gdcm, gdcm_folder
from monai_ceph.readers.mislabelled import END_OF_ITEMS, ITEM, correct_transfer_syntax
from monai_ceph.readers.pixels import check_size, grey
from monai_ceph.readers.stored_bits import stored_values

_RLE_RATIO = 64
_PHOTOMETRIC = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420"),
    *("YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT"),
)


def count_stored_frames(file: DicomFile) -> int:
    """Return the number of frames, after checking that the file holds them all.

    Raises:
        ReadError: if there is no decoder for the transfer syntax, or the pixel data are truncated or hold fewer frames
            than the header claims.
    """
    if not file.encapsulated:
        file.inflate_pixels()
    correct_transfer_syntax(file)
    _check_syntax(file.syntax)
    if file.encapsulated:
        _check_fragments(file)
    else:
        stream, start = file.stream, file.pixels.start
        found = max(min(file.pixels.length, stream.size - start), 0)
        expected = math.ceil(file.frame_bytes() * file.frames)
        if found < expected:
            raise ReadError(f"truncated: {found} of {expected} bytes of pixel data")
    return file.frames


def read_frame(file: DicomFile, index: int, notes: list[str]) -> np.ndarray:
    """Decode one frame, and no other.

    Args:
        file: an opened file, for which `count_stored_frames` has been called.
        index: which frame, counted from 0.
        notes: the list that warnings for the reviewer are appended to.

    Returns:
        The stored grey values, (row, column), of any type; float32 if colours were converted to grey.

    Raises:
        ReadError: if the pixel data are damaged or contradict the header, or there is no decoder for them.
    """
    options = _options(file, notes)
    notes += file.remarks
    if file.encapsulated:
        stored, photometric = _decode(file, index, options)
    else:
        stored, photometric = _unpack(file, index, options)
    if photometric.startswith("YBR"):
        return np.ascontiguousarray(stored[..., 0])  # Y is the luma that grey() computes from red, green and blue
    if photometric == "PALETTE COLOR":
        return grey(_with_palette(file, stored))
    return grey(stored) if stored.ndim == 3 else stored


def _options(file: DicomFile, notes: list[str]) -> dict[str, Any]:
    """Return the options of pydicom's decoders; missing attributes are assumed only if a wrong guess would show."""
    dataset, (rows, columns, samples), allocated = file.dataset, file.shape, file.bits_allocated
    photometric = term(dataset, "PhotometricInterpretation")
    if photometric not in _PHOTOMETRIC:
        photometric = "RGB" if samples == 3 else "MONOCHROME2"
        notes.append(f"PhotometricInterpretation is missing or unknown; {photometric} was assumed.")
    if (samples == 3) != (photometric not in _PHOTOMETRIC[:3]):
        raise ReadError(f"damaged DICOM header: {photometric} with {samples} samples per pixel")
    if samples == 3 and allocated == 1:
        raise ReadError("damaged DICOM header: colour with 1 bit per sample")
    stored = integer(dataset, "BitsStored", allocated)
    if not 1 <= stored <= allocated:
        raise ReadError(f"damaged DICOM header: BitsStored is {stored} but BitsAllocated is {allocated}")
    signed = integer(dataset, "PixelRepresentation", 0)
    planes = integer(dataset, "PlanarConfiguration", 0)
    if signed not in (0, 1) or planes not in (0, 1):
        raise ReadError("damaged DICOM header: PixelRepresentation or PlanarConfiguration is neither 0 nor 1")
    return {
        "transfer_syntax_uid": file.syntax,
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": samples,
        # pydicom does not know the retired term, which stores brightness in the same way
        "photometric_interpretation": photometric.replace("PARTIAL_422", "FULL_422"),
        "bits_allocated": allocated,
        "bits_stored": stored,
        "pixel_representation": signed,
        "planar_configuration": planes,
        "pixel_keyword": file.pixels.keyword,
        "number_of_frames": file.frames,
    }


def _unpack(file: DicomFile, index: int, options: dict[str, Any]) -> tuple[np.ndarray, str]:
    """Read an uncompressed frame."""
    from pydicom.pixels import get_decoder

    if options["bits_allocated"] == 1:
        return _single_bits(file, index, options), options["photometric_interpretation"]
    whole_words = {"bits_stored": options["bits_allocated"], "pixel_vr": file.pixels.vr or "OW"}
    file.stream.seek(file.pixels.start)
    try:
        stored, properties = get_decoder(file.syntax).as_array(
            file.stream, index=index, raw=True, **options | whole_words
        )
    except MemoryError:
        raise
    except Exception:
        raise ReadError("damaged pixel data: they do not fit the DICOM header") from None
    if stored.dtype.kind in "iu":
        stored = _values(file, stored, options["bits_allocated"], options)
    return stored, str(properties["photometric_interpretation"])


def _values(file: DicomFile, samples: np.ndarray, precision: int, options: dict[str, Any]) -> np.ndarray:
    """Extract the stored values from decoded samples; `precision` is the number of bits a sample has in the data."""
    import pydicom.uid as uids

    stored = options["bits_stored"]
    lossy = file.syntax in (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit, uids.JPEGLSNearLossless, uids.JPEG2000)
    high = integer(file.dataset, "HighBit", stored - 1)
    return stored_values(samples, precision, stored, high, options["pixel_representation"] == 1, lossy)


def _single_bits(file: DicomFile, index: int, options: dict[str, Any]) -> np.ndarray:
    """Read a frame of single bits, which may start in the middle of a byte: pydicom cuts off the end of such frames."""
    shape = (options["rows"], options["columns"])
    count = math.prod(shape)
    start = index * count
    file.stream.seek(file.pixels.start + start // 8)
    data = np.frombuffer(file.stream.read((start % 8 + count + 7) // 8), np.uint8)
    return np.unpackbits(data, bitorder="little")[start % 8 :][:count].reshape(shape)


def _decode(file: DicomFile, index: int, options: dict[str, Any]) -> tuple[np.ndarray, str]:
    """Decode a compressed frame; return it with the photometric interpretation after decoding."""
    import pydicom.uid as uids

    syntax, photometric = file.syntax, options["photometric_interpretation"]
    frame = _compressed_frame(file, index)
    if syntax == uids.RLELossless:
        allocated = options["bits_allocated"]
        stored, photometric = _with_pydicom(frame, "pydicom", options | {"bits_stored": allocated})
        return _values(file, stored, allocated, options), photometric
    header = codestream_header(frame)
    expected = "JPEG-LS" if syntax in uids.JPEGLSTransferSyntaxes else "JPEG"
    if header.codec != ("JPEG 2000" if syntax in uids.JPEG2000TransferSyntaxes else expected):
        raise ReadError(f"damaged pixel data: {header.codec} instead of {_name(syntax)}")
    _compare(header, options)
    check_size(header.rows, header.columns, stored_bytes=len(frame))
    eight_bits = syntax in (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit) and header.bits == 8
    if eight_bits or syntax in (uids.JPEG2000Lossless, uids.JPEG2000):
        # described as the codestream has them; the DICOM header may differ
        own = {"bits_allocated": 8 if header.bits <= 8 else 16, "bits_stored": min(header.bits, 16)}
        own["pixel_representation"] = int(header.signed)
        stored, photometric = _with_pydicom(frame, "pillow", options | own)
    elif syntax == uids.JPEGBaseline8Bit or header.bits > 16:
        raise ReadError(f"damaged pixel data: {_name(syntax)} does not allow {header.bits} bits per sample")
    else:
        stored = decode_with_gdcm(frame, syntax, photometric, header)
    return _values(file, stored, header.bits, options), photometric


def _with_pydicom(frame: bytes, plugin: str, options: dict[str, Any]) -> tuple[np.ndarray, str]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    decoder, options = get_decoder(options["transfer_syntax_uid"]), options | {"number_of_frames": 1}
    if plugin == "pydicom":
        expected = math.prod(options[name] for name in ("rows", "columns", "samples_per_pixel", "bits_allocated")) // 8
        if len(frame) * _RLE_RATIO < expected:
            raise ReadError(f"truncated: {len(frame)} bytes of RLE data cannot unpack to {expected}")
    try:
        data = encapsulate([frame])
        stored, properties = decoder.as_array(data, index=0, raw=True, decoding_plugin=plugin, **options)
    except MemoryError:
        raise
    except Exception:
        name = _name(options["transfer_syntax_uid"])
        raise ReadError(f"damaged or truncated pixel data, or a variant of {name} that cannot be decoded") from None
    return stored, str(properties["photometric_interpretation"])


def _compare(header: CodestreamHeader, options: dict[str, Any]) -> None:
    announced = (header.columns, header.rows, header.samples)
    expected = (options["columns"], options["rows"], options["samples_per_pixel"])
    if announced != expected:
        columns, rows, samples = announced
        raise ReadError(
            f"damaged: the compressed data have {columns} x {rows} pixels of {samples} samples, but the DICOM header "
            "says {} x {} of {}".format(*expected)
        )


def _check_syntax(syntax: Any) -> None:
    import pydicom.uid as uids

    with_gdcm = (uids.JPEGExtended12Bit, uids.JPEGLossless, uids.JPEGLosslessSV1, *uids.JPEGLSTransferSyntaxes)
    others = (uids.RLELossless, uids.JPEGBaseline8Bit, uids.JPEG2000Lossless, uids.JPEG2000)
    plain = syntax.is_transfer_syntax and not syntax.is_encapsulated
    if not plain and syntax not in others and not (syntax in with_gdcm and gdcm_folder()):
        advice = "; install python-gdcm" if syntax in with_gdcm else ""
        raise ReadError(f"no decoder for the transfer syntax {_name(syntax)}{advice}")


def _check_fragments(file: DicomFile) -> None:
    """Check the fragments of compressed pixel data up to their end marker (PS3.5 annex A.4), without reading them."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    stream, frames = file.stream, file.frames
    stream.seek(file.pixels.start)
    if file.bare:
        if file.pixels.start + file.pixels.length > stream.size:
            raise ReadError("truncated: the DICOM file ends within its pixel data")
        if frames > 1:
            raise ReadError(f"damaged: the header claims {frames} frames, the file holds one without encapsulation")
        return
    try:
        if stream.read(4) != ITEM:
            raise ReadError(f"damaged pixel data: not encapsulated, as {_name(file.syntax)} requires")
        stream.seek(file.pixels.start)
        parse_basic_offsets(stream)
        count, offsets = parse_fragments(stream)
    except ReadError:
        raise
    except Exception:
        at_end = stream.tell() >= stream.size
        raise ReadError(
            "truncated: the DICOM file ends within its pixel data"
            if at_end
            else "damaged pixel data: a fragment does not start where the last one ends"
        ) from None
    if count == 0:
        raise ReadError("truncated or without pixels: there is no fragment of compressed pixel data")
    stream.seek(offsets[-1] + 4)
    end = offsets[-1] + 8 + int.from_bytes(stream.read(4), "little")
    stream.seek(min(end, stream.size))
    if end > stream.size or stream.read(4) != END_OF_ITEMS:
        raise ReadError("truncated: the DICOM file ends within its pixel data")
    if count < frames:
        raise ReadError(f"damaged: the header claims {frames} frames, the file holds {count} fragments")
    limit = 4 * file.frame_bytes() * frames + 2**20
    if end - offsets[0] > limit:
        raise ReadError(f"damaged pixel data: {end - offsets[0]} compressed bytes are too many for the image")


def _compressed_frame(file: DicomFile, index: int) -> bytes:
    from pydicom.encaps import get_frame

    dataset = file.dataset
    if file.bare:
        file.stream.seek(file.pixels.start)
        return file.stream.read(file.pixels.length)
    tables = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    extended = tuple(dataset[name].value for name in tables) if all(name in dataset for name in tables) else None
    file.stream.seek(file.pixels.start)
    try:
        return bytes(get_frame(file.stream, index, number_of_frames=file.frames, extended_offsets=extended))
    except MemoryError:
        raise
    except Exception:
        raise ReadError(f"damaged pixel data: frame {index + 1} is not among the fragments") from None


def _with_palette(file: DicomFile, stored: np.ndarray) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    try:
        return np.asarray(apply_color_lut(stored, file.dataset))
    except Exception:
        raise ReadError("damaged DICOM header: the palette cannot be applied") from None


def _name(syntax: Any) -> str:
    return str(syntax.name) if syntax.name != syntax else f"UID {syntax}"
