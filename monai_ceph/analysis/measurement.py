"""Measurements of one detection."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from monai_ceph.analysis.definitions import DEFINITIONS, Definition, Unit
from monai_ceph.analysis.plane import Face
from monai_ceph.readers.radiograph import NOT_SQUARE, SpacingSource
from monai_ceph.result import Detection

__all__ = ["Measurement", "measure"]

# factors that rotate x + iy counterclockwise, with y down
_TURNS = {0: 1, 90: -1j, 180: -1, 270: 1j}


class Measurement(BaseModel):
    """One measurement on one film."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    name: str
    value: float | None = Field(description="in the unit; null if it cannot be computed")
    unit: Unit
    reason: str | None = Field(description="why the value is null; otherwise null")
    landmarks: tuple[str, ...] = Field(description="symbols of the landmarks that it uses")
    uncertain: tuple[str, ...] = Field(description="symbols of those whose status is uncertain")
    scale: SpacingSource | None = Field(description="where the scale of a length came from; null if there is no length")
    definition: str
    citation: str = Field(description="source of the definition")


def measure(detection: Detection) -> tuple[Measurement, ...]:
    """Return all measurements of :data:`~monai_ceph.analysis.DEFINITIONS`, in their order.

    Landmarks are first brought upright and facing right, by ``turned`` and ``mirrored`` of the detection, so that signs
    follow the face. Coordinates are in mm if the scale is known; it may differ between rows and columns. Otherwise
    pixels count as square, unless the file says that they are not: then nothing is measured.

    Args:
        detection: result for one film. A measurement that needs a missing landmark has no value.
    """
    face = _face(detection)
    uncertain = {mark.symbol for mark in detection.landmarks if mark.status == "uncertain"}
    return tuple(_measurement(definition, detection, face, uncertain) for definition in DEFINITIONS)


def _face(detection: Detection) -> Face:
    row, column = detection.pixel_spacing or (1.0, 1.0)
    points = {
        mark.symbol: complex(mark.x * column, mark.y * row) * _TURNS[detection.turned]
        for mark in detection.landmarks
        if mark.x is not None and mark.y is not None
    }
    return {symbol: -point.conjugate() for symbol, point in points.items()} if detection.mirrored else points


def _measurement(definition: Definition, detection: Detection, face: Face, uncertain: set[str]) -> Measurement:
    value, reason = None, _obstacle(definition, detection, face)
    if reason is None:
        try:
            value = definition.compute(face)
        except ZeroDivisionError:
            reason = "landmarks coincide"
    return Measurement(
        symbol=definition.symbol,
        name=definition.name,
        value=value,
        unit=definition.unit,
        reason=reason,
        landmarks=definition.landmarks,
        uncertain=tuple(symbol for symbol in definition.landmarks if symbol in uncertain),
        scale=detection.spacing_source if definition.unit == "mm" and value is not None else None,
        definition=definition.text,
        citation=definition.citation,
    )


def _obstacle(definition: Definition, detection: Detection, face: Face) -> str | None:
    absent = [symbol for symbol in definition.landmarks if symbol not in face]
    if absent:
        return f"missing: {', '.join(absent)}"
    if detection.pixel_spacing is None:
        if definition.unit == "mm":
            implausible = detection.spacing_source is SpacingSource.IMPLAUSIBLE
            return "the stated scale is implausible" if implausible else "the film has no known scale"
        if any(warning.startswith(NOT_SQUARE) for warning in detection.warnings):
            return "the pixels are not square, and the film has no known scale"
    return None
