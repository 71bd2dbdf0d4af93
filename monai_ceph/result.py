"""The result of detection on one film: a typed, versioned model. Its JSON schema is in docs/reference/schema.

``Detection.model_validate_json`` reads a result of this major version and of the one before, and drops fields that it
does not know. It raises CephError for another major version or none, and pydantic's ValidationError for a wrong or
missing field.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from monai_ceph.analysis import Measurement, Norms, Sex, measure
from monai_ceph.errors import CephError
from monai_ceph.landmarks import name_of
from monai_ceph.readers.radiograph import SpacingSource, in_mm, square_spacing
from monai_ceph.version import __version__

if TYPE_CHECKING:
    import pandas

__all__ = [
    "SCHEMA_VERSION",
    "DetectedLandmark",
    "Detection",
    "FilmState",
    "ModelIdentity",
    "ProfileIdentity",
    "RadiusSource",
    "Status",
    "detected_landmark",
    "film_state",
    "longest_sure_radius",
]

SCHEMA_VERSION: Literal["3.0"] = "3.0"
"""Version of the JSON that is written. A reader of 3.x reads every 3.y, since a minor version only adds fields.
Anything else that changes makes it 4.0, such as a field that goes, or a new value of a field with listed values."""

# 3.0 has shorter measurements than 2.2, and a detection does not read them
_READABLE = ("2", "3")

Status = Literal["ok", "uncertain", "missing"]
FilmState = Literal["ok", "uncertain"]
RadiusSource = Literal["other films", "profile"]


def _is_none(value: object) -> bool:
    return value is None


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
    raw_x: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="x before a profile moved the point; not there without a profile, or if missing",
    )
    raw_y: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="y before a profile moved the point; not there without a profile, or if missing",
    )
    radius_90_px: float | None = Field(
        default=None,
        ge=0,
        exclude_if=_is_none,
        description="radius that the true point lies within in 90 % of cases, in pixels of the source image; not there "
        "if missing, or if the weights have no error model",
    )
    radius_95_px: float | None = Field(default=None, ge=0, exclude_if=_is_none, description="the same for 95 %")
    radius_90_mm: float | None = Field(
        default=None, ge=0, exclude_if=_is_none, description="radius_90_px in mm; not there without a scale"
    )
    radius_95_mm: float | None = Field(default=None, ge=0, exclude_if=_is_none, description="the same for 95 %")
    expected_x: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="where to look for a missing landmark, as the others tell: a column of the source image, never a "
        "measured point; not there if it is not missing",
    )
    expected_y: float | None = Field(
        default=None, exclude_if=_is_none, description="row of this place; not there if it is not missing"
    )


def detected_landmark(
    number: int,
    symbol: str,
    place: Sequence[float],
    score: float,
    spacing: tuple[float, float] | None,
    uncertain_below: float,
    raw: Sequence[float] | None = None,
    radii: Sequence[float] | None = None,
    uncertain_above: float = math.inf,
    expected: Sequence[float] | None = None,
) -> DetectedLandmark:
    """Return one landmark as part of a result.

    Args:
        number: from 1, in the order of the channels.
        symbol: its short form, such as ``S``.
        place: (row, column) in pixels of the source image; NaN if it is missing.
        score: highest probability of its heatmap; clipped to 0 to 1, because of rounding.
        spacing: (row, column) in mm, None if unknown.
        uncertain_below: without radii, a landmark with a lower score is ``uncertain``.
        raw: (row, column) before a profile moved it; None without a profile.
        radii: that the true point lies within in 90 % and in 95 % of cases, in pixels of the source image; None if
            they are not known.
        uncertain_above: a landmark whose radius for 90 % is longer, in these pixels, is ``uncertain``.
        expected: (row, column) of the place where to look for it if it is missing; None or NaN if unknown.
    """
    common: dict[str, Any] = {"number": number, "name": name_of(symbol), "symbol": symbol}
    common["score"] = min(max(score, 0.0), 1.0)
    if not np.isfinite(place).all():
        return DetectedLandmark(**common, x=None, y=None, status="missing", **_x_and_y("expected", expected))
    known = {"x": place[1], "y": place[0]}
    if spacing is not None:
        known |= {"x_mm": place[1] * spacing[1], "y_mm": place[0] * spacing[0]}
    if radii is not None:
        known |= {"radius_90_px": radii[0], "radius_95_px": radii[1]}
        if spacing is not None:
            side = math.sqrt(spacing[0] * spacing[1])
            known |= {"radius_90_mm": radii[0] * side, "radius_95_mm": radii[1] * side}
    common |= {name: float(value) for name, value in known.items()}
    doubtful = score < uncertain_below if radii is None else radii[0] > uncertain_above
    return DetectedLandmark(**common, status="uncertain" if doubtful else "ok", **_x_and_y("raw", raw))


def _x_and_y(prefix: str, place: Sequence[float] | None) -> dict[str, Any]:
    """Return the fields for a place (row, column); none if it is not known."""
    if place is None or not np.isfinite(place).all():
        return {}
    return {f"{prefix}_x": float(place[1]), f"{prefix}_y": float(place[0])}


def longest_sure_radius(mm: float, spacing: tuple[float, float] | None, middle_mm_per_pixel: float) -> float:
    """Return a length in pixels of the source; without a known scale, as if the head had the middle size.

    Args:
        mm: the length.
        spacing: (row, column) in mm, None if unknown.
        middle_mm_per_pixel: on a head of middle size, from the error model.
    """
    return mm / (math.sqrt(spacing[0] * spacing[1]) if spacing else middle_mm_per_pixel)


class ModelIdentity(_Record):
    """Which weights, parameters and software computed a detection."""

    name: str
    version: str
    weights_sha256: str = Field(description="SHA-256 of the bytes of all weights, in the order global, local, context")
    recipe_sha256: str = Field(description="SHA-256 of the inference parameters, as the configs and the user set them")
    software: str = Field(description="name and version of the program that made the detection")


class ProfileIdentity(_Record):
    """Which profile moved the points of a detection."""

    name: str
    sha256: str = Field(description="SHA-256 of the profile's content")
    films: int = Field(description="number of films that it was learned from")

    @property
    def label(self) -> str:
        """Return what people read: the name, the number of films, and the beginning of the hash."""
        return f"{self.name} (learned from {self.films} films, {self.sha256[:12]})"


def film_state(landmarks: Sequence[DetectedLandmark], uncertain_above: float, forced: bool) -> FilmState:
    """Return ``uncertain`` if the film as a whole is in doubt, otherwise ``ok``.

    Args:
        landmarks: all landmarks of the film.
        uncertain_above: the film is uncertain if more than this share of its landmarks is not ``ok``, 0 to 1.
        forced: the film does not look like a cephalogram, and was kept because the user asked for it.
    """
    doubtful = sum(mark.status != "ok" for mark in landmarks)
    return "uncertain" if forced or doubtful > uncertain_above * len(landmarks) else "ok"


class Detection(_Record):
    """The landmarks of one film. Coordinates: x right, y down, pixel centres at integers, source pixels."""

    schema_version: Literal["3.0"] = SCHEMA_VERSION
    file: str = Field(description="path or name of the film")
    frame: int | None = Field(default=None, ge=1, description="frame number in a multi-frame image, from 1; else null")
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
    turned: Literal[0, 90, 180, 270] = Field(description="degrees counterclockwise that bring the film upright")
    mirrored: bool = Field(description="the head faces left once the film is upright")
    inverted: bool = Field(description="bones are dark on the film")
    state: FilmState = Field(
        description="uncertain: the film was kept by force, or too few of its landmarks are ok",
    )
    landmarks: tuple[DetectedLandmark, ...]
    model: ModelIdentity
    profile: ProfileIdentity | None = Field(
        default=None,
        exclude_if=_is_none,
        description="which profile of a clinic moved the points; not there without one",
    )
    radius_source: RadiusSource | None = Field(
        default=None,
        exclude_if=_is_none,
        description="where the radii were learned: on other films, those of the model card, or with a profile of 20 "
        "films or more on the clinic's own; not there without radii",
    )
    warnings: tuple[str, ...] = Field(description="sentences for the person who reviews the result")
    created: AwareDatetime = Field(description="when the detection was made, UTC")
    seconds: dict[str, float] = Field(description="time per part: reading, framing, stage_1, stage_2, decoding")

    @model_validator(mode="before")
    @classmethod
    def _check_version(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or ("schema_version" not in data and info.mode == "python"):
            return data
        version = data.get("schema_version")
        if not isinstance(version, str) or not re.fullmatch(r"\d{1,9}\.\d{1,9}", version):
            raise CephError("not a result of monai-ceph: it has no schema_version such as " + SCHEMA_VERSION)
        if version.split(".")[0] not in _READABLE:
            raise CephError(
                f"the result has schema version {version}, and monai-ceph {__version__} reads "
                f"{' and '.join(f'{major}.x' for major in _READABLE)}: "
                "use the version of monai-ceph that wrote it, or detect again"
            )
        return {**data, "schema_version": SCHEMA_VERSION}

    def points(self) -> np.ndarray:
        """Return the landmarks, (19, 2), as (x, y) in source pixels; NaN where missing."""
        return np.array(
            [(np.nan, np.nan) if mark.x is None else (mark.x, mark.y) for mark in self.landmarks],
            dtype=np.float64,
        )

    def measure(
        self, norms: Norms | None = None, sex: Sex | None = None, age: float | None = None
    ) -> tuple[Measurement, ...]:
        """Return the angles, ratios and lengths of the film, as :func:`monai_ceph.analysis.measure` does.

        Args:
            norms: to compare with; None: those that were read in their primary source.
            sex: F or M, for norms of one sex; None if not known.
            age: in years, for norms of an age; None if not known.
        """
        return measure(self, norms=norms, sex=sex, age=age)

    def __getitem__(self, key: str) -> DetectedLandmark:
        """Return a landmark by its symbol or its name, such as ``detection["S"]`` or ``detection["Sella"]``.

        Raises:
            KeyError: if there is no such landmark.
        """
        for mark in self.landmarks:
            if key in (mark.symbol, mark.name):
                return mark
        symbols = ", ".join(mark.symbol for mark in self.landmarks)
        raise KeyError(f"no landmark {key!r}: use a symbol ({symbols}) or a name")

    def records(self) -> list[dict[str, Any]]:
        """Return one dictionary per landmark, with the columns of ``landmarks.parquet``.

        x and y are source pixels, x_mm and y_mm are mm from the centre of the first pixel. None is missing or unknown.
        With a profile there is its name as well, ``profile``.
        """
        scale = {"spacing_source": self.spacing_source.value, "pixel_spacing": square_spacing(self.pixel_spacing)}
        names = ("frame", "study_uid", "series_uid")
        used = {} if self.profile is None else {"profile": self.profile.name}
        return [
            {
                "film": self.file,
                "landmark": mark.name,
                **{name: getattr(mark, name) for name in ("symbol", "x", "y", "score", "status", "x_mm", "y_mm")},
                **scale,
                "image_uid": self.image_uid,
                **{name: getattr(mark, name) for name in ("radius_90_px", "radius_90_mm")},
                **{name: getattr(self, name) for name in names},
                **{name: getattr(mark, name) for name in ("radius_95_px", "radius_95_mm")},
                **used,
            }
            for mark in self.landmarks
        ]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one row per landmark, with the columns of ``landmarks.parquet``.

        Raises:
            CephError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise CephError("to_dataframe needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.records())

    def __repr__(self) -> str:
        return f"<Detection of {self.file}: {self._summary()}>"

    __str__ = __repr__

    def _summary(self) -> str:
        counts = Counter(mark.status for mark in self.landmarks)
        of_each = ", ".join(f"{counts[status]} {status}" for status in ("ok", "uncertain", "missing"))
        scale = f"{in_mm(*self.pixel_spacing)} per pixel" if self.pixel_spacing else "no scale"
        warnings = f"{len(self.warnings)} warning{'' if len(self.warnings) == 1 else 's'}"
        return f"{self.state}, {len(self.landmarks)} landmarks ({of_each}), {scale}, {warnings}"

    def _repr_html_(self) -> str:
        """Return the landmarks as a table; notebooks show it for a detection at the end of a cell."""
        columns = ("name", "symbol", "x", "y", "x_mm", "y_mm", "score", "status")
        head = "".join(f"<th>{column}</th>" for column in columns)
        rows = "".join(
            f"<tr>{''.join(f'<td>{_cell(getattr(mark, column))}</td>' for column in columns)}</tr>"
            for mark in self.landmarks
        )
        warnings = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return (
            f"<p>{escape(self.file)}: {escape(self._summary())}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><ul>{warnings}</ul>"
        )


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else escape(value)
