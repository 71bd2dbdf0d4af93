"""Phantoms as files: a folder of films with their table of landmarks."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from monai_ceph.datasets.phantom.dicom import save_dicom
from monai_ceph.datasets.phantom.drawing import FULL_HEIGHT, FULL_WIDTH, Phantom, draw_phantom
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.storage.atomic import written_beside

__all__ = ["phantom_names", "write_phantoms"]

_TABLE = "landmarks.csv"
_COLUMNS = ("film", "landmark", "symbol", "x", "y", "pixel_spacing")


def phantom_names(count: int, file_format: Literal["dicom", "png"] = "dicom") -> list[str]:
    """Return the file names that :func:`write_phantoms` uses for ``count`` films, and last that of the table."""
    suffix = "dcm" if file_format == "dicom" else "png"
    return [*(f"{number:03d}.{suffix}" for number in range(1, count + 1)), _TABLE]


def write_phantoms(
    out: Path,
    count: int,
    seed: int = 0,
    *,
    file_format: Literal["dicom", "png"] = "dicom",
    height: int = FULL_HEIGHT,
    width: int = FULL_WIDTH,
    on_film: Callable[[Path], None] = lambda film: None,
) -> list[Path]:
    """Write phantoms of the seeds ``seed``, ``seed + 1``, ... and their landmarks.

    Files: ``001.dcm`` (12-bit Digital X-Ray image with a calibrated PixelSpacing) or ``001.png`` (8-bit
    grey) upwards, and ``landmarks.csv`` with the columns file, landmark, symbol, x, y, pixel_spacing: x
    right, y down, in pixels, pixel centres at integers; pixel_spacing in mm. Each file appears whole or
    not at all. ``on_film`` is called with each film that is written.

    Returns:
        The paths of the films, in order.

    Raises:
        ValueError: if the format is unknown, the count is negative, or :func:`draw_phantom` raises it.
        OSError: if a file cannot be written.
    """
    if file_format not in ("dicom", "png"):
        raise ValueError(f"file_format must be 'dicom' or 'png', not {file_format!r}")
    if count < 0:
        raise ValueError(f"count must be 0 or more, not {count}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save = _save_png if file_format == "png" else _save_dicom
    films: list[Path] = []
    rows: list[tuple[str, ...]] = []
    for number, name in enumerate(phantom_names(count, file_format)[:-1]):
        phantom = draw_phantom(seed + number, height=height, width=width)
        with written_beside(out / name) as part:
            save(part, phantom)
        films.append(out / name)
        rows += _rows(name, phantom)
        on_film(out / name)
    with written_beside(out / _TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows(rows)
    return films


def _rows(name: str, phantom: Phantom) -> list[tuple[str, ...]]:
    spacing = f"{phantom.pixel_spacing:.8g}"
    return [
        (name, landmark.name, landmark.symbol, f"{column:.4f}", f"{row:.4f}", spacing)
        for landmark, (row, column) in zip(LANDMARKS, phantom.landmarks, strict=True)
    ]


def _save_png(path: Path, phantom: Phantom) -> None:
    Image.fromarray((phantom.pixels >> 4).astype(np.uint8)).save(path, format="PNG", compress_level=3)


def _save_dicom(path: Path, phantom: Phantom) -> None:
    save_dicom(path, phantom.pixels, phantom.pixel_spacing, phantom.seed)
