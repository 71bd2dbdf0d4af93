"""Maps between grids, and resampling, in the graph: :mod:`monai_ceph.transforms.geometry` on ndonnx arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

__all__ = [
    "Array",
    "affine",
    "apply",
    "constant",
    "fit_similarity",
    "inverse",
    "loop",
    "product",
    "resize",
    "sample",
    "shrink",
]

Array: TypeAlias = ndx.Array


def constant(value: Any, dtype: Any = np.float64) -> Array:
    """Return a constant of the graph."""
    return ndx.asarray(np.asarray(value, dtype))


def loop(body: Callable[..., tuple[Array, ...]], *initial: Array, times: int | None = None) -> list[Array]:
    """Return the values after a loop.

    Args:
        body: takes the number of the pass and the values, and returns whether to go on and the new values.
        initial: the values before the first pass.
        times: the most passes; None for no limit.
    """

    # spox declares number and condition as vectors of one element
    def wrapped(number: Any, _: Any, *values: Any) -> list[Any]:
        go, *after = body(ndx.asarray(number)[0], *map(ndx.asarray, values))
        return [each.unwrap_spox() for each in (go[None], *after)]

    limit = None if times is None else op.const(np.asarray([times], np.int64))
    values = op.loop(limit, op.const(np.asarray([True])), [each.unwrap_spox() for each in initial], body=wrapped)
    return [ndx.asarray(each) for each in values]


def product(left: Array, right: Array) -> Array:
    """Return the matrix product.

    ndonnx's own operator builds a model for each product, so that onnxruntime takes arrays without elements. There are
    none here, and it takes as long as the rest of the graph.
    """
    return ndx.asarray(op.matmul(left.unwrap_spox(), right.unwrap_spox()))


def affine(linear: Array, shift: Array) -> Array:
    """Return a 3x3 map of (row, column, 1) from its (2, 2) and (2,) parts."""
    return ndx.concat([ndx.concat([linear, shift[:, None]], axis=1), constant([[0, 0, 1]])], axis=0)


def apply(matrix: Array, points: Array) -> Array:
    """Map (N, 2) points, (row, column), by a 3x3 matrix."""
    return product(points, matrix[:2, :2].mT) + matrix[:2, 2]


def inverse(matrix: Array) -> Array:
    """Return the inverse of a 3x3 map."""
    a, b, c, d = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    linear = ndx.stack([ndx.stack([d, -b]), ndx.stack([-c, a])]) / (a * d - b * c)
    return affine(linear, -product(linear, matrix[:2, 2]))


def fit_similarity(model: Array, found: Array, weights: Array) -> tuple[Array, Array]:
    """Return the similarity map from ``model`` to ``found``, and whether the points determine one.

    Args:
        model: (N, 2) points, (row, column).
        found: (N, 2) points, (row, column); NaN points are left out.
        weights: (N,) weights of the points.
    """
    known = ~ndx.any(ndx.isnan(found), axis=1)
    target = ndx.where(known[:, None], found, constant(0))
    share = ndx.where(known, weights, constant(0))
    share = share / ndx.sum(share)
    source_mean, target_mean = product(share, model), product(share, target)
    source, target = model - source_mean, target - target_mean
    spread = ndx.sum(share * ndx.sum(source**2, axis=1))
    # rotation and scale are one complex factor; rows are the real part
    real = ndx.sum(share * ndx.sum(source * target, axis=1)) / spread
    imaginary = ndx.sum(share * (source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0])) / spread
    linear = ndx.stack([ndx.stack([real, -imaginary]), ndx.stack([imaginary, real])])
    enough = ndx.sum(known.astype(ndx.int64)) >= 2
    apart = spread > 1e-24 * ndx.sum(share * ndx.sum(model**2, axis=1))
    return affine(linear, target_mean - product(linear, source_mean)), enough & apart


def resize(film: Array, rows: Array | int, columns: Array | int) -> Array:
    """Return a film (row, column) with another number of pixels: bilinear, antialiased where it shrinks.

    This is torch's ``interpolate(antialias=True)`` as two products of matrices. ONNX has an operator for it, which
    onnxruntime computes otherwise.
    """
    down, across = _area_weights(film.dynamic_shape[0], rows), _area_weights(film.dynamic_shape[1], columns)
    return product(product(down, film), across.mT)


def _area_weights(old: Array, new: Array | int) -> Array:
    """Return (new, old) shares of old pixels in new ones: triangles as wide as two of the larger pixels."""
    count = constant(new, np.int64) if isinstance(new, int) else new
    ratio = old.astype(ndx.float64) / count.astype(ndx.float64)
    centres = (ndx.arange(count).astype(ndx.float64) + 0.5) * ratio
    offsets = ndx.abs(ndx.arange(old).astype(ndx.float64)[None, :] + 0.5 - centres[:, None])
    shares = ndx.maximum(1 - offsets / ndx.maximum(ratio, constant(1)), constant(0))
    return (shares / ndx.sum(shares, axis=1, keepdims=True)).astype(ndx.float32)


def shrink(film: Array, matrix: Array) -> tuple[Array, Array]:
    """Return a film with pixels about as large as those of the new grid, and the map from that grid to its pixels.

    Args:
        film: (row, column).
        matrix: 3x3, from the new grid to the film's grid.
    """
    step = ndx.sqrt(ndx.abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    old = film.dynamic_shape.astype(ndx.float64)
    new = ndx.where(step > 1, ndx.maximum(ndx.round(old / step), constant(1)), old)
    small = resize(film, *(new[axis].astype(ndx.int64) for axis in (0, 1)))
    ratio = new / old
    # pixel centres are at integers, and the borders of both grids coincide
    return small, affine(matrix[:2, :2] * ratio[:, None], (matrix[:2, 2] + 0.5) * ratio - 0.5)


def sample(images: Array, matrices: Array, size: tuple[int, int]) -> Array:
    """Sample each of N images (N, row, column) on a grid of ``size``: bilinear, 0 outside.

    Args:
        images: (N, row, column).
        matrices: (N, 3, 3), from the new grid to the image's.
        size: rows and columns of the new grid.
    """
    row, column = constant(np.arange(size[0])[:, None]), constant(np.arange(size[1])[None, :])
    old = images.dynamic_shape
    places = []
    # GridSample takes (x, y) in -1..1 between the centres of the first and the last pixel
    for axis in (1, 0):
        weights = matrices[:, axis, :][:, None, None, :]
        place = weights[..., 0] * row + weights[..., 1] * column + weights[..., 2]
        last = ndx.maximum(old[axis + 1] - 1, constant(1, np.int64)).astype(ndx.float64)
        places.append(2 * place / last - 1)
    grid = ndx.stack(places, axis=-1).astype(ndx.float32)
    sampled = op.grid_sample(
        images[:, None, ...].unwrap_spox(), grid.unwrap_spox(), align_corners=1, mode="linear", padding_mode="zeros"
    )
    return ndx.asarray(sampled)[:, 0, ...]
