"""Measurements of one film: values, intervals, and what a norm says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from monai_ceph.analysis.definition import Definition, Unit
from monai_ceph.analysis.definitions import DEFINITIONS
from monai_ceph.analysis.norms import Norm, Norms, Sex
from monai_ceph.analysis.norms.files import default_norms
from monai_ceph.analysis.plane import QUARTER_TURNS, Face, upright
from monai_ceph.analysis.uncertainty import (
    COVERAGE,
    RADIUS_95,
    head_size,
    interval_factor,
    is_mirrored,
    landmark_errors,
    quarter_turns,
)
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers.radiograph import NOT_SQUARE, SpacingSource

__all__ = ["Measurement", "Places", "measure"]

Places: TypeAlias = "Mapping[str, Sequence[float]] | np.ndarray"
"""Landmarks as (x, y) in source pixels: by symbol, or an array (19, 2) in the order of ``monai_ceph.landmarks``."""


_ANGLES = np.array([definition.unit == "degree" for definition in DEFINITIONS])


class Detected(Protocol):
    """What :func:`measure` needs of a :class:`~monai_ceph.result.Detection`."""

    @property
    def landmarks(self) -> Sequence[Any]:
        """Landmarks with symbol, x, y, status and radius_95_px."""

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """(row, column) in mm."""

    @property
    def spacing_source(self) -> SpacingSource:
        """Where the pixel spacing came from."""

    @property
    def turned(self) -> int:
        """Degrees counterclockwise that bring the film upright."""

    @property
    def mirrored(self) -> bool:
        """The head faces left once the film is upright."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the person who reviews the result."""


class Measurement(BaseModel):
    """One measurement on one film."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False})

    symbol: str
    name: str
    analyses: tuple[str, ...] = Field(description="groups that it belongs to; the first is where reports list it")
    value: float | None = Field(description="in the unit; null if it cannot be computed")
    unit: Unit
    reason: str | None = Field(description="why the value is null; otherwise null")
    landmarks: tuple[str, ...] = Field(description="symbols of the landmarks that it uses")
    uncertain: tuple[str, ...] = Field(description="symbols of those whose status is uncertain")
    scale: SpacingSource | None = Field(description="where the scale of a length came from; null if there is no length")
    interval: tuple[float, float] | None = Field(
        default=None, description="95 % interval of the value; null without a value, or if an error is not known"
    )
    norm: Norm | None = Field(default=None, description="what the value is compared with; null without a norm")
    deviation: float | None = Field(
        default=None, description="value minus mean of the norm, in its standard deviations"
    )
    flag: Literal["above", "below"] | None = Field(
        default=None,
        description="on which side the value is outside the limits of the norm; null inside or without one",
    )
    certain: bool | None = Field(
        default=None,
        description="false: a limit of the norm is within the interval, so the flag is in doubt; null without either",
    )
    definition: str
    citation: str = Field(description="source of the definition")

    @property
    def analysis(self) -> str:
        """The group where reports list it."""
        return self.analyses[0]


@dataclass(frozen=True)
class _Film:
    """The landmarks of a film, and its scale, if known."""

    places: Mapping[str, Sequence[float]]
    spacing: tuple[float, float] | None
    source: SpacingSource
    turned: int
    mirrored: bool
    uncertain: frozenset[str] = frozenset()
    not_square: bool = False
    # radius that the landmark lies within in 95 % of cases, in source pixels, where the detector tells it
    radii_95: Mapping[str, float] = field(default_factory=dict)

    def sigmas(self, face: Mapping[str, complex]) -> dict[str, float]:
        """Return the standard deviation per axis of each landmark's error, in the unit of the face; NaN if not known.

        The error is taken as an isotropic Gaussian, whose radius for 95 % is :data:`RADIUS_95` of these.
        """
        size = head_size(face) or math.nan
        side = math.sqrt(self.spacing[0] * self.spacing[1]) if self.spacing else 1.0
        errors = landmark_errors()
        return {
            symbol: self.radii_95[symbol] * side / RADIUS_95
            if symbol in self.radii_95
            else errors.get(symbol, math.nan) * size
            for symbol in face
        }

    def interval_factor(self, definition: Definition) -> float:
        """Return the factor of the interval, by where the errors of the landmarks come from."""
        return interval_factor(definition.symbol, [symbol in self.radii_95 for symbol in definition.landmarks])


def measure(
    source: Detected | Places,
    spacing: float | tuple[float, float] | None = None,
    *,
    turned: int | None = None,
    mirrored: bool | None = None,
    norms: Norms | None = None,
    sex: Sex | None = None,
    age: float | None = None,
    spacing_source: SpacingSource = SpacingSource.USER,
    uncertain: Sequence[str] = (),
) -> tuple[Measurement, ...]:
    """Return all measurements of :data:`~monai_ceph.analysis.DEFINITIONS`, in their order.

    Landmarks are first brought upright and facing right, so that signs follow the face. Coordinates are in mm if the
    scale is known; it may differ between rows and columns. Otherwise pixels count as square, unless a detection warns
    that they are not: then nothing is measured. A measurement that needs a missing landmark has no value.

    Args:
        source: a detection, or landmarks as (x, y) in source pixels: by symbol, also those of
            :data:`~monai_ceph.landmarks.EXTRA_LANDMARKS`, or an array (19, 2) in the order of
            :data:`~monai_ceph.landmarks.SYMBOLS`. NaN is missing.
        spacing: mm per pixel, or (row, column); None: that of the detection, otherwise unknown.
        turned: degrees counterclockwise that bring the film upright: 0, 90, 180 or 270. None: that of the detection,
            otherwise from the shape of the landmarks.
        mirrored: the head faces left once the film is upright. None: as for ``turned``.
        norms: to compare with; None: :func:`~monai_ceph.analysis.norms.files.default_norms`. ``Norms()`` has no norms.
        sex: F or M, for norms of one sex; None if not known.
        age: in years, for norms of an age; None if not known.
        spacing_source: where ``spacing`` came from; ``IMPLAUSIBLE`` says why no spacing is given.
        uncertain: symbols of landmarks in doubt, for landmarks without a status.

    Raises:
        ValueError: for an array of another shape, a spacing that is not positive, or another turn.
    """
    film = _film(source, spacing, turned, mirrored, spacing_source, frozenset(uncertain))
    norms = default_norms() if norms is None else norms
    face = upright(film.places, film.spacing, film.turned, film.mirrored)
    values, errors = _values(face, film.sigmas(face))
    return tuple(
        _measurement(definition, film, face, value, error, norms.find(definition.symbol, sex, age))
        for definition, value, error in zip(DEFINITIONS, values, errors, strict=True)
    )


def _film(
    source: Detected | Places,
    spacing: float | tuple[float, float] | None,
    turned: int | None,
    mirrored: bool | None,
    spacing_source: SpacingSource,
    uncertain: frozenset[str],
) -> _Film:
    if isinstance(spacing, (int, float)):
        spacing = (spacing, spacing)
    if spacing is not None and not all(0 < side < math.inf for side in spacing):
        raise ValueError(f"spacing must be mm per pixel, not {spacing}")
    if turned not in (None, *QUARTER_TURNS):
        raise ValueError(f"turned must be 0, 90, 180 or 270, not {turned}")
    if isinstance(source, np.ndarray):
        if source.shape != (len(SYMBOLS), 2):
            raise ValueError(f"landmarks must have the shape ({len(SYMBOLS)}, 2), not {source.shape}")
        source = dict(zip(SYMBOLS, source.tolist(), strict=True))
    if isinstance(source, Mapping):
        places = {symbol: place for symbol, place in source.items() if all(map(math.isfinite, place))}
        row, column = spacing or (1.0, 1.0)
        shape = {symbol: complex(x * column, y * row) for symbol, (x, y) in places.items()}
        mirrored = is_mirrored(shape) if mirrored is None else mirrored
        turned = quarter_turns(shape, mirrored) if turned is None else turned
        known = spacing is not None or spacing_source is SpacingSource.IMPLAUSIBLE
        source_of_scale = spacing_source if known else SpacingSource.NONE
        return _Film(places, spacing, source_of_scale, turned, mirrored, uncertain)
    return _Film(
        {mark.symbol: (mark.x, mark.y) for mark in source.landmarks if mark.x is not None and mark.y is not None},
        source.pixel_spacing if spacing is None else spacing,
        source.spacing_source if spacing is None else spacing_source,
        source.turned if turned is None else turned,
        source.mirrored if mirrored is None else mirrored,
        uncertain | {mark.symbol for mark in source.landmarks if mark.status == "uncertain"},
        any(warning.startswith(NOT_SQUARE) for warning in source.warnings),
        {mark.symbol: radius for mark in source.landmarks if (radius := mark.radius_95_px) is not None},
    )


def _values(face: Mapping[str, complex], sigma: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """Return the value of each measurement, and its standard deviation; NaN where it cannot be computed.

    ``sigma`` is the standard deviation per axis of each landmark's error, in the unit of the face.

    All landmarks are moved a little, one after the other, along both axes and both ways. So each formula is computed
    once, on arrays of faces: the first is the face itself, the others give the derivatives.
    """
    step = 1e-5 * (head_size(face) or 1.0)
    moves = [step, -step, 1j * step, -1j * step]
    moved = {symbol: np.full(1 + 4 * len(face), point, dtype=np.complex128) for symbol, point in face.items()}
    for index, symbol in enumerate(face):
        moved[symbol][1 + 4 * index : 5 + 4 * index] += moves
    whole = Face(moved)
    known, used = _uses(tuple(face))
    results = np.full((len(DEFINITIONS), 1 + 4 * len(face)), math.nan)
    # landmarks that coincide have no direction
    with np.errstate(divide="ignore", invalid="ignore"):
        for index in known:
            results[index] = DEFINITIONS[index].formula(whole)
        pairs = results[:, 1:].reshape(len(DEFINITIONS), len(face), 2, 2)
        change = pairs[..., 0] - pairs[..., 1]
    # the two values of an angle may be on both sides of a full turn
    change[_ANGLES] = (change[_ANGLES] + 180) % 360 - 180
    sigmas = np.array([sigma[symbol] for symbol in face])
    # a landmark without a known error must not make NaN of a measurement that does not use it
    squares = np.where(used[..., None], (change / (2 * step)) ** 2 * sigmas[:, None] ** 2, 0.0)
    return results[:, 0].tolist(), np.sqrt(squares.sum(axis=(1, 2))).tolist()


@lru_cache(maxsize=64)
def _uses(symbols: tuple[str, ...]) -> tuple[list[int], np.ndarray]:
    """Return the indices of the definitions that these landmarks are enough for, and (definitions, landmarks) uses."""
    known = [index for index, definition in enumerate(DEFINITIONS) if set(symbols) >= set(definition.landmarks)]
    return known, np.array([[symbol in definition.landmarks for symbol in symbols] for definition in DEFINITIONS])


def _measurement(
    definition: Definition, film: _Film, face: Mapping[str, complex], value: float, error: float, norm: Norm | None
) -> Measurement:
    reason = _obstacle(definition, film, face)
    if reason is None and not math.isfinite(value):
        reason = "landmarks coincide"
    found: dict[str, Any] = {}
    if reason is None:
        interval = None
        if math.isfinite(error) and definition.smooth:
            half = COVERAGE * error * film.interval_factor(definition)
            interval = (value - half, value + half)
        found = {"interval": interval, **_compared(value, interval, norm)}
    return Measurement(
        symbol=definition.symbol,
        name=definition.name,
        analyses=definition.analyses,
        value=value if reason is None else None,
        unit=definition.unit,
        reason=reason,
        landmarks=definition.landmarks,
        uncertain=tuple(symbol for symbol in definition.landmarks if symbol in film.uncertain),
        scale=film.source if definition.unit == "mm" and reason is None else None,
        definition=definition.text,
        citation=definition.citation,
        **found,
    )


def _compared(value: float, interval: tuple[float, float] | None, norm: Norm | None) -> dict[str, Any]:
    if norm is None:
        return {}
    low, high = norm.limits
    return {
        "norm": norm,
        "deviation": (value - norm.mean) / norm.sd if norm.mean is not None and norm.sd is not None else None,
        "flag": "below" if value < low else "above" if value > high else None,
        "certain": None if interval is None else not any(interval[0] < limit < interval[1] for limit in (low, high)),
    }


def _obstacle(definition: Definition, film: _Film, face: Mapping[str, complex]) -> str | None:
    absent = [symbol for symbol in definition.landmarks if symbol not in face]
    if absent:
        return f"missing: {', '.join(absent)}"
    if film.spacing is None:
        if definition.unit == "mm":
            implausible = film.source is SpacingSource.IMPLAUSIBLE
            return "the stated scale is implausible" if implausible else "the film has no known scale"
        if film.not_square:
            return "the pixels are not square, and the film has no known scale"
    return None
