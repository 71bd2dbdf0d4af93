"""Evaluate a detector on an annotated dataset with the measures of the ISBI 2015 challenge."""

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
from monai_ceph.result import Detection

__all__ = ["Evaluation", "Row", "error_row", "evaluate"]


@dataclass(frozen=True)
class Row:
    """One row of the paper's table 1: errors in mm, rates in per cent.

    Attributes:
        label: title of the row.
        films: number of films.
        annotated: number of annotated landmarks on these films.
        missing: how many of these were not found. ``mre`` and ``sd`` leave them out; ``sdr`` counts them as failures.
        mre: mean radial error.
        sd: standard deviation of the radial errors.
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
        """Return the row for JSON; a figure that is not finite is null."""
        rates = {f"sdr_{threshold:g}mm": rate for threshold, rate in zip(SDR_THRESHOLDS, self.sdr, strict=True)}
        figures = {"mre_mm": self.mre, "sd_mm": self.sd, **rates}
        finite = {key: value if math.isfinite(value) else None for key, value in figures.items()}
        counts = {"films": self.films, "annotated": self.annotated, "missing": self.missing}
        return {"label": self.label, **counts, **finite}


def error_row(label: str, errors: torch.Tensor) -> Row:
    """Return the row of radial errors (films, landmarks) in mm; NaN if not annotated, infinite if not found."""
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
        names: names of the films.
        errors: (films, landmarks) in mm; NaN if not annotated, infinite if not found.
        offsets: (films, landmarks, 2) from truth to detection, (row, column) in mm; NaN if either is missing.
        seconds: mean time per film of each part of the detection.
        films: the films with their annotations; empty if they were not kept.
        detections: what was detected on each of them.
    """

    names: tuple[str, ...]
    errors: torch.Tensor
    offsets: torch.Tensor
    seconds: dict[str, float]
    films: tuple[Film, ...] = ()
    detections: tuple[Detection, ...] = ()

    def total(self, label: str, without: frozenset[str] = frozenset()) -> Row:
        """Return the row over all landmarks and all films but those named."""
        kept = [index for index, name in enumerate(self.names) if name not in without]
        return error_row(label, self.errors[kept])

    def per_landmark(self) -> list[Row]:
        """Return a row per landmark over all films."""
        return [
            error_row(f"{mark.number} {mark.name}", self.errors[:, index : index + 1])
            for index, mark in enumerate(LANDMARKS)
        ]


def evaluate(
    films: Sequence[Film],
    detector: CephalogramDetector,
    stage: Stage = "local",
    on_film: Callable[[Film], None] = lambda film: None,
) -> Evaluation:
    """Detect on every film and compare with its annotation. Films that look like no cephalogram are kept.

    Raises:
        DatasetError: if a film has no known scale, which errors in mm need.
        CephError: if there is no film.
        ReadError: if a film cannot be read.
        RejectedError: if an image is constant, too small or a strip.
    """
    if unscaled := [film.name for film in films if not np.isfinite(film.pixel_spacing)]:
        more = f" and {len(unscaled) - 5} more" if len(unscaled) > 5 else ""
        raise DatasetError(
            f"no pixel_spacing for {', '.join(unscaled[:5])}{more}: errors in mm need a known scale; "
            "fill in the column pixel_spacing (mm) of landmarks.csv, or give --pixel-spacing"
        )
    if not films:
        raise CephError("there is no film to evaluate on")
    errors, offsets, detections = [], [], []
    for film in films:
        detection = detector(film.image, force=True, stage=stage)
        # (x, y) to (row, column), as the annotations are
        found = torch.from_numpy(detection.points()).flip(1) * film.pixel_spacing
        truth = torch.from_numpy(film.landmarks) * film.pixel_spacing
        errors.append(radial_errors(found, truth))
        offsets.append(found - truth)
        detections.append(detection)
        on_film(film)
    return Evaluation(
        tuple(film.name for film in films),
        torch.stack(errors),
        torch.stack(offsets),
        {part: float(np.mean([each.seconds[part] for each in detections])) for part in detections[0].seconds},
        tuple(films),
        tuple(detections),
    )
