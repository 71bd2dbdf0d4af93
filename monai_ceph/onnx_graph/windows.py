"""The windows around the guide in the graph: :class:`monai_ceph.inferers.SharedWindowsInferer`."""

from __future__ import annotations

import math

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from monai_ceph.inferers import SharedWindowsInferer
from monai_ceph.onnx_graph.geometry import Array, constant
from monai_ceph.onnx_graph.networks import GraphNetwork

__all__ = ["explore"]


def explore(
    film: Array, size: int, guide: Array, network: GraphNetwork, inferer: SharedWindowsInferer, scale: float | None
) -> tuple[Array, Array]:
    """Return heatmaps (N, side, side) around the guide, and the first pixels (N, 2) of these windows.

    Args:
        film: (size, size).
        size: rows and columns of the film.
        guide: (N, 2), (row, column) in pixels of the film; NaN gives a heatmap of 0.
        network: of the stage.
        inferer: of the config.
        scale: see :meth:`monai_ceph.inferers.SharedWindowsInferer.explore`.
    """
    side, guide_sd = inferer.side, inferer.guide_sd
    if scale is not None:
        side, guide_sd = math.ceil(side * scale) + 2, guide_sd and guide_sd * scale
    known = ~ndx.any(ndx.isnan(guide), axis=1)
    centres = ndx.where(known[:, None], guide, constant(0))
    starts = ndx.floor(centres - (side - 1) / 2 + 0.5).astype(ndx.int64)
    heatmaps = _heatmaps(film, size, starts, known, side, network, inferer)
    if guide_sd is not None:
        offset = (constant(np.arange(side)) - (centres - starts.astype(ndx.float64))[:, :, None]) / guide_sd
        weight = ndx.exp(-0.5 * offset**2).astype(ndx.float32)
        heatmaps = heatmaps * weight[:, 0, :, None] * weight[:, 1, None, :]
    return heatmaps, starts


def _heatmaps(
    film: Array,
    size: int,
    starts: Array,
    known: Array,
    side: int,
    network: GraphNetwork,
    inferer: SharedWindowsInferer,
) -> Array:
    first, stop, inside = _rectangle(size, starts, known, side, inferer.margin)
    # pad by the largest shift, so that all rectangles have the same size
    reach = max(inferer.shifts)
    padded = ndx.asarray(op.pad(film.unwrap_spox(), op.const(np.full(4, reach, np.int64))))
    inputs = []
    for shift in inferer.shifts:
        top, left = first[0] + reach - shift, first[1] + reach - shift
        inputs.append(padded[top : stop[0] + 2 * reach - shift, left : stop[1] + 2 * reach - shift])
    logits = network(ndx.stack(inputs))
    sums = ndx.asarray(op.reduce_log_sum_exp(logits.unwrap_spox(), op.const(np.array([1])), keepdims=0))
    channel = constant(np.arange(starts.shape[0])[:, None, None], np.int64)
    row = starts[:, 0, None, None] + constant(np.arange(side)[:, None], np.int64)
    column = starts[:, 1, None, None] + constant(np.arange(side)[None, :], np.int64)
    covered = (row >= first[0]) & (row < stop[0]) & (column >= first[1]) & (column < stop[1])
    covered = covered & known[:, None, None] & inside
    row, column = (
        ndx.clip(row - first[0], 0, stop[0] - first[0] - 1),
        ndx.clip(column - first[1], 0, stop[1] - first[1] - 1),
    )
    height, width = logits.dynamic_shape[2], logits.dynamic_shape[3]
    total = constant(0, np.float32)
    for number, shift in enumerate(inferer.shifts):
        place = (row + shift) * width + column + shift
        own = _taken(logits[number, ...], channel * height * width + place)
        total = total + ndx.exp(own - _taken(sums[number, ...], place))
    return ndx.where(covered, total / len(inferer.shifts), constant(0, np.float32))


def _rectangle(size: int, starts: Array, known: Array, side: int, margin: int) -> tuple[Array, Array, Array]:
    """Return the first pixel of the rectangle that contains all windows and margins, its end, and whether there is one.

    Without one, the first pixel of the film is returned, since a network needs at least one.
    """
    first = ndx.maximum(starts - margin, constant(0, np.int64))
    last = ndx.minimum(starts + side + margin, constant(size, np.int64))
    used = ndx.all(last > first, axis=1) & known
    low = ndx.min(ndx.where(used[:, None], first, constant(size, np.int64)), axis=0)
    high = ndx.max(ndx.where(used[:, None], last, constant(0, np.int64)), axis=0)
    inside = ndx.any(used)
    return (
        ndx.where(inside, low, constant([0, 0], np.int64)),
        ndx.where(inside, high, constant([1, 1], np.int64)),
        inside,
    )


def _taken(values: Array, places: Array) -> Array:
    """Return the values at places in the flattened array."""
    flat = ndx.reshape(values, (-1,))
    return ndx.asarray(op.gather(flat.unwrap_spox(), places.unwrap_spox()))
