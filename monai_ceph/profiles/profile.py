"""A profile: the file, and how it moves the points of a film."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles.estimate import estimate
from monai_ceph.profiles.frame import head_frame
from monai_ceph.profiles.radii import FEWEST_ERRORS, errors_of_placed_points, radii_of_few_films
from monai_ceph.result import ModelIdentity, ProfileIdentity

__all__ = [
    "FILMS_FOR_A_RADIUS",
    "PROFILE_VERSION",
    "SHORTEST",
    "FilmEvidence",
    "Lesson",
    "Profile",
    "ProfileLandmark",
    "ProfileRadius",
    "check_text",
    "load_profile",
    "profile_text",
]

PROFILE_VERSION: Literal["1.1"] = "1.1"
"""Version of the file that is written. 1.0, which had no evidence and no radii, is read as well."""
_READ = ("1.0", PROFILE_VERSION)

FILMS_FOR_A_RADIUS = 20
"""Films that a landmark needs to get a radius. From 19 on there is one for 95 %: with fewer it would be unlimited."""

SHORTEST = 0.5
"""A radius of a profile is at least this share of the one that was learned on other films."""

_Share = Annotated[float, Field(allow_inf_nan=False, gt=-1, lt=1)]
_Length = Annotated[float, Field(allow_inf_nan=False, ge=0)]
_Step = Annotated[float, Field(allow_inf_nan=False)]


def _one_line(text: str) -> str:
    # DICOM takes no backslash
    if not text.isprintable() or text != text.strip() or "\\" in text:
        raise ValueError("must be one line without a backslash, and without spaces around it")
    return text


# no longer than a name in DICOM (LO)
_Text = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_one_line)]

_HEAD = """\
# A profile of monai-ceph: where a clinic places landmarks, compared with the detector.
# forward and down say how far detected points move, along the axes of the head in the mean pose, as a share of
# its radius (root mean square distance of the mean landmarks from their centre). Figures in mm are for reading.
# Research use, not a medical device; a trained person reviews all results.
"""


def _is_empty(value: object) -> bool:
    return not value


_EVIDENCE = """\
# What each film said, for monai-ceph profile update and check. Films are not named: picture tells whether a film was
# there already. steps are (forward, down), as shares of the radius, in the order of landmark_set.
"""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProfileLandmark(_Section):
    """How a profile moves one landmark. Shares are of the radius of the head; errors are by leave-one-out."""

    forward: _Share = Field(description="towards the face; a share of the radius of the head")
    down: _Share = Field(description="a share of the radius of the head")
    forward_mm: float | None = Field(default=None, description="on a head of the middle size of those with a scale")
    down_mm: float | None = Field(default=None, description="likewise")
    films: int = Field(ge=1, description="films that it was learned from")
    error_before: _Length = Field(description="mean distance to the corrected points; a share")
    error_after: _Length = Field(description="the same with offsets learned from the other films; a share")
    error_before_mm: _Length | None = Field(default=None, description="over the films with a scale")
    error_after_mm: _Length | None = Field(default=None, description="over the films with a scale")


class Lesson(_Section):
    """One time that a profile was taught: by ``profile learn``, then by each ``profile update``."""

    created: AwareDatetime = Field(description="UTC")
    learned_by: _Text | None = Field(default=None, description="who corrected these films")
    films: int = Field(ge=1, description="films that came in")


class FilmEvidence(_Section):
    """What one corrected film said, without its name: kept so that a profile can be updated and checked."""

    picture: str = Field(pattern="^[0-9a-f]{16}$", description="beginning of the SHA-256 of its size and pixels")
    radius_mm: _Length | None = Field(default=None, description="radius of its head; not there without a scale")
    steps: tuple[tuple[_Step, _Step] | None, ...] = Field(
        description="corrected minus detected, (forward, down), by landmark_set; null where one is missing"
    )


class ProfileRadius(_Section):
    """How far a point of the profile lies from the clinic's own, on films that it was not learned from."""

    films: int = Field(ge=1, description="films whose leave-one-out errors say so")
    within_90: _Length = Field(description="radius that 90 % of new films stay within; a share of the head's radius")
    within_95: _Length = Field(description="the same for 95 %")


class Profile(_Section):
    """Where a clinic places landmarks, compared with the detector: an offset of each landmark in the frame of the head.

    Without landmarks it moves nothing.
    """

    profile_version: Literal["1.0", "1.1"] = PROFILE_VERSION
    name: _Text = Field(description="what outputs call it")
    learned_by: _Text | None = Field(default=None, description="who corrected the films, or learned the profile")
    created: AwareDatetime = Field(description="UTC")
    software: str = Field(description="what learned it")
    films: int = Field(ge=1, description="films that it was learned from; none is named")
    films_with_scale: int = Field(ge=0, description="of these, those with a known scale")
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="the weights that it was learned for")
    landmark_set: tuple[str, ...] = Field(description="symbols of the landmarks that these find, in their order")
    error_before: _Length = Field(description="mean over all landmarks and films, a share of the radius of the head")
    error_after: _Length = Field(description="the same with the profile, by leave-one-out")
    error_before_mm: _Length | None = Field(default=None, description="over the films with a scale")
    error_after_mm: _Length | None = Field(default=None, description="over the films with a scale")
    landmarks: dict[str, ProfileLandmark] = Field(description="by symbol; a landmark that is not here does not move")
    radii: dict[str, ProfileRadius] = Field(
        default={}, exclude_if=_is_empty, description="by symbol; only of landmarks with 20 films or more"
    )
    history: tuple[Lesson, ...] = Field(default=(), exclude_if=_is_empty, description="each time it was taught")
    evidence: tuple[FilmEvidence, ...] = Field(default=(), exclude_if=_is_empty, description="what each film said")

    @model_validator(mode="after")
    def _known_landmarks(self) -> Profile:
        for name, named in (("landmarks", self.landmarks), ("radii", self.radii)):
            if unknown := [symbol for symbol in named if symbol not in self.landmark_set]:
                raise ValueError(f"{name}: {unknown[0]} is not in landmark_set")
        if any(len(film.steps) != len(self.landmark_set) for film in self.evidence):
            raise ValueError("evidence: a film has not one step for each landmark of landmark_set")
        return self

    def identity(self) -> ProfileIdentity:
        """Return what results call it."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return ProfileIdentity(name=self.name, sha256=hashlib.sha256(content.encode()).hexdigest(), films=self.films)

    def check(self, model: ModelIdentity) -> None:
        """Check that the profile fits a detector.

        Raises:
            CephError: if it was learned with other weights, or for other landmarks.
        """
        if self.landmark_set != SYMBOLS:
            raise CephError(
                f"the profile {self.name} is for {len(self.landmark_set)} other landmarks than the detector finds: "
                "learn a profile with this detector"
            )
        if self.weights_sha256 != model.weights_sha256:
            raise CephError(
                f"the profile {self.name} was learned with other weights ({self.weights_sha256[:12]}, and the detector "
                f"has {model.weights_sha256[:12]}): learn it again from the same films"
            )

    def residuals(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what the films said, (films, N, 2) in radii of the head, and the radius of each head in mm.

        NaN where a landmark is missing, or a film has no scale.
        """
        steps = np.array([[step or (np.nan, np.nan) for step in film.steps] for film in self.evidence], dtype=float)
        radii = [np.nan if film.radius_mm is None else film.radius_mm for film in self.evidence]
        return steps.reshape(-1, len(self.landmark_set), 2), np.array(radii, dtype=float)

    def offsets(self) -> np.ndarray:
        """Return how far each landmark moves, (N, 2), (forward, down) in radii of the head; 0 where nothing moves."""
        marks = [self.landmarks.get(symbol) for symbol in self.landmark_set]
        return np.array([(0.0, 0.0) if mark is None else (mark.forward, mark.down) for mark in marks])

    def moved(self, points: np.ndarray, mean_shape: np.ndarray, aspect: float = 1.0) -> np.ndarray | None:
        """Return the landmarks of a film, moved by the profile; a missing one stays missing.

        Args:
            points: (N, 2) landmarks as detected, (x, y) in pixels, in the order of ``landmark_set``; NaN where missing.
            mean_shape: (N, 2) of the detector, (x, y) in any unit.
            aspect: height of a pixel divided by its width.

        Returns:
            None if too few landmarks are known to tell how the head lies.
        """
        frame = head_frame(points, mean_shape, aspect)
        if frame is None:
            return None
        moved: np.ndarray = points + frame.to_film(self.offsets())
        return moved

    def radii_on_film(
        self, others: np.ndarray, typical: np.ndarray, head_radius: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how far off the moved points may be, and which of these radii the clinic's own films support.

        With :data:`FILMS_FOR_A_RADIUS` films or more, the radius of a landmark is the clinic's own; below, that of
        :func:`~monai_ceph.profiles.radii.radii_of_few_films`. Either way the evidence on the film makes it longer or
        shorter, as it does without a profile. Points that nobody placed do not count
        (:func:`~monai_ceph.profiles.radii.errors_of_placed_points`), and no radius is shorter than half of that of
        other films.

        Args:
            others: (N, 2) radii for 90 and 95 % on this film, learned on other films, in pixels.
            typical: (N, 2) the same for the evidence that is usual for each landmark.
            head_radius: in pixels.

        Returns:
            radii (N, 2) in pixels, and whether each landmark has enough films (N,).
        """
        usual, own = typical.copy(), np.zeros(len(self.landmark_set), dtype=bool)
        enough = np.ones(len(self.landmark_set), dtype=bool)
        if self.evidence:
            usual = head_radius * radii_of_few_films(self._errors, typical / head_radius)
            # profiles of versions before 0.22.0 have radii of points that nobody placed
            enough = np.isfinite(self._errors).sum(axis=0) >= FEWEST_ERRORS
        for index, symbol in enumerate(self.landmark_set):
            if enough[index] and (radius := self.radii.get(symbol)) is not None:
                usual[index], own[index] = np.array([radius.within_90, radius.within_95]) * head_radius, True
        return np.maximum(usual, SHORTEST * typical) * (others / typical), own

    @cached_property
    def _errors(self) -> np.ndarray:
        """Leave-one-out distances of points that the clinic placed, (films, N), in radii of the head; or NaN."""
        learned = estimate(self.residuals()[0])
        moves = np.array([symbol in self.landmarks for symbol in self.landmark_set])
        return errors_of_placed_points(np.where(moves, learned.after, learned.before))


def check_text(what: str, text: str) -> str:
    """Return a name that a profile can have.

    Raises:
        CephError: if it is empty, longer than 64 letters, or has a backslash or several lines; it begins with ``what``.
    """
    try:
        return TypeAdapter(_Text).validate_python(text)
    except ValidationError as error:
        raise CephError(f"{what} {text!r}: give 1 to 64 letters in one line, without a backslash") from error


def load_profile(path: str | Path) -> Profile:
    """Read a profile from its YAML file.

    Raises:
        CephError: if the file cannot be read, or is no profile; the message names it.
    """
    path = Path(path)
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CephError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise CephError(f"{path}{where}: not YAML, so not a profile of monai-ceph") from error
    if not isinstance(content, dict) or "profile_version" not in content:
        raise CephError(f"{path}: not a profile of monai-ceph: it has no profile_version")
    # without quotes, YAML reads the version as a number
    version = content["profile_version"] = str(content["profile_version"])
    if version not in _READ:
        raise CephError(
            f"{path}: the profile has version {version}, and this version of monai-ceph reads {' and '.join(_READ)}"
        )
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise CephError(f"{path}: {place + ': ' if place else ''}{reason}") from error


def profile_text(profile: Profile) -> str:
    """Return the YAML text of a profile, which :func:`load_profile` reads."""
    content = profile.model_dump(mode="json")
    blocks = {key: content.pop(key) for key in ("landmarks", "radii", "history") if key in content}
    evidence = content.pop("evidence", [])
    blocks["landmarks"] = {symbol: _known(mark) for symbol, mark in blocks["landmarks"].items()}
    blocks["history"] = [_known(lesson) for lesson in blocks.get("history", [])]
    # the landmark set and each film on one line, and every other figure on its own
    texts = [
        _yaml(_known(content), None),
        *(_yaml({key: each}, False) for key, each in blocks.items() if each or key == "landmarks"),
    ]
    if evidence:
        texts += [_EVIDENCE, "evidence:\n", *(f"- {_yaml(_known(film), True)}" for film in evidence)]
    return _HEAD + "".join(texts)


def _known(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}


def _yaml(content: dict[str, Any], flow: bool | None) -> str:
    width = 1_000_000 if flow else 120
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width)
    return text
