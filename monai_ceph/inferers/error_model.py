"""How far off each landmark may be: radii by split conformal prediction, and landmarks that the film does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from monai_ceph.inferers.evidence import FEATURES, ShapeModel, landmark_evidence
from monai_ceph.inferers.windows import Windows
from monai_ceph.transforms.geometry import landmarks_to_source, pixel_size

__all__ = ["Certainty", "ErrorModel"]

_KEYS = {
    *("features", "slopes", "scales", "usual", "within_90", "within_95", "hidden", "shape_noise", "shape_covariance"),
    *("head_radius_mm", "shift", "shape_limit"),
}


@dataclass(frozen=True)
class Certainty:
    """What the evidence says of the landmarks of one film, in pixels of the grid of the mean pose, or of the source.

    Attributes:
        radii: (N, 2) radius that the true landmark lies within in 90 % and in 95 % of cases.
        typical: (N, 2) the same of a landmark with the evidence that is usual for it.
        hidden: (N,) whether the film does not show the landmark.
        expected: (N, 2) the place, (row, column), that the other landmarks tell; NaN if they are too few.
        head_radius: of the mean shape on this film.
        middle_mm_per_pixel: mm per pixel if the head had the middle size of those that the model was learned on.
    """

    radii: np.ndarray
    typical: np.ndarray
    hidden: np.ndarray
    expected: np.ndarray
    head_radius: float
    middle_mm_per_pixel: float

    def on_source(self, affine: torch.Tensor) -> Certainty:
        """Return the same in pixels of the source, for the map ``affine`` (3, 3) from the grid to it."""
        side = pixel_size(affine)
        return Certainty(
            self.radii * side,
            self.typical * side,
            self.hidden,
            landmarks_to_source(torch.from_numpy(self.expected), affine).numpy(),
            self.head_radius * side,
            self.middle_mm_per_pixel / side,
        )


class ErrorModel:
    """Tells radii and hidden landmarks from :func:`~monai_ceph.inferers.evidence.landmark_evidence`.

    The size of an error is ``scale * exp(slopes @ evidence)``, with a scale for each landmark and slopes that are not
    negative, so that more doubt never gives a smaller radius. A radius is this size times a factor: the conformal
    quantile of error over size (Lei et al. 2018, Distribution-free predictive inference for regression), learned on
    films that the networks were not trained on. A landmark is hidden if ``bias + slopes @ evidence`` is positive.
    Where a point lies too far from the place that the other visible landmarks tell, its radii reach that place.

    Args:
        mean_shape: (N, 2), (row, column), of the pose finder.
        model: ``features``; ``shift`` (N, 6), which is added to the evidence, because these networks are surer than
            those whose errors were counted; ``slopes`` (6), ``scales``, ``usual``, ``within_90`` and ``within_95`` (N),
            all lengths as shares of the head's radius; ``usual`` is the median of ``slopes @ evidence`` of each
            landmark; ``hidden`` with ``bias`` and ``slopes`` (6); ``head_radius_mm``, the middle one of the films that
            it was learned on; ``shape_limit``, how many standard deviations no point was away from the place that the
            others tell; ``shape_noise`` and ``shape_covariance`` of
            :class:`~monai_ceph.inferers.evidence.ShapeModel`. Further keys say where the model comes from.

    Raises:
        ValueError: if a key is missing or its value does not fit.
    """

    def __init__(self, mean_shape: Sequence[Sequence[float]], model: Mapping[str, Any]) -> None:
        if lacking := sorted(_KEYS - set(model)):
            raise ValueError(f"the error model lacks {', '.join(lacking)}")
        if tuple(model["features"]) != FEATURES:
            raise ValueError(f"the error model must have the features {', '.join(FEATURES)}, in this order")
        mean = np.array(mean_shape, dtype=np.float64)
        self.slopes = _numbers(model, "slopes", len(FEATURES))
        self.scales = _numbers(model, "scales", len(mean))
        self.factors = np.stack([_numbers(model, key, len(mean)) for key in ("within_90", "within_95")], axis=1)
        self.usual = _numbers(model, "usual", len(mean))
        self.shift = np.array(model["shift"], dtype=np.float64)
        if self.shift.shape != (len(mean), len(FEATURES)) or not np.isfinite(self.shift).all():
            raise ValueError(f"shift of the error model must be {len(mean)} x {len(FEATURES)} numbers")
        self.head_radius_mm = float(model["head_radius_mm"])
        self.shape_limit = float(model["shape_limit"])
        self.hidden_bias = float(model["hidden"]["bias"])
        self.hidden_slopes = _numbers(model["hidden"], "slopes", len(FEATURES))
        covariance = np.array(model["shape_covariance"], dtype=np.float64)
        self.shape = ShapeModel(mean, covariance, float(model["shape_noise"]))

    def evidence(
        self, windows: Windows, points: torch.Tensor, guide: torch.Tensor, guide_peaks: torch.Tensor, radius: float
    ) -> np.ndarray:
        """Return the evidence (N, 6), shifted; see :func:`landmark_evidence`."""
        expected = self.shape.expected(points.cpu().numpy(), _trust(windows))
        return landmark_evidence(windows, points, guide, guide_peaks, expected, radius) + self.shift

    def __call__(
        self, windows: Windows, points: torch.Tensor, guide: torch.Tensor, guide_peaks: torch.Tensor, radius: float
    ) -> Certainty:
        """Return what is certain of one film; see :func:`landmark_evidence` for the arguments.

        A landmark without a maximum is not hidden by this model, and has infinite radii.
        """
        evidence = self.evidence(windows, points, guide, guide_peaks, radius)
        places = points.cpu().double().numpy()
        found = np.isfinite(places).all(axis=1)
        typical = radius * self.factors * (self.scales * np.exp(self.usual))[:, None]
        sizes = self.scales * np.exp(np.nan_to_num(evidence) @ self.slopes)
        hidden = found & (self.hidden_bias + np.nan_to_num(evidence) @ self.hidden_slopes > 0)
        # points found for hidden landmarks say nothing about the others
        expected, deviations = self.shape.spread(np.where(hidden[:, None], np.nan, places), _trust(windows))
        apart = np.linalg.norm(places - expected, axis=1)
        reach = np.where(apart > self.shape_limit * deviations, apart, 0.0)
        radii = np.maximum(radius * self.factors * sizes[:, None], reach[:, None])
        radii = np.where(found[:, None], radii, np.inf)
        return Certainty(radii, typical, hidden, expected, radius, self.head_radius_mm / radius)


def _trust(windows: Windows) -> np.ndarray:
    """Return the weights of the landmarks, (N,), in the fit of the mean shape."""
    trust: np.ndarray = windows.heatmaps.flatten(1).amax(dim=1).cpu().double().clamp(min=1e-6).sqrt().numpy()
    return trust


def _numbers(model: Mapping[str, Any], key: str, count: int) -> np.ndarray:
    values = np.array(model[key], dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"{key} of the error model must be {count} numbers")
    return values
