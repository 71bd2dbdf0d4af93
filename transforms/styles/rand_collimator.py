"""The border of the exposed field."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between
from monai_ceph.transforms.styles.marks import Box, Disc, Shape
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandCollimator", "RandCollimatorD", "RandCollimatorDict", "RandCollimatord"]

# mm between a landmark and the border
_CLEAR = 4.0


class RandCollimator(RandStyle):
    """Make everything outside of a round, rectangular or tilted field black or white.

    All known landmarks are inside by 4 mm or more: nothing that has to be found is hidden.
    """

    name = "collimator"

    @staticmethod
    def reaches(view: View) -> bool:  # noqa: D102
        return len(view.points) >= 3

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        points = np.array(list(view.points.values()))
        field: Shape
        if R.uniform() < 0.35:
            centre = (points.min(axis=0) + points.max(axis=0)) / 2 + R.normal(0, 12 * mm, size=2)
            radius = float(np.linalg.norm(points - centre, axis=1).max())
            field = Disc(centre, radius + (_CLEAR + R.exponential(25)) * mm)
        else:
            angle = math.radians(float(R.normal(0, 4)) if R.uniform() < 0.6 else 0.0)
            along = math.cos(angle) * view.anterior + math.sin(angle) * view.inferior
            across = np.array([along[1], -along[0]])
            across = across if across @ view.inferior > 0 else -across
            sides = []
            for axis in (along, across):
                place = points @ axis
                # the back of the head and its vault, beyond all landmarks, are most often in the field
                low, high = (_CLEAR + R.exponential((65, 22), size=2)) * mm
                sides.append((place.min() - low, place.max() + high))
            centre = sum(((low + high) / 2 * axis for (low, high), axis in zip(sides, (along, across), strict=True)))
            half = tuple((high - low) / 2 for low, high in sides)
            field = Box(centre, (half[0], half[1]), along, corner=between(R, 0, 25) * mm if R.uniform() < 0.4 else 0)
        level = float(R.choice([0.0, 1.0, between(R, 0, 0.3)], p=[0.55, 0.3, 0.15]))
        soft = 1 + (between(R, 0, 1) if R.uniform() < 0.7 else between(R, 1, 4)) * mm

        def change(pixels: np.ndarray) -> np.ndarray:
            rows = np.arange(pixels.shape[0], dtype=np.float32)[:, None]
            columns = np.arange(pixels.shape[1], dtype=np.float32)[None]
            outside = np.clip(0.5 + field.distance(rows, columns) / soft, 0, 1).astype(np.float32)
            pixels += outside * (level - pixels)
            return pixels

        return change


class RandCollimatord(RandStyled):
    """Dictionary form of :class:`RandCollimator`."""

    style_class = RandCollimator


RandCollimatorD = RandCollimatorDict = RandCollimatord
