"""The challenge's measures of a detector on an annotated dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from monai_ceph.datasets import Film
from monai_ceph.detection import CephalogramDetector, Stage
from monai_ceph.errors import CephError, DatasetError
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.metrics import (
    SDR_THRESHOLDS,
    mean_radial_error,
    missing_landmarks,
    radial_error_sd,
    radial_errors,
    successful_detection_rate,
)

__all__ = ["Evaluation", "Row", "evaluate"]


@dataclass(frozen=True)
class Row:
    """One row of the paper's table 1: errors in mm, rates in per cent.

    Attributes:
        label: what the row is about.
        films: how many there are.
        annotated: landmarks that have a truth on these films.
        missing: those of them that were not found. They have no part in ``mre`` and ``sd``, and fail in ``sdr``.
        mre: mean radial error.
        sd: its standard deviation.
        sdr: successful detection rates at :data:`~monai_ceph.metrics.SDR_THRESHOLDS`.
    """

    label: str
    films: int
    annotated: int
    missing: int
    mre: float
    sd: float
    sdr: tuple[float, ...]

    def as_dictionary(self) -> dict[str, Any]:
        """Return the row as JSON takes it: null for what is not finite (a landmark not annotated, or not found)."""
        rates = {f"sdr_{threshold:g}mm": rate for threshold, rate in zip(SDR_THRESHOLDS, self.sdr, strict=True)}
        figures = {"mre_mm": self.mre, "sd_mm": self.sd, **rates}
        finite = {key: value if math.isfinite(value) else None for key, value in figures.items()}
        counts = {"films": self.films, "annotated": self.annotated, "missing": self.missing}
        return {"label": self.label, **counts, **finite}


def _row(label: str, errors: torch.Tensor) -> Row:
    return Row(
        label,
        len(errors),
        int((~errors.isnan()).sum()),
        missing_landmarks(errors),
        mean_radial_error(errors),
        radial_error_sd(errors),
        tuple(successful_detection_rate(errors, threshold) for threshold in SDR_THRESHOLDS),
    )


@dataclass(frozen=True)
class Evaluation:
    """Radial errors of every landmark on every film.

    Attributes:
        names: of the films.
        errors: (films, landmarks) in mm; NaN if not annotated, infinite if not found.
        offsets: (films, landmarks, 2) from truth to detection, (row, column) in mm; NaN if either is missing.
        seconds: mean time per film of each part of the detection.
    """

    names: tuple[str, ...]
    errors: torch.Tensor
    offsets: torch.Tensor
    seconds: dict[str, float]

    def total(self, label: str, without: frozenset[str] = frozenset()) -> Row:
        """Return the row over all landmarks and all films but those named."""
        kept = [index for index, name in enumerate(self.names) if name not in without]
        return _row(label, self.errors[kept])

    def per_landmark(self) -> list[Row]:
        """Return a row per landmark over all films."""
        return [
            _row(f"{mark.number} {mark.name}", self.errors[:, index : index + 1])
            for index, mark in enumerate(LANDMARKS)
        ]


def evaluate(
    films: Sequence[Film],
    detector: CephalogramDetector,
    stage: Stage = "local",
    on_film: Callable[[Film], None] = lambda film: None,
) -> Evaluation:
    """Detect on every film and compare with its truth. No film is left out: rejection is overridden.

    Raises:
        DatasetError: if a film has no known scale, so that there is no error in mm.
        ReadError: if a film cannot be read.
    """
    if unscaled := [film.name for film in films if not np.isfinite(film.pixel_spacing)]:
        more = f" and {len(unscaled) - 5} more" if len(unscaled) > 5 else ""
        raise DatasetError(
            f"no pixel_spacing for {', '.join(unscaled[:5])}{more}: errors in mm need a known scale; "
            "fill in the column pixel_spacing (mm) of landmarks.csv, or give --pixel-spacing"
        )
    if not films:
        raise CephError("no film to evaluate on")
    errors, offsets, seconds = [], [], []
    for film in films:
        detection = detector(film.image, force=True, stage=stage)
        # (x, y) to (row, column), as the annotations are
        found = torch.from_numpy(detection.points()).flip(1) * film.pixel_spacing
        truth = torch.from_numpy(film.landmarks) * film.pixel_spacing
        errors.append(radial_errors(found, truth))
        offsets.append(found - truth)
        seconds.append(detection.seconds)
        on_film(film)
    return Evaluation(
        tuple(film.name for film in films),
        torch.stack(errors),
        torch.stack(offsets),
        {part: float(np.mean([each[part] for each in seconds])) for part in seconds[0]},
    )
