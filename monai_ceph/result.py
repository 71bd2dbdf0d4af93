"""The result of detection on one film: a typed, versioned model. Its JSON schema is docs/schema/detection-2.0.json.

``Detection.model_validate_json`` reads a result of this major version; fields that a later minor version added are
dropped. It raises CephError for another major version or none, and pydantic's ValidationError for a wrong or missing field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from monai_ceph.errors import CephError
from monai_ceph.landmarks import name_of
from monai_ceph.readers.radiograph import SpacingSource
from monai_ceph.version import __version__

__all__ = [
    "SCHEMA_VERSION",
    "DetectedLandmark",
    "Detection",
    "FilmState",
    "ModelIdentity",
    "Status",
    "detected_landmark",
    "film_state",
]

SCHEMA_VERSION: Literal["2.0"] = "2.0"
"""Version of the JSON that is written. A reader of 2.x reads every 2.y, since a minor version only adds fields.
Anything else that changes makes it 3.0, such as a field that goes, or a new value of a field with listed values."""

Status = Literal["ok", "uncertain", "missing"]
FilmState = Literal["ok", "uncertain"]


class _Record(BaseModel):
    # Reading drops fields that a later minor version added. The schema allows none, since none are ever written.
    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False})


class DetectedLandmark(_Record):
    """One landmark on one film."""

    number: int = Field(ge=1, description="number in the ISBI 2015 order")
    name: str
    symbol: str
    x: float | None = Field(description="column in pixels of the source image; null if missing")
    y: float | None = Field(description="row in pixels of the source image; null if missing")
    x_mm: float | None = Field(
        default=None, description="mm right of the centre of the first pixel; null if missing or without a scale"
    )
    y_mm: float | None = Field(
        default=None, description="mm below the centre of the first pixel; null if missing or without a scale"
    )
    score: float = Field(ge=0, le=1, description="highest probability of the landmark's merged heatmap")
    status: Status


def detected_landmark(
    number: int,
    symbol: str,
    place: Sequence[float],
    score: float,
    spacing: tuple[float, float] | None,
    uncertain_below: float,
) -> DetectedLandmark:
    """Return what is said of one landmark.

    Args:
        number: from 1, in the order of the channels.
        symbol: of the landmark.
        place: (row, column) in pixels of the source image; NaN if it is missing.
        score: highest probability of its heatmap; rounding may take it out of 0 to 1.
        spacing: (row, column) in mm, None if unknown.
        uncertain_below: a landmark of a lower score is ``uncertain``.
    """
    found = bool(np.isfinite(place).all())
    y, x = (float(place[0]), float(place[1])) if found else (None, None)
    return DetectedLandmark(
        number=number,
        name=name_of(symbol),
        symbol=symbol,
        x=x,
        y=y,
        x_mm=x * spacing[1] if x is not None and spacing else None,
        y_mm=y * spacing[0] if y is not None and spacing else None,
        score=min(max(score, 0.0), 1.0),
        status="missing" if not found else "uncertain" if score < uncertain_below else "ok",
    )


class ModelIdentity(_Record):
    """Which weights, parameters and software computed a detection."""

    name: str
    version: str
    weights_sha256: str = Field(description="of the bytes of all weights, in the order global, local, context")
    recipe_sha256: str = Field(description="of the parameters of inference, as the configs and the user set them")
    software: str = Field(description="name and version of the program that made the detection")


def film_state(landmarks: Sequence[DetectedLandmark], uncertain_above: float, forced: bool) -> FilmState:
    """Return whether a film as a whole is in doubt.

    Args:
        landmarks: of the film.
        uncertain_above: the share of landmarks that are not ``ok``, 0 to 1, beyond which it is.
        forced: it does not look like a cephalogram, and was kept all the same.
    """
    doubtful = sum(mark.status != "ok" for mark in landmarks)
    return "uncertain" if forced or doubtful > uncertain_above * len(landmarks) else "ok"


class Detection(_Record):
    """The landmarks of one film. Coordinates: x right, y down, pixel centres at integers, source pixels."""

    schema_version: Literal["2.0"] = SCHEMA_VERSION
    file: str = Field(description="the film, as it was named or found")
    frame: int | None = Field(default=None, ge=1, description="number of the frame of a multi-frame image, else null")
    study_uid: str | None = Field(default=None, description="DICOM Study Instance UID")
    series_uid: str | None = Field(default=None, description="DICOM Series Instance UID")
    image_uid: str | None = Field(description="DICOM SOP Instance UID")
    sop_class_uid: str | None = Field(default=None, description="DICOM SOP Class UID")
    rows: int
    columns: int
    pixel_spacing: tuple[float, float] | None = Field(description="(row, column) in mm; null if unknown")
    spacing_source: SpacingSource = Field(
        description="where the pixel spacing came from; implausible if what was stated gives the head a wrong size"
    )
    stated_spacing: tuple[float, float] | None = Field(
        default=None,
        description="(row, column) in mm, as the file or the user states it, if it is implausible; else null",
    )
    patient_orientation: tuple[str, ...] | None = Field(
        default=None, description="DICOM PatientOrientation: direction of rows, direction of columns"
    )
    turned: Literal[0, 90, 180, 270] = Field(description="degrees against the clock that bring the film upright")
    mirrored: bool = Field(description="the head faces left once the film is upright")
    inverted: bool = Field(description="bright and dark are exchanged on the film")
    state: FilmState = Field(
        description="uncertain: the film was kept by force, or too few of its landmarks are ok",
    )
    landmarks: tuple[DetectedLandmark, ...]
    model: ModelIdentity
    warnings: tuple[str, ...] = Field(description="sentences for the person who reviews the result")
    created: AwareDatetime = Field(description="when the detection was made, UTC")
    seconds: dict[str, float] = Field(description="time per part: reading, framing, stage_1, stage_2, decoding")

    @model_validator(mode="before")
    @classmethod
    def _check_version(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or ("schema_version" not in data and info.mode == "python"):
            return data
        version, major = data.get("schema_version"), SCHEMA_VERSION.split(".")[0]
        if not isinstance(version, str) or not re.fullmatch(r"\d{1,9}\.\d{1,9}", version):
            raise CephError("not a result of monai-ceph: it has no schema_version such as " + SCHEMA_VERSION)
        if version.split(".")[0] != major:
            raise CephError(
                f"the result has schema version {version}, and monai-ceph {__version__} reads {major}.x: "
                "use the version of monai-ceph that wrote it, or detect again"
            )
        return {**data, "schema_version": SCHEMA_VERSION}

    def points(self) -> np.ndarray:
        """Return (19, 2) landmarks as (row, column) in source pixels; NaN where missing."""
        return np.array(
            [(np.nan, np.nan) if mark.y is None else (mark.y, mark.x) for mark in self.landmarks],
            dtype=np.float64,
        )
