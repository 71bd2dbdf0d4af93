"""The evidence for and against each landmark found, which predicts its likely error."""

from __future__ import annotations

import math

import numpy as np
import torch

from monai_ceph.inferers.windows import Windows
from monai_ceph.transforms.geometry import apply, fit_similarity, pixel_size

__all__ = ["APART", "CLOSE", "FEATURES", "LEAST", "NOISE", "ShapeModel", "landmark_evidence"]

FEATURES = ("peak", "guide_peak", "spread", "second", "guide", "shape")
"""In the order of the columns of :func:`landmark_evidence`; each grows with doubt."""

APART = 0.1
"""A maximum this far from the landmark is another one; in shares of the head's radius, about 4 mm."""

NOISE = 0.02
"""Heatmap values below this share of the maximum are noise."""

LEAST = 1e-6
"""Lower maxima are not lower in any way that matters."""

CLOSE = 0.01
"""Closer is not closer in any way that matters, about 0.5 mm; a share of the head's radius."""


class ShapeModel:
    """Relative positions of landmarks on heads in the mean pose: a Gaussian that predicts each from the others.

    Args:
        mean: (N, 2) mean shape, in any unit.
        covariance: (2 N, 2 N) of row and column of all landmarks, one after the other, around the mean after a
            similarity map, in squared shares of the mean shape's radius.
        noise: standard deviation of what is found, a share of the radius; it keeps the covariance invertible.

    Raises:
        ValueError: if the shapes of the arguments do not match.
    """

    def __init__(self, mean: np.ndarray, covariance: np.ndarray, noise: float) -> None:
        if covariance.shape != (mean.size, mean.size):
            raise ValueError(f"the covariance must be {mean.size} x {mean.size}, got {covariance.shape}")
        centred = mean - mean.mean(axis=0)
        self.mean = centred / np.sqrt((centred**2).sum(axis=1).mean())
        self.covariance = covariance + noise**2 * np.eye(len(covariance))

    def expected(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return where each landmark is expected, (N, 2), told by all others; see :meth:`spread`."""
        return self.spread(points, weights)[0]

    def spread(self, points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where each landmark is expected, told by all others, and how far around that it lies on heads.

        Args:
            points: (N, 2), (row, column), on a head that is upright and faces right; NaN where missing.
            weights: (N,) of the points in the fit of the mean shape, not negative.

        Returns:
            (N, 2) places and (N,) standard deviations of one coordinate, in the unit and frame of ``points``; NaN
            everywhere if fewer than three landmarks are known.
        """
        known = np.isfinite(points).all(axis=1)
        if known.sum() < 3:
            return np.full(points.shape, np.nan), np.full(len(points), np.nan)
        matrix = fit_similarity(
            torch.from_numpy(self.mean), torch.from_numpy(points), weights=torch.from_numpy(weights)
        )
        shifts = apply(torch.linalg.inv(matrix), torch.from_numpy(points)).numpy() - self.mean
        told = [self._told(shifts, known, index) for index in range(len(points))]
        places: np.ndarray = apply(matrix, torch.from_numpy(self.mean + np.array([step for step, _ in told]))).numpy()
        return places, pixel_size(matrix) * np.array([deviation for _, deviation in told])

    def _told(self, shifts: np.ndarray, known: np.ndarray, index: int) -> tuple[np.ndarray, float]:
        """Return mean and standard deviation of one landmark's shift, given those of the others that are known."""
        others = np.repeat(known & (np.arange(len(known)) != index), 2)
        mine = np.repeat(np.arange(len(known)) == index, 2)
        across = self.covariance[np.ix_(mine, others)]
        gain = np.linalg.solve(self.covariance[np.ix_(others, others)], across.T).T
        left = self.covariance[np.ix_(mine, mine)] - gain @ across.T
        return gain @ shifts.ravel()[others], math.sqrt(np.trace(left) / 2)


def landmark_evidence(
    windows: Windows,
    points: torch.Tensor,
    guide: torch.Tensor,
    guide_peaks: torch.Tensor,
    expected: np.ndarray,
    radius: float,
) -> np.ndarray:
    """Return the evidence for each landmark, (N, 6): the columns are :data:`FEATURES`. All grow with doubt.

    - peak, guide_peak: minus the logarithm of the maximum of the heatmap, of the local and of the global stage.
    - spread: logarithm of the heatmap's root mean square distance from the landmark.
    - second: highest value of the heatmap elsewhere, as a share of the maximum.
    - guide: logarithm of the distance between the landmark and its guide.
    - shape: logarithm of the distance between the landmark and the place that the other landmarks tell.

    Args:
        windows: heatmaps of the local stage.
        points: (N, 2) landmarks, (row, column) in pixels of the mean pose's grid; NaN where there is none.
        guide: (N, 2) of the global stage, likewise.
        guide_peaks: (N,) maxima of the global heatmaps.
        expected: (N, 2) places, likewise, from :meth:`ShapeModel.expected`.
        radius: of the mean shape in these pixels. Distances are shares of it.
    """
    maps = windows.heatmaps.float().cpu()
    side = maps.shape[-1]
    at = (points - windows.starts.cpu()).nan_to_num(nan=0.0).float()
    steps = torch.arange(side, dtype=torch.float32)
    squared = (steps[None, :, None] - at[:, :1, None]) ** 2 + (steps[None, None, :] - at[:, 1:, None]) ** 2
    peak = maps.flatten(1).amax(dim=1).clamp(min=LEAST)
    weights = torch.where(maps >= NOISE * peak[:, None, None], maps, 0)
    total = weights.sum(dim=(1, 2)).clamp(min=LEAST)
    spread = ((weights * squared).sum(dim=(1, 2)) / total).sqrt().clamp(min=1.0) / radius
    second = torch.where(squared > (APART * radius) ** 2, maps, 0).flatten(1).amax(dim=1) / peak
    apart = [
        ((points - other).norm(dim=1) / radius + CLOSE).log() for other in (guide.cpu(), torch.from_numpy(expected))
    ]
    columns = (-peak.log(), -guide_peaks.cpu().clamp(min=LEAST).log(), spread.log(), second, *apart)
    return torch.stack([column.double() for column in columns], dim=1).numpy()
