"""One phantom: shape, pose, exposure, noise and scale, all from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_ceph.datasets.phantom.exposure import expose
from monai_ceph.datasets.phantom.head import draw_head
from monai_ceph.datasets.phantom.plate import Plate
from monai_ceph.datasets.phantom.ruler import draw_ruler
from monai_ceph.datasets.phantom.shape import sample_shape

__all__ = ["FULL_HEIGHT", "FULL_WIDTH", "Phantom", "draw_phantom"]

FULL_HEIGHT, FULL_WIDTH = 2400, 1935
"""Rows and columns of a full-size film: those of the ISBI 2015 films."""


@dataclass(frozen=True)
class Phantom:
    """One synthetic lateral cephalogram, patient facing right.

    Attributes:
        pixels: (rows, columns) uint16 in 0..4095; air dark, bone bright.
        landmarks: (19, 2) float64, (row, column) in pixels, pixel centres at integers, in the order of
            :data:`monai_ceph.landmarks.LANDMARKS`.
        pixel_spacing: mm per pixel in the patient's median plane, the same along both axes.
        seed: the seed it was drawn from.
    """

    pixels: np.ndarray
    landmarks: np.ndarray
    pixel_spacing: float
    seed: int


def draw_phantom(seed: int, *, height: int = FULL_HEIGHT, width: int = FULL_WIDTH) -> Phantom:
    """Draw the phantom of a seed. The same seed always gives the same film.

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
    # A random stream for each part keeps the shape independent of the size of the film.
    shape_rng, pose_rng, style_rng, film_rng = (np.random.default_rng([seed, part]) for part in range(4))
    shape = sample_shape(shape_rng)

    pose = np.clip(pose_rng.standard_normal(5), -2.0, 2.0)
    unit = 591.0 + 25.0 * pose[0]
    tilt = np.deg2rad(5.0 * pose[1])
    matrix = unit * np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    origin = np.array([814.0 + 57.0 * pose[2], 1039.0 + 48.0 * pose[3]])
    spacing = round(0.1 * (1.0 + 0.02 * float(pose[4])), 5)
    full = origin + shape.landmarks @ matrix.T
    # A large, forward-tilted head is moved back onto the film.
    room = np.array([FULL_WIDTH, 1.2 * FULL_WIDTH]) - 30.0 - full.max(axis=0)
    origin = origin + np.minimum(room, 0.0)
    full = full + np.minimum(room, 0.0)

    scale = width / FULL_WIDTH
    plate = Plate(height, width, scale, style_rng.uniform(1.5, 2.4))
    draw_head(plate, shape, scale * matrix, (origin + 0.5) * scale - 0.5, unit, style_rng)
    nasion = full[1]
    rod = min(nasion[0] + style_rng.uniform(215.0, 260.0), FULL_WIDTH - 70.0)
    draw_ruler(plate, (rod + 0.5) * scale - 0.5, (nasion[1] - 60.0 + 0.5) * scale - 0.5, scale / spacing)
    pixels = expose(plate, film_rng)
    landmarks = ((full + 0.5) * scale - 0.5)[:, ::-1].copy()
    return Phantom(pixels, landmarks, spacing / scale, seed)
