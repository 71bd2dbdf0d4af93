"""Scattered radiation."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, blurred, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandScatter", "RandScatterD", "RandScatterDict", "RandScatterd"]


class RandScatter(RandStyle):
    """Mix a film with itself, blurred over 5 to 50 mm, as scattered radiation does without a grid.

    Up to 60 % of the contrast of fine structures is lost.
    """

    name = "scatter"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        sigma, share = log_between(R, 5, 50) * view.per_mm, between(R, 0.1, 0.6)
        veil = between(R, -0.15, 0.15)

        def change(pixels: np.ndarray) -> np.ndarray:
            return pixels + share * (blurred(pixels, sigma) + veil - pixels)

        return change


class RandScatterd(RandStyled):
    """Dictionary form of :class:`RandScatter`."""

    style_class = RandScatter


RandScatterD = RandScatterDict = RandScatterd
