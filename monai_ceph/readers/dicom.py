"""DICOM radiographs, read by pydicom: DX, CR, RG, PX and secondary captures, one frame at a time.

`dicom_file` opens the file, `dicom_pixels` decodes a frame, `functional_groups` says what holds for that frame,
`dicom_display` makes grey values of it as they are displayed, `dicom_spacing` finds the scale. No message quotes what
the file says, but for numbers and for terms that the standard defines: in a damaged file any element can hold a
patient's name.
"""

from __future__ import annotations

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

# PS3.3 C.7.6.1.1.1: anterior, posterior, right, left, head, foot, and combinations of up to three
_DIRECTION = re.compile(r"[APRLHF]{1,3}")


def read_dicom(path: Path, frame: int | None = None) -> Radiograph:
    """Read one frame of a DICOM file, with or without a preamble.

    Args:
        path: of the file.
        frame: its number, from 1. None for a file with one frame.

    Raises:
        ReadError: not a DICOM file, damaged, truncated, no pixel data, several frames and none chosen, no such frame,
            a modality that is no radiograph, or a transfer syntax without a decoder.
    """
    try:
        return _read(path, frame)
    except (ReadError, MemoryError, OSError):
        raise
    except Exception:  # pydicom documents few of its exceptions, and their texts quote elements
        raise ReadError("damaged DICOM file") from None


def count_dicom_frames(path: Path) -> int:
    """The number of frames of a DICOM file, 1 or more. No pixels are read.

    Raises:
        ReadError: as `read_dicom`, as far as the header and the length of the pixel data show it.
    """
    try:
        with open_dicom(path) as file:
            return count_stored_frames(file)
    except (ReadError, MemoryError, OSError):
        raise
    except Exception:
        raise ReadError("damaged DICOM file") from None


def _read(path: Path, frame: int | None) -> Radiograph:
    with open_dicom(path) as file:
        frames = count_stored_frames(file)
        if frames > 1 and frame is None:
            raise ReadError(f"holds {frames} frames, choose one with frame=1 to frame={frames}")
        if frame is not None and frame > frames:
            raise ReadError(f"there is no frame {frame}, the file holds {frames}")
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
