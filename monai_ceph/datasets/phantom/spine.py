"""Cervical spine of the phantom, in the frame of :mod:`monai_ceph.datasets.phantom.shape`."""
# ruff: noqa: RUF005 (an array plus a pair is a sum here)

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.curves import Normal, Points, spline

__all__ = ["add_spine"]


def add_spine(m: Points, out: Points, normal: Normal) -> None:
    """Cervical vertebrae below the skull base, C1 to C7."""
    lean = 0.10 * normal(1)[0]
    top = np.array([min(m["Ar"][0] - 0.02, m["Go"][0] - 0.12), 0.93])
    dens = top + (-0.06, -0.10)
    out["vertebra_2"] = spline(
        [
            dens + (0.04, -0.20),
            dens + (-0.05, -0.20),
            dens + (-0.07, 0.0),
            top + (-0.14, 0.13),
            top + (0.09, 0.17),
            top + (0.07, 0.02),
            dens + (0.06, 0.0),
        ],
        closed=True,
    )
    out["vertebra_1"] = spline(
        [top + (0.05, -0.21), top + (0.10, -0.16), top + (0.07, -0.08), top + (0.02, -0.12)], closed=True
    )
    out["arch_1"] = spline(
        [
            top + (-0.14, -0.24),
            top + (-0.42, -0.20),
            top + (-0.52, -0.13),
            top + (-0.42, -0.08),
            top + (-0.14, -0.14),
        ],
        closed=True,
    )
    for i in range(5):
        down = 0.30 + 0.225 * i
        c = top + (-0.04 + lean * down - 0.05 * (i - 1.5) ** 2 / 6, down - 0.02)
        slope = np.array([[1.0, -0.12], [0.12, 1.0]])
        body = np.array(
            [
                (-0.11, -0.085),
                (0.0, -0.075),
                (0.10, -0.085),
                (0.09, 0.0),
                (0.115, 0.095),
                (0.0, 0.075),
                (-0.11, 0.085),
                (-0.10, 0.0),
            ]
        )
        arch = np.array(
            [
                (-0.10, -0.09),
                (-0.22, 0.0),
                (-0.46 - 0.03 * i, 0.13),
                (-0.49 - 0.03 * i, 0.18),
                (-0.40, 0.19),
                (-0.22, 0.08),
                (-0.13, 0.06),
            ]
        )
        out[f"vertebra_{i + 3}"] = spline(c + body @ slope.T, closed=True)
        out[f"arch_{i + 3}"] = spline(c + arch @ slope.T, closed=True)
    out["arch_2"] = spline(
        [
            top + (-0.12, -0.02),
            top + (-0.35, -0.02),
            top + (-0.56, 0.10),
            top + (-0.54, 0.19),
            top + (-0.30, 0.15),
            top + (-0.14, 0.12),
        ],
        closed=True,
    )
