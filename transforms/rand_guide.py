"""Coarse positions for the local stage without a global stage."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import TransformBackends

from monai_ceph.transforms.geometry import grid_of, landmarks_to_grid, on_cpu
from monai_ceph.transforms.keys import per_key, target_per_key

__all__ = ["RandGuide", "RandGuideD", "RandGuideDict", "RandGuided"]


class RandGuide(Randomizable, Transform):
    """Move landmarks by normally distributed errors, like those of a global stage.

    Args:
        error_sd: standard deviation in rows and in columns, in source pixels.

    It has no inverse.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(self, error_sd: float) -> None:
        if error_sd < 0:
            raise ValueError(f"error_sd must not be negative, got {error_sd}")
        self.error_sd = error_sd
        self.noise = np.zeros((0, 2))

    def randomize(self, data: tuple[int, ...]) -> None:
        """Draw the errors for landmarks of this shape."""
        self.noise = self.R.normal(scale=self.error_sd, size=data) if self.error_sd else np.zeros(data)

    def __call__(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Return (N, 2) guide positions from (N, 2) landmarks, both (row, column) in the source image."""
        self.randomize(tuple(landmarks.shape))
        return on_cpu(landmarks) + torch.from_numpy(self.noise)


class RandGuided(Randomizable, MapTransform):
    """Dictionary form of :class:`RandGuide`: the guide on the film's grid, as the inferer takes it.

    Args:
        keys: landmarks, (N, 2), (row, column) in the source image.
        ref_key: the film whose affine leads from its grid to the source; one, or one for each key.
        target_key: where the guide goes, (N, 2), (row, column) in pixels of the grid; one for each key.
        error_sd: standard deviation in rows and in columns, in source pixels.
        seed_key: a string of the film, such as its name, that seeds the draw: the errors are then the same at each
            validation and on each process.
    """

    backend = RandGuide.backend

    def __init__(
        self,
        keys: KeysCollection,
        ref_key: KeysCollection,
        target_key: KeysCollection,
        error_sd: float,
        seed_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.ref_keys = per_key("ref_key", ref_key, self.keys)
        self.target_keys = target_per_key("target_key", target_key, self.keys)
        self.seed_key = seed_key
        self.guide = RandGuide(error_sd)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandGuided:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.guide.set_random_state(seed, state)
        return self

    def randomize(self, data: tuple[int, ...]) -> None:
        """Draw the errors."""
        self.guide.randomize(data)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Add the guide."""
        result = dict(data)
        if self.seed_key is not None:
            self.guide.set_random_state(zlib.crc32(str(data[self.seed_key]).encode()))
        for key, ref, target in self.key_iterator(result, self.ref_keys, self.target_keys):
            result[target] = landmarks_to_grid(self.guide(result[key]), grid_of(result[ref])[0])
        return result


RandGuideD = RandGuideDict = RandGuided
