"""Whether two files with one SOP Instance UID are one image. Digests are compared, never a patient's ID."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pydicom

from monai_ceph.readers import Radiograph
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["image_digest"]


def image_digest(path: Path, radiograph: Radiograph) -> str:
    """Return the SHA-256 of a film's pixels and its PatientID.

    The pixels are the decoded ones, so that a copy in another lossless transfer syntax has the same digest. The
    PatientID has no digest of its own: trying all short numbers would reveal it.

    Args:
        path: the DICOM file that was read.
        radiograph: what was read from it.

    Raises:
        Exception: if the header cannot be parsed; pydicom does not document which.
    """
    with quiet():
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["PatientID"])
        patient = str(header.get("PatientID") or "").strip()
    digest = hashlib.sha256(f"{radiograph.pixels.shape} {patient}\0".encode(errors="backslashreplace"))
    digest.update(np.ascontiguousarray(radiograph.pixels, dtype="<f4").data)
    return digest.hexdigest()
