"""Films with a code at each landmark that can be read in one orientation only, and a network that finds them."""

from __future__ import annotations

import torch
from monai.data import MetaTensor
from torch import nn

# 64 cells high, 56 wide; pixels of a film are cells of 3 x 3
STEP, ROWS, COLUMNS = 3, 64, 56
# the middle cells of the codes, (row, column)
CELLS = torch.tensor([[10.0, 12], [13, 41], [21, 27], [33, 46], [36, 14], [50, 22], [48, 38]], dtype=torch.float64)
CODES = torch.randint(2, (len(CELLS), 7, 7), generator=torch.Generator().manual_seed(0)).float() * 2 - 1
CODES = CODES - CODES.mean(dim=(1, 2), keepdim=True)


def to_pixels(cells: torch.Tensor) -> torch.Tensor:
    """Return the pixels in the middle of cells."""
    return STEP * cells + STEP // 2


def coded_film(cells: torch.Tensor = CELLS, size: tuple[int, int] = (ROWS, COLUMNS)) -> MetaTensor:
    """Draw the code of every landmark around its cell, on grey; NaN is not drawn. ``size`` is in cells."""
    film = torch.full(size, 0.5)
    for (row, column), code in zip(cells.tolist(), CODES, strict=True):
        if row == row:
            film[int(row) - 3 : int(row) + 4, int(column) - 3 : int(column) + 4] = 0.5 + 0.4 * code
    film = film.repeat_interleave(STEP, dim=0).repeat_interleave(STEP, dim=1)
    return MetaTensor(film[None], affine=torch.eye(3, dtype=torch.float64))


class CodeReader(nn.Module):
    """A matched filter per landmark on a grid with ``step`` pixels per cell, and the background."""

    def __init__(self, step: int) -> None:
        super().__init__()
        kernels = CODES.repeat_interleave(step, dim=1).repeat_interleave(step, dim=2)
        self.filter = nn.Conv2d(1, len(kernels), kernels.shape[-1], padding="same")
        # shrinking blurs a film: a matching code then scores about 0.6, all others stay below 0.3
        kernels = kernels / (0.4 * kernels.square().sum(dim=(1, 2), keepdim=True))
        self.filter.weight = nn.Parameter(30 * kernels[:, None])
        self.filter.bias = nn.Parameter(torch.full((len(kernels),), -30 * 0.42))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, landmarks + 1, row, column)."""
        logits = self.filter(x)
        return torch.cat((logits, torch.zeros_like(x)), dim=1)
