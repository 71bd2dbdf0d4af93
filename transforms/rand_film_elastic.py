"""Random elastic deformation that takes the landmarks along exactly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from torch.nn import functional as F

from monai_ceph.transforms.geometry import (
    affine_of,
    landmarks_to_grid,
    landmarks_to_source,
    narrowed,
    on_cpu,
    pixels_of,
    widened,
    with_affine,
)

__all__ = ["RandFilmElastic", "RandFilmElasticd"]

# a displacement may change by at most this much per pixel, which keeps the map one to one
MAX_SLOPE = 0.5
_ITERATIONS = 60


def _sample(field: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Read a (2, row, column) field at (N, 2) points, bilinear, constant outside."""
    height, width = field.shape[-2:]
    scale = torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)], dtype=field.dtype)
    grid = points.flip(-1) * scale - 1
    return F.grid_sample(field[None], grid[None, None], padding_mode="border", align_corners=True)[0, :, 0].T


class RandFilmElastic(RandomizableTransform):
    r"""Deform a film smoothly at random, and the landmarks with it.

    Displacements are drawn from a normal distribution at control points ``spacing`` pixels apart and interpolated
    to every pixel by bicubic splines: pixel g of the result shows the film at :math:`g + d(g)`. A landmark at p
    therefore moves to the g with :math:`g + d(g) = p`, found by fixed-point iteration on the very field that the
    pixels use. The field is shrunk, if need be, until it is one to one (its slope stays below 0.5).

    Args:
        prob: probability of a deformation.
        magnitude_sd: standard deviation of a control point's displacement, in pixels of the grid.
        spacing: largest distance of the control points, in pixels of the grid; they fill it evenly, border to border.
    """

    def __init__(self, prob: float, magnitude_sd: float, spacing: float) -> None:
        RandomizableTransform.__init__(self, prob)
        if magnitude_sd < 0 or not spacing >= 2:
            raise ValueError(f"magnitude_sd must be >= 0 and spacing >= 2, got {magnitude_sd} and {spacing}")
        self.magnitude_sd, self.spacing = magnitude_sd, spacing
        self.field: torch.Tensor | None = None

    def randomize(self, data: tuple[int, int]) -> None:
        """Draw the (2, row, column) displacement field for a grid of this size."""
        super().randomize(None)
        self.field = None
        if not self._do_transform or self.magnitude_sd == 0:
            return
        knots = [max(2, math.ceil((length - 1) / self.spacing) + 1) for length in data]
        coarse = torch.from_numpy(self.R.normal(scale=self.magnitude_sd, size=(1, 2, *knots)))
        field = F.interpolate(coarse, data, mode="bicubic", align_corners=True)[0]
        slope = max(
            float(field.diff(dim=axis).abs().sum(dim=0).max()) if field.shape[axis] > 1 else 0.0 for axis in (1, 2)
        )
        self.field = field * min(1.0, MAX_SLOPE / 2 / max(slope, 1e-12))

    def deform(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return the film under the present field. Halves give halves, integers float32."""
        film = pixels_of(image)
        pixels = widened(film)
        if self.field is not None:
            height, width = film.shape[-2:]
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            at = torch.stack((columns + self.field[1], rows + self.field[0]), dim=-1)
            grid = at * torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)]) - 1
            pixels = F.grid_sample(pixels[None], grid[None].to(pixels), padding_mode="zeros", align_corners=True)[0]
        return with_affine(narrowed(pixels, film), image, affine_of(image))

    def move(self, landmarks: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
        """Return where (N, 2) landmarks, in source coordinates, lie after the present deformation."""
        if self.field is None:
            return on_cpu(landmarks)
        target = landmarks_to_grid(landmarks, affine)
        known = ~target.isnan().any(dim=1)
        moved = target.clone()
        for _ in range(_ITERATIONS):
            moved[known] = target[known] - _sample(self.field, moved[known])
        return landmarks_to_source(moved, affine)

    def __call__(self, image: NdarrayOrTensor, landmarks: torch.Tensor) -> tuple[MetaTensor, torch.Tensor]:
        """Return the deformed (channel, row, column) film and its (N, 2) landmarks in source coordinates."""
        self.randomize((image.shape[-2], image.shape[-1]))
        return self.deform(image), self.move(landmarks, affine_of(image))


class RandFilmElasticd(RandomizableTransform, MapTransform):
    """Dictionary form of :class:`RandFilmElastic`.

    Args:
        keys: the films; all get the same deformation and must share one grid.
        landmarks_key: (N, 2) landmarks in source coordinates; they are moved.
        prob: see :class:`RandFilmElastic`.
        magnitude_sd: see :class:`RandFilmElastic`.
        spacing: see :class:`RandFilmElastic`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        landmarks_key: str,
        prob: float,
        magnitude_sd: float,
        spacing: float,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.landmarks_key = landmarks_key
        self.elastic = RandFilmElastic(prob, magnitude_sd, spacing)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandFilmElasticd:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.elastic.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Apply one random deformation to the film of every key and to the landmarks."""
        result = dict(data)
        first = self.first_key(result)
        # MONAI's way to say that none of the keys is there
        if first == ():
            return result
        film = result[first]
        affine = affine_of(film)
        self.elastic.randomize((film.shape[-2], film.shape[-1]))
        for key in self.key_iterator(result):
            result[key] = self.elastic.deform(result[key])
        result[self.landmarks_key] = self.elastic.move(result[self.landmarks_key], affine)
        return result
