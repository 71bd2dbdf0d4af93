"""The part of a film that was exposed: what neither a shutter, nor a collimator, nor the film's border cuts off."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["ExposedField", "exposed_field"]

# of the range of grey values: what differs by less looks alike
_TOLERANCE = 0.02
# of a row's pixels: a shuttered row may hold so much else, such as a burned-in letter
_FLAT = 0.02
# a shutter's edge is straight: so much of the film's width begins within so much of its height. The tip of a nose or
# a chin before saturated air is no edge.
_BEGINS, _WITHIN = 0.25, 0.004


@dataclass(frozen=True)
class ExposedField:
    """A rectangle of a film's own grid: first and last exposed row and column.

    Attributes:
        top: first row.
        left: first column.
        bottom: last row.
        right: last column.
    """

    top: int
    left: int
    bottom: int
    right: int

    def depth(self, points: torch.Tensor) -> torch.Tensor:
        """Return how far (N, 2) points, (row, column), are inside the nearest border; negative outside."""
        row, column = points.unbind(dim=-1)
        return torch.stack((row - self.top, self.bottom - row, column - self.left, self.right - column)).amin(dim=0)


def exposed_field(film: torch.Tensor) -> ExposedField:
    """Return the exposed part of a film (1, row, column) with intensities in 0..1.

    A side is shuttered as far as its rows (or columns) have one grey value each, if what follows begins along a
    straight line. Otherwise the film's own border is taken. Shutters that are not parallel to the border are not found.
    """
    pixels = film.as_subclass(torch.Tensor)[0]
    top, bottom = _ends(pixels)
    left, right = _ends(pixels[top : bottom + 1].mT)
    if right - left + 1 < pixels.shape[1]:
        # the rows once more: a wide shutter beside them hides how much of a row begins at once
        top, bottom = _ends(pixels[:, left : right + 1])
    return ExposedField(top, left, bottom, right)


def _ends(pixels: torch.Tensor) -> tuple[int, int]:
    """Return the first and the last row that no shutter covers."""
    count, length = pixels.shape
    sample = pixels[:, :: max(1, length // 200)]
    # half the samples and more of a flat row have its median
    differs = ((sample - sample.median(dim=1, keepdim=True).values).abs() > _TOLERANCE).float().mean(dim=1)
    seen = (differs > _FLAT).nonzero()[:, 0]
    if len(seen) == 0:
        return 0, count - 1
    first, last = int(seen[0]), int(seen[-1])
    reach = max(2, round(_WITHIN * count))
    straight_first = float(differs[first : first + reach + 1].amax()) >= _BEGINS
    straight_last = float(differs[max(last - reach, 0) : last + 1].amax()) >= _BEGINS
    return first if straight_first else 0, last if straight_last else count - 1
