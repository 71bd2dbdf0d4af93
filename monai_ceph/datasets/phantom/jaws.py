"""Jaws and teeth of the phantom, in the frame of :mod:`monai_ceph.datasets.phantom.shape`."""
# ruff: noqa: RUF005 (an array plus a pair is a sum here)

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.curves import STEPS, Normal, Points, deepest, farthest, spline, tooth

CHEEK_TEETH = (0.02, 0.14, 0.27, 0.41, 0.63, 0.90)
"""Where the cheek teeth stand between the canine (0) and the last molar (1)."""


def _behind(point: np.ndarray, start: np.ndarray, end: np.ndarray, depth: float) -> np.ndarray:
    """Push ``point`` back until it is at least ``depth`` behind the chord and within its middle part."""
    share = np.clip((point[1] - start[1]) / (end[1] - start[1]), 0.38, 0.7)
    on_chord = start + share * (end - start)
    return np.array([min(point[0], on_chord[0] - depth), on_chord[1]])


def add_jaws(m: Points, out: Points, normal: Normal) -> None:
    """Maxilla, mandible and teeth. Sets A, B, Pog, Gn, Me and Go to what the drawn outlines show."""
    plane = m["Me"] - m["Go"]
    plane = plane / np.linalg.norm(plane)
    below = np.array([-plane[1], plane[0]])  # normal of the mandibular plane, away from the head

    # Each root ends inside its jaw, behind the concavity of the front.
    upper_axis = m["A"] + (-0.055, -0.02) + (0.015, 0.0) * normal(2) - m["UI"]
    upper_axis /= np.linalg.norm(upper_axis)
    lower_axis = m["B"] + (-0.070, 0.02) + (0.015, 0.0) * normal(2) - m["LI"]
    lower_axis /= np.linalg.norm(lower_axis)
    out["upper_incisor"] = tooth(m["UI"], upper_axis, 0.38, 0.090)
    out["lower_incisor"] = tooth(m["LI"], lower_axis, 0.34, 0.072)
    prosthion = m["UI"] + 0.165 * upper_axis + 0.040 * np.array([-upper_axis[1], upper_axis[0]])
    infradentale = m["LI"] + 0.155 * lower_axis + 0.032 * np.array([lower_axis[1], -lower_axis[0]])

    # Maxilla: the nasal floor ends in two spines; between ANS and the alveolus the front is concave.
    ans, pns = m["ANS"], m["PNS"]
    prosthion[0] = max(prosthion[0], ans[0] - 0.01)
    a = _behind(m["A"], ans, prosthion, 0.028)
    share = (a[1] - ans[1]) / (m["UI"][1] - ans[1])
    a[0] = min(a[0], ans[0] + share * (m["UI"][0] - ans[0]) - 0.024)  # a hollow even under upright incisors
    front = spline(
        [
            ans + (-0.012, 0.004),
            ans + (0.45 * (a[0] - ans[0]) - 0.004, 0.45 * (a[1] - ans[1])),
            a,
            0.5 * (a + prosthion) + (-0.006, 0.01),
            prosthion,
            prosthion + (-0.03, 0.022),
        ]
    )
    front[0] = ans
    m["A"] = deepest(front[: 4 * STEPS], ans, prosthion)
    molar = np.array([pns[0] + 0.13, 0.5 * (pns[1] + m["UI"][1]) + 0.13])
    out["maxilla_front"] = front
    out["maxilla"] = np.concatenate(
        [
            front,
            spline(
                [
                    prosthion + (-0.08, 0.03),
                    prosthion + (-0.30, 0.0),
                    molar + (0.12, 0.02),
                    molar,
                    molar + (-0.05, -0.12),
                    pns + (0.06, 0.05),
                    pns + (0.10, 0.0),
                ]
            ),
        ]
    )
    floor = pns + 0.5 * (ans - pns)
    out["palate"] = np.concatenate(
        [
            spline(
                [
                    pns,
                    pns + (0.06, -0.014),
                    floor + (0.0, -0.020),
                    ans + (-0.16, -0.024),
                    ans + (-0.05, -0.016),
                    ans,
                ]
            ),
            spline(
                [
                    ans,
                    ans + (-0.05, 0.018),
                    ans + (-0.16, 0.016),
                    floor + (0.0, 0.012),
                    pns + (0.06, 0.014),
                    pns,
                ]
            ),
        ]
    )
    vault_end = ans + 0.30 * (prosthion - ans)
    out["palate_roof"] = spline(
        [
            pns + (0.08, 0.015),
            floor + (-0.05, 0.04),
            floor + (0.14, 0.07),
            0.5 * (vault_end + floor) + (0.1, 0.10),
            m["UI"] + 0.22 * upper_axis + (-0.07, 0.0),
        ]
    )

    # Mandible, clockwise from the top of the condyle.
    ar, go, me, gn, pog = m["Ar"], m["Go"], m["Me"], m["Gn"], m["Pog"]
    b = _behind(m["B"], infradentale, pog, 0.030)
    b[0] = min(b[0], pog[0] - 0.018)  # a chin has a most anterior point only before a concavity
    ramus = go - ar
    step = 0.5 * (go + ar) - (-0.182, 0.835)  # from the mean place of the ramus
    crest = np.array([pns[0] + 0.20, 0.55 * m["LI"][1] + 0.45 * (ar[1] + 0.65) + 0.07])
    points = [
        ar + (0.12, -0.15),
        ar + (0.04, -0.12),
        ar,
        ar + 0.45 * ramus + (0.028, 0.0),
        ar + 0.80 * ramus + (0.004, 0.0),
        go,
        go + 0.13 * (me - go) + 0.032 * below,
        go + 0.38 * (me - go) - 0.010 * below,
        go + 0.68 * (me - go) + 0.016 * below,
        me - 0.075 * plane + 0.006 * below,
        me,
        gn,
        pog,
        0.5 * (pog + b) + (-0.006, 0.0),
        b,
        0.5 * (b + infradentale) + (-0.010, 0.0),
        infradentale,
        infradentale + (-0.07, -0.02),
        0.5 * (infradentale + crest) + (0.0, -0.02),
        crest,
        np.array([0.27, 0.98]) + step,
        np.array([0.20, 0.80]) + step,
        np.array([0.20, 0.60]) + step,
        np.array([0.17, 0.50]) + step,
        np.array([0.11, 0.60]) + step,
        np.array([0.03, 0.60]) + step,
        ar + (0.17, 0.02),
        ar + (0.19, -0.10),
    ]
    mandible = spline(points, closed=True)
    out["mandible"] = mandible

    def part(first: int, last: int) -> np.ndarray:
        return mandible[first * STEPS : last * STEPS + 1]

    m["Me"] = farthest(part(8, 12), (0.0, 1.0))
    m["Pog"] = farthest(part(11, 14), (1.0, 0.0))
    m["Gn"] = farthest(part(9, 13), (1.0, 1.0))
    m["B"] = deepest(part(12, 16), infradentale, m["Pog"])
    for _ in range(3):  # the bisector depends on Gonion itself
        arms = [(x - m["Go"]) / np.linalg.norm(x - m["Go"]) for x in (ar, m["Me"])]
        m["Go"] = farthest(part(3, 7), -(arms[0] + arms[1]))
    out["canal"] = spline(
        [
            np.array([0.06, 0.80]) + step,
            go + (0.22, -0.08),
            go + 0.5 * (me - go) - 0.14 * below,
            b + (-0.14, 0.06),
        ]
    )
    inner = me + 0.55 * (b - me) + (-0.10, -0.02)
    out["lingual"] = spline(
        [
            me + (-0.10, -0.07),
            inner,
            0.45 * inner + 0.55 * infradentale + (-0.09, 0.0),
            infradentale + (-0.10, -0.01),
        ]
    )

    # Cheek teeth between the incisors and the molars, one row in each jaw.
    back_bite = np.array([pns[0] + 0.16, 0.5 * (molar[1] + crest[1]) - 0.04])
    front_bite = 0.5 * (m["UI"][1] + m["LI"][1])
    upper_front, lower_front = (
        np.array([m["UI"][0] - 0.06, front_bite]),
        np.array([m["LI"][0] - 0.06, front_bite]),
    )
    root = float(np.clip(0.52 * (me[1] - m["LI"][1]), 0.20, 0.31))
    for i, (share, width) in enumerate(zip(CHEEK_TEETH, (0.085, 0.090, 0.095, 0.100, 0.155, 0.150), strict=True)):
        upper = upper_front + share * (back_bite - upper_front)
        lower = lower_front + share * (back_bite - lower_front)
        tilt = 0.06 * normal(2)
        up = np.array([-0.28 * (1 - share) + tilt[0], -1.0])
        low = np.array([-0.28 * (1 - share) + tilt[1], 1.0])
        blunt = min(1.0, 0.35 + 0.2 * i)
        out[f"upper_tooth_{i}"] = tooth(upper + (0.0, 0.004), up / np.linalg.norm(up), 0.29, width, blunt)
        out[f"lower_tooth_{i}"] = tooth(lower + (0.0, 0.002), low / np.linalg.norm(low), root, width, blunt)
