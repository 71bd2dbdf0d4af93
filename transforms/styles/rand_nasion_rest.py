"""The rest at the bridge of the nose."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.marks import Bar, Box, Disc, Mark, paint, seen_through
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandNasionRest", "RandNasionRestD", "RandNasionRestDict", "RandNasionRestd"]

_REACH = 50.0


class RandNasionRest(RandStyle):
    """Draw a nasion rest: a pad at the bridge of the nose on an arm that comes from the front or from above.

    The pad is 4 to 14 mm large, and 2 to 12 mm in front of Nasion. Arms are straight or have a corner, of plastic or of
    metal, with or without a screw.
    """

    name = "nasion_rest"

    @staticmethod
    def reaches(view: View) -> bool:  # noqa: D102
        return view.sees("N", _REACH)

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        front = between(R, 2, 12)
        pad = view.at("N", front, between(R, -10, 6))
        strength = between(R, 0.6, 1) if R.uniform() < 0.3 else between(R, 0.06, 0.35)
        soft = between(R, 0, 0.5) * mm
        size = between(R, 4, 14)
        if R.uniform() < 0.5:
            head: Disc | Box = Disc(pad, size / 2 * mm)
        else:
            half = (size / 2 * mm, between(R, 2, 6) / 2 * mm)
            head = Box(pad, half, view.inferior, corner=between(R, 0, 2) * mm)
        marks = [Mark(head, min(strength * between(R, 0.6, 1.3), 1), softness=soft)]
        width = between(R, 2, 9) * mm
        tilt = math.radians(between(R, -15, 60))
        reach = between(R, 15, 60) if R.uniform() < 0.5 else 120.0
        end = view.at(pad, reach * math.cos(tilt), -reach * math.sin(tilt))
        rounded = R.uniform() < 0.5
        marks.append(Mark(Bar(pad, end, width), strength, softness=soft, rounded=rounded))
        if reach < 120:
            # the arm hangs from the ceiling of the cephalostat
            top = view.at(end, 0, -200)
            upper = between(R, 3, 14) * mm
            marks.append(Mark(Bar(end, top, upper), strength * between(R, 0.5, 1), softness=soft))
            if R.uniform() < 0.4:
                screw = between(R, 0.8, 2) * mm
                marks.append(Mark(Bar(end, view.at(end, 0, -between(R, 10, 40)), screw), 0.8, softness=soft))
        if R.uniform() < 0.3:
            marks.append(Mark(Disc(view.at(pad, between(R, 2, 8), 0), between(R, 0.8, 2.5) * mm), 0.9, rounded=True))
        marks = seen_through(marks, view, R)
        return lambda pixels: paint(pixels, marks)


class RandNasionRestd(RandStyled):
    """Dictionary form of :class:`RandNasionRest`."""

    style_class = RandNasionRest


RandNasionRestD = RandNasionRestDict = RandNasionRestd
