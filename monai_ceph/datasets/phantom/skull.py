"""Skull of the phantom, in the frame of :mod:`monai_ceph.datasets.phantom.shape`."""
# ruff: noqa: RUF005 (an array plus a pair is a sum here)

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.curves import STEPS, Normal, Points, farthest, spline


def add_skull(m: Points, out: Points, normal: Normal) -> None:
    """Vault, base, sella, orbit, ear, nasal bone. Sets Or to the lowest point of the drawn rim."""
    n, po, ar = m["N"], m["Po"], m["Ar"]
    size = 1.0 + 0.03 * normal(1)[0]
    brow = 0.020 * normal(1)[0]
    outer = spline(
        [
            n + (-0.005, -0.015),
            n + (0.045 + brow, -0.12),
            n + (0.040 + brow, -0.30),
            n + (-0.05, -0.58),
            *(
                np.array([-0.30, -0.45]) + size * (np.array(p) - (-0.30, -0.45))
                for p in (
                    (0.66, -1.18),
                    (0.20, -1.48),
                    (-0.35, -1.60),
                    (-0.95, -1.45),
                    (-1.40, -1.02),
                    (-1.58, -0.45),
                    (-1.52, 0.02),
                    (-1.34, 0.36),
                )
            ),
            np.array([-1.04, 0.58]),
            np.array([-0.78, 0.67]),
            0.5 * (ar + (-0.78, 0.67)) + (0.0, 0.03),
        ]
    )
    out["vault_outer"] = outer
    # The inner table keeps its distance, and leaves the outer one at the brow for the frontal sinus.
    tangent = np.gradient(outer, axis=0)
    inward = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) / np.linalg.norm(tangent, axis=1)[:, None]
    share = np.linspace(0.0, 1.0, len(outer))
    gap = 0.060 + 0.012 * np.sin(9 * share) + 0.085 * np.exp(-(((share - 0.10) / 0.055) ** 2))
    inner = outer + gap[:, None] * inward
    inner = inner[int(0.075 * len(inner)) : int(0.97 * len(inner))]
    roof = spline(
        [
            inner[0],
            inner[0] + (-0.06, 0.06),
            np.array([0.62, -0.15]),
            np.array([0.40, -0.085]),
            np.array([0.24, -0.055]),
            np.array([0.165, -0.090]),
        ]
    )
    out["roof"] = roof
    out["vault_inner"] = inner
    base = spline(
        [
            np.array([-1.04, 0.58]),
            np.array([-0.78, 0.67]),
            0.5 * (ar + (-0.78, 0.67)) + (0.0, 0.03),
            ar,
            ar + (0.10, -0.07),
            np.array([0.05, 0.36]),
            np.array([0.22, 0.33]),
        ]
    )
    out["base"], out["base_front"] = base[: 4 * STEPS + 1], base[4 * STEPS :]
    out["clivus"] = spline(
        [np.array([-0.105, -0.075]), np.array([-0.115, 0.02]), np.array([-0.14, 0.16]), ar + (0.06, -0.08)]
    )
    out["petrous"] = spline(
        [
            po + (-0.34, -0.08),
            po + (-0.14, -0.20),
            po + (0.12, -0.20),
            np.array([-0.08, 0.06]),
            np.array([0.02, 0.14]),
            np.array([0.10, 0.30]),
            ar + (0.10, -0.07),
            ar,
            ar + (-0.16, 0.07),
            po + (-0.36, 0.20),
        ],
        closed=True,
    )

    # Sella: a U-shaped pit, centred on S from the mouth to the floor and from wall to wall.
    wide, deep = 0.085 + 0.010 * normal(1)[0], 0.074 + 0.008 * normal(1)[0]
    half = np.linspace(0.0, np.pi, 25)
    bowl = np.stack([wide * np.cos(half), deep * np.sin(half)], axis=1)
    out["sella"] = np.concatenate([[[wide, -deep]], bowl, [[-wide, -deep]]])
    floor = out["sella"][::-1]
    out["cranium"] = np.concatenate([outer, base[2 * STEPS : 4 * STEPS], out["clivus"][::-1], floor, roof[::-1]])
    out["brain"] = np.concatenate([inner, [ar + (-0.05, -0.06)], out["clivus"][::-1], floor, roof[::-1]])
    out["sphenoid"] = spline(
        [
            (0.16, -0.07),
            (0.34, -0.06),
            (0.38, 0.12),
            (0.24, 0.32),
            (0.05, 0.36),
            ar + (0.12, -0.07),
            (-0.13, 0.12),
            (-0.09, 0.04),
            (0.0, deep),
            (0.08, 0.03),
        ],
        closed=True,
    )
    out["anterior_clinoid"] = spline(
        np.array([wide, -deep])
        + np.array([(-0.012, -0.006), (0.03, -0.032), (0.10, -0.018), (0.10, 0.020), (0.02, 0.045), (0.002, 0.02)]),
        closed=True,
    )
    out["posterior_clinoid"] = spline(
        np.array([-wide, -deep])
        + np.array([(0.012, -0.008), (-0.012, -0.028), (-0.040, -0.008), (-0.045, 0.07), (-0.012, 0.08), (0.0, 0.02)]),
        closed=True,
    )
    out["sphenoid_sinus"] = spline(
        [
            (wide + 0.03, 0.0),
            (0.25, 0.0),
            (0.33, 0.08),
            (0.30, 0.20),
            (0.14, 0.23),
            (0.0, deep + 0.10),
            (0.02, deep + 0.025),
            (wide, deep),
        ],
        closed=True,
    )

    # Orbit: the rim hangs down to Orbitale; the floor behind it rises.
    o = m["Or"]
    rim = spline(
        [
            n + (-0.07, 0.00),
            o + (-0.04, -0.32),
            o + (-0.105, -0.18),
            o + (-0.075, -0.05),
            o,
            o + (0.065, -0.028),
            o + (0.09, -0.085),
        ]
    )
    m["Or"] = farthest(rim[3 * STEPS : 6 * STEPS], (0.0, 1.0))
    m["Po"] = po + (0.0, m["Or"][1] - o[1])  # keeps the Frankfort plane level
    po = m["Po"]
    out["orbit_rim"] = rim
    out["orbit"] = np.concatenate([rim, [n + (-0.06, 0.20)]])
    out["orbit_floor"] = spline([m["Or"] + (0.0, 0.0), o + (-0.14, -0.035), o + (-0.30, -0.05), o + (-0.42, -0.02)])

    ring = np.linspace(0.0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(ring), np.sin(ring)], axis=1)
    out["ear_canal"] = po + (0.0, 0.052) + circle * (0.047, 0.052)
    rod = po + (0.02, 0.115) + 0.012 * normal(2)
    out["ear_rod"] = rod + 0.074 * circle
    out["ear_rod_far"] = rod + (0.035, 0.004) + 0.058 * circle

    s = 0.015 * normal(1)[0]
    out["frontal_sinus"] = spline(
        [
            n + (0.022, -0.13),
            n + (0.020 + s, -0.25),
            n + (-0.005, -0.37),
            n + (-0.035, -0.30),
            n + (-0.050, -0.18),
            n + (-0.035, -0.09),
        ],
        closed=True,
    )
    tip = n + (0.175 + 0.02 * normal(1)[0], 0.30)
    out["nasal_bone"] = np.concatenate(
        [
            spline([n, n + (0.030, 0.075), n + (0.095, 0.18), tip]),
            spline([tip, n + (0.060, 0.20), n + (-0.01, 0.13), n + (-0.06, 0.03)]),
        ]
    )
    out["suture"] = spline([n + (0.004, 0.001), n + (-0.03, -0.008), n + (-0.075, -0.028)])
    out["frontal_process"] = spline(
        [
            n + (-0.05, 0.03),
            n + (-0.015, 0.2),
            m["Or"] + (0.12, 0.02),
            m["ANS"] + (-0.06, -0.12),
            m["ANS"] + (-0.13, -0.06),
            m["Or"] + (0.06, 0.10),
            n + (-0.12, 0.20),
        ],
        closed=True,
    )
    out["zygoma"] = spline(
        [
            m["Or"] + (-0.05, 0.01),
            m["Or"] + (0.03, 0.08),
            m["Or"] + (-0.02, 0.24),
            m["Or"] + (-0.12, 0.33),
            m["Or"] + (-0.16, 0.20),
            m["Or"] + (-0.17, 0.06),
        ],
        closed=True,
    )
    out["maxillary_sinus"] = spline(
        [
            m["Or"] + (-0.36, 0.05),
            m["Or"] + (-0.10, 0.05),
            m["Or"] + (0.02, 0.16),
            m["ANS"] + (-0.16, -0.08),
            m["PNS"] + (0.30, -0.05),
            m["PNS"] + (0.12, -0.10),
        ],
        closed=True,
    )
    out["pterygoid"] = spline(
        [np.array([0.33, 0.10]), np.array([0.31, 0.33]), m["PNS"] + (0.02, -0.10), m["PNS"] + (0.03, 0.0)]
    )
