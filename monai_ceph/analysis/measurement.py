"""Measurements of one detection."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from monai_ceph.analysis.definitions import DEFINITIONS, Definition, Unit
from monai_ceph.analysis.plane import Face
from monai_ceph.readers.radiograph import NOT_SQUARE, SpacingSource
from monai_ceph.result import Detection

__all__ = ["Measurement", "measure"]

# (x, y) of a film to (x, y) after a turn against the clock, as factors of x + iy with y down
_TURNS = {0: 1, 90: -1j, 180: -1, 270: 1j}


class Measurement(BaseModel):
    """One measurement on one film."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    name: str
    value: float | None = Field(description="in the unit; null if it cannot be told")
    unit: Unit
    reason: str | None = Field(description="why there is no value; null if there is one")
    landmarks: tuple[str, ...] = Field(description="symbols of the landmarks it uses")
    uncertain: tuple[str, ...] = Field(description="those of them whose status is uncertain")
    scale: SpacingSource | None = Field(description="where the scale of a length came from; null if there is no length")
    definition: str
    citation: str = Field(description="where the definition was read")


def measure(detection: Detection) -> tuple[Measurement, ...]:
    """Return all measurements of :data:`~monai_ceph.analysis.DEFINITIONS`, in their order.

    The film is taken upright and facing right, as ``turned`` and ``mirrored`` of the detection say, so that signs
    follow the face. Coordinates are in mm where there is a scale, which may differ between rows and columns. Without
    one pixels are taken as square, unless the file says otherwise: then nothing can be measured.

    Args:
        detection: of one film. A landmark that it lacks, or that is missing, leaves its measurements without a value.
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
