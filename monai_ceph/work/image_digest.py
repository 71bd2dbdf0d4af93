"""Whether two files with one SOP Instance UID are the same image: the same patient and the same pixels.

A UID must name only one image (PS3.5 section 9), but some devices reuse UIDs. A file with a corrected header is the
same image; one with other pixels or another PatientID is not. Digests are compared and stored, never a patient's ID.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pydicom

from monai_ceph.readers.files import buffered
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["image_digest", "patient_id"]


def image_digest(patient: str, pixels: np.ndarray) -> str:
    """Return the SHA-256 of a film's PatientID and its decoded pixels, in hexadecimal digits.

    A copy in another lossless transfer syntax has the same digest. The PatientID has no digest of its own: trying all
    short numbers would reveal it.

    Args:
        patient: the film's PatientID, from :func:`patient_id`.
        pixels: (row, column), float32, as read.
    """
    digest = hashlib.sha256(patient.encode(errors="backslashreplace") + b"\0")
    digest.update(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels, dtype="<f4").data)
    return digest.hexdigest()


def patient_id(path: Path, opened: io.FileIO | None = None) -> str:
    """Return the PatientID in the header of a DICOM film, "" if it has none.

    Args:
        path: the film.
        opened: the same file, if it is open already. It stays open.

    Raises:
        OSError: the file cannot be read.
        Exception: the header cannot be parsed; pydicom does not document which.
    """
    with quiet(), buffered(path, opened) as stream:
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=["PatientID"])
        return str(header.get("PatientID") or "").strip()
