"""From attenuation to grey values: scatter, fog, grain and the film's curve."""

from __future__ import annotations

import numpy as np
from PIL import Image

from monai_ceph.datasets.phantom.plate import Plate

__all__ = ["expose"]


def expose(plate: Plate, rng: np.random.Generator) -> np.ndarray:
    """Return the film as (height, width) uint16 in 0..4095: scatter, grain, film curve."""
    height, width = plate.mu.shape
    mu = plate.mu
    for cells, amount in ((260, 0.018), (90, 0.015), (12, 0.03)):
        mu *= 1.0 + np.float32(amount) * _smooth_noise(rng, height, width, cells)
    np.maximum(mu, 0.0, out=mu)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    heel = rng.uniform(-0.10, 0.12) * x + rng.uniform(-0.08, 0.08) * y
    # The area in front of the face is often fogged towards the edge of the film.
    fog = rng.uniform(0.0, 0.12) * (x * x + y * y) + rng.uniform(-0.4, 0.9) * np.maximum(x - 0.55, 0.0)
    mu += (heel + np.maximum(fog, 0.0)).astype(np.float32)
    # Quantum noise: fewer photons pass through more tissue, and the larger pixels of a small film collect more.
    grain = rng.uniform(0.016, 0.034) * max(plate.scale, 0.35)
    mu += rng.standard_normal(mu.shape, dtype=np.float32) * np.exp(0.42 * mu) * np.float32(grain)
    middle, latitude = rng.uniform(1.05, 1.30), rng.uniform(0.42, 0.54)
    film = 1.0 / (1.0 + np.exp((middle - mu) / np.float32(latitude)))
    return np.rint(film * np.float32(4095.0)).astype(np.uint16)


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Return a (height, width) float32 field of unit noise, interpolated from ``cells`` cells across."""
    grid = rng.standard_normal((max(2, cells * height // width), cells), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
