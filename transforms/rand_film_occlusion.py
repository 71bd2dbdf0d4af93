"""Random blank rectangles that remove the landmarks under them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends

from monai_ceph.transforms.geometry import (
    affine_of,
    executed,
    grid_of,
    landmarks_to_grid,
    on_cpu,
    pixels_of,
    with_affine,
)

__all__ = ["RandFilmOcclusion", "RandFilmOcclusionD", "RandFilmOcclusionDict", "RandFilmOcclusiond"]

# covered landmarks are moved here, in source pixels: so far outside that no heatmap reaches the film
OUT_OF_SIGHT = -1e6


class RandFilmOcclusion(RandomizableTransform):
    """Blank random rectangles of a film, like cropped, shuttered or covered structures.

    A landmark under a rectangle moves far outside the film, so that its heatmap is 0 and networks learn to find nothing
    instead of guessing. A landmark near the border of a rectangle, where either answer is right, becomes NaN (not
    annotated). Rectangles may extend beyond the film. Each has one grey value in 0..1, so films
    must have been scaled to 0..1 (:class:`~monai_ceph.transforms.ScaleFilmIntensity`).

    Args:
        prob: probability that anything is blanked.
        max_count: most rectangles of a film; all counts from 1 are equally likely.
        size: smallest and largest side, as a share of the film's side; the logarithm is uniform.
        margin: pixels of the grid inside a rectangle's border in which a landmark becomes NaN.

    It has no inverse: what was blanked is lost.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(self, prob: float, max_count: int, size: tuple[float, float], margin: float) -> None:
        RandomizableTransform.__init__(self, prob)
        if max_count < 1 or not 0 < size[0] <= size[1] or margin < 0:
            raise ValueError(
                f"max_count must be positive, size two growing positive numbers and margin not negative, got "
                f"{max_count}, {size}, {margin}"
            )
        self.max_count, self.size, self.margin = max_count, (float(size[0]), float(size[1])), float(margin)
        self.rectangles: list[tuple[int, int, int, int]] = []
        self.values: list[float] = []

    def randomize(self, data: tuple[int, int]) -> None:
        """Draw rectangles (top, left, bottom, right) and their values for a grid of this size."""
        super().randomize(None)
        self.rectangles, self.values = [], []
        if not self._do_transform:
            return
        for _ in range(self.R.randint(self.max_count) + 1):
            sides = np.exp(self.R.uniform(*np.log(self.size), size=2)) * data
            centre = self.R.uniform(0, data)
            (top, left), (bottom, right) = np.rint(centre - sides / 2).tolist(), np.rint(centre + sides / 2).tolist()
            self.rectangles.append((int(top), int(left), int(bottom), int(right)))
            # shutters are black, borders of old films are white, and other objects have any grey value
            self.values.append(float(self.R.choice([0.0, 1.0, self.R.uniform()], p=[0.5, 0.2, 0.3])))

    def cover(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return the film, intensities in 0..1, with the current rectangles."""
        image = executed(image)
        pixels = pixels_of(image).clone()
        for (top, left, bottom, right), value in zip(self.rectangles, self.values, strict=True):
            pixels[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = value
        return with_affine(pixels, image, affine_of(image))

    def hide(self, landmarks: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
        """Return (N, 2) landmarks, in source coordinates, after the current rectangles."""
        landmarks = on_cpu(landmarks).clone()
        rows, columns = landmarks_to_grid(landmarks, affine).unbind(dim=1)
        for top, left, bottom, right in self.rectangles:
            # the distance to the nearest border, positive inside
            depth = torch.stack((rows - top, bottom - 1 - rows, columns - left, right - 1 - columns)).amin(dim=0)
            landmarks[(depth >= 0) & (depth < self.margin) & (landmarks[:, 0] > OUT_OF_SIGHT)] = torch.nan
            landmarks[depth >= self.margin] = OUT_OF_SIGHT
        return landmarks

    def __call__(self, image: NdarrayOrTensor, landmarks: torch.Tensor) -> tuple[MetaTensor, torch.Tensor]:
        """Return the (channel, row, column) film and its (N, 2) landmarks in source coordinates."""
        affine, size = grid_of(image)
        self.randomize(size)
        return self.cover(image), self.hide(landmarks, affine)


class RandFilmOcclusiond(RandomizableTransform, MapTransform):
    """Dictionary form of :class:`RandFilmOcclusion`.

    Args:
        keys: the films; all get the same rectangles and must share one grid.
        landmarks_key: (N, 2) landmarks in source coordinates; covered ones are removed.
        prob: see :class:`RandFilmOcclusion`.
        max_count: see :class:`RandFilmOcclusion`.
        size: see :class:`RandFilmOcclusion`.
        margin: see :class:`RandFilmOcclusion`.
    """

    backend = RandFilmOcclusion.backend

    def __init__(
        self,
        keys: KeysCollection,
        landmarks_key: str,
        prob: float,
        max_count: int,
        size: tuple[float, float],
        margin: float,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.landmarks_key = landmarks_key
        self.occlusion = RandFilmOcclusion(prob, max_count, size, margin)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandFilmOcclusiond:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.occlusion.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Blank the same rectangles on the film of every key."""
        result = dict(data)
        first = self.first_key(result)
        # MONAI returns () if none of the keys exists
        if first == ():
            return result
        affine, size = grid_of(result[first])
        self.occlusion.randomize(size)
        for key in self.key_iterator(result):
            result[key] = self.occlusion.cover(result[key])
        result[self.landmarks_key] = self.occlusion.hide(result[self.landmarks_key], affine)
        return result


RandFilmOcclusionD = RandFilmOcclusionDict = RandFilmOcclusiond
