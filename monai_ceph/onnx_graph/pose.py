"""The search for the head in the graph: :class:`monai_ceph.inferers.pose.PoseFinder`."""

from __future__ import annotations

from dataclasses import dataclass

import ndonnx as ndx
import numpy as np
import torch
from monai.data import MetaTensor

from monai_ceph.inferers.pose import HALF_WEIGHT_DISTANCE, REWEIGHTINGS, VIEWS, PoseFinder
from monai_ceph.onnx_graph.decoding import mean_points
from monai_ceph.onnx_graph.geometry import (
    Array,
    apply,
    constant,
    fit_similarity,
    inverse,
    loop,
    product,
    sample,
    shrink,
)
from monai_ceph.onnx_graph.intensity import exposed_field, scaled
from monai_ceph.onnx_graph.networks import GraphNetwork
from monai_ceph.transforms import PoseFilm
from monai_ceph.transforms.geometry import affine_of

__all__ = ["GraphPose", "find_pose", "fit"]


@dataclass(frozen=True)
class GraphPose:
    """The pose of a head; see :class:`monai_ceph.inferers.pose.Pose`.

    Attributes:
        film: (size, size), the head in the mean pose.
        view: index in :data:`monai_ceph.inferers.pose.VIEWS`.
        evidence: 0..1.
        landmarks: (N, 2), (row, column) in pixels of the square.
        peaks: (N,) of the landmarks.
        field: top, left, bottom, right of the exposed part of the film.
        to_film: 3x3, from the square to the film.
    """

    film: Array
    view: Array
    evidence: Array
    landmarks: Array
    peaks: Array
    field: Array
    to_film: Array


def find_pose(film: Array, finder: PoseFinder, network: GraphNetwork) -> GraphPose:
    """Return the pose of the head on a film (row, column): upright first, then in all views if that is not sure.

    Args:
        film: as read.
        finder: of the config.
        network: its network, as part of the graph.
    """
    frame, side = finder.frame, finder.whole.size
    grey = scaled(film, finder.intensity)
    # the film and where it is, in the centre of a square: WholeFilm
    rows, columns = (film.dynamic_shape[axis].astype(ndx.float64) for axis in (0, 1))
    step = ndx.maximum(rows, columns) / side
    corner = ndx.stack([0.5 * (length - 1 - step * (side - 1)) for length in (rows, columns)])
    whole = ndx.concat([ndx.concat([step * constant(np.eye(2)), corner[:, None]], axis=1), constant([[0, 0, 1]])])
    small = _cut(grey, whole, side)
    covered = _cut(ndx.ones_like(grey), whole, side)
    to_small = constant(_maps_of_views(side))
    fallback = constant(_fallback(frame, side))
    odd, upper, left, inverted = (constant(each, bool) for each in _turns())

    def search(number: Array, view: Array, evidence: Array, *best: Array) -> tuple[Array, ...]:
        image = ndx.where(inverted[number], covered - small, small)
        image = ndx.where(odd[number], image.mT, image)
        image = ndx.where(upper[number], ndx.flip(image, axis=0), image)
        image = ndx.where(left[number], ndx.flip(image, axis=1), image)
        heatmaps = _softmax(network(image[None, ...])[0, ...])[:-1, ...]
        points, peaks = mean_points(heatmaps, finder.to_landmarks)
        seen, matrix, valid = fit(frame, points, peaks)
        seen, matrix = ndx.where(valid, seen, constant(0)), ndx.where(valid, matrix, fallback)
        found = (product(to_small[number, ...], matrix), apply(inverse(matrix), points), peaks)
        better = (number == 0) | (seen > evidence)
        best = tuple(ndx.where(better, new, old) for new, old in zip(found, best, strict=True))
        view, evidence = ndx.where(better, number, view), ndx.where(better, seen, evidence)
        return (number > 0) | (evidence < finder.sure), view, evidence, *best

    count = len(frame.model)
    empty = (constant(np.eye(3)), constant(np.zeros((count, 2))), constant(np.zeros(count), np.float32))
    view, evidence, matrix, landmarks, peaks = loop(
        search, constant(0, np.int64), constant(0), *empty, times=len(VIEWS)
    )
    to_film = product(whole, matrix)
    image = ndx.where(inverted[view], 1 - grey, grey)
    square = scaled(_cut(image, to_film, frame.size), finder.intensity)
    return GraphPose(square, view, evidence, landmarks, peaks, exposed_field(grey), to_film)


def fit(frame: PoseFilm, points: Array, peaks: Array) -> tuple[Array, Array, Array]:
    """Return evidence, map from the square to the grid of the landmarks, and whether there are enough landmarks.

    See :meth:`monai_ceph.inferers.pose.PoseFinder.fit`.
    """
    model = constant(frame.model)
    seen = peaks.astype(ndx.float64)
    seen = ndx.where(ndx.isnan(seen), constant(0), seen)
    weights, valid = ndx.maximum(seen, constant(1e-6)), ndx.asarray(np.asarray(True))
    for _ in range(REWEIGHTINGS):
        matrix, determined = fit_similarity(model, points, weights)
        area = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
        valid = valid & determined & (area * frame.radius**2 >= 1)
        share = 1 / (1 + (shape_distance(frame, points, matrix) / HALF_WEIGHT_DISTANCE) ** 2)
        share = ndx.where(ndx.isnan(share), constant(0), share)
        weights = ndx.maximum(seen * share, constant(1e-9))
    return ndx.mean(seen * share), matrix, valid


def shape_distance(frame: PoseFilm, points: Array, matrix: Array) -> Array:
    """Return (N,) distances of landmarks from the fitted mean shape, in units of its radius."""
    offset = apply(inverse(matrix), points) - constant(frame.model)
    return ndx.sqrt(ndx.sum(offset**2, axis=1)) / frame.radius


def _cut(film: Array, matrix: Array, side: int) -> Array:
    """Return the square (side, side) that ``matrix`` maps to the film's grid, antialiased."""
    small, to_small = shrink(film, matrix)
    return sample(small[None, ...], to_small[None, ...], (side, side))[0, ...]


def _softmax(logits: Array) -> Array:
    shifted = ndx.exp(logits - ndx.max(logits, axis=0, keepdims=True))
    return shifted / ndx.sum(shifted, axis=0, keepdims=True)


def _maps_of_views(side: int) -> np.ndarray:
    """Return (16, 3, 3), from the turned and mirrored square to the square."""
    square = MetaTensor(torch.zeros(1, side, side), affine=torch.eye(3, dtype=torch.float64))
    return np.stack([affine_of(view.apply(square)).numpy() for view in VIEWS])


def _turns() -> list[list[bool]]:
    """Return for each view whether to transpose the square, flip rows, flip columns, and exchange grey values."""
    return [
        [view.turned % 2 == 1 for view in VIEWS],
        [view.turned in (1, 2) for view in VIEWS],
        [(view.turned in (2, 3)) != view.mirrored for view in VIEWS],
        [view.inverted for view in VIEWS],
    ]


def _fallback(frame: PoseFilm, side: int) -> np.ndarray:
    """Return the map from the square to all of the film, for a film without a head."""
    step = side / frame.size
    start = 0.5 * step - 0.5
    return np.array([[step, 0, start], [0, step, start], [0, 0, 1]])
