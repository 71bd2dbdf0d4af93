"""Scale the intensities between two percentiles to 0..1."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends

from monai_ceph.readers.grey_limits import grey_limits
from monai_ceph.transforms.geometry import affine_of, executed, pixels_of, with_affine

__all__ = ["ScaleFilmIntensity", "ScaleFilmIntensityD", "ScaleFilmIntensityDict", "ScaleFilmIntensityd"]


class ScaleFilmIntensity(Transform):
    """Map the ``lower`` percentile of a film to 0 and the ``upper`` one to 1, and clip.

    As :class:`~monai.transforms.ScaleIntensityRangePercentiles` with ``clip``, but the percentiles are those of every
    ``step``-th row and column: sorting all pixels of a film takes longer than a network does. A film whose
    percentiles are equal becomes 0. Only finite pixels count towards them; infinite ones are clipped like all
    others, and NaN becomes 0, which is air in the readers.

    With ``max_gap``, pixels far from all others, such as unexposed areas and markers at an end of the range, are left
    out of the percentiles (:func:`~monai_ceph.readers.grey_limits.grey_limits`). ``meta["cut"]`` of the result is the
    share of such pixels, or that of an earlier call if it was larger.

    It has no inverse, like MONAI's transform; ``Invertd`` leaves the intensities as they are.

    Args:
        lower: percentile in 0..100.
        upper: percentile in 0..100, above ``lower``.
        step: rows and columns per sampled pixel; 1 takes them all.
        max_gap: share of the range, above 0 and below 1, that may hold almost no pixels; None: not checked.

    Examples:
        >>> ScaleFilmIntensity(0, 100)(torch.arange(4.0).reshape(1, 2, 2)).amax()
        tensor(1.)
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(self, lower: float, upper: float, step: int = 4, max_gap: float | None = None) -> None:
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"percentiles must be in 0..100, the lower one first, got {lower} and {upper}")
        if step < 1:
            raise ValueError(f"step must be positive, got {step}")
        if max_gap is not None and not 0 < max_gap < 1:
            raise ValueError(f"max_gap must be between 0 and 1, got {max_gap}")
        self.percentiles, self.step, self.max_gap = (lower, upper), step, max_gap

    def __call__(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return the (channel, row, column) film in 0..1."""
        image = executed(image)
        pixels = pixels_of(image).float()
        sample = pixels[..., :: self.step, :: self.step].cpu().numpy()
        limits = grey_limits(sample[np.isfinite(sample)], self.percentiles, self.max_gap)
        if limits.high > limits.low:
            scaled = (pixels - limits.low).div_(limits.high - limits.low).clamp_(0, 1).nan_to_num_(nan=0.0)
        else:
            scaled = torch.zeros_like(pixels)
        result = with_affine(scaled, image, affine_of(image))
        if self.max_gap is not None:
            result.meta["cut"] = max(limits.cut, result.meta.get("cut", 0.0))
        return result


class ScaleFilmIntensityd(MapTransform):
    """Dictionary form of :class:`ScaleFilmIntensity`."""

    backend = ScaleFilmIntensity.backend

    def __init__(
        self,
        keys: KeysCollection,
        lower: float,
        upper: float,
        step: int = 4,
        max_gap: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = ScaleFilmIntensity(lower, upper, step, max_gap)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Scale the film of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.scale(result[key])
        return result


ScaleFilmIntensityD = ScaleFilmIntensityDict = ScaleFilmIntensityd
