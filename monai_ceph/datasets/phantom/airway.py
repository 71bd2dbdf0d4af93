"""Airway, soft palate and hyoid of the phantom, in the frame of :mod:`monai_ceph.datasets.phantom.shape`."""
# ruff: noqa: RUF005 (an array plus a pair is a sum here)

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.curves import Points, spline

__all__ = ["add_airway"]


def add_airway(m: Points, out: Points) -> None:
    """Add the airway from the nose to the larynx, the soft palate and the hyoid."""
    out["nasal_airway"] = spline(
        [
            m["Sn"] + (-0.10, -0.13),
            m["ANS"] + (-0.02, -0.06),
            m["ANS"] + (-0.25, -0.10),
            m["PNS"] + (0.05, -0.07),
            m["PNS"] + (0.05, -0.22),
            m["Or"] + (-0.10, 0.10),
            m["N"] + (-0.02, 0.28),
            m["Sn"] + (-0.02, -0.22),
        ],
        closed=True,
    )
    out["pharynx"] = spline(
        [
            m["PNS"] + (-0.02, -0.16),
            m["PNS"] + (-0.06, -0.02),
            m["PNS"] + (-0.16, 0.20),
            m["Go"] + (0.12, 0.02),
            m["Go"] + (0.22, 0.36),
            np.array([0.20, 2.3]),
            np.array([0.08, 2.6]),
            np.array([0.02, 2.2]),
            m["Go"] + (0.05, 0.36),
            m["Go"] + (0.02, 0.05),
            m["Go"] + (0.07, -0.25),
            m["PNS"] + (-0.24, -0.10),
        ],
        closed=True,
    )
    out["soft_palate"] = spline(
        [
            m["PNS"] + (0.03, -0.01),
            m["PNS"] + (-0.08, 0.06),
            m["PNS"] + (-0.17, 0.26),
            m["PNS"] + (-0.12, 0.27),
            m["PNS"] + (0.0, 0.10),
            m["PNS"] + (0.05, 0.03),
        ],
        closed=True,
    )
    h = m["Go"] + (0.42, 0.53)
    out["hyoid"] = spline(
        [
            h + (0.05, -0.04),
            h + (0.05, 0.04),
            h + (-0.02, 0.03),
            h + (-0.22, -0.03),
            h + (-0.21, -0.06),
            h + (-0.02, -0.03),
        ],
        closed=True,
    )
