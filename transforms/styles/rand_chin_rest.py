"""Chin rests and bite rods."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.marks import Bar, Box, Mark, paint, seen_through
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandChinRest", "RandChinRestD", "RandChinRestDict", "RandChinRestd"]

_REACH = 40.0


class RandChinRest(RandStyle):
    """Draw a chin rest, a pad below or in front of the chin on a post, or a bite rod between the incisors."""

    name = "chin_rest"

    @staticmethod
    def reaches(view: View) -> bool:  # noqa: D102
        return view.sees("Me", _REACH) or view.sees("UI", _REACH)

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        chin, bite = "Me" in view.points, "UI" in view.points
        marks = _chin(view, R) if chin and (not bite or R.uniform() < 0.65) else _bite(view, R)
        marks = seen_through(marks, view, R)
        return lambda pixels: paint(pixels, marks)


def _chin(view: View, R: np.random.RandomState) -> list[Mark]:
    mm, soft = view.per_mm, between(R, 0, 0.6) * view.per_mm
    strength = between(R, 0.05, 0.4)
    # the soft tissue below the chin is 5 to 10 mm thick
    pad = view.at("Me", between(R, -6, 14), between(R, 7, 14))
    angle = math.radians(between(R, -20, 35))
    along = math.cos(angle) * view.anterior - math.sin(angle) * view.inferior
    half = (between(R, 10, 28) * mm, between(R, 1.5, 6) * mm)
    marks = [Mark(Box(pad, half, along, corner=between(R, 0, 4) * mm), strength, softness=soft)]
    if R.uniform() < 0.5:
        # a cup has a front wall
        corner = pad + half[0] * along
        wall = view.at(corner, 0, -between(R, 8, 25))
        marks.append(Mark(Bar(corner, wall, 2 * half[1]), strength, softness=soft))
    post = between(R, 4, 14) * mm
    foot = view.at(pad, between(R, -10, 40), 150)
    rounded = R.uniform() < 0.5
    marks.append(Mark(Bar(pad, foot, post), strength * between(R, 0.5, 1.2), softness=soft, rounded=rounded))
    return marks


def _bite(view: View, R: np.random.RandomState) -> list[Mark]:
    mm, soft = view.per_mm, between(R, 0, 0.5) * view.per_mm
    edge = view.points["UI"]
    if "LI" in view.points:
        edge = (edge + view.points["LI"]) / 2
    start = view.at(edge, -between(R, 3, 15), between(R, -1, 1))
    end = view.at(edge, between(R, 25, 120), between(R, -10, 15))
    strength = between(R, 0.08, 0.6)
    return [Mark(Bar(start, end, between(R, 2, 8) * mm), strength, softness=soft, rounded=R.uniform() < 0.7)]


class RandChinRestd(RandStyled):
    """Dictionary form of :class:`RandChinRest`."""

    style_class = RandChinRest


RandChinRestD = RandChinRestDict = RandChinRestd
