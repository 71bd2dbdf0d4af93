"""The measurements of a film in JSON, and the definitions of all of them, which are written once for all films."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from monai_ceph.analysis import DEFINITIONS, Measurement, Unit, default_norms
from monai_ceph.analysis.uncertainty import known_bias
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.version import __version__

__all__ = ["DEFINITIONS_FILE", "MeasurementRecord", "definitions_json", "measurement_records"]

DEFINITIONS_FILE = "measurement_definitions.json"
"""The file beside the films' JSON that says what the measurements are."""


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: object) -> bool:
    return not value


class MeasurementRecord(BaseModel):
    """What a film's JSON says of one measurement. The rest is in its definition, which all films share."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False})

    symbol: str = Field(description="the measurement; measurement_definitions.json says what it is")
    value: float | None = Field(description="in the unit; null if it cannot be computed")
    unit: Unit
    reason: str | None = Field(default=None, exclude_if=_is_none, description="why the value is null; else not there")
    uncertain: tuple[str, ...] = Field(
        default=(), exclude_if=_is_empty, description="symbols of its landmarks whose status is uncertain, if any"
    )
    scale: SpacingSource | None = Field(
        default=None, exclude_if=_is_none, description="where the scale of a length came from; only with a length"
    )
    interval: tuple[float, float] | None = Field(
        default=None,
        exclude_if=_is_none,
        description="95 % interval of the value; not there without a value, or if an error is not known",
    )
    norm: str | None = Field(
        default=None, exclude_if=_is_none, description="set of the norm that the value is compared with, if any"
    )
    deviation: float | None = Field(
        default=None, exclude_if=_is_none, description="value minus mean of the norm, in its standard deviations"
    )
    flag: Literal["above", "below"] | None = Field(
        default=None, exclude_if=_is_none, description="on which side the value is outside the limits of the norm"
    )
    certain: bool | None = Field(
        default=None,
        exclude_if=_is_none,
        description="false: a limit of the norm is within the interval, so the flag is in doubt",
    )

    @classmethod
    def of(cls, measurement: Measurement) -> MeasurementRecord:
        """Return what belongs to this film, without what is the same on all films."""
        own = {name: getattr(measurement, name) for name in cls.model_fields if name != "norm"}
        return cls(**own, norm=None if measurement.norm is None else measurement.norm.set)


def measurement_records(measurements: Iterable[Measurement]) -> list[dict[str, object]]:
    """Return the records of a film's measurements as JSON has them."""
    return [MeasurementRecord.of(each).model_dump(mode="json") for each in measurements]


def definitions_json() -> str:
    """Return the text of ``measurement_definitions.json``: name, landmarks, definition and source of each measurement.

    With each are the known bias of the model's points, null if none is known, and the norms that results are compared
    with, since no run of ``detect`` chooses others.
    """
    norms = default_norms()
    definitions = [
        {
            "symbol": each.symbol,
            "name": each.name,
            "analyses": each.analyses,
            "unit": each.unit,
            "landmarks": each.landmarks,
            "definition": each.text,
            "citation": each.citation,
            "known_bias": known_bias().get(each.symbol),
            "norms": [norm.model_dump(mode="json") for norm in norms.by_symbol.get(each.symbol, ())],
        }
        for each in DEFINITIONS
    ]
    whole = {"software": f"monai-ceph {__version__}", "measurements": definitions}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
