"""The exposed part of a film, without shutters, collimators and the film's border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["BEGINS", "FLAT", "TOLERANCE", "WITHIN", "ExposedField", "exposed_field"]

# grey values that differ by less than this share of their range count as equal
TOLERANCE = 0.02
# a shuttered row may have this share of other pixels, such as a burned-in letter
FLAT = 0.02
# a shutter's edge is straight: at least this share of the width starts within this share of the height. The tip of a
# nose or a chin in front of saturated air is not an edge.
BEGINS, WITHIN = 0.25, 0.004


@dataclass(frozen=True)
class ExposedField:
    """The exposed rectangle of a film: its first and last row and column, in pixels of the film's grid.

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
        """Return the distances of (N, 2) points, (row, column), from the nearest border; negative outside."""
        row, column = points.unbind(dim=-1)
        return torch.stack((row - self.top, self.bottom - row, column - self.left, self.right - column)).amin(dim=0)


def exposed_field(film: torch.Tensor) -> ExposedField:
    """Return the exposed part of a film (1, row, column) with intensities in 0..1.

    A shutter covers the outer rows (or columns) that have one grey value each, if the image behind them starts along a
    straight line. Without such rows, the film's own border counts. Shutters not parallel to the border are not found.
    """
    pixels = film.as_subclass(torch.Tensor)[0]
    top, bottom = _ends(pixels)
    left, right = _ends(pixels[top : bottom + 1].mT)
    if right - left + 1 < pixels.shape[1]:
        # check the rows again: a wide shutter beside them hides the straight edge
        top, bottom = _ends(pixels[:, left : right + 1])
    return ExposedField(top, left, bottom, right)


def _ends(pixels: torch.Tensor) -> tuple[int, int]:
    """Return the first and the last row that no shutter covers."""
    count, length = pixels.shape
    sample = pixels[:, :: max(1, length // 200)]
    # in a flat row, at least half of the samples equal the median
    differs = ((sample - _medians(sample)).abs() > TOLERANCE).float().mean(dim=1)
    seen = (differs > FLAT).nonzero()[:, 0]
    if len(seen) == 0:
        return 0, count - 1
    first, last = int(seen[0]), int(seen[-1])
    reach = max(2, round(WITHIN * count))
    straight_first = float(differs[first : first + reach + 1].amax()) >= BEGINS
    straight_last = float(differs[max(last - reach, 0) : last + 1].amax()) >= BEGINS
    return first if straight_first else 0, last if straight_last else count - 1


def _medians(rows: torch.Tensor) -> torch.Tensor:
    """Return the lower median of each row, (row, 1); NumPy takes a third of torch's time."""
    middle = (rows.shape[1] - 1) // 2
    return torch.from_numpy(np.partition(rows.cpu().numpy(), middle, axis=1)[:, middle, None]).to(rows.device)
