"""The whole film in a square, for films of any size and shape."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from monai_ceph.transforms.geometry import InvertibleResampling, executed, resample

__all__ = ["WholeFilm", "WholeFilmD", "WholeFilmDict", "WholeFilmd"]


class WholeFilm(InvertibleResampling):
    """Scale a film so that its longer side has ``size`` pixels, and centre it in a square that is 0 elsewhere.

    Shrinking is antialiased. Half precision is kept; integers become float32. Nothing of the film is cut off;
    compare :class:`~monai_ceph.transforms.SquareFilm`, the paper's crop for films of one kind.

    Args:
        size: rows and columns of the result.

    Examples:
        >>> WholeFilm(290)(MetaTensor(torch.rand(1, 2400, 1935), affine=torch.eye(3))).shape
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
        step = max(rows, columns) / self.size
        # the centres of both grids coincide
        top, left = (0.5 * (length - 1 - step * (self.size - 1)) for length in (rows, columns))
        matrix = torch.tensor([[step, 0, top], [0, step, left], [0, 0, 1]], dtype=torch.float64)
        return self.traced(resample(image, matrix, (self.size, self.size), antialias=True), image, matrix)


class WholeFilmd(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`WholeFilm`."""

    backend = WholeFilm.backend

    def __init__(self, keys: KeysCollection, size: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.whole = WholeFilm(size)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Frame the film of every key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.whole(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Bring the film of every key back to its grid from before."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.whole.inverse(result[key])
        return result


WholeFilmD = WholeFilmDict = WholeFilmd
