"""Mean radial error, its standard deviation, and successful detection rates.

The challenge's measures (Wang et al. 2015, IEEE TMI 34:1890): R is the Euclidean distance of a landmark from the
truth, MRE its mean, SD its population standard deviation over all landmarks of all films, and SDR the share of
landmarks with R at most the given distance (the challenge's code includes the boundary).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric

__all__ = [
    "SDR_THRESHOLDS",
    "MeanRadialError",
    "MissingLandmarks",
    "RadialErrorSD",
    "SuccessfulDetectionRate",
    "landmarks_in_mm",
    "mean_radial_error",
    "missing_landmarks",
    "radial_error_sd",
    "radial_errors",
    "successful_detection_rate",
]

# in mm; those of the challenge and of the paper's table 1
SDR_THRESHOLDS = (2.0, 2.5, 3.0, 4.0)

# mm; an error on the boundary counts as a success, and 0.1 mm pixels are not exact (100.3 - 98.3 > 2)
_ROUNDING = 1e-6


def radial_errors(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the distances (..., N) of landmarks (..., N, 2), in the landmarks' unit.

    A landmark without annotation (NaN in ``truth``) gives NaN: its error is unknown. An annotated landmark that was not
    found (NaN in ``predicted``) gives infinity.
    """
    predicted, truth = torch.as_tensor(predicted).double(), torch.as_tensor(truth).double()
    error = torch.linalg.vector_norm(predicted - truth, dim=-1)
    unknown, missed = truth.isnan().any(dim=-1), predicted.isnan().any(dim=-1)
    return error.masked_fill(missed, torch.inf).masked_fill(unknown, torch.nan)


def mean_radial_error(errors: torch.Tensor) -> float:
    """Return the mean of the finite errors; NaN without any."""
    return float(errors[errors.isfinite()].mean())


def radial_error_sd(errors: torch.Tensor) -> float:
    """Return the population standard deviation of the finite errors; NaN without any."""
    finite = errors[errors.isfinite()]
    return float(finite.std(correction=0)) if len(finite) else float("nan")


def successful_detection_rate(errors: torch.Tensor, threshold: float) -> float:
    """Return the share, in per cent, of annotated landmarks found within ``threshold``; a missed one is a failure."""
    known = errors[~errors.isnan()]
    return float((known <= threshold + _ROUNDING).double().mean() * 100)


def missing_landmarks(errors: torch.Tensor) -> int:
    """Return how many annotated landmarks were not found: MRE and SD leave them out, SDR counts them as failures."""
    return int(errors.isinf().sum())


class _RadialErrorMetric(CumulativeIterationMetric):
    """Gathers the radial errors of all batches and processes, then reduces them once."""

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise ValueError("a radial error needs the true landmarks")
        return radial_errors(y_pred, y)

    @abstractmethod
    def _reduce(self, errors: torch.Tensor) -> float: ...

    def aggregate(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the measure over all batches and processes since the last reset."""
        errors = self.get_buffer()
        return torch.tensor(torch.nan if errors is None else self._reduce(errors), dtype=torch.float64)


class MeanRadialError(_RadialErrorMetric):
    """MONAI metric: MRE of landmarks (batch, N, 2) in mm; see :func:`mean_radial_error`."""

    def _reduce(self, errors: torch.Tensor) -> float:
        return mean_radial_error(errors)


class RadialErrorSD(_RadialErrorMetric):
    """MONAI metric: standard deviation of the radial error; see :func:`radial_error_sd`."""

    def _reduce(self, errors: torch.Tensor) -> float:
        return radial_error_sd(errors)


class MissingLandmarks(_RadialErrorMetric):
    """MONAI metric: number of annotated landmarks that were not found; see :func:`missing_landmarks`."""

    def _reduce(self, errors: torch.Tensor) -> float:
        return missing_landmarks(errors)


class SuccessfulDetectionRate(_RadialErrorMetric):
    """MONAI metric: SDR in per cent at one threshold in mm; see :func:`successful_detection_rate`."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def _reduce(self, errors: torch.Tensor) -> float:
        return successful_detection_rate(errors, self.threshold)


def landmarks_in_mm(
    predicted_key: str = "predicted", truth_key: str = "truth", spacing_key: str = "spacing"
) -> Callable[[Sequence[Mapping[str, torch.Tensor]]], tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """Return an output transform for MONAI's IgniteMetricHandler: decollated output to (predicted, true) in mm.

    Landmarks are (N, 2), (row, column) in source pixels; the spacing is (row mm, column mm) or one number.
    """

    def transform(
        output: Sequence[Mapping[str, torch.Tensor]],
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        spacings = [torch.as_tensor(item[spacing_key]).double() for item in output]
        return (
            [torch.as_tensor(item[predicted_key]) * spacing for item, spacing in zip(output, spacings, strict=True)],
            [torch.as_tensor(item[truth_key]) * spacing for item, spacing in zip(output, spacings, strict=True)],
        )

    return transform
