"""Rulers on the film."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.marks import Box, Mark, covering, paint, seen_through
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandRuler", "RandRulerD", "RandRulerDict", "RandRulerd"]


class RandRuler(RandStyle):
    """Draw a ruler, 30 to 150 mm long, with ticks or beads every 1, 2, 5 or 10 mm.

    Half of them are in front of the forehead, the others anywhere. A body of plastic is translucent.
    """

    name = "ruler"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        if "N" in view.points and R.uniform() < 0.5:
            centre = view.at("N", between(R, 12, 50), between(R, -70, 20))
            angle = math.radians(float(np.clip(R.normal(0, 4), -10, 10)))
        else:
            centre = np.array([between(R, 0, side) for side in view.size])
            angle = math.radians(float(R.normal(0, 8)) + (0 if R.uniform() < 0.6 else 90))
        along = math.cos(angle) * view.inferior + math.sin(angle) * view.anterior
        length, width = between(R, 30, 150) * mm, between(R, 2, 12) * mm
        body = Box(centre, (length / 2, width / 2), along)
        bodies = [Mark(body, between(R, 0, 0.25), softness=between(R, 0, 0.4) * mm)]
        strength = between(R, 0.4, 1)
        step = float(R.choice([1, 2, 5, 10])) * mm
        if step < 2.5:
            # finer ticks than the pixels would be a grey bar
            step = 5 * mm
        tick = between(R, 0.15, 0.35 * step / mm if step < 3 * mm else 0.8) * mm
        if seen_through([Mark(body, 1.0)], view, R)[0].opacity < 1:
            strength *= 0.4
        every = int(R.choice([5, 10]))
        short = between(R, 0.3, 0.7)

        def change(pixels: np.ndarray) -> np.ndarray:
            paint(pixels, bodies)
            found = covering(body, pixels.shape, 0)
            if found is None:
                return pixels
            (rows, columns), inside = found
            down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - centre[0]
            right = np.arange(columns.start, columns.stop, dtype=np.float32)[None] - centre[1]
            place = (down * along[0] + right * along[1] + length / 2) / step
            number = np.round(place)
            gap = np.abs(place - number) * step
            share = np.clip(tick / 2 - gap + 0.5, 0, min(1.0, tick))
            # long ticks cross the body, short ones begin at its side
            across = (down * along[1] - right * along[0]) / width + 0.5
            share = np.where((number % every == 0) | (across < short), share, 0)
            area = pixels[rows, columns]
            area += strength * share * inside * (1 - area)
            return pixels

        return change


class RandRulerd(RandStyled):
    """Dictionary form of :class:`RandRuler`."""

    style_class = RandRuler


RandRulerD = RandRulerDict = RandRulerd
