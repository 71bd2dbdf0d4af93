"""Read one frame of a DICOM radiograph with pydicom: DX, CR, RG, PX and secondary captures.

The steps, each in its own module: `dicom_file` opens the file and reads its header, `dicom_pixels` decodes the frame,
`functional_groups` copies the attributes of that frame into the header, `dicom_display` computes the displayed grey
values, and `dicom_spacing` finds the pixel spacing.

Messages quote nothing from the file except numbers and terms that the standard defines: in a damaged file any element
can hold a patient's name.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom_display import displayed
from monai_ceph.readers.dicom_elements import term, uid, value
from monai_ceph.readers.dicom_file import has_preamble, looks_like_dicom, open_dicom
from monai_ceph.readers.dicom_pixels import count_stored_frames, read_frame
from monai_ceph.readers.dicom_spacing import dicom_spacing
from monai_ceph.readers.functional_groups import apply_functional_groups
from monai_ceph.readers.pixels import finite
from monai_ceph.readers.radiograph import Radiograph

__all__ = ["DICOM_SUFFIXES", "count_dicom_frames", "has_preamble", "looks_like_dicom", "read_dicom"]

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")

# PS3.3 C.7.6.1.1.1: anterior, posterior, right, left, head and foot, up to three letters combined
_DIRECTION = re.compile(r"[APRLHF]{1,3}")


def read_dicom(path: Path, frame: int | None = None, opened: io.FileIO | None = None) -> Radiograph:
    """Read one frame of a DICOM file, with or without a preamble.

    Args:
        path: the file.
        frame: which frame to read, counted from 1. None for a file with one frame.
        opened: the same file, if it is open already.

    Raises:
        ReadError: if the file is not DICOM, is damaged or truncated, has no pixel data, holds several frames and none
            is chosen, has no such frame, is not a radiograph by its modality, or has no decoder for its transfer
            syntax.
    """
    try:
        return _read(path, frame, opened)
    except (ReadError, MemoryError, OSError):
        raise
    except Exception:  # pydicom documents few of its exceptions, and their texts quote elements
        raise ReadError("damaged DICOM file") from None


def count_dicom_frames(path: Path, opened: io.FileIO | None = None) -> int:
    """Return the number of frames of a DICOM file, 1 or more. No pixels are decoded.

    Raises:
        ReadError: as in `read_dicom`, for problems that the header or the length of the pixel data shows.
    """
    try:
        with open_dicom(path, opened) as file:
            return count_stored_frames(file)
    except (ReadError, MemoryError, OSError):
        raise
    except Exception:
        raise ReadError("damaged DICOM file") from None


def _read(path: Path, frame: int | None, opened: io.FileIO | None) -> Radiograph:
    with open_dicom(path, opened) as file:
        frames = count_stored_frames(file)
        if frames > 1 and frame is None:
            raise ReadError(f"the file holds {frames} frames; choose one with frame=1 to frame={frames}")
        if frame is not None and frame > frames:
            raise ReadError(f"there is no frame {frame}; the file holds {frames}")
        notes: list[str] = []
        stored = read_frame(file, (frame or 1) - 1, notes)
        dataset = file.dataset
        apply_functional_groups(dataset, frame)
        colour = file.shape[2] > 1 or term(dataset, "PhotometricInterpretation") == "PALETTE COLOR"
        pixels = stored if colour else displayed(dataset, stored, notes)
        pixels, bad = finite(np.ascontiguousarray(pixels, dtype=np.float32))
        spacing, source, spacing_notes = dicom_spacing(dataset)
        return Radiograph(
            pixels,
            path,
            image_uid=uid(dataset, "SOPInstanceUID"),
            series_uid=uid(dataset, "SeriesInstanceUID"),
            study_uid=uid(dataset, "StudyInstanceUID"),
            sop_class_uid=uid(dataset, "SOPClassUID"),
            frame=(frame or 1) if frames > 1 else None,
            pixel_spacing=spacing,
            spacing_source=source,
            patient_orientation=_orientation(dataset),
            warnings=(*notes, *bad, *spacing_notes),
        )


def _orientation(dataset: Any) -> tuple[str, ...] | None:
    found = value(dataset, "PatientOrientation")
    if found is None or isinstance(found, str):
        return None
    directions = tuple(str(direction).strip() for direction in found)
    return directions if len(directions) == 2 and all(map(_DIRECTION.fullmatch, directions)) else None
