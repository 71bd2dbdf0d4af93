"""Inference of the local stage with Expansive Exploration, as a MONAI inferer (Zhong et al. 2019, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from monai.inferers import Inferer
from torch.nn import functional as F

from monai_ceph.networks import PaddedNetwork
from monai_ceph.transforms.rand_landmark_patch import crop_patch

__all__ = ["Arrangement", "ExpansiveExplorationInferer", "Network", "Windows", "check_shifts", "patch_offsets"]

Arrangement = Literal["corners-and-centre", "centre"]
Network = Callable[[torch.Tensor], torch.Tensor]


# small looks together use the processor better, large ones together only take memory
_PIXELS_AT_ONCE = 400_000


def patch_offsets(patch_size: int, expansion: float, arrangement: Arrangement) -> list[tuple[int, int]]:
    """Return the first pixels, (row, column), of the patches inside the expanded square.

    ``corners-and-centre`` is figure 2 of Zhong et al. 2019: four patches in the corners of a square of
    ``expansion`` x ``patch_size`` pixels and a fifth in its centre. ``centre`` is the paper's "no Expand".
    """
    if arrangement == "centre":
        return [(0, 0)]
    far = round(expansion * patch_size) - patch_size
    return [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]


@dataclass(frozen=True)
class Windows:
    """The proposal regions of one film: the merged heatmap of each landmark, where it is not known to be 0.

    Attributes:
        heatmaps: (N, side, side), each landmark's own channel of H_M around its guide.
        starts: (N, 2) first pixels, (row, column) in the film's grid; they may lie outside the film.
    """

    heatmaps: torch.Tensor
    starts: torch.Tensor

    def paste(self, size: tuple[int, int]) -> torch.Tensor:
        """Return the whole H_M (N, row, column): 0 outside the regions."""
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


class ExpansiveExplorationInferer(Inferer):
    """Run the local network on patches around coarse positions and merge what it sees.

    Zhong et al. 2019, section 2 and figure 2: around each coarse landmark a square of ``expansion`` x
    ``patch_size`` is covered by five patches; the landmark's heatmap is the softmax channel of the patches,
    averaged where they overlap, and 0 where there is none. Each landmark takes its channel from its own five
    patches. How the square is covered (:func:`patch_offsets`, :meth:`explore`) and how patches are merged
    (:meth:`merge`) are apart. What hangs over the border is 0 in the input and in the merged heatmap.

    Args:
        patch_size: side of a patch, in pixels of the grid (150 in the paper).
        expansion: side of the square over the side of a patch, in 1..2 (1.8 in the paper).
        arrangement: ``corners-and-centre`` (the paper's), or ``centre``: no expansion, one patch.
        batch_size: patches per forward pass.
        margin: pixels of the film around a patch that the network sees, too, while its response there is left
            out (0 in the paper). Near the border of what it sees the network cannot tell a landmark just outside
            from one inside, and answers with false maxima (benchmarks/JOURNAL.md).
        shared_pixels: run the network on the smallest rectangle of the film that holds all squares, once for each of
            ``shifts``, instead of patch by patch, and read every window out of the one answer. It is many times
            faster, and equal for a network that was trained on patches far larger than what decides about one pixel
            (benchmarks/JOURNAL.md).
        guide_sd: weigh each window by a Gaussian of this standard deviation, in pixels of the grid, around the
            guide: among maxima alike the nearer one is taken. None: no weights, as in the paper.
        shifts: of ``shared_pixels``: the network looks at as many rectangles, each of which begins so many pixels
            further up and left, and the answers are averaged. A network with strides answers a little differently to a
            film that is moved by less than its stride.
        grid: squares begin at multiples of so many pixels. With the network's stride (16), offsets that are multiples
            of it, too (patches of 80 px x 1.8), and a margin that holds all that decides about a pixel, patches and
            shared pixels give the same answer; 1 leaves squares centred.
    """

    def __init__(
        self,
        patch_size: int,
        expansion: float,
        arrangement: Arrangement = "corners-and-centre",
        batch_size: int = 19,
        margin: int = 0,
        shared_pixels: bool = False,
        guide_sd: float | None = None,
        shifts: Sequence[int] = (0,),
        grid: int = 1,
    ) -> None:
        super().__init__()
        if grid < 1:
            raise ValueError(f"grid must be positive, got {grid}")
        check_shifts("shifts", shifts, shared_pixels)
        if guide_sd is not None and not guide_sd > 0:
            raise ValueError(f"guide_sd must be positive or None, got {guide_sd}")
        whole = all(isinstance(value, int) for value in (patch_size, batch_size, margin, grid))
        if not whole or patch_size < 1 or batch_size < 1 or margin < 0:
            raise ValueError(
                "patch_size, batch_size, margin and grid must be whole numbers, the first two positive and margin not "
                f"negative, got {patch_size}, {batch_size}, {margin}, {grid}"
            )
        if not isinstance(shared_pixels, bool):
            raise ValueError(f"shared_pixels must be True or False, got {shared_pixels!r}")
        if not 1 <= expansion <= 2:
            raise ValueError(f"expansion must be in 1..2, or the square has uncovered pixels, got {expansion}")
        if arrangement not in ("corners-and-centre", "centre"):
            raise ValueError(f"arrangement must be corners-and-centre or centre, got {arrangement!r}")
        self.patch_size, self.batch_size, self.margin = patch_size, batch_size, margin
        self.shared_pixels, self.guide_sd = shared_pixels, guide_sd
        self.shifts, self.grid = tuple(shifts), grid
        self.offsets = patch_offsets(patch_size, expansion, arrangement)
        self.side = max(max(offset) for offset in self.offsets) + patch_size

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
        """Return the windows of one film (1, row, column) around its guide (N, 2)."""
        pixels = film.as_subclass(torch.Tensor)
        known = ~guide.isnan().any(dim=-1).cpu()
        centres = torch.nan_to_num(guide.cpu().double(), nan=0.0)
        starts = torch.floor((centres - (self.side - 1) / 2) / self.grid + 0.5).long() * self.grid
        look = self._at_once if self.shared_pixels else self._patch_by_patch
        nothing = pixels.new_zeros((len(guide), self.side, self.side))
        with torch.no_grad():
            heatmaps = look(nothing, pixels, starts, known, network)
        if self.guide_sd is not None:
            heatmaps = self._weigh(heatmaps, centres - starts, self.guide_sd)
        return Windows(heatmaps, starts)

    def _patch_by_patch(
        self, heatmaps: torch.Tensor, pixels: torch.Tensor, starts: torch.Tensor, known: torch.Tensor, network: Network
    ) -> torch.Tensor:
        jobs = [(channel, offset) for channel in range(len(starts)) if bool(known[channel]) for offset in self.offsets]
        patches = pixels.new_zeros((len(jobs), self.patch_size, self.patch_size))
        for first in range(0, len(jobs), self.batch_size):
            batch = jobs[first : first + self.batch_size]
            crops = [self._crop(pixels, starts[channel], offset) for channel, offset in batch]
            seen = network(torch.stack(crops)).softmax(dim=1)
            probability = seen[..., self.margin : self.margin + self.patch_size, self.margin :][..., : self.patch_size]
            channels = torch.tensor([c for c, _ in batch], device=probability.device)
            patches[first : first + len(batch)] = probability[torch.arange(len(batch)), channels]
        for channel in range(len(starts)):
            own = [index for index, (c, _) in enumerate(jobs) if c == channel]
            if own:
                heatmaps[channel] = self.merge(patches[own])
        return self._cut_outside(heatmaps, starts, (pixels.shape[-2], pixels.shape[-1]))

    def _at_once(
        self, heatmaps: torch.Tensor, pixels: torch.Tensor, starts: torch.Tensor, known: torch.Tensor, network: Network
    ) -> torch.Tensor:
        size = torch.tensor(pixels.shape[-2:])
        first = (starts[known] - self.margin).clamp(min=0)
        last = torch.minimum(starts[known] + self.side + self.margin, size)
        inside = (last > first).all(dim=1)
        if not inside.any():
            return heatmaps
        (top, left), (bottom, right) = first[inside].amin(dim=0).tolist(), last[inside].amax(dim=0).tolist()
        windows = []
        for channel in known.nonzero()[:, 0].tolist():
            row, column = starts[channel].tolist()
            rows = slice(max(row, top), min(row + self.side, bottom))
            columns = slice(max(column, left), min(column + self.side, right))
            if rows.start < rows.stop and columns.start < columns.stop:
                windows.append((channel, rows, columns, (_moved(rows, -row), _moved(columns, -column))))
        # rectangles of one size; what hangs over the film's border is 0
        reach = max(self.shifts)
        film = F.pad(pixels, (reach,) * 4)
        height, width = bottom - top + reach, right - left + reach
        corners = [(top + reach - shift, left + reach - shift) for shift in self.shifts]
        seen = torch.stack([film[:, row : row + height, column : column + width] for row, column in corners])
        look = network.as_computed if isinstance(network, PaddedNetwork) else network
        at_once = max(1, _PIXELS_AT_ONCE // (height * width))
        for first_shift in range(0, len(self.shifts), at_once):
            batch = slice(first_shift, first_shift + at_once)
            for shift, logits in zip(self.shifts[batch], look(seen[batch]), strict=True):
                sums = _log_sums(logits)
                for channel, rows, columns, inside_window in windows:
                    place = (_moved(rows, shift - top), _moved(columns, shift - left))
                    heatmaps[channel][inside_window] += (logits[channel][place].float() - sums[place]).exp()
            # the next batch needs the room
            del logits, sums
        return heatmaps / len(self.shifts)

    def _weigh(self, heatmaps: torch.Tensor, centres: torch.Tensor, guide_sd: float) -> torch.Tensor:
        offset = (torch.arange(self.side, dtype=torch.float64) - centres[:, :, None]) / guide_sd
        weight = torch.exp(-0.5 * offset**2).to(heatmaps)
        return heatmaps * weight[:, 0, :, None] * weight[:, 1, None, :]

    def _crop(self, pixels: torch.Tensor, start: torch.Tensor, offset: tuple[int, int]) -> torch.Tensor:
        first = (int(start[0]) + offset[0] - self.margin, int(start[1]) + offset[1] - self.margin)
        return crop_patch(pixels, first, self.patch_size + 2 * self.margin).as_subclass(torch.Tensor)

    def merge(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the (side, side) mean of overlapping patches (count, patch, patch); 0 where there is none."""
        total = patches.new_zeros((self.side, self.side))
        count = patches.new_zeros((self.side, self.side))
        for patch, (row, column) in zip(patches, self.offsets, strict=True):
            total[row : row + self.patch_size, column : column + self.patch_size] += patch
            count[row : row + self.patch_size, column : column + self.patch_size] += 1
        return total / count.clamp(min=1)

    def _cut_outside(self, heatmaps: torch.Tensor, starts: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        for heatmap, (row, column) in zip(heatmaps, starts.tolist(), strict=True):
            heatmap[: max(-row, 0)] = 0
            heatmap[max(size[0] - row, 0) :] = 0
            heatmap[:, : max(-column, 0)] = 0
            heatmap[:, max(size[1] - column, 0) :] = 0
        return heatmaps


def check_shifts(name: str, shifts: Sequence[int], shared_pixels: bool) -> None:
    """Raise a ValueError if these are not shifts of shared pixels."""
    whole = all(isinstance(shift, int) for shift in shifts)
    if not shifts or not whole or min(shifts) < 0 or (max(shifts) > 0 and not shared_pixels):
        raise ValueError(
            f"{name} must be whole numbers, not negative, and only shared pixels can be shifted, got {shifts}"
        )


def _log_sums(logits: torch.Tensor) -> torch.Tensor:
    """Return (row, column) what softmax subtracts from logits (channel, row, column), in single precision.

    Windows need their own channel of the softmax alone. A few rows at a time stay in the cache: as a whole, the logits
    in single precision are the largest tensor of a detection.
    """
    sums = []
    for strip in logits.movedim(0, -1).split(16):
        rows = strip.float()
        # one maximum for the strip instead of one a pixel, as logsumexp has it: half the time
        top = rows.amax()
        total = (rows - top).exp_().sum(dim=-1)
        sums.append(total.log_() + top if total.amin() > 1e-30 else rows.logsumexp(dim=-1))
    return torch.cat(sums)


def _moved(pixels: slice, by: int) -> slice:
    return slice(pixels.start + by, pixels.stop + by)
