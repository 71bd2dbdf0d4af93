"""Synthetic lateral cephalograms with exactly known landmarks, for tests and demonstrations.

The phantom is procedural: splines, polygons and noise. No pixel comes from a real film, and accuracy on
phantoms says nothing about patients.

Every landmark is tied to something that the film shows (a tip, a corner, an extreme of an outline, the
centre of a pit), so that a model can find it in the pixels and not only from the mean shape. Extremes
("lowest", "most anterior") refer to the head's own frame, whose x axis is the Frankfort plane from
Porion to Orbitale. Structures of both sides of the head appear twice; the landmarks belong to the
sharper, brighter copy.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from monai_ceph.datasets.phantom.dicom import save_dicom
from monai_ceph.datasets.phantom.film import Plate, draw_head, draw_ruler, expose
from monai_ceph.datasets.phantom.shape import sample_shape
from monai_ceph.landmarks import LANDMARKS

FULL_HEIGHT, FULL_WIDTH = 2400, 1935
COLUMNS = ("file", "landmark", "symbol", "x", "y", "pixel_spacing")


@dataclass(frozen=True)
class Phantom:
    """One synthetic lateral cephalogram, patient facing right.

    Attributes:
        pixels: (rows, columns) uint16 in 0..4095; air dark, bone bright.
        landmarks: (19, 2) float64, (row, column) in pixels, pixel centres at integers, in the order of
            :data:`monai_ceph.landmarks.LANDMARKS`.
        pixel_spacing: mm per pixel in the patient's median plane, the same along both axes.
        seed: what it was drawn from.
    """

    pixels: np.ndarray
    landmarks: np.ndarray
    pixel_spacing: float
    seed: int


def draw_phantom(seed: int, *, height: int = FULL_HEIGHT, width: int = FULL_WIDTH) -> Phantom:
    """Draw the phantom of a seed: shape, pose, exposure, noise and scale all follow from it.

    The geometry scales with ``width``, and the pixel spacing with it: a smaller film shows the same head.

    Args:
        seed: 0 or more.
        height: rows.
        width: columns.

    Raises:
        ValueError: if the seed is negative, the film is narrower than 64 pixels, or so low that the
            head would not fit (height below 1.2 times the width).
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    if width < 64 or height < 1.2 * width:
        raise ValueError(f"a phantom needs width >= 64 and height >= 1.2 * width, not {width} x {height}")
    # One stream for each part, so that the shape does not depend on the size of the film.
    shape_rng, pose_rng, look_rng, film_rng = (np.random.default_rng([seed, part]) for part in range(4))
    shape = sample_shape(shape_rng)

    pose = np.clip(pose_rng.standard_normal(5), -2.0, 2.0)
    unit = 591.0 + 25.0 * pose[0]
    tilt = np.deg2rad(5.0 * pose[1])
    matrix = unit * np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    origin = np.array([814.0 + 57.0 * pose[2], 1039.0 + 48.0 * pose[3]])
    spacing = round(0.1 * (1.0 + 0.02 * float(pose[4])), 5)
    full = origin + shape.landmarks @ matrix.T
    # A large, forward-tilted head is put back on the film.
    room = np.array([FULL_WIDTH, 1.2 * FULL_WIDTH]) - 30.0 - full.max(axis=0)
    origin = origin + np.minimum(room, 0.0)
    full = full + np.minimum(room, 0.0)

    scale = width / FULL_WIDTH
    plate = Plate(height, width, scale, look_rng.uniform(1.5, 2.4))
    draw_head(plate, shape, scale * matrix, (origin + 0.5) * scale - 0.5, unit, look_rng)
    nasion = full[1]
    rod = min(nasion[0] + look_rng.uniform(215.0, 260.0), FULL_WIDTH - 70.0)
    draw_ruler(plate, (rod + 0.5) * scale - 0.5, (nasion[1] - 60.0 + 0.5) * scale - 0.5, scale / spacing)
    pixels = expose(plate, film_rng)
    landmarks = ((full + 0.5) * scale - 0.5)[:, ::-1].copy()
    return Phantom(pixels, landmarks, spacing / scale, seed)


def phantom_names(count: int, file_format: Literal["dicom", "png"] = "dicom") -> list[str]:
    """Return the names of so many films, and of their table, last."""
    suffix = "dcm" if file_format == "dicom" else "png"
    return [*(f"{number:03d}.{suffix}" for number in range(1, count + 1)), "landmarks.csv"]


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
        ValueError: for an unknown format, a negative count, or what :func:`draw_phantom` refuses.
    """
    if file_format not in ("dicom", "png"):
        raise ValueError(f"file_format must be 'dicom' or 'png', not {file_format!r}")
    if count < 0:
        raise ValueError(f"count must be 0 or more, not {count}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    films: list[Path] = []
    rows: list[tuple[str, ...]] = []
    *names, table_name = phantom_names(count, file_format)
    for number, name in enumerate(names):
        phantom = draw_phantom(seed + number, height=height, width=width)
        film = out / name
        writer = _save_png if file_format == "png" else _save_dicom
        _replace(film, lambda path, phantom=phantom, writer=writer: writer(path, phantom))  # type: ignore[misc]
        films.append(film)
        for landmark, (row, column) in zip(LANDMARKS, phantom.landmarks, strict=True):
            rows.append(
                (
                    film.name,
                    landmark.name,
                    landmark.symbol,
                    f"{column:.4f}",
                    f"{row:.4f}",
                    f"{phantom.pixel_spacing:.8g}",
                )
            )
        on_film(film)

    def save_table(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(rows)

    _replace(out / table_name, save_table)
    return films


def _replace(path: Path, save: Callable[[Path], None]) -> None:
    """Save beside ``path``, then rename: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _save_png(path: Path, phantom: Phantom) -> None:
    Image.fromarray((phantom.pixels >> 4).astype(np.uint8)).save(path, format="PNG", compress_level=3)


def _save_dicom(path: Path, phantom: Phantom) -> None:
    save_dicom(path, phantom.pixels, phantom.pixel_spacing, phantom.seed)
