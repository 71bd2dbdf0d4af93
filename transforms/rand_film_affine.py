"""Random affine maps that move the landmarks exactly with the pixels."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, RandomizableTransform

from monai_ceph.transforms.geometry import InvertibleResampling, executed, resample

__all__ = ["RandFilmAffine", "RandFilmAffineD", "RandFilmAffineDict", "RandFilmAffined"]


class RandFilmAffine(RandomizableTransform, InvertibleResampling):
    """Rotate, scale and shift a film about its centre at random, and crop it to ``size``.

    Draws are normal: the angle with standard deviation ``rotate_sd``, the logarithm of the size with ``scale_sd``,
    the shift in rows and in columns with ``shift_sd``; each is limited to 3 standard deviations. With probability
    1 - ``prob`` the film is only cropped. The affine of the result contains the exact map, so that landmarks, which
    stay in source coordinates, belong to the same pixels as before.

    Args:
        prob: probability of a random map.
        rotate_sd: standard deviation of the angle in degrees.
        scale_sd: standard deviation of the natural logarithm of the magnification; 0.1 is about 10 %.
        shift_sd: standard deviation of the shift in pixels of the grid.
        size: rows and columns of the result, centred on the film; None keeps the film's own.
    """

    def __init__(
        self,
        prob: float,
        rotate_sd: float = 0.0,
        scale_sd: float = 0.0,
        shift_sd: float = 0.0,
        size: int | None = None,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        if min(rotate_sd, scale_sd, shift_sd) < 0:
            raise ValueError(f"standard deviations must not be negative: {rotate_sd}, {scale_sd}, {shift_sd}")
        self.rotate_sd, self.scale_sd, self.shift_sd, self.size = rotate_sd, scale_sd, shift_sd, size
        self.draw = np.zeros(4)

    def randomize(self, data: object = None) -> None:
        """Draw angle, magnification and shift."""
        super().randomize(None)
        self.draw = np.clip(self.R.normal(size=4), -3, 3) if self._do_transform else np.zeros(4)

    def matrix(self, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
        """Return the 3x3 map from the result's grid to the film's grid for the current draw."""
        angle = math.radians(self.rotate_sd * self.draw[0])
        shrink = math.exp(-self.scale_sd * self.draw[1])
        cosine, sine = shrink * math.cos(angle), shrink * math.sin(angle)
        turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
        centre_old = torch.tensor([(old[0] - 1) / 2, (old[1] - 1) / 2], dtype=torch.float64)
        centre_new = torch.tensor([(new[0] - 1) / 2, (new[1] - 1) / 2], dtype=torch.float64)
        shift = torch.from_numpy(self.shift_sd * self.draw[2:])
        matrix = torch.eye(3, dtype=torch.float64)
        matrix[:2, :2] = turn
        matrix[:2, 2] = centre_old - turn @ (centre_new + shift)
        return matrix

    def __call__(self, image: NdarrayOrTensor, randomize: bool = True) -> MetaTensor:
        """Return the (channel, row, column) film on its new grid."""
        if randomize:
            self.randomize()
        image = executed(image)
        old = (image.shape[-2], image.shape[-1])
        new = old if self.size is None else (self.size, self.size)
        matrix = self.matrix(old, new)
        return self.traced(resample(image, matrix, new), image, matrix)


class RandFilmAffined(RandomizableTransform, MapTransform, InvertibleTransform):
    """Dictionary form of :class:`RandFilmAffine`; every key gets the same map."""

    backend = RandFilmAffine.backend

    def __init__(
        self,
        keys: KeysCollection,
        prob: float,
        rotate_sd: float = 0.0,
        scale_sd: float = 0.0,
        shift_sd: float = 0.0,
        size: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.affine = RandFilmAffine(prob, rotate_sd, scale_sd, shift_sd, size)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandFilmAffined:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.affine.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Apply one random map to the film of every key."""
        result = dict(data)
        self.affine.randomize()
        for key in self.key_iterator(result):
            result[key] = self.affine(result[key], randomize=False)
        return result

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Bring the film of every key back to its grid from before."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.affine.inverse(result[key])
        return result


RandFilmAffineD = RandFilmAffineDict = RandFilmAffined
