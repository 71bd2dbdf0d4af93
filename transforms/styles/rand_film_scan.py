"""Scans of old films: yellowed, uneven light, vignetting."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandFilmScan", "RandFilmScanD", "RandFilmScanDict", "RandFilmScand"]


class RandFilmScan(RandStyle):
    """Change grey values as a yellowed film on a scanner or a light box does.

    Yellowing compresses and bends the range of grey values; a lamp is brighter on one side; a lens darkens the corners
    or lights them.
    """

    name = "film_scan"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        gamma = log_between(R, 0.6, 1.7)
        low, high = between(R, 0, 0.25), between(R, 0.7, 1)
        slope = R.normal(0, 0.12, size=2)
        vignette = between(R, -0.15, 0.45) if R.uniform() < 0.6 else 0.0
        # the film's centre is near that of the head, and its corners 15 cm away
        points = np.array(list(view.points.values()) or [np.array(view.size) / 2])
        centre = points.mean(axis=0) + R.normal(0, 15 * view.per_mm, size=2)
        reach = 150 * view.per_mm

        def change(pixels: np.ndarray) -> np.ndarray:
            rows = ((np.arange(pixels.shape[0]) - centre[0]) / reach).astype(np.float32)[:, None]
            columns = ((np.arange(pixels.shape[1]) - centre[1]) / reach).astype(np.float32)[None]
            light = (1 + slope[0] * rows + slope[1] * columns) * (1 - vignette * (rows**2 + columns**2).clip(0, 1.5))
            bent = low + (high - low) * np.power(pixels.clip(0, 1), np.float32(gamma))
            return bent * light.astype(np.float32)

        return change


class RandFilmScand(RandStyled):
    """Dictionary form of :class:`RandFilmScan`."""

    style_class = RandFilmScan


RandFilmScanD = RandFilmScanDict = RandFilmScand
