"""Skin, airway and neck of the phantom, in the frame of :mod:`monai_ceph.datasets.phantom.shape`."""
# ruff: noqa: RUF005 (an array plus a pair is a sum here)

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.curves import STEPS, Normal, Points, farthest, spline


def add_profile(m: Points, out: Points, normal: Normal) -> None:
    """Skin. Sets UL, LL and Pog' to the most anterior points of the drawn lips and chin."""
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
    out["nasal_airway"] = spline(
        [
            sn + (-0.10, -0.13),
            m["ANS"] + (-0.02, -0.06),
            m["ANS"] + (-0.25, -0.10),
            m["PNS"] + (0.05, -0.07),
            m["PNS"] + (0.05, -0.22),
            m["Or"] + (-0.10, 0.10),
            n + (-0.02, 0.28),
            sn + (-0.02, -0.22),
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
