"""The window of each landmark around its guide, and what all inferers of the local stage have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["Network", "WindowInferer", "Windows", "check_whole_numbers"]

Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Windows:
    """The proposal regions of one film: the heatmap of each landmark in a square around its guide.

    Attributes:
        heatmaps: (N, side, side), each landmark's own channel of H_M.
        starts: (N, 2) first pixels, (row, column) in the film's grid; they may lie outside the film.
    """

    heatmaps: torch.Tensor
    starts: torch.Tensor

    def paste(self, size: tuple[int, int]) -> torch.Tensor:
        """Return the whole H_M (N, row, column): 0 outside the windows."""
        whole = self.heatmaps.new_zeros((len(self.heatmaps), *size))
        side = self.heatmaps.shape[-1]
        for channel, (row, column) in enumerate(self.starts.tolist()):
            top, left = max(row, 0), max(column, 0)
            bottom, right = min(row + side, size[0]), min(column + side, size[1])
            if top < bottom and left < right:
                whole[channel, top:bottom, left:right] = self.heatmaps[
                    channel, top - row : bottom - row, left - column : right - column
                ]
        return whole


class WindowInferer(Inferer):
    """Base of the local stage's inferers: one square window per landmark, centred on its guide.

    A subclass computes the heatmaps in the windows.

    Args:
        side: rows and columns of a window, in pixels of the grid.
        margin: pixels of the film around a patch or a window that the network also sees. Its response there is left
            out: close to the border of what it sees, the network cannot tell whether a landmark lies just outside,
            and its heatmaps have false maxima.
        guide_sd: each window is multiplied by a Gaussian of this standard deviation, in pixels of the grid, around
            the guide, so that the nearer of two similar maxima wins. None: no weights, as in the paper.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, side: int, margin: int = 0, guide_sd: float | None = None) -> None:
        super().__init__()
        check_whole_numbers(1, side=side)
        check_whole_numbers(0, margin=margin)
        if guide_sd is not None and not guide_sd > 0:
            raise ValueError(f"guide_sd must be positive or None, got {guide_sd}")
        self.side, self.margin, self.guide_sd = side, margin, guide_sd

    @abstractmethod
    def heatmaps(
        self, pixels: torch.Tensor, starts: torch.Tensor, known: torch.Tensor, side: int, network: Network
    ) -> torch.Tensor:
        """Return (N, side, side) probabilities in the windows; 0 outside the film and for unknown guides.

        Args:
            pixels: (1, row, column) film.
            starts: (N, 2) first pixels of the windows, (row, column).
            known: (N,) whether there is a guide.
            side: rows and columns of a window.
            network: returns logits with N landmark channels and the background, last.
        """

    def __call__(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        *args: Any,
        guide: torch.Tensor,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Return H_M (batch, N, row, column), without background, for films (batch, 1, row, column).

        Args:
            inputs: films on the grid of the local stage.
            network: returns logits with N landmark channels and the background, last.
            args: further arguments of the network.
            guide: (batch, N, 2) coarse landmarks, (row, column) in pixels of the grid; NaN gives a heatmap of 0.
            kwargs: further arguments of the network.
        """
        size = (inputs.shape[-2], inputs.shape[-1])
        return torch.stack(
            [
                self.explore(film, points, lambda batch: network(batch, *args, **kwargs)).paste(size)
                for film, points in zip(inputs, guide, strict=True)
            ]
        )

    def explore(self, film: torch.Tensor, guide: torch.Tensor, network: Network) -> Windows:
        """Return the windows of one film (1, row, column) around its guide (N, 2), (row, column) in its pixels."""
        return self._explore(film, guide, network, self.side, self.guide_sd)

    def _explore(
        self, film: torch.Tensor, guide: torch.Tensor, network: Network, side: int, guide_sd: float | None
    ) -> Windows:
        known = ~guide.isnan().any(dim=-1).cpu()
        centres = torch.nan_to_num(guide.cpu().double(), nan=0.0)
        starts = torch.floor(centres - (side - 1) / 2 + 0.5).long()
        with torch.no_grad():
            heatmaps = self.heatmaps(film.as_subclass(torch.Tensor), starts, known, side, network)
        if guide_sd is not None:
            heatmaps = _weighted(heatmaps, centres - starts, guide_sd)
        return Windows(heatmaps, starts)


def check_whole_numbers(lowest: int, **values: object) -> None:
    """Raise a ValueError if one of the named values is not a whole number of at least ``lowest``."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise ValueError(f"{name} must be a whole number of at least {lowest}, got {value!r}")


def _weighted(heatmaps: torch.Tensor, centres: torch.Tensor, guide_sd: float) -> torch.Tensor:
    offset = (torch.arange(heatmaps.shape[-1], dtype=torch.float64) - centres[:, :, None]) / guide_sd
    weight = torch.exp(-0.5 * offset**2).to(heatmaps)
    return heatmaps * weight[:, 0, :, None] * weight[:, 1, None, :]
