"""From heatmaps to landmarks in the graph: :class:`monai_ceph.transforms.HeatmapsToLandmarks`."""

from __future__ import annotations

import ndonnx as ndx
import numpy as np

from monai_ceph.onnx_graph.geometry import Array, constant
from monai_ceph.transforms import HeatmapsToLandmarks

__all__ = ["maxima", "mean_points"]


def mean_points(heatmaps: Array, decoder: HeatmapsToLandmarks) -> tuple[Array, Array]:
    """Return (N, 2) landmarks, (row, column), NaN where missing, and (N,) maxima of heatmaps (N, row, column)."""
    peaks = ndx.max(heatmaps, axis=(1, 2))
    highest = peaks[:, None, None]
    kept = (heatmaps >= decoder.threshold * highest) & (heatmaps > 0)
    share = (heatmaps / highest) ** decoder.power if decoder.power else ndx.ones_like(heatmaps)
    weights = ndx.where(kept, share, constant(0, np.float32))
    sums = [ndx.sum(weights, axis=axis).astype(ndx.float64) for axis in (2, 1)]
    total = ndx.sum(sums[0], axis=1)
    points = ndx.stack([_mean_index(each) / total for each in sums], axis=1)
    seen = (peaks > 0) & (peaks >= decoder.min_peak) & ndx.isfinite(peaks)
    return ndx.where(seen[:, None], points, constant(np.nan)), peaks


def maxima(heatmaps: Array) -> Array:
    """Return (N, 2) pixels of the maxima, (row, column); NaN for a heatmap that is 0."""
    side = heatmaps.dynamic_shape[2]
    flat = ndx.reshape(heatmaps, (heatmaps.shape[0], -1))
    index = ndx.argmax(flat, axis=1)
    points = ndx.stack([index // side, index % side], axis=1).astype(ndx.float64)
    return ndx.where(ndx.max(flat, axis=1)[:, None] > 0, points, constant(np.nan))


def _mean_index(sums: Array) -> Array:
    """Return (N,) sums of the indices, weighted by (N, length)."""
    return ndx.sum(sums * ndx.arange(sums.dynamic_shape[1]).astype(ndx.float64), axis=1)
