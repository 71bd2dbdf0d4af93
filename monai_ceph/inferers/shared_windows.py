"""The local stage as a MONAI inferer that computes pixels shared by several patches only once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional as F

from monai_ceph.inferers.windows import Network, WindowInferer, Windows
from monai_ceph.networks import PaddedNetwork
from monai_ceph.networks.openvino_unet import OpenVinoUNet

__all__ = ["SharedWindowsInferer"]

# batching small rectangles uses the processor better; batching large ones only takes memory
_PIXELS_PER_BATCH = 400_000


class SharedWindowsInferer(WindowInferer):
    """Run the local network once on the rectangle that contains all windows, and read each window from the result.

    The patches of Expansive Exploration cover the same pixels many times. This inferer is many times faster, and its
    windows are as large. It suits a network that was trained on patches far larger than its receptive field, whose
    answer does not depend on the patch that it sees (benchmarks/JOURNAL.md).

    Args:
        side: rows and columns of a window, in pixels of the grid.
        margin: see :class:`WindowInferer`.
        guide_sd: see :class:`WindowInferer`.
        shifts: the network runs once per shift, on a rectangle that starts this many pixels further up and left, and
            the heatmaps are averaged. This helps because the output of a network with strides changes a little when
            the film moves by less than the stride.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, side: int, margin: int = 0, guide_sd: float | None = None, shifts: Sequence[int] = (0,)) -> None:
        super().__init__(side, margin, guide_sd)
        _check_shifts(shifts)
        self.shifts = tuple(shifts)

    def explore(self, film: torch.Tensor, guide: torch.Tensor, network: Network, scale: float | None = None) -> Windows:
        """Return the windows of one film (1, row, column) around its guide (N, 2), (row, column) in its pixels.

        Args:
            film: the film on the inferer's grid, which defines the unit of ``side`` and ``guide_sd``, or on a scaled
                copy of it.
            guide: NaN gives a heatmap of 0.
            network: returns logits with N landmark channels and the background, last.
            scale: None for the inferer's grid. For a scaled copy, its pixels per pixel of the grid. Windows are then a
                pixel larger on every side, so that they can be resampled to the grid.
        """
        if scale is None:
            return super().explore(film, guide, network)
        guide_sd = None if self.guide_sd is None else self.guide_sd * scale
        return self._explore(film, guide, network, math.ceil(self.side * scale) + 2, guide_sd)

    def heatmaps(
        self, pixels: torch.Tensor, starts: torch.Tensor, known: torch.Tensor, side: int, network: Network
    ) -> torch.Tensor:
        """Return (N, side, side), read from the softmax over the rectangle; see :class:`WindowInferer`."""
        heatmaps = pixels.new_zeros((len(starts), side, side))
        rectangle = self._rectangle(starts[known], side, (pixels.shape[-2], pixels.shape[-1]))
        if rectangle is None:
            return heatmaps
        rows, columns = rectangle
        parts = list(_parts(starts, known, side, rows, columns))
        # pad by the largest shift, so that all rectangles have the same size
        reach = max(self.shifts)
        film = F.pad(pixels, (reach,) * 4)
        height, width = rows.stop - rows.start + reach, columns.stop - columns.start + reach
        corners = [(rows.start + reach - shift, columns.start + reach - shift) for shift in self.shifts]
        inputs = torch.stack([film[:, row : row + height, column : column + width] for row, column in corners])
        if isinstance(network, PaddedNetwork) and isinstance(network.unet, OpenVinoUNet):
            for shift, each in zip(self.shifts, inputs, strict=True):
                places = [
                    (channel, _moved(part_rows, shift - rows.start), _moved(part_columns, shift - columns.start))
                    for channel, part_rows, part_columns, _ in parts
                ]
                found = network.unet.probabilities(network.padded(each[None]), places)
                for (channel, _, _, in_window), probability in zip(parts, found, strict=True):
                    heatmaps[channel][in_window] += probability
            return heatmaps / len(self.shifts)
        run = network.as_computed if isinstance(network, PaddedNetwork) else network
        batch_size = max(1, _PIXELS_PER_BATCH // (height * width))
        for first in range(0, len(self.shifts), batch_size):
            batch = slice(first, first + batch_size)
            for shift, logits in zip(self.shifts[batch], run(inputs[batch]), strict=True):
                sums = _log_sums(logits)
                for channel, part_rows, part_columns, in_window in parts:
                    place = (_moved(part_rows, shift - rows.start), _moved(part_columns, shift - columns.start))
                    heatmaps[channel][in_window] += (logits[channel][place].float() - sums[place]).exp()
            # free the memory before the next batch
            del logits, sums
        return heatmaps / len(self.shifts)

    def _rectangle(self, starts: torch.Tensor, side: int, size: tuple[int, int]) -> tuple[slice, slice] | None:
        """Return the rows and columns of the film that contain all windows and margins; None outside the film."""
        first = (starts - self.margin).clamp(min=0)
        last = torch.minimum(starts + side + self.margin, torch.tensor(size))
        inside = (last > first).all(dim=1)
        if not inside.any():
            return None
        (top, left), (bottom, right) = first[inside].amin(dim=0).tolist(), last[inside].amax(dim=0).tolist()
        return slice(top, bottom), slice(left, right)


def _parts(
    starts: torch.Tensor, known: torch.Tensor, side: int, rows: slice, columns: slice
) -> Iterator[tuple[int, slice, slice, tuple[slice, slice]]]:
    """Yield each window's channel, its rows and columns of the film inside the rectangle, and those in the window."""
    for channel in known.nonzero()[:, 0].tolist():
        row, column = starts[channel].tolist()
        inside_rows = slice(max(row, rows.start), min(row + side, rows.stop))
        inside_columns = slice(max(column, columns.start), min(column + side, columns.stop))
        if inside_rows.start < inside_rows.stop and inside_columns.start < inside_columns.stop:
            yield channel, inside_rows, inside_columns, (_moved(inside_rows, -row), _moved(inside_columns, -column))


def _check_shifts(shifts: Sequence[int]) -> None:
    """Raise a ValueError unless ``shifts`` is a list of one or more whole numbers that are not negative."""
    if not shifts or not all(isinstance(shift, int) for shift in shifts) or min(shifts) < 0:
        raise ValueError(f"shifts must be whole numbers that are not negative, at least one, got {shifts}")


def _log_sums(logits: torch.Tensor) -> torch.Tensor:
    """Return (row, column) the logarithm of softmax's denominator, in single precision.

    Args:
        logits: (channel, row, column).

    A window needs only its own channel of the softmax. The rows are converted a few at a time, because all logits in
    single precision would be the largest tensor of a detection.
    """
    sums = []
    for strip in logits.movedim(0, -1).split(16):
        rows = strip.float()
        # one maximum for the strip takes half the time of one per pixel, which logsumexp uses
        top = rows.amax()
        total = (rows - top).exp_().sum(dim=-1)
        sums.append(total.log_() + top if total.amin() > 1e-30 else rows.logsumexp(dim=-1))
    return torch.cat(sums)


def _moved(pixels: slice, by: int) -> slice:
    return slice(pixels.start + by, pixels.stop + by)
