"""Scores the model against the labels that people saved."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from monailabel.interfaces.tasks.scoring import ScoringMethod

from monai_ceph.analysis.scale import check_scale
from monai_ceph.errors import CephError
from monai_ceph.labelling.detectors import Detectors
from monai_ceph.labelling.store import FINAL, FilmStore
from monai_ceph.metrics import (
    SDR_THRESHOLDS,
    mean_radial_error,
    missing_landmarks,
    radial_error_sd,
    radial_errors,
    successful_detection_rate,
)
from monai_ceph.readers import read_radiograph

__all__ = ["RadialError"]

logger = logging.getLogger(__name__)


class RadialError(ScoringMethod):
    """MRE, SD and SDR against the final labels.

    The current model detects on every labelled film. If the request has ``y_pred``, saved labels with that tag are
    scored instead. Films without a known scale count in pixels only.

    People often start from the model's own landmarks. The figures then show how far they moved them, not how well the
    model does on films that it has never seen.

    Args:
        detectors: the server's detectors.
    """

    def __init__(self, detectors: Detectors) -> None:
        super().__init__("Mean radial error of the landmarks against the final labels")
        self._detectors = detectors

    def __call__(self, request: dict[str, Any], datastore: FilmStore) -> dict[str, Any]:
        """Return the figures over all films, and add each film's MRE to the info of its label."""
        pixels, millimetres, failed = [], [], []
        tag = request.get("y_pred")
        for name in datastore.get_labeled_images():
            try:
                truth = torch.from_numpy(datastore.points(name, FINAL))
                film = check_scale(read_radiograph(datastore.film(name)[1]), truth.numpy())
                if tag:
                    predicted = datastore.points(name, str(tag))
                else:
                    # (x, y) to (row, column), as the labels are
                    predicted = self._detectors.detect(datastore.film(name)[1], force=True).points()[:, ::-1].copy()
            except CephError as error:
                logger.warning("%s is not scored: %s", name, error)
                failed.append(name)
                continue
            errors = radial_errors(torch.from_numpy(predicted), truth)
            pixels.append(errors)
            if film.pixel_spacing:
                scale = torch.tensor(film.pixel_spacing, dtype=torch.float64)
                errors = radial_errors(torch.from_numpy(predicted) * scale, truth * scale)
                millimetres.append(errors)
            unit = "mre_mm" if film.pixel_spacing else "mre_px"
            datastore.update_label_info(
                name, FINAL, {unit: _finite(mean_radial_error(errors)), "missing": missing_landmarks(errors)}
            )
        return {
            "films": len(pixels),
            "films_with_scale": len(millimetres),
            "not_scored": failed,
            "annotated": int((~_concatenated(pixels).isnan()).sum()),
            "missing": missing_landmarks(_concatenated(pixels)),
            "mre_px": _finite(mean_radial_error(_concatenated(pixels))),
            **_figures_in_mm(_concatenated(millimetres)),
        }


def _concatenated(errors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(errors) if errors else torch.empty(0, dtype=torch.float64)


def _figures_in_mm(errors: torch.Tensor) -> dict[str, float | None]:
    figures = {"mre_mm": mean_radial_error(errors), "sd_mm": radial_error_sd(errors)}
    rates = {f"sdr_{limit:g}mm": successful_detection_rate(errors, limit) for limit in SDR_THRESHOLDS}
    return {key: _finite(value) for key, value in {**figures, **rates}.items()}


def _finite(value: float) -> float | None:
    """Return the value, or None for NaN: JSON has no NaN."""
    return value if math.isfinite(value) else None
