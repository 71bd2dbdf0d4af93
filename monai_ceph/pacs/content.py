"""Whether a film that arrives is the image that was received before under its SOP Instance UID.

On arrival, stored pixel data are compared, which needs no decoder. If they differ, the worker compares decoded pixels
(:mod:`monai_ceph.work.image_digest`): another program may have compressed the same image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from monai_ceph.pacs.ledger_rows import PastAnswer
from monai_ceph.readers import Radiograph
from monai_ceph.readers.dicom_elements import integer
from monai_ceph.readers.dicom_file import DicomFile, open_dicom
from monai_ceph.reports.header_identity import ObjectReference, header_identity
from monai_ceph.work.film import FilmJob, FilmWorker, Outcome, Reading
from monai_ceph.work.image_digest import image_digest, patient_id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ANOTHER_IMAGE", "NodeJob", "NodeWorker", "objects_to_replace", "stored_content"]

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
        must_be: digest of the pixels of the film that was received before with this UID; None if there was none. If an
            older version read that film, the digest is over its PatientID, too.
        past: the last object of each kind that was made for this image.
    """

    must_be: str | None = None
    past: tuple[PastAnswer, ...] = ()


class NodeWorker(FilmWorker):
    """Detects on films as a batch run does, but refuses a film that is not the image received before under its UID.

    The same image with another header, such as the corrected one of another patient, gets objects of its own, which say
    what they replace.
    """

    def __call__(self, job: FilmJob) -> Outcome:
        """Read a film, check that it is the right image, and detect."""
        reading = self.read(job)
        if not isinstance(job, NodeJob):
            return self.finish(job, reading)
        pixels = image_digest("", reading.result.pixels) if isinstance(reading.result, Radiograph) else None
        digests = {"image_sha256": reading.image_sha256, "pixels_sha256": pixels}
        if job.must_be not in (None, *digests.values()):
            return Outcome(job.id, "failed", ANOTHER_IMAGE, **digests)  # type: ignore[arg-type]
        answered = _answered(job, reading, pixels)
        outcome = self.finish(job, reading, objects_to_replace(job.past, answered))
        return replace(outcome, pixels_sha256=pixels, answered=answered)


def _answered(job: FilmJob, reading: Reading, pixels: str | None) -> str | None:
    """Return a digest of what the results of a film depend on, None if it cannot be read."""
    film, header = reading.result, reading.header
    if not isinstance(film, Radiograph) or not isinstance(header, Dataset):
        return None
    scale = repr((film.spacing_source.value, film.pixel_spacing))
    text = f"{reading.image_sha256} {pixels} {header_identity(header, job.frame)} {scale}"
    return hashlib.sha256(text.encode()).hexdigest()


def objects_to_replace(past: tuple[PastAnswer, ...], answered: str | None) -> dict[str, ObjectReference]:
    """Return the object of each kind that a new object must say it replaces.

    A repeat for the same header gives the same object, so it replaces what the last one replaced.

    Args:
        past: the last object of each kind.
        answered: digest of what the new objects depend on.
    """
    found = {each.kind: each.replaces if each.answered == answered else each.reference for each in past}
    return {kind: reference for kind, reference in found.items() if reference is not None}
