"""The sampler of the local stage: patches around random landmarks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, MultiSampleTrait, Randomizable
from torch.nn import functional as F

from monai_ceph.transforms.geometry import (
    InvertibleResampling,
    affine_of,
    executed,
    grid_of,
    landmarks_to_grid,
    on_cpu,
    pixels_of,
    with_affine,
)

__all__ = ["RandLandmarkPatch", "RandLandmarkPatchD", "RandLandmarkPatchDict", "RandLandmarkPatchd", "crop_patch"]


def crop_patch(image: NdarrayOrTensor, start: tuple[int, int], size: int) -> MetaTensor:
    """Cut a square of ``size`` pixels whose first pixel is ``start``, (row, column); 0 where it leaves the film."""
    (row, column), pixels = start, pixels_of(image)
    before = (max(-row, 0), max(-column, 0))
    inside = pixels[..., max(row, 0) : max(row + size, 0), max(column, 0) : max(column + size, 0)]
    after = (size - before[0] - inside.shape[-2], size - before[1] - inside.shape[-1])
    if min(*before, *after) < 0 or inside.numel() == 0:
        inside, before, after = pixels.new_zeros((*pixels.shape[:-2], size, size)), (0, 0), (0, 0)
    patch = F.pad(inside, (before[1], after[1], before[0], after[0]))
    return with_affine(patch, image, affine_of(image) @ _shift(start))


def _shift(start: tuple[int, int]) -> torch.Tensor:
    """Return the 3x3 map from the grid of a patch to that of its film."""
    return torch.tensor([[1, 0, start[0]], [0, 1, start[1]], [0, 0, 1]], dtype=torch.float64)


class RandLandmarkPatch(Randomizable, InvertibleResampling, MultiSampleTrait):
    """Cut square patches around randomly chosen landmarks.

    Zhong et al. 2019, section 3: "randomly sampling an image patch (100 x 100 px) around one landmark a time".
    Each patch shows one of the annotated landmarks, all equally likely. The landmark is at a uniformly random
    position, at most ``max_offset`` pixels in rows and in columns from the patch's centre. A patch may extend beyond
    the film and is 0 there. Its affine maps to the source, so the targets are those of the whole film, including the
    tails of landmarks outside the patch.

    Args:
        size: rows and columns of a patch, in pixels of the grid.
        max_offset: largest offset of the landmark from the centre, in pixels of the grid. Above half of ``size`` the
            landmark can lie outside: the network then also sees the surroundings, and learns to find nothing there.
        num_samples: patches of one film.
    """

    def __init__(self, size: int, max_offset: float, num_samples: int = 1) -> None:
        if size < 1 or num_samples < 1:
            raise ValueError(f"size and num_samples must be positive, got {size} and {num_samples}")
        if not max_offset >= 0:
            raise ValueError(f"max_offset must not be negative, got {max_offset}")
        self.size, self.max_offset, self.num_samples = size, float(max_offset), num_samples
        self.starts: list[tuple[int, int]] = []

    def randomize(self, data: torch.Tensor) -> None:
        """Draw the patches' first pixels from (N, 2) landmarks in grid coordinates."""
        points = on_cpu(data)
        known = points[~points.isnan().any(dim=1)].numpy()
        if len(known) == 0:
            raise ValueError("a film without any annotated landmark has no landmark-centred patch")
        chosen = known[self.R.randint(len(known), size=self.num_samples)]
        offset = self.R.uniform(-self.max_offset, self.max_offset, size=(self.num_samples, 2))
        starts = np.rint(chosen + offset - (self.size - 1) / 2).astype(int)
        self.starts = [(int(row), int(column)) for row, column in starts]

    def __call__(self, image: NdarrayOrTensor, landmarks: torch.Tensor) -> list[MetaTensor]:
        """Return ``num_samples`` patches (channel, size, size); ``landmarks`` (N, 2) in source coordinates."""
        self.randomize(landmarks_to_grid(landmarks, grid_of(image)[0]))
        return [self.cut(image, start) for start in self.starts]

    def cut(self, image: NdarrayOrTensor, start: tuple[int, int]) -> MetaTensor:
        """Return the patch whose first pixel is ``start``, (row, column)."""
        image = executed(image)
        return self.traced(crop_patch(image, start, self.size), image, _shift(start))


class RandLandmarkPatchd(Randomizable, MapTransform, InvertibleTransform, MultiSampleTrait):
    """Dictionary form of :class:`RandLandmarkPatch`: a list of dictionaries, one per patch.

    Args:
        keys: the film.
        landmarks_key: (N, 2) landmarks in source coordinates; they stay as they are.
        size: see :class:`RandLandmarkPatch`.
        max_offset: see :class:`RandLandmarkPatch`.
        num_samples: see :class:`RandLandmarkPatch`.
    """

    backend = RandLandmarkPatch.backend

    def __init__(
        self,
        keys: KeysCollection,
        landmarks_key: str,
        size: int,
        max_offset: float,
        num_samples: int = 1,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.landmarks_key = landmarks_key
        self.sampler = RandLandmarkPatch(size, max_offset, num_samples)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandLandmarkPatchd:
        """Seed the sampler."""
        super().set_random_state(seed, state)
        self.sampler.set_random_state(seed, state)
        return self

    def randomize(self, data: torch.Tensor) -> None:
        """Draw the patches' first pixels."""
        self.sampler.randomize(data)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> list[dict[Hashable, torch.Tensor]]:
        """Cut the same patches from the film of every key."""
        first = self.first_key(data)
        # MONAI returns () if none of the keys exists; its samplers then return copies of the data
        if first == ():
            return [dict(data) for _ in range(self.sampler.num_samples)]
        self.randomize(landmarks_to_grid(data[self.landmarks_key], grid_of(data[first])[0]))
        patches = []
        for start in self.sampler.starts:
            patch = dict(data)
            for key in self.key_iterator(patch):
                patch[key] = self.sampler.cut(data[key], start)
            patches.append(patch)
        return patches

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Lay one patch of every key on its film's grid, 0 elsewhere."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.sampler.inverse(result[key])
        return result


RandLandmarkPatchD = RandLandmarkPatchDict = RandLandmarkPatchd
