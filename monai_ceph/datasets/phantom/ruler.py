"""The nasion rod of the cephalostat, with its ruler."""

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.plate import Plate

__all__ = ["draw_ruler"]


def draw_ruler(plate: Plate, x: float, tip: float, pixels_per_mm: float) -> None:
    """Add the nasion rod: bar, pad and a scale with a tick each 5 mm. Positions in plate pixels."""
    s = plate.scale

    def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

    plate.body(box(x - 14 * s, -20 * s, x + 14 * s, tip), 0.55)
    plate.body(box(x - 55 * s, -20 * s, x + 55 * s, tip - 560 * s), 0.16, rim=0.22, rim_width=10)
    plate.body(box(x - 42 * s, tip - 90 * s, x + 42 * s, tip + 130 * s), 0.28)
    plate.body(box(x - 190 * s, tip + 70 * s, x - 42 * s, tip + 120 * s), 0.28)
    for i in range(9):
        y = tip + 10 * s - 5.0 * i * pixels_per_mm
        plate.body(box(x - 26 * s, y - 5 * s, x, y + 5 * s), 1.1)
    plate.body(box(x, tip + 10 * s - 40 * pixels_per_mm, x + 9 * s, tip + 10 * s), 1.1)
