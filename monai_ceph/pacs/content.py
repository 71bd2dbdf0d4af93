"""Whether a film that arrives is the image that was received before under its SOP Instance UID.

On arrival, stored pixel data are compared, which needs no decoder. If they differ, the worker compares decoded pixels
(:mod:`monai_ceph.work.image_digest`): another program may have compressed the same image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_ceph.readers.dicom_elements import integer
from monai_ceph.readers.dicom_file import DicomFile, open_dicom
from monai_ceph.work.film import FilmJob, FilmWorker, Outcome
from monai_ceph.work.image_digest import patient_id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ANOTHER_IMAGE", "NodeJob", "NodeWorker", "stored_content"]

ANOTHER_IMAGE = "another image with this SOP Instance UID was received before"

_CHUNK = 2**20
_ITEM = b"\xfe\xff\x00\xe0"


def stored_content(path: Path) -> str:
    """Return a hash of a DICOM film's PatientID and of its pixel data as stored.

    Nothing is decoded: this is fast, and no decoder runs in the listening process. Copies of one image with different
    transfer syntaxes, or compressed by different programs, have different hashes. A file that cannot be parsed is
    hashed as a whole.

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
        return patient_id(path)
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


@dataclass(frozen=True)
class NodeJob(FilmJob):
    """A film to detect on, and the image that it must be.

    Attributes:
        must_be: :func:`~monai_ceph.work.image_digest.image_digest` of the film that was received before with this UID;
            None if there was none.
    """

    must_be: str | None = None


class NodeWorker(FilmWorker):
    """Detects on films as a batch run does, but refuses a film that is not the image received before under its UID."""

    def __call__(self, job: FilmJob) -> Outcome:
        """Read a film, check that it is the right image, and detect."""
        reading = self.read(job)
        if isinstance(job, NodeJob) and job.must_be not in (None, reading.image_sha256):
            return Outcome(job.id, "failed", ANOTHER_IMAGE, image_sha256=reading.image_sha256)
        return self.finish(job, reading)
