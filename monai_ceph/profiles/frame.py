"""The frame of the head: what a profile's offsets refer to, whatever the tilt, size and direction of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["HeadFrame", "head_frame"]

# fewer landmarks than these do not tell a head from its mirror image
_FEWEST = 5

# in units of the mean shape's radius: a landmark at this distance from its place has half the weight
_HALF_WEIGHT_DISTANCE = 0.15
_REWEIGHTINGS = 20


@dataclass(frozen=True)
class HeadFrame:
    """How a head lies on a film: maps steps between the film and the mean pose.

    In the mean pose the head is upright and faces right. Its unit is the radius of the mean shape, the root mean square
    distance of its landmarks from their centre.

    Attributes:
        matrix: 2x2, from steps in the mean pose, (x, y) in radii, to steps on the film, (x, y) in pixels.
        radius: of the head on the film, in pixels along a row.
    """

    matrix: np.ndarray
    radius: float

    def to_film(self, steps: np.ndarray) -> np.ndarray:
        """Return steps (..., 2) of the mean pose, (x, y) in radii, as steps on the film, (x, y) in pixels."""
        moved: np.ndarray = steps @ self.matrix.T
        return moved

    def to_head(self, steps: np.ndarray) -> np.ndarray:
        """Return steps (..., 2) on the film, (x, y) in pixels, as steps of the mean pose, (x, y) in radii."""
        moved: np.ndarray = steps @ np.linalg.inv(self.matrix).T
        return moved


def head_frame(points: np.ndarray, mean_shape: np.ndarray, aspect: float = 1.0) -> HeadFrame | None:
    """Return the frame of a head: the similarity, mirrored or not, that fits its landmarks to the mean shape best.

    Least squares (Umeyama 1991), reweighted with Cauchy weights, so that a landmark far from its place says little.

    Args:
        points: (N, 2) landmarks, (x, y) in pixels; NaN where missing.
        mean_shape: (N, 2), (x, y) in any unit.
        aspect: height of a pixel divided by its width.

    Returns:
        None if fewer than five landmarks are known, or all are one point.
    """
    known = np.isfinite(points).all(axis=1)
    if known.sum() < _FEWEST:
        return None
    shape = mean_shape - mean_shape.mean(axis=0)
    shape = shape / np.sqrt((shape**2).sum(axis=1).mean())
    # with complex numbers, turn and size are one factor
    target = points[known, 0] + 1j * points[known, 1] * aspect
    fits = [_fit((shape[known] * (side, 1)) @ (1, 1j), target) for side in (1, -1)]
    side, (factor, near) = max(zip((1, -1), fits, strict=True), key=lambda each: each[1][1])
    if not np.isfinite(near) or abs(factor) == 0:
        return None
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    matrix = np.diag((1, 1 / aspect)) @ turn @ np.diag((side, 1))
    return HeadFrame(matrix, abs(factor))


def _fit(model: np.ndarray, target: np.ndarray) -> tuple[complex, float]:
    """Return turn and size as one number, and how well the points fit: the sum of their weights; NaN if not at all."""
    weights = np.ones(len(model))
    factor = complex(0)
    for _ in range(_REWEIGHTINGS):
        share = weights / weights.sum()
        start, end = model - share @ model, target - share @ target
        spread = share @ np.abs(start) ** 2
        factor = complex(share @ (start.conj() * end) / spread)
        if not abs(factor) > 1e-9 * np.abs(target).max():
            return complex(0), float("nan")
        weights = 1 / (1 + (np.abs(end / factor - start) / _HALF_WEIGHT_DISTANCE) ** 2)
    return factor, float(weights.sum())
