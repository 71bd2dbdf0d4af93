"""MONAI Label's inference on one film: landmarks as markups, JSON or a label map."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.utils.others.generic import device_list, name_to_device

from monai_ceph.analysis import measure
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.labelling.cvat import as_annotations
from monai_ceph.labelling.detectors import Detectors
from monai_ceph.labelling.errors import named
from monai_ceph.labelling.label_map import LABELS, SUFFIXES, write_label_map
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.readers.placement import Placement, placement_of, refuse_format
from monai_ceph.reports.markups import SUFFIX, save_markups
from monai_ceph.reports.measurement_record import measurement_records
from monai_ceph.reports.notes import NOTICE
from monai_ceph.result import Detection

__all__ = ["InferLandmarks", "as_params"]


class InferLandmarks(InferTask):
    """Detects the landmarks of one film.

    The answer is a file and params. The file holds Slicer's markups by default, or a label map if the request has
    ``result_extension`` .nrrd, .nii.gz, .nii or .mha; it is not compressed if ``result_compress`` is false. If
    ``result_write_to_file`` is false, there is no file. :func:`as_params` describes the params.

    ``output`` json in the address makes MONAI Label send only the params. In the params it changes nothing, because
    MONAI Label's own client, which Slicer uses, reads params only beside a file.

    Args:
        detectors: the server's detectors.
        scores: where the scores of the store's films are kept.
        markups_only: always answer with markups. Slicer's plugin asks for .nrrd in any case, but accepts markups from
            models of the type detection.
    """

    def __init__(self, detectors: Detectors, scores: ScoreBook, *, markups_only: bool = False) -> None:
        super().__init__(
            type=InferType.DETECTION if markups_only else InferType.SEGMENTATION,
            labels=dict(LABELS),
            dimension=2,
            description=f"19 landmarks of a lateral cephalogram{', as markups' if markups_only else ''}. {NOTICE}",
            config={"device": device_list(), "weights": ["latest", "shipped"], "force": False},
        )
        self._detectors = detectors
        self._scores = scores
        self._markups_only = markups_only

    def is_valid(self) -> bool:
        """Return True, because the weights are part of the package."""
        return True

    def get_path(self, validate: bool = True) -> str | None:
        """Return the file of the fine-tuned weights. Clients with the right role may download and replace it."""
        tuned = self._detectors.tuned
        return str(tuned) if tuned.is_file() or not validate else None

    def __call__(self, request: dict[str, Any], callbacks: Any = None) -> tuple[str | None, dict[str, Any]]:
        """Return the file for the client (None if it wants none) and the params.

        Args:
            request: ``image`` is the path of the film. ``image_id`` is its name in the store; an upload has none.
                Options are ``weights``, ``force``, ``device``, ``result_extension``, ``result_compress`` and
                ``result_write_to_file``.
            callbacks: not used; MONAI Label's own pipelines take them.

        Raises:
            ReadError: the file cannot be read as a radiograph, or is a NIfTI file.
            RejectedError: it does not look like a lateral cephalogram.
            CephError: an option is not valid.
        """
        start = time.perf_counter()
        film, name = Path(request["image"]), request.get("image_id")
        device = name_to_device(request["device"]) if isinstance(request.get("device"), str) else None
        weights = request.get("weights")
        weights = weights if isinstance(weights, str) else "latest"
        extension = self._extension(request)
        with named(film, name or "the film"):
            try:
                refuse_format(film)
                detection = self._detectors.detect(film, weights, device, force=request.get("force") is True)
            except (ReadError, RejectedError):
                if name is not None:
                    self._scores.note_failure(name, self._detectors.get(weights, device).identity)
                raise
            if name is not None:
                self._scores.note(name, detection)
            placement = placement_of(film)
        params = as_params(detection.model_copy(update={"file": name or "upload"}), placement)
        target = None
        if extension:
            compress = request.get("result_compress") is not False
            target, params["label_names"] = _write(extension, detection, placement, compress)
        params["latencies"] = {**detection.seconds, "total": round(time.perf_counter() - start, 3)}
        return target, params

    def _extension(self, request: dict[str, Any]) -> str | None:
        if request.get("result_write_to_file") is False:
            return None
        asked = str(request.get("result_extension") or SUFFIX)
        asked = asked if asked.startswith(".") else f".{asked}"
        if self._markups_only or asked in (".json", SUFFIX):
            return SUFFIX
        if asked in SUFFIXES:
            return asked
        raise CephError(f"result_extension {asked} is not one of {', '.join((SUFFIX, *SUFFIXES))}")


def _write(extension: str, detection: Detection, placement: Placement, compress: bool) -> tuple[str, dict[str, int]]:
    """Write the file, and return its path and the value of each landmark that is in it."""
    with tempfile.NamedTemporaryFile(suffix=extension, delete=False) as file:
        target = Path(file.name)
    if extension == SUFFIX:
        save_markups(target, detection, placement)
        return str(target), _found_landmarks(detection)
    return str(target), write_label_map(target, _rows_and_columns(detection), placement, compress=compress)


def _rows_and_columns(detection: Detection) -> np.ndarray:
    """Return the landmarks as (row, column), the order of arrays in this package; NaN where missing."""
    return detection.points()[:, ::-1].copy()


def _found_landmarks(detection: Detection) -> dict[str, int]:
    return {mark.name: LABELS[mark.name] for mark in detection.landmarks if mark.x is not None}


def as_params(detection: Detection, placement: Placement) -> dict[str, Any]:
    """Return the params that are sent with the file.

    They are the fields of the detection and these: ``measurements`` (:func:`monai_ceph.analysis.measure`), ``notice``,
    ``markups`` (the unit of the markups' coordinates), ``annotations`` (for CVAT), and ``label_names`` (each landmark
    that was found, with its value in a label map).
    """
    return {
        **detection.model_dump(mode="json", exclude={"seconds"}),
        "measurements": measurement_records(measure(detection)),
        "notice": NOTICE,
        "markups": _unit_of_markups(detection, placement),
        "annotations": as_annotations(_rows_and_columns(detection), detection.rows),
        "label_names": _found_landmarks(detection),
    }


def _unit_of_markups(detection: Detection, placement: Placement) -> dict[str, Any]:
    spacing = [round(value, 8) for value in placement.spacing]
    scale = detection.pixel_spacing
    if scale is None:
        unit = "pixel" if spacing == [1.0, 1.0] else "unknown"
        note = "The film has no known scale: distances between the markups are not in millimetres."
    elif all(abs(own / other - 1) < 1e-3 for own, other in zip(scale, spacing, strict=True)):
        unit, note = (
            "mm",
            f"Distances between the markups have the scale of the film ({detection.spacing_source.label}).",
        )
    else:
        unit = "mm"
        note = (
            f"ITK and Slicer place the film, and so the markups, at {spacing[0]:g} x {spacing[1]:g} mm per pixel. "
            f"The scale of the film is {scale[0]:g} x {scale[1]:g} mm ({detection.spacing_source.label}), so distances "
            "between the markups are not those in the patient. Use x_mm and y_mm instead."
        )
    return {"coordinate_system": "LPS", "unit": unit, "spacing": spacing, "note": note}
