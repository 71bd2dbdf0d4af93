"""The noise of few X-ray quanta."""

from __future__ import annotations

import numpy as np

from monai_ceph.transforms.styles.filters import between, blurred, log_between, normal
from monai_ceph.transforms.styles.style import Change, RandStyle, RandStyled
from monai_ceph.transforms.styles.view import View

__all__ = ["RandQuantumNoise", "RandQuantumNoiseD", "RandQuantumNoiseDict", "RandQuantumNoised"]


class RandQuantumNoise(RandStyle):
    """Add noise as few quanta give: grains of 0.1 to 0.6 mm, stronger behind bone, where fewer arrive.

    A film is bright where quanta are absorbed. In its logarithm, which films and detectors show, the noise grows with
    the inverse root of their number. Grains smaller than a pixel of the grid average out.
    """

    name = "quantum_noise"

    @staticmethod
    def draw(view: View, R: np.random.RandomState) -> Change:  # noqa: D102
        grain = log_between(R, 0.1, 0.6) * view.per_mm
        strength = log_between(R, 0.01, 0.07) * min(1.0, max(grain, 0.3))
        rise = between(R, 0, 1.5)
        noise = normal(R, view.size)
        if grain > 0.8:
            noise = blurred(noise, grain / 2)
            noise = noise / max(float(noise.std()), 1e-6)

        def change(pixels: np.ndarray) -> np.ndarray:
            return pixels + (strength * np.exp(rise * (pixels - 0.6))) * noise

        return change


class RandQuantumNoised(RandStyled):
    """Dictionary form of :class:`RandQuantumNoise`."""

    style_class = RandQuantumNoise


RandQuantumNoiseD = RandQuantumNoiseDict = RandQuantumNoised
