"""The distance of the model's landmarks from the labels that persons saved."""

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

    The present model detects on every labelled film; with ``y_pred`` in the request, the label of that tag stands for
    the detection. Films without a known scale count in pixels alone. These labels often began as the model's own
    landmarks: the figures tell how much persons moved, not how well the model does on films it never saw.

    Args:
        detectors: of the server.
    """

    def __init__(self, detectors: Detectors) -> None:
        super().__init__("Mean radial error of the landmarks against the final labels")
        self._detectors = detectors

    def __call__(self, request: dict[str, Any], datastore: FilmStore) -> dict[str, Any]:
        """Return the figures over all films, and write each film's MRE into the info of its label."""
        pixels, millimetres, failed = [], [], []
        tag = request.get("y_pred")
        for name in datastore.get_labeled_images():
            try:
                truth = torch.from_numpy(datastore.points(name, FINAL))
                film = check_scale(read_radiograph(datastore.film(name)[1]), truth.numpy())
                if tag:
                    found = datastore.points(name, str(tag))
                else:
                    # (x, y) to (row, column), as the labels are
                    found = self._detectors.detect(datastore.film(name)[1], force=True).points()[:, ::-1].copy()
            except CephError as error:
                logger.warning("%s is not scored: %s", name, error)
                failed.append(name)
                continue
            errors = radial_errors(torch.from_numpy(found), truth)
            pixels.append(errors)
            if film.pixel_spacing:
                scale = torch.tensor(film.pixel_spacing, dtype=torch.float64)
                errors = radial_errors(torch.from_numpy(found) * scale, truth * scale)
                millimetres.append(errors)
            unit = "mre_mm" if film.pixel_spacing else "mre_px"
            datastore.update_label_info(
                name, FINAL, {unit: _finite(mean_radial_error(errors)), "missing": missing_landmarks(errors)}
            )
        return {
            "films": len(pixels),
            "films_with_scale": len(millimetres),
            "not_scored": failed,
            "annotated": int((~_all(pixels).isnan()).sum()),
            "missing": missing_landmarks(_all(pixels)),
            "mre_px": _finite(mean_radial_error(_all(pixels))),
            **_in_mm(_all(millimetres)),
        }


def _all(errors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(errors) if errors else torch.empty(0, dtype=torch.float64)


def _in_mm(errors: torch.Tensor) -> dict[str, float | None]:
    figures = {"mre_mm": mean_radial_error(errors), "sd_mm": radial_error_sd(errors)}
    rates = {f"sdr_{limit:g}mm": successful_detection_rate(errors, limit) for limit in SDR_THRESHOLDS}
    return {key: _finite(value) for key, value in {**figures, **rates}.items()}


def _finite(value: float) -> float | None:
    """Replace NaN, which JSON does not have, by None."""
    return value if math.isfinite(value) else None
