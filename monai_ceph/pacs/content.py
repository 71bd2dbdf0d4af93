"""Whether two films with one SOP Instance UID are the same image: the same patient and the same pixels.

A UID must name only one image (PS3.5 section 9), but some devices reuse UIDs. A film that arrives again with a
corrected header is the same image; one with other pixels or another PatientID is not. The ledger stores hashes over
the PatientID and the pixels together, which reveal nothing about the patient without the pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import dcmread

from monai_ceph.readers import Radiograph
from monai_ceph.readers.dicom_elements import integer
from monai_ceph.readers.dicom_file import DicomFile, open_dicom
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.work.film import FilmJob, FilmWorker, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ANOTHER_IMAGE", "NodeJob", "NodeOutcome", "NodeWorker", "decoded_content", "stored_content"]

ANOTHER_IMAGE = "another image with this SOP Instance UID was received before"

_CHUNK = 2**20
_ITEM = b"\xfe\xff\x00\xe0"


def stored_content(path: Path) -> str:
    """Return a hash of a DICOM film's PatientID and of its pixel data as stored.

    Nothing is decoded: this is fast, and no decoder runs in the listening process. Films with different transfer
    syntaxes, or compressed by different programs, have different hashes; :func:`decoded_content` tells whether their
    pixels are the same. A file that cannot be parsed is hashed as a whole.

    Raises:
        OSError: the file cannot be read.
    """
    content = hashlib.sha256(_patient_id(path).encode() + b"\0")
    try:
        with open_dicom(path) as file:
            shape = [integer(file.dataset, name, 0) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
            content.update(repr((shape, file.encapsulated)).encode())
            for part in _fragments(file) if file.encapsulated else _parts(file.stream, _native_length(file)):
                content.update(part)
    except (OSError, MemoryError):
        raise
    except Exception:  # parsers document few of their exceptions
        content = hashlib.sha256(path.read_bytes())
    return content.hexdigest()


def _patient_id(path: Path) -> str:
    try:
        with quiet():
            header = dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
            return str(header.get("PatientID") or "").strip()
    except OSError:
        raise
    except Exception:
        return ""


def _native_length(file: DicomFile) -> int:
    file.stream.seek(file.pixels.start)
    return file.pixels.length


def _fragments(file: DicomFile) -> Iterator[bytes]:
    """Yield the compressed data without the offset table, which is not part of the image."""
    stream = file.stream
    stream.seek(file.pixels.start)
    first = True
    while stream.read(4) == _ITEM:
        length = int.from_bytes(stream.read(4), "little")
        if first:
            stream.seek(length, 1)
        else:
            yield from _parts(stream, length)
        first = False


def _parts(stream: Any, length: int) -> Iterator[bytes]:
    while length > 0 and (part := stream.read(min(length, _CHUNK))):
        yield part
        length -= len(part)


def decoded_content(path: Path, pixels: np.ndarray) -> str:
    """Return a hash of a DICOM film's PatientID and of its decoded pixels, independent of the transfer syntax.

    Args:
        path: of the film.
        pixels: (rows, columns) or (rows, columns, samples), float32.
    """
    content = hashlib.sha256(_patient_id(path).encode() + b"\0")
    content.update(repr(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels).data)
    return content.hexdigest()


@dataclass(frozen=True)
class NodeJob(FilmJob):
    """A film to detect on, and the content that it must have.

    Attributes:
        must_be: :func:`decoded_content` of the film that was received before with this UID; None if there was none.
    """

    must_be: str | None = None


@dataclass(frozen=True)
class NodeOutcome(Outcome):
    """The outcome of a film, and its :func:`decoded_content`; None if it could not be read."""

    decoded: str | None = None


class NodeWorker(FilmWorker):
    """Detects on films as a batch run does, but refuses a film that is not the image received before under its UID."""

    def __call__(self, job: FilmJob) -> NodeOutcome:
        """Read a film, check its content, and detect."""
        reading = self.read(job)
        decoded = None
        if isinstance(reading.result, Radiograph):
            decoded = decoded_content(job.path, reading.result.pixels)
        if isinstance(job, NodeJob) and job.must_be not in (None, decoded):
            return NodeOutcome(job.id, "failed", ANOTHER_IMAGE, decoded=decoded)
        return NodeOutcome(**vars(self.finish(job, reading)), decoded=decoded)
