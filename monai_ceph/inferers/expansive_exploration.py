"""Expansive Exploration, the local stage of Zhong et al. 2019 (section 2.3), as a MONAI inferer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from monai_ceph.inferers.windows import Network, WindowInferer, check_whole_numbers
from monai_ceph.transforms.rand_landmark_patch import crop_patch

__all__ = ["Arrangement", "ExpansiveExplorationInferer", "patch_offsets", "square_side"]

Arrangement = Literal["corners-and-centre", "centre"]


def patch_offsets(patch_size: int, expansion: float, arrangement: Arrangement) -> list[tuple[int, int]]:
    """Return the first pixels, (row, column), of the patches inside the expanded square.

    ``corners-and-centre`` is figure 2 of Zhong et al. 2019: four patches in the corners of a square of
    ``expansion`` x ``patch_size`` pixels and a fifth in its centre. ``centre`` is the paper's "no Expand".

    Raises:
        ValueError: if an argument is out of range.
    """
    check_whole_numbers(1, patch_size=patch_size)
    if not 1 <= expansion <= 2:
        raise ValueError(f"expansion must be in 1..2, or the square has uncovered pixels, got {expansion}")
    if arrangement not in ("corners-and-centre", "centre"):
        raise ValueError(f"arrangement must be corners-and-centre or centre, got {arrangement!r}")
    if arrangement == "centre":
        return [(0, 0)]
    far = round(expansion * patch_size) - patch_size
    return [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]


def square_side(patch_size: int, expansion: float, arrangement: Arrangement) -> int:
    """Return the side, in pixels, of the square that the patches cover."""
    return max(max(offset) for offset in patch_offsets(patch_size, expansion, arrangement)) + patch_size


class ExpansiveExplorationInferer(WindowInferer):
    """Run the local network on patches around coarse positions and merge their heatmaps.

    Zhong et al. 2019, sections 2 and 3, and figure 2: a square of ``expansion`` x ``patch_size`` around each coarse
    landmark is covered by five patches. Each landmark takes its softmax channel from its own five patches. Pixels
    outside the film are 0 in the input and in the result.

    :func:`patch_offsets` says how the square is covered, and :meth:`merge` how the patches are merged.

    Args:
        patch_size: side of a patch, in pixels of the grid (150 in the paper).
        expansion: side of the square over the side of a patch, in 1..2 (1.8 in the paper).
        arrangement: ``corners-and-centre`` (the paper's), or ``centre``: no expansion, one patch.
        batch_size: patches per forward pass.
        margin: see :class:`WindowInferer`; 0 in the paper.
        guide_sd: see :class:`WindowInferer`; None in the paper.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        patch_size: int,
        expansion: float,
        arrangement: Arrangement = "corners-and-centre",
        batch_size: int = 19,
        margin: int = 0,
        guide_sd: float | None = None,
    ) -> None:
        super().__init__(square_side(patch_size, expansion, arrangement), margin, guide_sd)
        check_whole_numbers(1, batch_size=batch_size)
        self.patch_size, self.batch_size = patch_size, batch_size
        self.offsets = patch_offsets(patch_size, expansion, arrangement)

    def heatmaps(
        self, pixels: torch.Tensor, starts: torch.Tensor, known: torch.Tensor, side: int, network: Network
    ) -> torch.Tensor:
        """Return (N, side, side) merged patches; see :class:`WindowInferer`."""
        jobs = [(channel, offset) for channel in range(len(starts)) if bool(known[channel]) for offset in self.offsets]
        patches = pixels.new_zeros((len(jobs), self.patch_size, self.patch_size))
        for first in range(0, len(jobs), self.batch_size):
            batch = jobs[first : first + self.batch_size]
            crops = [self._crop(pixels, starts[channel], offset) for channel, offset in batch]
            probability = network(torch.stack(crops)).softmax(dim=1)
            probability = probability[..., self.margin : self.margin + self.patch_size, self.margin :]
            probability = probability[..., : self.patch_size]
            channels = torch.tensor([c for c, _ in batch], device=probability.device)
            patches[first : first + len(batch)] = probability[torch.arange(len(batch)), channels]
        places = [(int(starts[c][0]) + row, int(starts[c][1]) + column) for c, (row, column) in jobs]
        _zero_outside(patches, places, (pixels.shape[-2], pixels.shape[-1]))
        merged = pixels.new_zeros((len(starts), side, side))
        for channel in range(len(starts)):
            own = [index for index, (c, _) in enumerate(jobs) if c == channel]
            if own:
                merged[channel] = self.merge(patches[own])
        return merged

    def merge(self, patches: torch.Tensor) -> torch.Tensor:
        """Return one landmark's H_M (side, side) from its patches (count, patch, patch), in the order of the offsets.

        Zhong et al. 2019, section 3: each patch is normalised to a maximum of 1 and lies on a canvas that is 0 outside
        of it, and the canvases are averaged. A maximum that only one corner patch sees thus has a fifth of the weight
        of one that all five see.

        The paper normalises H_M once more. Here its maximum is the highest probability that a patch has, so that a
        score stays a probability. Positions do not depend on this factor.
        """
        highest = patches.flatten(1).amax(dim=1)
        merged = patches.new_zeros((self.side, self.side))
        for patch, maximum, (row, column) in zip(patches, highest, self.offsets, strict=True):
            if maximum > 0:
                merged[row : row + self.patch_size, column : column + self.patch_size] += patch / maximum
        top = merged.amax()
        return merged * (highest.amax() / top) if top > 0 else merged

    def _crop(self, pixels: torch.Tensor, start: torch.Tensor, offset: tuple[int, int]) -> torch.Tensor:
        first = (int(start[0]) + offset[0] - self.margin, int(start[1]) + offset[1] - self.margin)
        return crop_patch(pixels, first, self.patch_size + 2 * self.margin).as_subclass(torch.Tensor)


def _zero_outside(heatmaps: torch.Tensor, starts: Sequence[tuple[int, int]], size: tuple[int, int]) -> None:
    """Set the pixels of (N, side, side) heatmaps that lie outside a film of this size to 0."""
    for heatmap, (row, column) in zip(heatmaps, starts, strict=True):
        heatmap[: max(-row, 0)] = 0
        heatmap[max(size[0] - row, 0) :] = 0
        heatmap[:, : max(-column, 0)] = 0
        heatmap[:, max(size[1] - column, 0) :] = 0
