"""Small films for the tests of the readers, and assertions about reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import sample_files
from pydicom.uid import ExplicitVRLittleEndian
from sample_files import UID, save

from monai_ceph.errors import ReadError
from monai_ceph.readers import read_radiograph

__all__ = ["COLUMNS", "GREY8", "GREY12", "RGB8", "ROWS", "UID", "dicom", "luma", "refuses", "same", "save"]

ROWS, COLUMNS = 30, 40
GREY8 = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)
GREY12 = np.random.default_rng(1).integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16)
RGB8 = np.random.default_rng(2).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


def dicom(
    stored: np.ndarray = GREY12, bits: int = 12, syntax: str = ExplicitVRLittleEndian, **elements: Any
) -> pydicom.Dataset:
    return sample_files.dicom(stored, bits, syntax, **elements)


def same(path: Path, expected: np.ndarray, atol: float = 0.0, frame: int | None = None) -> None:
    found = read_radiograph(path, frame=frame).pixels
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def refuses(path: Path, cause: str, frame: int | None = None) -> None:
    with pytest.raises(ReadError) as caught:
        read_radiograph(path, frame=frame)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert cause in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250
