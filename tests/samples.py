"""Small samples that several tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from monai_ceph.readers import Radiograph
from monai_ceph.result import Detection

# size of the phantoms that tests share: the grid of the local stage, so that no pixel is drawn in vain
HEIGHT, WIDTH = 1200, 968


def changed(detection: Detection, index: int, **values: object) -> Detection:
    """Return the detection with one landmark changed."""
    marks = list(detection.landmarks)
    marks[index] = marks[index].model_copy(update=values)
    return detection.model_copy(update={"landmarks": tuple(marks)})


def save_grey(path: Path, pixels: np.ndarray) -> Path:
    """Write an 8-bit image."""
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def radiograph(rows: int, columns: int, name: str = "film.png") -> Radiograph:
    """Return a film of noise."""
    return Radiograph(np.random.default_rng(0).random((rows, columns), dtype=np.float32), Path(name))


def noise(rows: int, columns: int) -> np.ndarray:
    """Return 8-bit noise."""
    return np.random.default_rng(1).integers(0, 256, (rows, columns)).astype(np.uint8)


def row_column(detection: Detection) -> np.ndarray:
    """Return the landmarks, (19, 2), as (row, column), the order of annotations in arrays."""
    return detection.points()[:, ::-1].copy()
