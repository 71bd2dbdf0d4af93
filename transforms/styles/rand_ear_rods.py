"""Ear rods near Porion."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between, log_between
from monai_ceph.transforms.styles.marks import Bar, Box, Disc, Mark, Ring, paint, seen_through
from monai_ceph.transforms.styles.rand_faded_rods import RandFadedRods
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandEarRods", "RandEarRodsD", "RandEarRodsDict", "RandEarRodsd"]

_REACH = 25.0


class RandEarRods(RandStyle):
    """Draw ear rods as the beam sees them from their end: rings, discs, balls and rods, one or both sides.

    They are 2 to 20 mm large and up to 12 mm off Porion; both sides need not lie over each other. Porion may be under
    them, as on real films; other landmarks stay visible. On half of the films, what the film has there is faded first
    (:class:`RandFadedRods`), so that new rods are the only ones.
    """

    name = "ear_rods"
    weight = 3.0

    @staticmethod
    def reaches(view: View) -> bool:  # noqa: D102
        return view.sees("Po", _REACH)

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        fade = RandFadedRods.draw(view, R) if R.uniform() < 0.5 else None
        # the ear canal is a little in front of and below Porion, and so is most often the rod
        offset = np.clip(R.normal(0, 5, size=2), -10, 10)
        centre = view.at("Po", float(offset[0]), float(offset[1]) + 2)
        parts = _parts(R)
        marks = _rod(view, R, centre, parts)
        if R.uniform() < 0.6:
            apart = R.normal(0, between(R, 0.5, 3), size=2)
            # the side far from the detector is larger on the film
            larger = between(R, 1, 1.12)
            marks += _rod(view, R, view.at(centre, *map(float, apart)), {key: larger * mm for key, mm in parts.items()})
        marks = seen_through(marks, view, R, free=("Po",))
        return lambda pixels: paint(fade(pixels) if fade else pixels, marks)


def _parts(R: np.random.RandomState) -> dict[str, float]:
    """Return the sizes in mm of what a rod is made of: plastic, rings, a metal core."""
    parts: dict[str, float] = {}
    kind = R.choice(["ring", "plastic", "ball", "rod", "two rings", "cross"], p=[0.35, 0.15, 0.15, 0.15, 0.1, 0.1])
    if kind in ("ring", "two rings"):
        parts["ring"] = log_between(R, 1.5, 10)
        if kind == "two rings":
            parts["second ring"] = parts["ring"] * between(R, 0.4, 0.8)
    if kind == "plastic" or R.uniform() < 0.4:
        parts["plastic"] = between(R, 3, 10)
    if kind == "ball" or (kind != "rod" and R.uniform() < 0.2):
        parts["ball"] = log_between(R, 0.8, 3)
    if kind == "rod":
        parts["rod"] = log_between(R, 1.5, 6)
    if kind == "cross":
        parts["cross"] = between(R, 2, 8)
    return parts


def _rod(view: View, R: np.random.RandomState, centre: np.ndarray, parts: dict[str, float]) -> list[Mark]:
    mm = view.per_mm
    soft = between(R, 0, 0.6) * mm
    metal = between(R, 0.35, 1)
    marks = []
    if "plastic" in parts:
        marks.append(Mark(Disc(centre, parts["plastic"] * mm), between(R, 0.05, 0.3), softness=soft))
    if "rod" in parts:
        # a rod that is not parallel to the beam looks like a bar
        angle, length = between(R, 0, 2 * math.pi), between(R, 2, 20) * mm
        end = centre + length * np.array([math.sin(angle), math.cos(angle)])
        marks.append(Mark(Bar(centre, end, parts["rod"] * mm), metal, softness=soft, rounded=R.uniform() < 0.7))
    for key in ("ring", "second ring"):
        if key in parts:
            width = log_between(R, 0.4, 2.5) * mm
            marks.append(Mark(Ring(centre, parts[key] * mm, width), metal, softness=soft))
    if "cross" in parts:
        width, half = between(R, 0.3, 1) * mm, parts["cross"] * mm
        for along in (view.anterior, view.inferior):
            marks.append(Mark(Box(centre, (half, width / 2), along), metal, softness=soft))
    if "ball" in parts:
        marks.append(Mark(Disc(centre, parts["ball"] * mm), between(R, 0.7, 1), softness=soft / 2, rounded=True))
    return marks


class RandEarRodsd(RandStyled):
    """Dictionary form of :class:`RandEarRods`."""

    style_class = RandEarRods


RandEarRodsD = RandEarRodsDict = RandEarRodsd
