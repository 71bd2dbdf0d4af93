"""Detectors that are sharper or blurrier."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.transforms.styles.filters import between, blurred, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandDetector", "RandDetectorD", "RandDetectorDict", "RandDetectord"]


class RandDetector(RandStyle):
    """Change the sharpness: blur by 0.1 to 1 mm, also in one direction only, or restore what blurs by 0.1 to 0.4 mm.

    The blur in one direction is that of a head that moves while the detector scans.
    """

    name = "detector"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        kind = R.choice(["blur", "move", "sharpen"], p=[0.45, 0.2, 0.35])
        if kind == "sharpen":
            sigma, strength = max(log_between(R, 0.1, 0.4) * view.per_mm, 0.45), between(R, 0.5, 2)
            return lambda pixels: pixels + strength * (pixels - blurred(pixels, sigma))
        sigma = log_between(R, 0.1, 1) * view.per_mm
        if kind == "blur":
            return lambda pixels: blurred(pixels, sigma)
        angle = between(R, 0, math.pi)
        reach = 2 * sigma * np.array([math.sin(angle), math.cos(angle)])

        def move(pixels: np.ndarray) -> np.ndarray:
            # the mean of five places on the way
            result = pixels.copy()
            for share in (-1, -0.5, 0.5, 1):
                down, right = np.rint(share * reach).astype(int)
                rows = np.clip(np.arange(pixels.shape[0]) + down, 0, pixels.shape[0] - 1)
                columns = np.clip(np.arange(pixels.shape[1]) + right, 0, pixels.shape[1] - 1)
                result += pixels[rows[:, None], columns]
            return result / 5

        return move


class RandDetectord(RandStyled):
    """Dictionary form of :class:`RandDetector`."""

    style_class = RandDetector


RandDetectorD = RandDetectorDict = RandDetectord
