"""Draw training targets between the points of two annotators."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import TransformBackends

from monai_ceph.transforms.geometry import on_cpu
from monai_ceph.transforms.keys import per_key

__all__ = ["RandAnnotation", "RandAnnotationD", "RandAnnotationDict", "RandAnnotationd"]


class RandAnnotation(Randomizable, Transform):
    """Move each landmark to a random position on the line between the points of its two annotators.

    Args:
        amount: how far a landmark may move, as a share of the way to either point; 0 leaves it in the middle.

    It has no inverse.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(self, amount: float = 1.0) -> None:
        if not 0 <= amount < np.inf:
            raise ValueError(f"amount must be finite and not negative, got {amount}")
        self.amount = amount
        self.shares = np.zeros((0, 1))

    def randomize(self, data: int) -> None:
        """Draw the positions of ``data`` landmarks, uniformly and independently."""
        self.shares = self.R.uniform(-self.amount, self.amount, (data, 1)) if self.amount else np.zeros((data, 1))

    def __call__(self, landmarks: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """Return (N, 2) landmarks, on the CPU.

        Args:
            landmarks: (N, 2) midway between the two points, (row, column).
            spread: (N, 2) offset from there to one of the points; NaN where there is only one annotation.
        """
        self.randomize(len(landmarks))
        return on_cpu(landmarks) + torch.from_numpy(self.shares) * torch.nan_to_num(on_cpu(spread), nan=0.0)


class RandAnnotationd(Randomizable, MapTransform):
    """Dictionary form of :class:`RandAnnotation`.

    Args:
        keys: landmarks, (N, 2), (row, column) in the source image.
        spread_key: offset from each landmark to the point of one annotator, (N, 2); one, or one for each key.
        amount: see :class:`RandAnnotation`.
    """

    backend = RandAnnotation.backend

    def __init__(
        self, keys: KeysCollection, spread_key: KeysCollection, amount: float = 1.0, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.spread_keys = per_key("spread_key", spread_key, self.keys)
        self.annotation = RandAnnotation(amount)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandAnnotationd:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.annotation.set_random_state(seed, state)
        return self

    def randomize(self, data: int) -> None:
        """Draw the places."""
        self.annotation.randomize(data)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Move the landmarks."""
        result = dict(data)
        for key, spread in self.key_iterator(result, self.spread_keys):
            result[key] = self.annotation(result[key], result[spread])
        return result


RandAnnotationD = RandAnnotationDict = RandAnnotationd
