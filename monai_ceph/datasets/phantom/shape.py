"""The geometry of the phantom head: contours and landmarks, before any pixel.

Frame: origin at Sella, unit |Sella-Nasion|, x anterior, y down, x parallel to the Frankfort plane
(Porion-Orbitale). All points here are (x, y) in that frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_ceph.datasets.phantom.airway import add_airway
from monai_ceph.datasets.phantom.jaws import add_jaws
from monai_ceph.datasets.phantom.skin import add_skin
from monai_ceph.datasets.phantom.skull import add_skull
from monai_ceph.datasets.phantom.spine import add_spine
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS, index_of

# Mean positions of the 19 landmarks in this frame, over adult and adolescent heads; no image data.
_MEAN: dict[str, tuple[float, float]] = {
    "S": (0.0, 0.0),
    "N": (0.991, -0.123),
    "Or": (0.814, 0.297),
    "Po": (-0.357, 0.297),
    "A": (0.988, 0.809),
    "B": (0.926, 1.390),
    "Pog": (0.928, 1.608),
    "Me": (0.813, 1.703),
    "Gn": (0.881, 1.674),
    "Go": (-0.134, 1.179),
    "LI": (1.044, 1.110),
    "UI": (1.076, 1.132),
    "UL": (1.269, 0.957),
    "LL": (1.220, 1.321),
    "Sn": (1.177, 0.768),
    "Pog'": (1.086, 1.634),
    "PNS": (0.291, 0.667),
    "ANS": (1.018, 0.691),
    "Ar": (-0.230, 0.491),
}


@dataclass(frozen=True)
class Shape:
    """One head.

    Attributes:
        landmarks: (19, 2) float64, (x, y) in the order of :data:`monai_ceph.landmarks.LANDMARKS`.
        contours: name to (n, 2) float64, (x, y): the lines and outlines that the film draws.
    """

    landmarks: np.ndarray
    contours: dict[str, np.ndarray]

    def __getitem__(self, symbol: str) -> np.ndarray:
        """Return one landmark as (x, y)."""
        return self.landmarks[index_of(symbol)]


def sample_shape(rng: np.random.Generator) -> Shape:
    """Draw one head. The mandible moves as a whole: forward, down, and about the condyle."""

    def normal(*size: int) -> np.ndarray:
        return np.clip(rng.standard_normal(size), -2.0, 2.0)

    m = {symbol: np.array(xy) for symbol, xy in _MEAN.items()}
    ap, down, turn, upper_ap, upper_down = normal(5)
    upper_ap = 0.5 * ap + 0.85 * upper_ap  # jaws grow together
    upper_down = 0.6 * down + 0.8 * upper_down  # a face is long, or short, in both jaws

    n_y, frankfort, orbit_x, ear_x = normal(4)
    m["N"][1] += 0.057 * n_y
    m["N"][0] = np.sqrt(1.0 - m["N"][1] ** 2)
    m["Or"] += (0.032 * orbit_x, 0.046 * frankfort)
    m["Po"] += (0.051 * ear_x, 0.046 * frankfort)

    # Maxilla: one shift for all of it, then each point's own part.
    shift = np.array([0.040 * upper_ap, 0.055 * upper_down])
    m["ANS"] += shift + (0.030, 0.040) * normal(2)
    m["PNS"] += shift * (0.6, 0.8) + (0.032, 0.035) * normal(2)
    m["A"] += shift * (1.1, 1.1) + (0.030, 0.030) * normal(2)
    m["Sn"] += shift * (1.1, 1.15) + (0.035, 0.035) * normal(2)

    # Mandible: growth forward and down weighs most at the chin, and it turns about the condyle.
    m["Ar"] += (0.053, 0.054) * normal(2)
    pivot, angle = m["Ar"].copy(), 0.055 * turn
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    chin = (0.020, 0.015) * normal(2)
    for symbol, weight_x, weight_y in (
        ("B", 0.130, 0.095),
        ("Pog", 0.150, 0.115),
        ("Gn", 0.152, 0.116),
        ("Me", 0.154, 0.117),
        ("Go", 0.060, 0.105),
    ):
        moved = pivot + rotate @ (m[symbol] - pivot) + (weight_x * ap, weight_y * down)
        m[symbol] = moved + (chin if symbol in ("Pog", "Gn", "Me") else 0.0)
    m["Go"] += (0.055, 0.040) * normal(2)
    m["B"] += (0.020, 0.025) * normal(2)

    # Incisors follow both jaws; the overjet shrinks as the mandible comes forward.
    own = normal(4)
    m["UI"] += shift * (1.1, 1.1) + (0.025 * ap + 0.065 * own[0], 0.040 * down + 0.035 * own[1])
    m["UI"][0] = np.clip(m["UI"][0], m["A"][0] + 0.03, m["A"][0] + 0.15)
    m["A"][1] = max(m["A"][1], m["ANS"][1] + 0.07)
    m["UI"][1] = max(m["UI"][1], m["A"][1] + 0.27)
    gap = np.array([0.034 - 0.022 * ap + 0.025 * own[2], 0.022 + 0.028 * own[3]])
    m["LI"] = m["UI"] - (max(gap[0], -0.06), gap[1])
    # The lower incisor stays on its own jaw, and the rest of the distance becomes overjet.
    m["LI"][0] = np.clip(m["LI"][0], m["B"][0] + 0.03, m["B"][0] + 0.18)
    short = max(0.0, m["LI"][1] + 0.47 - m["Me"][1])  # room for the lower incisor above the chin
    for symbol in ("B", "Pog", "Gn", "Me"):
        m[symbol][1] += short
    m["UL"] = m["UI"] + (0.193, -0.175) + (0.030, 0.030) * normal(2)
    m["LL"] = 0.75 * (m["LI"] + (0.176, 0.211)) + 0.25 * (m["B"] + (0.294, -0.069)) + (0.025, 0.030) * normal(2)
    m["Pog'"] = m["Pog"] + (0.173, 0.026) + (0.028, 0.025) * normal(2)
    m["UL"][0] = np.clip(m["UL"][0], m["Sn"][0] + 0.050, m["Sn"][0] + 0.16)
    m["UL"][1] = max(m["UL"][1], m["Sn"][1] + 0.11)
    m["LL"][1] = np.clip(m["LL"][1], m["UL"][1] + 0.24, m["Pog'"][1] - 0.20)

    contours: dict[str, np.ndarray] = {}
    add_skull(m, contours, normal)
    add_jaws(m, contours, normal)
    add_skin(m, contours, normal)
    add_airway(m, contours)
    add_spine(m, contours, normal)
    landmarks = np.stack([m[symbol] for symbol in SYMBOLS])
    assert landmarks.shape == (NUM_LANDMARKS, 2)
    return Shape(landmarks, contours)
