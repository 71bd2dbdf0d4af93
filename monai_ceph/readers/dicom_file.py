"""A DICOM file opened for its pixels: the elements that a radiograph needs, and where its pixel data lie.

Only the elements in `ELEMENTS` are kept; all others, names and dates of patients among them, are skipped unread. The
pixel data stay in the file until a frame is asked for. No size that a file claims is taken from memory before the file
is seen to hold as much.
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
from monai_ceph.readers.pixels import check_size
from monai_ceph.readers.quiet_pydicom import quiet

ELEMENTS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
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
"""Modalities that may hold a cephalogram. Secondary captures are taken whatever modality they name, and radiographs by
their SOP class if it is a word that the standard does not have."""

_OTHER_MODALITIES = (
    *("ANN", "AR", "AS", "ASMT", "AU", "BDUS", "BI", "BMD", "CD", "CF", "CFM", "CP", "CS", "CT", "CTPROTOCOL", "DD"),
    *("DF", "DG", "DM", "DMS", "DOC", "DS", "EC", "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FA", "FID", "FS", "GM"),
    *("HD", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LP", "LS", "M3D", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT"),
    *("OP", "OPM", "OPR", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "PA", "PLAN", "POS", "PR", "PT", "REG", "RESP"),
    *("RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM"),
    *("SMR", "SR", "SRF", "ST", "STAIN", "TEXTUREMAP", "TG", "US", "VA", "VF", "XAPROTOCOL"),
)
"""All others of PS3.3 C.7.3.1.1.1, with the retired ones."""

_RADIOGRAPHS = (
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
"""SOP classes of radiographs, whatever word stands for the modality."""

_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
UNDEFINED_LENGTH = 0xFFFFFFFF
_PREAMBLE = 128
_HEADER_LIMIT = 16 * 2**20
_FRAMES_LIMIT = 2 * 2**30


class BoundedReader(io.BufferedReader):
    """A file that reads no more than it holds: BufferedReader takes the memory for what is asked first.

    Attributes:
        size: its bytes.
        short: less was left than somebody asked for.
    """

    def __init__(self, raw: io.RawIOBase | io.BytesIO) -> None:
        super().__init__(raw)  # type: ignore[arg-type]
        self.size = self.seek(0, io.SEEK_END)
        self.short = False
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes, or as many as are left."""
        left = max(self.size - self.tell(), 0)
        if size is not None and size > left > 0:
            self.short = True
        return super().read(left if size is None or size < 0 else min(size, left))


@dataclass
class PixelElement:
    """Where the pixel data are: keyword, VR (None if implicit), the place of the value, and its stated length."""

    keyword: str
    vr: str | None
    start: int
    length: int


@dataclass
class DicomFile:
    """A DICOM file whose header was read.

    Attributes:
        dataset: the pydicom data set with `ELEMENTS` and no others.
        syntax: the transfer syntax, a pydicom UID.
        stream: the data set as it is encoded, inflated if the transfer syntax is deflated.
        pixels: where the pixel data are.
        deflated: the data set as it is in the file, if the transfer syntax is deflated.
        bare: the pixel data are one compressed frame that is not encapsulated.
        remarks: warnings for the person who reviews the result.
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
        """How many frames the header claims."""
        frames = integer(self.dataset, "NumberOfFrames", 1) or 1
        if frames < 0:
            raise ReadError("damaged DICOM header: NumberOfFrames is negative")
        return frames

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, samples per pixel.

        Raises:
            ReadError: absent, damaged, or too small or too large for a radiograph.
        """
        rows, columns = integer(self.dataset, "Rows"), integer(self.dataset, "Columns")
        check_size(rows, columns)
        samples = integer(self.dataset, "SamplesPerPixel", 1)
        if samples not in (1, 3):
            raise ReadError(f"{samples} samples per pixel, a DICOM image has 1 or 3")
        return rows, columns, samples

    @property
    def bits_allocated(self) -> int:
        """Bits per sample as they are stored."""
        default = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(self.pixels.keyword)
        bits = integer(self.dataset, "BitsAllocated", default)
        if bits != 1 and bits not in range(8, 65, 8):
            raise ReadError(f"{bits} bits allocated per sample, they must be 1 or a multiple of 8 up to 64")
        return bits

    def frame_bytes(self) -> float:
        """What one frame takes where it is not compressed; not whole for single bits."""
        count = math.prod(self.shape) * self.bits_allocated / 8
        halved = term(self.dataset, "PhotometricInterpretation").endswith("422") and not self.encapsulated
        return count * 2 / 3 if halved else count

    @property
    def encapsulated(self) -> bool:
        """The transfer syntax compresses the pixel data."""
        return bool(self.syntax.is_transfer_syntax and self.syntax.is_encapsulated)

    def inflate_pixels(self) -> None:
        """Inflate a deflated data set up to the end of the pixels that its header announces, and no further.

        Raises:
            ReadError: they are too large.
        """
        end = self.pixels.start + math.ceil(self.frame_bytes() * self.frames)
        if not self.deflated or end <= self.stream.size:
            return
        if end > _FRAMES_LIMIT:
            raise ReadError(f"announces {end} bytes in a deflated file, the limit is {_FRAMES_LIMIT}")
        self.stream = _inflated(self.deflated, end)


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


@contextmanager
def open_dicom(path: Path) -> Iterator[DicomFile]:
    """Open a DICOM file, with or without a preamble, and read its header.

    Raises:
        ReadError: not a DICOM file, damaged, truncated, no pixel data, or a modality that is no radiograph. What the
            file says is not quoted.
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
            raise ReadError(f"{file.size} bytes, the limit of a deflated file is {_FRAMES_LIMIT}")
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
            "truncated, the DICOM file ends within its header" if at_end else "damaged DICOM header"
        ) from None


def _tags() -> list[Any]:
    from pydicom.tag import Tag

    return [Tag(name) for name in ELEMENTS]


def _guess_syntax(file: BoundedReader) -> str:
    """The uncompressed transfer syntax that the first element shows, for a file that names none."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    head = file.read(6)
    file.seek(-len(head), io.SEEK_CUR)
    if not (head[4:6].isalpha() and head[4:6].isupper()):
        return str(ImplicitVRLittleEndian)
    # The group of the first element is below 0x0100, so its low byte is not 0.
    return str(ExplicitVRLittleEndian if head[:1] != b"\x00" else ExplicitVRBigEndian)


def _inflated(data: bytes, limit: int) -> BoundedReader:
    try:
        # Without the limit, a file of one megabyte can fill a gigabyte.
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)
    except zlib.error:
        raise ReadError("damaged or truncated deflated DICOM file") from None
    return BoundedReader(io.BytesIO(inflated))


def _check_content(dataset: Any, has_pixels: bool, ends_early: bool, foreign: bool) -> list[str]:
    """Refuse what is no radiograph, and return warnings about the others."""
    modality, sop_class = term(dataset, "Modality"), uid(dataset, "SOPClassUID") or ""
    if not has_pixels:
        if foreign:
            raise ReadError("not a DICOM file")
        if sop_class == _MEDIA_STORAGE_DIRECTORY or _directory(dataset):
            raise ReadError("a DICOMDIR, the list of the files on a medium, holds no pixels itself")
        if ends_early or len(dataset) == 0:
            raise ReadError("truncated, the DICOM file ends before its pixel data")
        doubt = ", perhaps truncated" if modality and modality in MODALITIES else ""
        raise ReadError(f"a DICOM file without pixel data (Modality {_shown(modality)}){doubt}")
    if modality in MODALITIES or sop_class.startswith(_SECONDARY_CAPTURE):
        return []
    if modality in _OTHER_MODALITIES or sop_class not in _RADIOGRAPHS:
        raise ReadError(f"Modality {_shown(modality)} is not a radiograph")
    return ["The Modality is none that DICOM knows: the film was read because its SOP class is that of a radiograph."]


def _directory(dataset: Any) -> bool:
    return uid(dataset.file_meta, "MediaStorageSOPClassUID") == _MEDIA_STORAGE_DIRECTORY


def _shown(modality: str) -> str:
    """The modality as far as it is one: a damaged file can have anything there."""
    if modality in MODALITIES or modality in _OTHER_MODALITIES:
        return modality or "not given"
    return "of an unknown kind"
