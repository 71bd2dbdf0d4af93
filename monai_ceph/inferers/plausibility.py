"""Checks whether an image looks like a lateral cephalogram, by its pixels and by the landmarks found on it."""

from __future__ import annotations

import numpy as np
import torch

from monai_ceph.errors import RejectedError
from monai_ceph.readers import Radiograph
from monai_ceph.transforms.geometry import apply, fit_similarity

__all__ = ["MAX_ASPECT", "MIN_SIDE", "check_film", "check_landmarks", "shape_residual"]

# smaller films show too little for the local stage, which sees 968 pixels at the paper's scale
MIN_SIDE = 128
# a longer image is a strip
MAX_ASPECT = 3


def check_film(radiograph: Radiograph) -> None:
    """Refuse an image that cannot be a film of a head.

    Raises:
        RejectedError: if the image is (nearly) constant, tiny, or a strip; it names the file.
    """
    rows, columns = radiograph.pixels.shape
    if min(rows, columns) < MIN_SIDE:
        raise RejectedError(f"{radiograph.path}: not a lateral cephalogram: only {columns} x {rows} pixels")
    if max(rows, columns) > MAX_ASPECT * min(rows, columns):
        raise RejectedError(f"{radiograph.path}: not a lateral cephalogram: a strip of {columns} x {rows} pixels")
    if float(np.ptp(radiograph.pixels)) == 0:
        raise RejectedError(f"{radiograph.path}: not a lateral cephalogram: every pixel has the same value")
    low, high = np.percentile(radiograph.pixels[::4, ::4], (0.5, 99.5))
    if low == high:
        raise RejectedError(f"{radiograph.path}: not a lateral cephalogram: nearly every pixel has the same value")


def shape_residual(points: np.ndarray, mean_shape: np.ndarray) -> float:
    """Return the distance of landmarks from the mean shape after the best similarity map, relative to its size.

    This is the root mean square distance of (N, 2) points, without NaN, over the root mean square distance of the
    mapped mean shape from its centre. The map (rotation, scale and shift, no mirror) is the least-squares fit.
    Infinity for fewer than three points.
    """
    known = torch.from_numpy(np.isfinite(points).all(axis=1))
    if known.sum() < 3:
        return float("inf")
    found, model = torch.from_numpy(points)[known].double(), torch.from_numpy(mean_shape)[known].double()
    mapped = apply(fit_similarity(model, found), model)
    size = (mapped - mapped.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    return float((found - mapped).square().sum(dim=1).mean().sqrt() / size) if size > 0 else float("inf")


def check_landmarks(
    points: np.ndarray,
    scores: np.ndarray,
    evidence: float | None,
    mean_shape: np.ndarray,
    max_shape_residual: float,
    min_mean_score: float,
    min_evidence: float,
) -> str | None:
    """Return why landmarks cannot come from a lateral film of a head; None if they can.

    Args:
        points: (19, 2), (row, column) on a film that is upright and faces right; NaN where missing.
        scores: (19,)
        evidence: evidence of the pose; None if the pose was not searched.
        mean_shape: (19, 2), (row, column), in any unit: the mean shape in the config.
        max_shape_residual: see :func:`shape_residual`.
        min_mean_score: lowest mean score of the landmarks that are not missing.
        min_evidence: see :class:`monai_ceph.inferers.pose.Pose`.
    """
    if evidence is not None and evidence < min_evidence:
        return f"no head is seen, however the image is turned (evidence {evidence:.2f}, below {min_evidence:g})"
    known = np.isfinite(points).all(axis=1)
    mean = float(np.mean(scores[known])) if known.any() else 0.0
    if mean < min_mean_score:
        return f"the landmarks' mean score is {mean:.2f}, below {min_mean_score:g}"
    residual = shape_residual(points, mean_shape)
    if residual > max_shape_residual:
        return f"the landmarks do not form a head facing right (shape residual {residual:.2f} > {max_shape_residual:g})"
    return None
