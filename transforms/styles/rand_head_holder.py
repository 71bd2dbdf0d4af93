"""Shadows of the arms that hold the head."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.marks import Bar, Mark, Ring, paint
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandHeadHolder", "RandHeadHolderD", "RandHeadHolderDict", "RandHeadHolderd"]


class RandHeadHolder(RandStyle):
    """Draw one to three shadows of a head holder: wide translucent bars to the ears, bands and plates, or a large ring.

    Most end at the ear. They are 5 to 35 mm wide and brighten the film by up to a quarter.
    """

    name = "head_holder"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        marks = []
        for _ in range(R.randint(1, 4)):
            soft = between(R, 0, 3) * mm
            strength = between(R, 0.04, 0.25)
            width = between(R, 5, 35) * mm
            if "Po" in view.points and R.uniform() < 0.6:
                ear = view.at("Po", *map(float, R.normal(0, 4, size=2)))
                if R.uniform() < 0.2:
                    ring = Ring(ear, between(R, 12, 45) * mm, between(R, 2, 10) * mm)
                    marks.append(Mark(ring, strength, softness=soft))
                    continue
                # from above, most often, and seldom from behind
                angle = math.radians(between(R, -30, 30) if R.uniform() < 0.8 else between(R, 60, 110))
                far = view.at(ear, -300 * math.sin(angle), -300 * math.cos(angle))
                marks.append(Mark(Bar(ear, far, width), strength, softness=soft))
            else:
                middle = np.array([between(R, 0, side) for side in view.size])
                angle = between(R, 0, math.pi)
                step = 400 * mm * np.array([math.sin(angle), math.cos(angle)])
                marks.append(Mark(Bar(middle - step, middle + step, width), strength, softness=soft))
        return lambda pixels: paint(pixels, marks)


class RandHeadHolderd(RandStyled):
    """Dictionary form of :class:`RandHeadHolder`."""

    style_class = RandHeadHolder


RandHeadHolderD = RandHeadHolderDict = RandHeadHolderd
