"""Skin of the phantom, in the frame of :mod:`monai_ceph.datasets.phantom.shape`."""
# ruff: noqa: RUF005 (an array plus a pair is a sum here)

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.curves import STEPS, Normal, Points, farthest, spline


def add_skin(m: Points, out: Points, normal: Normal) -> None:
    """Add the soft-tissue profile. Sets UL, LL and Pog' to the most anterior points of the drawn lips and chin."""
    n, sn, ul, ll, pog, me = m["N"], m["Sn"], m["UL"], m["LL"], m["Pog'"], m["Me"]
    tip = sn + (0.225, -0.135) + (0.03, 0.03) * normal(2)
    scalp = spline(
        [
            np.array([-0.98, 3.2]),
            np.array([-1.00, 1.9]),
            np.array([-0.98, 1.2]),
            np.array([-1.10, 0.85]),
            np.array([-1.42, 0.48]),
            np.array([-1.64, 0.02]),
            np.array([-1.70, -0.45]),
            np.array([-1.50, -1.10]),
            np.array([-1.02, -1.55]),
            np.array([-0.35, -1.73]),
            np.array([0.25, -1.60]),
            np.array([0.74, -1.27]),
            n + (0.03, -0.62),
            n + (0.115, -0.32),
            n + (0.125, -0.14),
            n + (0.095, 0.0),
            n + (0.135, 0.12),
            0.5 * (n + tip) + (0.05, 0.0),
            tip + (-0.055, -0.115),
            tip,
            tip + (-0.035, 0.085),
            0.45 * tip + 0.55 * sn + (0.0, 0.045),
            sn,
        ]
    )
    stomion = np.array([min(ul[0], ll[0]) - 0.085, 0.5 * (ul[1] + ll[1]) - 0.005])
    upper = spline(
        [
            sn,
            sn + (0.008, 0.05),
            np.array([ul[0] - 0.022, 0.45 * sn[1] + 0.55 * ul[1]]),
            ul,
            np.array([ul[0] - 0.012, 0.55 * ul[1] + 0.45 * stomion[1]]),
            stomion,
        ]
    )
    sulcus = np.array([min(ll[0], pog[0]) - 0.055, 0.52 * ll[1] + 0.48 * pog[1]])
    lower = spline(
        [
            stomion,
            np.array([ll[0] - 0.018, 0.5 * ll[1] + 0.5 * stomion[1]]),
            ll,
            np.array([0.45 * ll[0] + 0.55 * sulcus[0], 0.5 * (ll[1] + sulcus[1])]),
            sulcus,
            np.array([pog[0] - 0.020, 0.45 * sulcus[1] + 0.55 * pog[1]]),
            pog,
            np.array([0.55 * pog[0] + 0.45 * me[0] + 0.03, me[1] + 0.06]),
            me + (-0.02, 0.125),
            me + (-0.28, 0.17),
            np.array([me[0] - 0.46, me[1] + 0.30]),
            np.array([0.20, 2.60]),
            np.array([0.22, 3.2]),
        ]
    )
    m["UL"] = farthest(upper[1 * STEPS :], (1.0, 0.0))
    m["LL"] = farthest(lower[: 4 * STEPS], (1.0, 0.0))
    m["Pog'"] = farthest(lower[4 * STEPS : 8 * STEPS], (1.0, 0.0))
    out["skin"] = np.concatenate([scalp[:-1], upper[:-1], lower])
    out["nostril"] = spline(
        [
            sn + (0.035, -0.035),
            tip + (-0.09, 0.035),
            tip + (-0.13, -0.02),
            sn + (0.0, -0.10),
            sn + (-0.05, -0.07),
        ],
        closed=True,
    )
