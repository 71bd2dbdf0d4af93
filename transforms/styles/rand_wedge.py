"""Wedges and filters in front of the soft tissue."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandWedge", "RandWedgeD", "RandWedgeDict", "RandWedged"]


class RandWedge(RandStyle):
    """Brighten the front of the face, as an aluminium wedge does that shields the soft tissue.

    The wedge begins 45 mm behind to 15 mm in front of the most anterior of Nasion, A point and the upper incisor, at
    once or over up to 40 mm, and brightens the film by 10 to 60 %. Processing that lifts dark areas looks the same.
    """

    name = "wedge"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        front = [view.along(view.points[symbol])[0] for symbol in ("N", "A", "UI") if symbol in view.points]
        middle = float(view.along(np.array(view.size) / 2)[0])
        start = (max(front) if front else middle) + between(R, -45, 15)
        ramp = between(R, 0.5, 4) if R.uniform() < 0.3 else between(R, 4, 40)
        strength = between(R, 0.1, 0.6)
        grows = between(R, 0, 0.004)
        angle = math.radians(float(R.normal(0, 8)))
        way = math.cos(angle) * view.anterior + math.sin(angle) * view.inferior
        # turned about the middle of the face
        pivot = view.points.get("A", np.array(view.size) / 2)
        shift = float(pivot @ view.anterior - pivot @ way) / view.per_mm

        def change(pixels: np.ndarray) -> np.ndarray:
            rows = np.arange(pixels.shape[0], dtype=np.float32)[:, None] * (way[0] / view.per_mm)
            columns = np.arange(pixels.shape[1], dtype=np.float32)[None] * (way[1] / view.per_mm)
            place = (rows + columns + (shift - start)).astype(np.float32)
            share = np.clip(place / ramp, 0, 1) * strength
            share += grows * np.clip(place - ramp, 0, 20)
            pixels += share * (1 - pixels)
            return pixels

        return change


class RandWedged(RandStyled):
    """Dictionary form of :class:`RandWedge`."""

    style_class = RandWedge


RandWedgeD = RandWedgeDict = RandWedged
