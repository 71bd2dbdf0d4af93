"""Resample a film to the mean pose: rotated, scaled and shifted so that its landmarks fit the mean shape."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from monai_ceph.transforms.geometry import (
    InvertibleResampling,
    executed,
    fit_similarity,
    grid_of,
    landmarks_to_grid,
    resample,
)

__all__ = ["PoseFilm", "PoseFilmD", "PoseFilmDict", "PoseFilmd"]


class PoseFilm(InvertibleResampling):
    """Resample a film to the square of ``size`` x ``size`` pixels in which its landmarks fit the mean shape best.

    Size and place of the mean shape in the square are those of the mean ISBI 2015 film in the paper's crop
    (:class:`~monai_ceph.transforms.SquareFilm`), so that networks see the same grid either way. Shrinking is
    antialiased; pixels outside the film are 0.

    Args:
        size: rows and columns of the result.
        mean_shape: (N, 2) landmarks, (row, column), in any unit.
        centre: centre of the mean shape, (row, column), as a share of ``size``.
        radius: root mean square distance of the mean shape from its centre, as a share of ``size``.
    """

    def __init__(
        self,
        size: int,
        mean_shape: Sequence[Sequence[float]] | torch.Tensor,
        centre: tuple[float, float] = (0.578, 0.638),
        radius: float = 0.2238,
    ) -> None:
        if size < 1 or not radius > 0:
            raise ValueError(f"size and radius must be positive, got {size} and {radius}")
        shape = torch.as_tensor(mean_shape, dtype=torch.float64)
        shape = shape - shape.mean(dim=0)
        shape = shape / shape.square().sum(dim=1).mean().sqrt()
        self.size, self.radius = size, radius * size
        self.model = (torch.tensor(centre, dtype=torch.float64) + radius * shape) * size - 0.5

    def matrix(
        self, landmarks: torch.Tensor, *, mirrored: bool = False, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the 3x3 map from the square to the grid of ``landmarks`` (N, 2), (row, column); NaN is left out.

        Raises:
            ValueError: if fewer than two different landmarks are known.
        """
        return fit_similarity(self.model, landmarks, mirrored=mirrored, weights=weights)

    def cut(self, image: NdarrayOrTensor, matrix: torch.Tensor) -> MetaTensor:
        """Return the square (channel, size, size) that ``matrix`` maps to the film's grid."""
        image = executed(image)
        return self.traced(resample(image, matrix, (self.size, self.size), antialias=True), image, matrix)

    def __call__(self, image: NdarrayOrTensor, landmarks: torch.Tensor) -> MetaTensor:
        """Return the square of a film (channel, row, column) with ``landmarks`` (N, 2) in source coordinates."""
        return self.cut(image, self.matrix(landmarks_to_grid(landmarks, grid_of(image)[0])))


class PoseFilmd(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`PoseFilm`: the pose is that of the annotated landmarks.

    Args:
        keys: the films.
        landmarks_key: (N, 2) landmarks in source coordinates; they stay as they are.
        size: see :class:`PoseFilm`.
        mean_shape: see :class:`PoseFilm`.
    """

    backend = PoseFilm.backend

    def __init__(
        self,
        keys: KeysCollection,
        landmarks_key: str,
        size: int,
        mean_shape: Sequence[Sequence[float]] | torch.Tensor,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.landmarks_key = landmarks_key
        self.pose = PoseFilm(size, mean_shape)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Cut the film of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pose(result[key], result[self.landmarks_key])
        return result

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Bring the film of every key back to its grid from before."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pose.inverse(result[key])
        return result


PoseFilmD = PoseFilmDict = PoseFilmd
