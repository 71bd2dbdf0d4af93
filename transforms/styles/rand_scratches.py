"""Scratches, dust and hairs."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between, blurred, log_between
from monai_ceph.transforms.styles.marks import Mark, Path, paint
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandScratches", "RandScratchesD", "RandScratchesDict", "RandScratchesd"]


class RandScratches(RandStyle):
    """Draw long scratches and short curved hairs, 0.05 to 0.4 mm wide, and specks of dust, bright or dark."""

    name = "scratches"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        mm = view.per_mm
        marks = []
        for _ in range(R.randint(1, 6)):
            hair = R.uniform() < 0.4
            length = (between(R, 2, 15) if hair else log_between(R, 10, 150)) * mm
            start = np.array([between(R, 0, side) for side in view.size])
            angle, bend = between(R, 0, 2 * math.pi), float(R.normal(0, 1.2 if hair else 0.08))
            angles = angle + bend * np.linspace(-1, 1, 4 if hair else 3)
            steps = length / len(angles) * np.stack((np.sin(angles), np.cos(angles)), axis=1)
            points = start + np.concatenate((np.zeros((1, 2)), np.cumsum(steps, axis=0)))
            width = log_between(R, 0.05, 0.4) * mm
            level = 1.0 if R.uniform() < 0.6 else 0.0
            marks.append(Mark(Path(points, width), between(R, 0.2, 0.9), level))
        # about one speck per square centimetre on a dirty film
        area = view.size[0] * view.size[1] / (mm * mm)
        count = min(int(log_between(R, 0.002, 0.03) * area), 3000)
        rows, columns = R.randint(view.size[0], size=count), R.randint(view.size[1], size=count)
        size = log_between(R, 0.05, 0.35) * mm
        height = R.uniform(0.2, 1, size=count) * R.choice([-1, 1], p=[0.3, 0.7], size=count)

        def change(pixels: np.ndarray) -> np.ndarray:
            dust = np.zeros_like(pixels)
            # a speck smaller than a pixel covers only a part of it; the filter makes large ones fainter
            dust[rows, columns] = height * min(max(size * size * 6, 0.05), 12)
            pixels = pixels + np.clip(blurred(dust, size), -0.8, 0.8)
            return paint(pixels, marks)

        return change


class RandScratchesd(RandStyled):
    """Dictionary form of :class:`RandScratches`."""

    style_class = RandScratches


RandScratchesD = RandScratchesDict = RandScratchesd
