"""Does an image look like a lateral cephalogram, judged by its pixels and by the landmarks found on it."""

from __future__ import annotations

import numpy as np

from monai_ceph import weights
from monai_ceph.errors import RejectedError
from monai_ceph.readers import Radiograph

__all__ = ["check_film", "check_landmarks", "shape_residual"]

# below this side a film of the head has no local stage to speak of (0.5 x 1935 pixels at the paper's scale)
_MIN_SIDE = 128


def check_film(radiograph: Radiograph) -> None:
    """Refuse what cannot be a film of a head at all.

    Raises:
        RejectedError: if the image is (nearly) constant, tiny, or a strip; it names the file.
    """
    rows, columns = radiograph.pixels.shape
    if min(rows, columns) < _MIN_SIDE:
        raise RejectedError(f"{radiograph.path}: no lateral cephalogram: only {columns} x {rows} pixels")
    if max(rows, columns) > 3 * min(rows, columns):
        raise RejectedError(f"{radiograph.path}: no lateral cephalogram: a strip of {columns} x {rows} pixels")
    if float(np.ptp(radiograph.pixels)) == 0:
        raise RejectedError(f"{radiograph.path}: no lateral cephalogram: every pixel has the same value")
    low, high = np.percentile(radiograph.pixels[::4, ::4], (0.5, 99.5))
    if low == high:
        raise RejectedError(f"{radiograph.path}: no lateral cephalogram: nearly every pixel has the same value")


def shape_residual(points: np.ndarray, mean_shape: np.ndarray) -> float:
    """Return how far landmarks are from the mean shape after the best similarity map, as a share of their size.

    The root mean square distance of (N, 2) points, NaN left out, over the root mean square distance of the mapped
    mean shape from its centre; the map (turn, size, shift, no mirror) is the least-squares one (Umeyama 1991).
    Infinity for fewer than three points.
    """
    known = np.isfinite(points).all(axis=1)
    if known.sum() < 3:
        return float("inf")
    # complex numbers make a turn and a magnification one factor
    found = points[known] @ np.array([1, 1j])
    model = mean_shape[known] @ np.array([1, 1j])
    found, model = found - found.mean(), model - model.mean()
    factor = np.vdot(model, found) / np.vdot(model, model)
    size = float(np.sqrt(np.mean(np.abs(factor * model) ** 2)))
    return float(np.sqrt(np.mean(np.abs(found - factor * model) ** 2))) / size if size else float("inf")


def check_landmarks(
    points: np.ndarray, scores: np.ndarray, max_shape_residual: float, min_mean_score: float
) -> str | None:
    """Return why (19, 2) landmarks and their scores cannot be those of a lateral head film; None if they can."""
    mean = float(np.mean(scores))
    if mean < min_mean_score:
        return f"the landmarks' mean score is {mean:.2f}, below {min_mean_score:g}"
    residual = shape_residual(points, np.array(weights.model()["mean_shape"]))
    if residual > max_shape_residual:
        return f"the landmarks do not form a head facing right (shape residual {residual:.2f} > {max_shape_residual:g})"
    return None
