"""The paper's frame: the square at the bottom of the film, scaled."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from torch.nn import functional as F

from monai_ceph.transforms.geometry import (
    InvertibleResampling,
    affine_of,
    executed,
    narrowed,
    pixels_of,
    widened,
    with_affine,
)

__all__ = ["SquareFilm", "SquareFilmD", "SquareFilmDict", "SquareFilmd"]


class SquareFilm(InvertibleResampling):
    r"""Crop the square of the film's width at its bottom and scale it to ``size`` x ``size`` pixels.

    On a film of the ISBI 2015 challenge (2400 rows x 1935 columns) this is the crop of Zhong et al. 2019,
    section 3: rows 465 to 2400, then x 0.15 (290 px) or x 0.5 (968 px). A film that is wider than high is padded
    with 0 above. Shrinking is antialiased. Half precision is kept; integers become float32. The affine of
    the result maps its grid to the source pixels: source = (grid + 0.5) * width / size - 0.5, plus the first row of
    the crop.

    Args:
        size: rows and columns of the result.

    Examples:
        >>> film = MetaTensor(torch.rand(1, 2400, 1935), affine=torch.eye(3))
        >>> SquareFilm(290)(film).shape
        torch.Size([1, 290, 290])
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be positive, got {size}")
        self.size = size

    def __call__(self, image: NdarrayOrTensor) -> MetaTensor:
        """Return (channel, size, size) from (channel, row, column)."""
        image = executed(image)
        rows, columns = image.shape[-2:]
        top = rows - columns
        film = pixels_of(image)
        square = widened(film[:, max(top, 0) :])
        if top < 0:
            square = F.pad(square, (0, 0, -top, 0))
        scaled = F.interpolate(square[None], (self.size, self.size), mode="bilinear", antialias=True)[0]
        step = columns / self.size
        start = 0.5 * step - 0.5
        matrix = torch.tensor([[step, 0, top + start], [0, step, start], [0, 0, 1]], dtype=torch.float64)
        result = with_affine(narrowed(scaled, film), image, affine_of(image) @ matrix)
        return self.traced(result, image, matrix)


class SquareFilmd(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`SquareFilm`."""

    backend = SquareFilm.backend

    def __init__(self, keys: KeysCollection, size: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.square = SquareFilm(size)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Frame the film of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.square(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Bring the film of every key back to its grid from before."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.square.inverse(result[key])
        return result


SquareFilmD = SquareFilmDict = SquareFilmd
