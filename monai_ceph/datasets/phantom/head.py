"""The head of the phantom on the plate: its contours become attenuation."""

from __future__ import annotations

import numpy as np

from monai_ceph.datasets.phantom.jaws import CHEEK_TEETH
from monai_ceph.datasets.phantom.plate import Plate
from monai_ceph.datasets.phantom.shape import Shape

__all__ = ["draw_head"]


def draw_head(
    plate: Plate, shape: Shape, matrix: np.ndarray, origin: np.ndarray, unit: float, rng: np.random.Generator
) -> None:
    """Add a head to the plate: ``pixel = origin + matrix @ point``; ``unit`` is |SN| in full-size pixels."""
    c = {name: origin + points @ matrix.T for name, points in shape.contours.items()}
    # The side of the head farther from the film is larger, blurred and slightly shifted.
    far_shift = matrix @ (rng.uniform(0.010, 0.042, 2) * rng.choice([-1.0, 1.0], 2))

    def far(name: str) -> np.ndarray:
        middle = c[name].mean(axis=0)
        return (c[name] - middle) * 1.015 + middle + far_shift

    def place(x: float, y: float) -> np.ndarray:
        return origin + matrix @ np.array([x, y])

    bone = rng.uniform(0.92, 1.10)
    flesh = rng.uniform(0.85, 1.10)

    # Soft tissue and airway.
    plate.body(c["skin"], 0.62 * flesh, rim=-0.24 * flesh, rim_width=55)
    plate.cloud(c["skin"], 0.30 * flesh, 90)
    plate.cloud(c["nostril"], -0.16, 9)
    plate.cloud(c["pharynx"], -0.42, 13)
    plate.cloud(c["soft_palate"], 0.20, 5)
    plate.body(c["hyoid"], 0.22 * bone, rim=0.22, rim_width=8)

    # Braincase.
    plate.body(c["cranium"], 0.34 * bone, rim=0.42 * bone, rim_width=26)
    plate.cloud(c["brain"], 0.78 * bone, 55)
    plate.cloud(c["brain"], -0.14 * bone, 12)
    plate.line(c["vault_outer"], 9, 0.22 * bone)
    plate.line(c["vault_inner"], 11, 0.34 * bone, 2.5)
    plate.line(c["roof"], 9, 0.48 * bone, 1.5)
    plate.line(c["roof"] + far_shift * 0.7 + matrix @ np.array([0.0, -0.03]), 8, 0.28 * bone, 3.0)
    plate.cloud(c["petrous"], 0.40 * bone, 16)
    plate.cloud(c["sphenoid"], 0.40 * bone, 9)
    plate.line(c["base"], 10, 0.42 * bone, 1.2)
    plate.line(c["base_front"], 10, 0.20 * bone, 4)
    plate.line(c["clivus"], 9, 0.36 * bone, 2)

    # Sella and sphenoid.
    plate.cloud(c["sphenoid_sinus"], -0.42, 6)
    plate.cloud(c["sella"], -0.22, 5)
    plate.line(c["sella"], 9, 0.50 * bone, 1)
    plate.body(c["anterior_clinoid"], 0.34 * bone, rim=0.25, rim_width=8)
    plate.body(c["posterior_clinoid"], 0.38 * bone, rim=0.25, rim_width=8)

    # Mid-face.
    plate.cloud(c["frontal_process"], 0.26 * bone, 9)
    plate.cloud(c["frontal_sinus"], -0.55, 4)
    plate.line(np.concatenate([c["frontal_sinus"], c["frontal_sinus"][:1]]), 7, 0.30 * bone, 1.5)
    plate.body(c["nasal_bone"], 0.16 * bone, rim=0.40, rim_width=10)
    plate.line(c["suture"], 7, -0.42)
    plate.cloud(c["orbit"], -0.16, 10)
    plate.line(far("orbit_rim"), 12, 0.20 * bone, 4)
    plate.line(c["orbit_rim"], 10, 0.50 * bone, 1)
    plate.line(c["orbit_floor"], 8, 0.30 * bone, 2)
    plate.cloud(c["zygoma"], 0.22 * bone, 7)
    plate.line(c["zygoma"][: len(c["zygoma"]) // 2], 8, 0.22 * bone, 3)
    plate.cloud(c["maxillary_sinus"], -0.22, 10)
    plate.cloud(c["nasal_airway"], -0.20, 12)
    plate.line(c["pterygoid"], 10, 0.30 * bone, 3)
    plate.line(c["pterygoid"] + far_shift, 10, 0.22 * bone, 4)

    # Jaws.
    plate.body(c["maxilla"], 0.30 * bone, rim=0.26 * bone, rim_width=12)
    plate.line(c["maxilla_front"], 7, 0.16 * bone, 1)
    plate.body(c["palate"], 0.62 * bone)
    plate.line(c["palate_roof"], 8, 0.30 * bone, 2.5)
    plate.body(c["mandible"], 0.40 * bone, rim=0.52 * bone, rim_width=13)
    plate.cloud(far("mandible"), 0.26 * bone, 5)
    plate.line(np.concatenate([far("mandible"), far("mandible")[:1]]), 12, 0.16 * bone, 4)
    plate.line(c["canal"], 16, -0.10, 5)
    plate.line(c["lingual"], 12, 0.34 * bone, 3)
    for jaw in ("upper", "lower"):
        for i in range(len(CHEEK_TEETH)):
            name = f"{jaw}_tooth_{i}"
            plate.body(c[name], 0.34 * bone, rim=0.10, rim_width=8)
            plate.cloud(far(name), 0.20 * bone, 4)
            crown = np.concatenate([c[name][:16], c[name][-16:]])
            plate.body(crown, 0.22 * bone)
            if i > 2 and rng.random() < 0.25:  # a filling
                plate.body(crown, rng.uniform(0.3, 1.2))
        name = f"{jaw}_incisor"
        plate.cloud(c[name] + 0.6 * far_shift + matrix @ np.array([-0.035, 0.0]), 0.34 * bone, 4)
        plate.body(c[name], 0.62 * bone, rim=0.25, rim_width=7)
        plate.body(np.concatenate([c[name][:15], c[name][-15:]]), 0.30 * bone)

    # Ear, with the rods of the cephalostat.
    plate.cloud(c["ear_canal"], -0.50, 3)
    plate.line(np.concatenate([c["ear_canal"], c["ear_canal"][:1]]), 5, 0.22 * bone, 1.5)
    for name, amount in (("ear_rod", 0.55), ("ear_rod_far", 0.40)):
        ring = np.concatenate([c[name], c[name][:1]])
        plate.body(c[name], 0.10)
        plate.line(ring, 6, amount)

    for i in range(1, 8):
        for name, core in ((f"arch_{i}", 0.16), (f"vertebra_{i}", 0.40)):
            plate.body(c[name], core * bone, rim=0.9 * core * bone, rim_width=9)

    # Air cells: irregular bright walls behind the ear and in the ethmoid, which are not landmarks.
    turn = np.linspace(0, 2 * np.pi, 10)
    for x0, x1, y0, y1, count, strength in (
        (-0.90, -0.42, 0.20, 0.60, 46, 0.13),
        (0.36, 0.76, -0.06, 0.36, 40, 0.14),
    ):
        for _ in range(count):
            middle = place(rng.uniform(x0, x1), rng.uniform(y0, y1))
            radius = rng.uniform(0.015, 0.065, 2) * unit * plate.scale
            reach = rng.integers(4, 10)
            wall = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius * rng.uniform(0.7, 1.3, (10, 1))
            plate.line(middle + wall[:reach], 6, strength, 1.5)
