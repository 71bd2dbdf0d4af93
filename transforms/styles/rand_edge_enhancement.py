"""Edge enhancement and unsharp masks."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import blurred, log_between
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandEdgeEnhancement", "RandEdgeEnhancementD", "RandEdgeEnhancementDict", "RandEdgeEnhancementd"]


class RandEdgeEnhancement(RandStyle):
    """Add the difference from a blurred film: an unsharp mask.

    Its radius is 0.15 to 10 mm, its strength 0.3 to 4. Wide masks are weaker than narrow ones, as on real machines.
    """

    name = "edge_enhancement"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        radius = log_between(R, 0.15, 10)
        strength = log_between(R, 0.3, 4 if radius < 1 else 2)
        # the finest mask that the grid can show
        sigma = max(radius * view.per_mm, 0.5)

        def change(pixels: np.ndarray) -> np.ndarray:
            return pixels + strength * (pixels - blurred(pixels, sigma))

        return change


class RandEdgeEnhancementd(RandStyled):
    """Dictionary form of :class:`RandEdgeEnhancement`."""

    style_class = RandEdgeEnhancement


RandEdgeEnhancementD = RandEdgeEnhancementDict = RandEdgeEnhancementd
