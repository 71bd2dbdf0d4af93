"""Crowns, brackets, wires and implants."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.marks import Bar, Box, Mark, Path, paint, seen_through
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandDentalWork", "RandDentalWorkD", "RandDentalWorkDict", "RandDentalWorkd"]

_REACH = 65.0


class RandDentalWork(RandStyle):
    """Draw dental work near the teeth: crowns and fillings, brackets on a wire, implants, posts, bone plates.

    Teeth are assumed on the occlusal line from the incisors to the back. Metal is very bright and hides no landmark.
    """

    name = "dental_work"

    @staticmethod
    def reaches(view: View) -> bool:  # noqa: D102
        return view.sees("UI", _REACH) and "LI" in view.points

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        drawers = [_crowns, _brackets, _implants, _plates]
        chosen = R.choice(len(drawers), size=1 + (R.uniform() < 0.3), replace=False, p=[0.4, 0.3, 0.2, 0.1])
        # the occlusal line falls towards the front
        fall = math.radians(float(R.normal(9, 4)))
        along = math.cos(fall) * view.anterior + math.sin(fall) * view.inferior
        down = np.array([along[1], -along[0]])
        down = down if down @ view.inferior > 0 else -down
        marks = [mark for index in chosen for mark in drawers[index](view, R, along, down)]
        marks = seen_through(marks, view, R)
        return lambda pixels: paint(pixels, marks)


def _tip(view: View, side: int) -> np.ndarray:
    return view.points["UI" if side < 0 else "LI"]


def _crowns(view: View, R: np.random.RandomState, along: np.ndarray, down: np.ndarray) -> list[Mark]:
    mm, soft = view.per_mm, between(R, 0, 0.4) * view.per_mm
    bright = between(R, 0.75, 1)
    middle = (view.points["UI"] + view.points["LI"]) / 2
    marks = []
    for _ in range(R.randint(1, 7)):
        side = 1 if R.uniform() < 0.5 else -1
        back = between(R, 4, 45)
        half = (between(R, 2, 5.5) * mm, between(R, 1.2, 4) * mm)
        # its biting edge is at the occlusal line
        centre = middle - back * mm * along + side * (half[1] + between(R, 0.2, 2) * mm) * down
        tilt = float(R.normal(0, 0.15))
        turned = math.cos(tilt) * along + math.sin(tilt) * down
        marks.append(Mark(Box(centre, half, turned, corner=between(R, 0.5, 2.5) * mm), bright, softness=soft))
        if R.uniform() < 0.3:
            # a filled root canal or a post
            root = centre + side * between(R, 8, 16) * mm * down
            marks.append(Mark(Bar(centre, root, between(R, 0.5, 1.5) * mm), bright, softness=soft))
    return marks


def _brackets(view: View, R: np.random.RandomState, along: np.ndarray, down: np.ndarray) -> list[Mark]:
    mm, soft = view.per_mm, between(R, 0, 0.3) * view.per_mm
    bright, size = between(R, 0.7, 1), between(R, 1, 2)
    arches = [-1, 1] if R.uniform() < 0.7 else [int(R.choice([-1, 1]))]
    marks = []
    for side in arches:
        edge = between(R, 3, 6)
        # brackets are on the front of the tooth
        places = [_tip(view, side) + side * edge * mm * down + between(R, 0, 2) * mm * along]
        for _ in range(R.randint(3, 7)):
            places.append(places[-1] - between(R, 4, 9) * mm * along + between(R, -0.6, 0.6) * mm * down)
        for place in places:
            half = (size * between(R, 0.7, 1.1) * mm, size * between(R, 0.7, 1.1) * mm)
            marks.append(Mark(Box(place, half, along, corner=0.3 * mm), bright, softness=soft))
        marks.append(Mark(Path(np.array(places), between(R, 0.3, 0.6) * mm), bright * 0.95, softness=soft))
        if R.uniform() < 0.4:
            band = (between(R, 3, 5) * mm, between(R, 1.2, 2.2) * mm)
            marks.append(Mark(Box(places[-1], band, along, corner=mm), bright, softness=soft))
    return marks


def _implants(view: View, R: np.random.RandomState, along: np.ndarray, down: np.ndarray) -> list[Mark]:
    mm, soft = view.per_mm, between(R, 0, 0.3) * view.per_mm
    marks = []
    for _ in range(R.randint(1, 4)):
        side = 1 if R.uniform() < 0.5 else -1
        start = _tip(view, side) - between(R, 6, 40) * mm * along + side * between(R, 6, 11) * mm * down
        tilt = float(R.normal(0, 0.12))
        axis = side * (math.cos(tilt) * down + math.sin(tilt) * along)
        width, length = between(R, 2.5, 4.5), between(R, 7, 13)
        end = start + length * mm * axis
        marks.append(Mark(Bar(start, end, width * mm), between(R, 0.8, 1), softness=soft, rounded=R.uniform() < 0.5))
        across = np.array([axis[1], -axis[0]])
        for step in np.arange(1, length, between(R, 0.8, 1.4)):
            thread = start + step * mm * axis
            half = (width / 2 + 0.4) * mm * across
            marks.append(Mark(Bar(thread - half, thread + half, 0.35 * mm), 0.8, softness=soft))
    return marks


def _plates(view: View, R: np.random.RandomState, along: np.ndarray, down: np.ndarray) -> list[Mark]:
    mm, soft = view.per_mm, between(R, 0, 0.3) * view.per_mm
    side = 1 if R.uniform() < 0.6 else -1
    start = _tip(view, side) - between(R, 0, 35) * mm * along + side * between(R, 14, 28) * mm * down
    angle = between(R, -0.6, 0.6)
    way = -math.cos(angle) * along + math.sin(angle) * down
    holes = [start + number * between(R, 5, 7) * mm * way for number in range(R.randint(2, 6))]
    marks = [Mark(Bar(holes[0], holes[-1], between(R, 1, 2) * mm), between(R, 0.5, 0.9), softness=soft)]
    marks += [Mark(Bar(hole, hole + 0.01, between(R, 2, 3.2) * mm), 0.95, softness=soft) for hole in holes]
    return marks


class RandDentalWorkd(RandStyled):
    """Dictionary form of :class:`RandDentalWork`."""

    style_class = RandDentalWork


RandDentalWorkD = RandDentalWorkDict = RandDentalWorkd
