"""Open a DICOM file (PS3.10 section 7): read the elements that a radiograph needs, and find its pixel data.

Only the elements in `ELEMENTS` are read; all others, including the patient's name and dates, are skipped. The pixel
data stay in the file until a frame is decoded. Memory for a size that the header claims is allocated only once the file
is known to be that long.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom_elements import integer, term, uid
from monai_ceph.readers.own_pictures import is_own_picture
from monai_ceph.readers.pixels import check_size
from monai_ceph.readers.quiet_pydicom import quiet

ELEMENTS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("ImageType", "Manufacturer", "SeriesDescription"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PresentationLUTShape"),
    *("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("PixelSpacing", "PixelSpacingCalibrationType", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient"),
    *("PixelAspectRatio", "PatientOrientation", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)

MODALITIES = ("DX", "CR", "RG", "PX", "IO", "RF", "XA", "XC", "HC", "OT", "")
"""Modalities that may hold a cephalogram, with "" for an absent one. Secondary captures are read with any modality, and
radiographs (by SOP class) also with one that is not a term of the standard."""

_OTHER_MODALITIES = (
    *("ANN", "AR", "AS", "ASMT", "AU", "BDUS", "BI", "BMD", "CD", "CF", "CFM", "CP", "CS", "CT", "CTPROTOCOL", "DD"),
    *("DF", "DG", "DM", "DMS", "DOC", "DS", "EC", "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FA", "FID", "FS", "GM"),
    *("HD", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LP", "LS", "M3D", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT"),
    *("OP", "OPM", "OPR", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "PA", "PLAN", "POS", "PR", "PT", "REG", "RESP"),
    *("RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM"),
    *("SMR", "SR", "SRF", "ST", "STAIN", "TEXTUREMAP", "TG", "US", "VA", "VF", "XAPROTOCOL"),
)
"""All other modalities of PS3.3 C.7.3.1.1.1, including the retired ones."""

RADIOGRAPH_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # the same, for processing
    "1.2.840.10008.5.1.4.1.1.1.3",  # Digital Intra-Oral X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.3.1",  # the same, for processing
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.12.1.1",  # Enhanced XA
    "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
    "1.2.840.10008.5.1.4.1.1.12.2.1",  # Enhanced XRF
)
"""SOP classes of radiographs (PS3.4 annex B.5)."""

_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
UNDEFINED_LENGTH = 0xFFFFFFFF
_PREAMBLE = 128
_HEADER_LIMIT = 16 * 2**20
_FRAMES_LIMIT = 2 * 2**30


class BoundedReader(io.BufferedReader):
    """A file whose `read` never allocates more than the file holds, unlike that of BufferedReader.

    Attributes:
        size: length in bytes.
        short: True once a read has asked for more than was left.
    """

    def __init__(self, raw: io.RawIOBase | io.BytesIO) -> None:
        super().__init__(raw)  # type: ignore[arg-type]
        self.size = self.seek(0, io.SEEK_END)
        self.short = False
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, or all that are left if there are fewer."""
        left = max(self.size - self.tell(), 0)
        if size is not None and size > left > 0:
            self.short = True
        return super().read(left if size is None or size < 0 else min(size, left))


@dataclass
class PixelElement:
    """The element with the pixel data: keyword, VR (None if implicit), start of the value in bytes, stated length."""

    keyword: str
    vr: str | None
    start: int
    length: int


@dataclass
class DicomFile:
    """A DICOM file whose header has been read.

    Attributes:
        dataset: the pydicom data set, with only the `ELEMENTS`.
        syntax: the transfer syntax, a pydicom UID.
        stream: the encoded data set, inflated if the transfer syntax is deflated.
        pixels: the element with the pixel data.
        deflated: the encoded data set before inflation, if the transfer syntax is deflated.
        bare: the pixel data are one compressed frame without encapsulation.
        remarks: warnings for the reviewer.
    """

    dataset: Any
    syntax: Any
    stream: BoundedReader
    pixels: PixelElement
    deflated: bytes = b""
    bare: bool = False
    remarks: list[str] = field(default_factory=list)

    @cached_property
    def frames(self) -> int:
        """The number of frames in the header, 1 or more."""
        frames = integer(self.dataset, "NumberOfFrames", 1) or 1
        if frames < 0:
            raise ReadError("damaged DICOM header: NumberOfFrames is negative")
        return frames

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, samples per pixel.

        Raises:
            ReadError: if one of them is absent or damaged, or too small or too large for a radiograph.
        """
        rows, columns = integer(self.dataset, "Rows"), integer(self.dataset, "Columns")
        check_size(rows, columns)
        samples = integer(self.dataset, "SamplesPerPixel", 1)
        if samples not in (1, 3):
            raise ReadError(f"damaged DICOM header: {samples} samples per pixel instead of 1 or 3")
        return rows, columns, samples

    @property
    def bits_allocated(self) -> int:
        """Bits that each stored sample takes (PS3.5 section 8.1.1)."""
        default = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(self.pixels.keyword)
        bits = integer(self.dataset, "BitsAllocated", default)
        if bits != 1 and bits not in range(8, 65, 8):
            raise ReadError(f"damaged DICOM header: BitsAllocated is {bits} instead of 1 or a multiple of 8 up to 64")
        return bits

    def frame_bytes(self) -> float:
        """The size of one uncompressed frame in bytes; a fraction if the samples are single bits."""
        count = math.prod(self.shape) * self.bits_allocated / 8
        subsampled = term(self.dataset, "PhotometricInterpretation").endswith("422") and not self.encapsulated
        return count * 2 / 3 if subsampled else count

    @property
    def encapsulated(self) -> bool:
        """True if the transfer syntax is a compressed one, whose pixel data are encapsulated (PS3.5 annex A.4)."""
        return bool(self.syntax.is_transfer_syntax and self.syntax.is_encapsulated)

    def inflate_pixels(self) -> None:
        """Inflate a deflated data set (PS3.5 annex A.5) to the end of the pixel data in its header, and no further.

        Raises:
            ReadError: if the pixel data are too large.
        """
        end = self.pixels.start + math.ceil(self.frame_bytes() * self.frames)
        if not self.deflated or end <= self.stream.size:
            return
        if end > _FRAMES_LIMIT:
            raise ReadError(f"the header claims {end} bytes of deflated data; the limit is {_FRAMES_LIMIT}")
        self.stream = _inflated(self.deflated, end)


def has_preamble(head: bytes) -> bool:
    """Return True if a file's first 132 bytes are a DICOM preamble and prefix (PS3.10 section 7.1)."""
    return head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def looks_like_dicom(head: bytes) -> bool:
    """Return True if a file without a preamble starts with a data element of group 0002 or 0008."""
    if len(head) < 8:
        return False
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0
    big = head[:2] == b"\x00\x08" and head[2] == 0
    if not (little or big):
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    # With implicit VR these bytes are the length, and the first elements of a data set are short.
    return little and int.from_bytes(head[4:8], "little") <= 1024


@contextmanager
def open_dicom(path: Path) -> Iterator[DicomFile]:
    """Open a DICOM file, with or without a preamble, and read its header.

    Raises:
        ReadError: if the file is not DICOM, is damaged or truncated, has no pixel data, or is not a radiograph by its
            modality. The message quotes nothing from the file.
    """
    with BoundedReader(io.FileIO(path)) as file, quiet():
        yield _open(file)


def _open(file: BoundedReader) -> DicomFile:
    import pydicom.uid

    head = file.read(_PREAMBLE + 4)
    whole = has_preamble(head)
    if not whole and not looks_like_dicom(head):
        raise ReadError("not a DICOM file")
    file.seek(_PREAMBLE + 4 if whole else 0)
    meta = _read(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntax = pydicom.uid.UID(uid(meta, "TransferSyntaxUID") or _guess_syntax(file))
    known = syntax.is_transfer_syntax
    implicit, little = (syntax.is_implicit_VR, syntax.is_little_endian) if known else (False, True)
    deflated = b""
    if known and syntax.is_deflated:
        if file.size > _FRAMES_LIMIT:
            raise ReadError(f"the file has {file.size} bytes; the limit for a deflated file is {_FRAMES_LIMIT}")
        deflated = file.read()
        file = _inflated(deflated, _HEADER_LIMIT)
    found: list[PixelElement] = []
    stream = file

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag in _PIXELS:
            found.append(PixelElement(_PIXELS[tag], vr, stream.tell(), length))
        return tag in _PIXELS

    dataset = _read(stream, implicit, little, stop_when=at_pixels, specific_tags=_tags())
    dataset.file_meta = meta
    ends_early = not found and (stream.short or stream.tell() > stream.size)
    remarks = _check_content(dataset, bool(found), ends_early, len(dataset) == 0 and not whole)
    return DicomFile(dataset, syntax, stream, found[0], deflated, remarks=remarks)


def _read(stream: BoundedReader, implicit: bool, little: bool, **options: Any) -> Any:
    from pydicom.filereader import read_dataset

    try:
        return read_dataset(stream, implicit, little, **options)
    except MemoryError:
        raise
    except Exception:
        at_end = stream.short or stream.tell() >= stream.size
        raise ReadError(
            "truncated: the DICOM file ends within its header" if at_end else "damaged DICOM header"
        ) from None


def _tags() -> list[Any]:
    from pydicom.tag import Tag

    return [Tag(name) for name in ELEMENTS]


def _guess_syntax(file: BoundedReader) -> str:
    """Return the uncompressed transfer syntax in which the first element is written, for a file that names none."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    head = file.read(6)
    file.seek(-len(head), io.SEEK_CUR)
    if not (head[4:6].isalpha() and head[4:6].isupper()):
        return str(ImplicitVRLittleEndian)
    # The group of the first element is below 0x0100, so its low byte is not 0.
    return str(ExplicitVRLittleEndian if head[:1] != b"\x00" else ExplicitVRBigEndian)


def _inflated(data: bytes, limit: int) -> BoundedReader:
    try:
        # without the limit, a file of one megabyte can inflate to a gigabyte
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)
    except zlib.error:
        raise ReadError("damaged or truncated deflated DICOM file") from None
    return BoundedReader(io.BytesIO(inflated))


def _check_content(dataset: Any, has_pixels: bool, ends_early: bool, foreign: bool) -> list[str]:
    """Raise an error for anything but a radiograph; return warnings."""
    modality, sop_class = term(dataset, "Modality"), uid(dataset, "SOPClassUID") or ""
    if not has_pixels:
        if foreign:
            raise ReadError("not a DICOM file")
        if sop_class == _MEDIA_STORAGE_DIRECTORY or _directory(dataset):
            raise ReadError("a DICOMDIR, the list of the files on a medium, has no pixels itself")
        if ends_early or len(dataset) == 0:
            raise ReadError("truncated: the DICOM file ends before its pixel data")
        doubt = ", perhaps truncated" if modality and modality in MODALITIES else ""
        raise ReadError(f"a DICOM file without pixel data (Modality {_shown(modality)}){doubt}")
    if sop_class == _SECONDARY_CAPTURE and is_own_picture(dataset):
        raise ReadError("a picture that monai-ceph made of a film: detect on the film itself")
    if modality in MODALITIES or sop_class.startswith(_SECONDARY_CAPTURE):
        return []
    if not (is_unknown_modality(modality) and sop_class in RADIOGRAPH_CLASSES):
        raise ReadError(f"Modality {_shown(modality)} is not a radiograph")
    return ["The Modality is not a term of DICOM: the film was read because its SOP class is that of a radiograph."]


def is_unknown_modality(modality: str) -> bool:
    """Return whether a modality is not a term of DICOM, such as CEPH: then the SOP class says what the image is."""
    return modality not in MODALITIES and modality not in _OTHER_MODALITIES


def _directory(dataset: Any) -> bool:
    return uid(dataset.file_meta, "MediaStorageSOPClassUID") == _MEDIA_STORAGE_DIRECTORY


def _shown(modality: str) -> str:
    """Return the modality for a message, if it is a term of the standard: a damaged file can have anything there."""
    if modality in MODALITIES or modality in _OTHER_MODALITIES:
        return modality or "not given"
    return "of an unknown kind"
