"""Films without the ear rods that they have."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, blurred, normal
from monai_ceph.transforms.styles.marks import Disc, covering
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandFadedRods", "RandFadedRodsD", "RandFadedRodsDict", "RandFadedRodsd"]

_REACH = 25.0


class RandFadedRods(RandStyle):
    """Fade the rings of ear rods that a film already has, so that a network cannot take them for Porion.

    What is finer than 1 to 4 mm becomes faint in an area of 10 to 18 mm radius around Porion, and grain is put back.
    """

    name = "faded_rods"
    weight = 2.0

    @staticmethod
    def reaches(view: View) -> bool:  # noqa: D102
        return view.sees("Po", _REACH)

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        offset = R.normal(0, 4, size=2)
        area = Disc(view.at("Po", float(offset[0]), float(offset[1]) + 3), between(R, 10, 18) * view.per_mm)
        soft = between(R, 3, 8) * view.per_mm
        sigma = between(R, 1.2, 3.5) * view.per_mm
        left, grain = between(R, 0, 0.2), between(R, 0, 0.02)
        noise = normal(R, view.size)

        def change(pixels: np.ndarray) -> np.ndarray:
            found = covering(area, pixels.shape, soft)
            if found is None:
                return pixels
            part, share = found
            smooth = blurred(pixels, sigma)[part] + grain * noise[part]
            pixels[part] += share * (1 - left) * (smooth - pixels[part])
            return pixels

        return change


class RandFadedRodsd(RandStyled):
    """Dictionary form of :class:`RandFadedRods`."""

    style_class = RandFadedRods


RandFadedRodsD = RandFadedRodsDict = RandFadedRodsd
