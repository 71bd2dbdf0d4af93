"""How far off each landmark may be, in the graph: :class:`monai_ceph.inferers.ErrorModel` and its evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ndonnx as ndx
import numpy as np

from monai_ceph.inferers.error_model import ErrorModel
from monai_ceph.inferers.evidence import APART, CLOSE, LEAST, NOISE, ShapeModel
from monai_ceph.onnx_graph.geometry import Array, apply, constant, fit_similarity, inverse, loop, product

__all__ = ["GraphCertainty", "certainty", "expected_places"]

# steps of an inverse after which only rounding is left, once it converges
_LAST_STEPS = 8


@dataclass(frozen=True)
class GraphCertainty:
    """See :class:`monai_ceph.inferers.error_model.Certainty`; lengths in pixels of the mean pose's grid.

    Attributes:
        radii: (N, 2) radius for 90 and 95 %; infinite without a maximum.
        hidden: (N,) whether the film does not show the landmark.
        expected: (N, 2), (row, column), that the other landmarks tell; NaN if they are too few.
    """

    radii: Array
    hidden: Array
    expected: Array


def certainty(
    heatmaps: Array, starts: Array, points: Array, guide: Array, guide_peaks: Array, model: ErrorModel, radius: float
) -> GraphCertainty:
    """Return what the evidence says; see :func:`monai_ceph.inferers.evidence.landmark_evidence`.

    Args:
        heatmaps: (N, side, side) of the local stage.
        starts: (N, 2) first pixels of these windows.
        points: (N, 2) landmarks; NaN where there is none.
        guide: (N, 2) of the global stage.
        guide_peaks: (N,) maxima of the global heatmaps.
        model: of the config.
        radius: of the mean shape.
    """
    peaks = ndx.maximum(ndx.max(heatmaps, axis=(1, 2)), constant(LEAST, np.float32))
    trust = ndx.sqrt(peaks.astype(ndx.float64))
    told, _ = expected_places(points, trust, model.shape)
    at = points - starts.astype(ndx.float64)
    at = ndx.where(ndx.isnan(at), constant(0), at).astype(ndx.float32)
    steps = ndx.arange(heatmaps.dynamic_shape[2]).astype(ndx.float32)
    squared = (steps[None, :, None] - at[:, 0, None, None]) ** 2 + (steps[None, None, :] - at[:, 1, None, None]) ** 2
    nothing = constant(0, np.float32)
    weights = ndx.where(heatmaps >= NOISE * peaks[:, None, None], heatmaps, nothing)
    total = ndx.maximum(ndx.sum(weights, axis=(1, 2)), constant(LEAST, np.float32))
    spread = ndx.maximum(ndx.sqrt(ndx.sum(weights * squared, axis=(1, 2)) / total), constant(1, np.float32)) / radius
    second = ndx.max(ndx.where(squared > (APART * radius) ** 2, heatmaps, nothing), axis=(1, 2)) / peaks
    apart = [ndx.log(_norm(points - other) / radius + CLOSE) for other in (guide, told)]
    of_guide = ndx.log(ndx.maximum(guide_peaks.astype(ndx.float64), constant(LEAST)))
    columns = (-ndx.log(peaks), -of_guide, ndx.log(spread), second, *apart)
    evidence = ndx.stack([each.astype(ndx.float64) for each in columns], axis=1) + constant(model.shift)
    evidence = ndx.where(ndx.isnan(evidence), constant(0), evidence)
    found = ~ndx.any(ndx.isnan(points), axis=1)
    sizes = constant(model.scales) * ndx.exp(product(evidence, constant(model.slopes)))
    hidden = found & (model.hidden_bias + product(evidence, constant(model.hidden_slopes)) > 0)
    expected, deviations = expected_places(ndx.where(hidden[:, None], constant(np.nan), points), trust, model.shape)
    distance = _norm(points - expected)
    # a comparison with NaN is false: where nothing is expected, nothing is too far from it
    reach = ndx.where(distance > model.shape_limit * deviations, distance, constant(0))
    radii = ndx.maximum(radius * constant(model.factors) * sizes[:, None], reach[:, None])
    return GraphCertainty(ndx.where(found[:, None], radii, constant(np.inf)), hidden, expected)


def expected_places(points: Array, weights: Array, shape: ShapeModel) -> tuple[Array, Array]:
    """Return (N, 2) where each landmark is expected, and (N,) standard deviations: ``ShapeModel.spread`` of
    :mod:`monai_ceph.inferers.evidence`.

    The package solves a system of equations for each landmark. Here one inverse of the covariance of those that are
    known tells all of them: the conditional mean follows from the precision matrix.
    """
    count, mean = len(shape.mean), constant(shape.mean)
    known = ~ndx.any(ndx.isnan(points), axis=1)
    matrix, determined = fit_similarity(mean, points, weights)
    shifts = ndx.where(known[:, None], apply(inverse(matrix), points) - mean, constant(0))
    seen = ndx.reshape(ndx.stack([known, known], axis=1), (2 * count,)).astype(ndx.float64)
    covariance, middle = constant(shape.covariance), float(np.diag(shape.covariance).mean())
    among = covariance * seen[:, None] * seen[None, :] + constant(middle * np.eye(2 * count)) * (1 - seen)[None, :]
    precision = _inverse(among, shape.covariance, middle)
    told = product(precision, ndx.reshape(shifts, (2 * count,)))
    # a known landmark has a part in this product, which its own block of the precision matrix takes out again
    diagonal = ndx.reshape(ndx.sum(precision * constant(np.eye(2 * count)), axis=1), (count, 2))
    pairs = np.kron(np.eye(count), [[0.0, 1.0], [1.0, 0.0]])
    beside = ndx.reshape(ndx.sum(precision * constant(pairs), axis=1), (count, 2))
    own = ndx.reshape(told, (count, 2))
    area = diagonal[:, 0] * diagonal[:, 1] - beside[:, 0] ** 2
    taken = (ndx.flip(diagonal, axis=1) * own - beside * ndx.flip(own, axis=1)) / area[:, None]
    steps = ndx.where(known[:, None], shifts - taken, ndx.reshape(product(covariance, told), (count, 2)))
    # the variance that is left: of a known landmark by its block, of another one by what the known ones tell of it
    of_known = ndx.sum(diagonal, axis=1) / area
    explained = ndx.sum(product(covariance, precision * seen[:, None] * seen[None, :]) * covariance, axis=1)
    of_other = ndx.sum(ndx.reshape(constant(np.diag(shape.covariance)) - explained, (count, 2)), axis=1)
    size = ndx.sqrt(ndx.abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    deviations = size * ndx.sqrt(ndx.where(known, of_known, of_other) / 2)
    enough = determined & (ndx.sum(known.astype(ndx.int64)) >= 3)
    nothing = constant(np.nan)
    return ndx.where(enough, apply(matrix, mean + steps), nothing), ndx.where(enough, deviations, nothing)


def _inverse(among: Array, covariance: np.ndarray, middle: float) -> Array:
    """Return the inverse of the covariance of some landmarks, by the iteration of Newton and Schulz.

    ONNX has no operator for an inverse. Eigenvalues of a part of a matrix lie between those of the whole, which bounds
    the number of steps.
    """
    largest = max(float(np.abs(covariance).sum(axis=1).max()), middle)
    smallest = min(float(np.linalg.eigvalsh(covariance)[0]), middle)
    identity = np.eye(len(covariance))

    def step(_: Array, found: Array) -> tuple[Array, ...]:
        return ndx.asarray(np.asarray(True)), product(found, constant(2 * identity) - product(among, found))

    (found,) = loop(step, constant(identity / largest), times=math.ceil(math.log2(largest / smallest)) + _LAST_STEPS)
    return found


def _norm(steps: Array) -> Array:
    return ndx.sqrt(ndx.sum(steps**2, axis=1))
