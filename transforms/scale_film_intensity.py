"""Intensities between two percentiles to 0..1, from a sample of the pixels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from monai_ceph.transforms.geometry import affine_of, pixels_of, with_affine

__all__ = ["ScaleFilmIntensity", "ScaleFilmIntensityd"]


class ScaleFilmIntensity(Transform):
    """Map the ``lower`` percentile of a film to 0 and the ``upper`` one to 1, and clip.

    As :class:`~monai.transforms.ScaleIntensityRangePercentiles` with ``clip``, but the percentiles are those of every
    ``step``-th row and column: sorting all pixels of a film takes longer than a network does. A film whose
    percentiles are equal becomes 0. Only finite pixels count towards them; infinite ones are clipped as all others, and
    NaN becomes 0 (air, as the readers have it).

    Args:
        lower: percentile in 0..100.
        upper: percentile in 0..100, above ``lower``.
        step: rows and columns per sampled pixel; 1 takes them all.

    Example:
        >>> ScaleFilmIntensity(0, 100)(torch.arange(4.0).reshape(1, 2, 2)).amax()
        tensor(1.)
    """

    def __init__(self, lower: float, upper: float, step: int = 4) -> None:
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"percentiles must be in 0..100, the lower one first, got {lower} and {upper}")
        if step < 1:
            raise ValueError(f"step must be positive, got {step}")
        self.percentiles, self.step = (lower, upper), step

    def __call__(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return the (channel, row, column) film in 0..1."""
        pixels = pixels_of(image).float()
        sample = pixels[..., :: self.step, :: self.step].cpu().numpy()
        sample = sample[np.isfinite(sample)]
        # numpy selects where torch would sort
        low, high = np.percentile(sample, self.percentiles).tolist() if sample.size else (0.0, 0.0)
        if high > low:
            scaled = (pixels - low).div_(high - low).clamp_(0, 1).nan_to_num_(nan=0.0)
        else:
            scaled = torch.zeros_like(pixels)
        return with_affine(scaled, image, affine_of(image))


class ScaleFilmIntensityd(MapTransform):
    """Dictionary form of :class:`ScaleFilmIntensity`."""

    def __init__(
        self, keys: KeysCollection, lower: float, upper: float, step: int = 4, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleFilmIntensity(lower, upper, step)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Scale the film of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.scale(result[key])
        return result
