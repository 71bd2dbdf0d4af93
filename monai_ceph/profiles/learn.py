"""Learning a profile: detect on corrected films, compare, and keep what is not chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Protocol

import numpy as np

from monai_ceph.datasets import Film
from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles.estimate import FEWEST_FILMS, Estimate, estimate
from monai_ceph.profiles.frame import head_frame
from monai_ceph.profiles.pictures import Picture, picture_of
from monai_ceph.profiles.profile import (
    FILMS_FOR_A_RADIUS,
    FilmEvidence,
    Lesson,
    Profile,
    ProfileLandmark,
    ProfileRadius,
)
from monai_ceph.profiles.radii import FEWEST_ERRORS, conformal_radius, errors_of_placed_points
from monai_ceph.readers import Radiograph, read_radiograph
from monai_ceph.result import Detection, ModelIdentity
from monai_ceph.version import __version__

__all__ = [
    "Comparison",
    "Detector",
    "check_evidence",
    "compare",
    "compare_detected",
    "learn",
    "learned_radii",
    "profile_of",
    "update",
]

# digits in the file: more would only look exact, and fewer would show
_STEP_DIGITS, _RADIUS_DIGITS = 5, 3

# a film whose middle landmark is farther off, in radii of the head (about 13 mm), is not the film that was corrected
_ANOTHER_FILM = 0.3


class Detector(Protocol):
    """A :class:`~monai_ceph.detection.CephalogramDetector` without a profile."""

    identity: ModelIdentity
    profile: Profile | None

    @property
    def mean_shape(self) -> np.ndarray:
        """(N, 2), (x, y), in any unit."""
        ...

    def __call__(self, source: Radiograph, /) -> Detection:
        """Return the detection, or raise a :class:`CephError`."""
        ...


@dataclass(frozen=True)
class Comparison:
    """Corrected films, compared with what was detected on them.

    Attributes:
        residuals: (films, L, 2) corrected minus detected, (x, y) in the frame of the head and the unit of its radius;
            NaN where one is missing.
        radii: (films,) radius of each head in mm; NaN without a known scale.
        pictures: of each film, what :class:`~monai_ceph.profiles.profile.FilmEvidence` knows it by.
        left_out: a sentence for each film that could not be compared.
    """

    residuals: np.ndarray
    radii: np.ndarray
    pictures: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def learn(
    films: Sequence[Film],
    detector: Detector,
    name: str,
    learned_by: str | None = None,
    on_film: Callable[[Film], None] = lambda film: None,
) -> tuple[Profile, tuple[str, ...]]:
    """Learn a profile from corrected films; the statistics are those of :func:`~monai_ceph.profiles.estimate.estimate`.

    Args:
        films: three or more; three different ones that show a head are needed.
        detector: without a profile.
        name: what outputs will call the profile.
        learned_by: who corrected the films.
        on_film: called after each film.

    Returns:
        The profile, which has no landmarks if nothing is gained, and a sentence for each film that was left out.

    Raises:
        CephError: if fewer than three films can be compared.
        ValueError: if the detector has a profile, or a name is longer than 64 letters.
    """
    _need(len(films), ())
    found = compare(films, detector, on_film)
    _need(len(found.pictures), found.left_out)
    return profile_of(found, detector.identity, name, learned_by), found.left_out


def update(
    profile: Profile,
    films: Sequence[Film],
    detector: Detector,
    learned_by: str | None = None,
    on_film: Callable[[Film], None] = lambda film: None,
) -> tuple[Profile, tuple[str, ...]]:
    """Learn a profile again from its own films and further ones, as if all had been there at first.

    Args:
        profile: keeps its name, and the history of who taught it when.
        films: further ones; those that it was learned from are left out.
        detector: as for :func:`learn`.
        learned_by: who corrected the further films.
        on_film: called after each film.

    Returns:
        The profile, and a sentence for each film that was left out.

    Raises:
        CephError: if the profile is for other weights or has no evidence, or no film is new.
        ValueError: if the detector has a profile, or a name is longer than 64 letters.
    """
    check_evidence(profile, detector.identity)
    found = compare(films, detector, on_film, {film.picture: profile.name for film in profile.evidence})
    if not found.pictures:
        raise CephError(f"there is no new film for the profile {profile.name}{_why(found.left_out)}")
    residuals, radii = profile.residuals()
    every = Comparison(
        np.concatenate([residuals, found.residuals]),
        np.concatenate([radii, found.radii]),
        (*(film.picture for film in profile.evidence), *found.pictures),
    )
    return profile_of(every, detector.identity, profile.name, learned_by, profile.history), found.left_out


def check_evidence(profile: Profile, model: ModelIdentity) -> None:
    """Check that a profile can be updated or checked with a detector.

    Raises:
        CephError: if it is for other weights or landmarks, or does not say what each film said.
    """
    profile.check(model)
    if not profile.evidence:
        raise CephError(
            f"the profile {profile.name} does not say what each film said, as files of version 1.0 do not: learn it "
            "again from all films"
        )


def compare(
    films: Sequence[Film],
    detector: Detector,
    on_film: Callable[[Film], None] = lambda film: None,
    learned_from: Mapping[str, str] = MappingProxyType({}),
) -> Comparison:
    """Detect on films and compare with their landmarks. A film that cannot be used becomes a sentence.

    Args:
        films: with their corrected landmarks.
        detector: without a profile.
        on_film: called after each film.
        learned_from: names of profiles by the pictures that they were learned from; these films are left out.

    Raises:
        ValueError: if the detector has a profile.
    """
    if detector.profile is not None:
        raise ValueError("a profile is learned by a detector without one")

    def open_film(film: Film) -> tuple[Picture, Callable[[], Detection]]:
        radiograph = read_radiograph(film.image)
        return picture_of(radiograph), lambda: detector(radiograph)

    return compare_detected(films, open_film, detector.mean_shape, on_film, learned_from)


def compare_detected(
    films: Sequence[Film],
    open_film: Callable[[Film], tuple[Picture, Callable[[], Detection]]],
    mean_shape: np.ndarray,
    on_film: Callable[[Film], None] = lambda film: None,
    learned_from: Mapping[str, str] = MappingProxyType({}),
) -> Comparison:
    """Compare detections with the landmarks of their films. A film that cannot be used becomes a sentence.

    Args:
        films: with their corrected landmarks.
        open_film: returns a film's picture, and what returns its detection, which is asked only for a film that
            counts. Both may raise a :class:`CephError`.
        mean_shape: (N, 2), (x, y), of the model.
        on_film: as for :func:`compare`.
        learned_from: likewise.
    """
    residuals, radii, pictures, left_out = [], [], [], []
    seen: dict[str, str] = {}
    for film in films:
        try:
            picture, detected = open_film(film)
            if (other := seen.setdefault(picture.key, film.name)) != film.name:
                raise CephError(f"{film.name}: is the same picture as {other}, and counts once")
            if picture.key in learned_from:
                raise CephError(
                    f"{film.name}: the profile {learned_from[picture.key]} was learned from this film already"
                )
            steps, radius = _compared(film, picture, detected(), mean_shape)
        except CephError as error:
            left_out.append(str(error))
        else:
            residuals.append(steps)
            radii.append(radius)
            pictures.append(picture.key)
        on_film(film)
    # as the file has them, so that an update of a profile gives what learning from all films at once gives
    steps = np.array(residuals).reshape(-1, len(SYMBOLS), 2).round(_STEP_DIGITS)
    return Comparison(steps, np.array(radii, dtype=float).round(_RADIUS_DIGITS), tuple(pictures), tuple(left_out))


def _need(films: int, left_out: Sequence[str]) -> None:
    if films < FEWEST_FILMS:
        count = f"a profile needs {FEWEST_FILMS} different corrected films or more, and there are {films}"
        raise CephError(f"{count}{_why(left_out)}")


def _why(left_out: Sequence[str]) -> str:
    return f" ({'; '.join(left_out[:3])})" if left_out else ""


def _compared(film: Film, picture: Picture, detection: Detection, mean_shape: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the residuals of one film, and the radius of its head in mm."""
    # the heights and widths of pixels, which need no plausible scale
    sides = picture.sides
    points = detection.points()
    frame = head_frame(points, mean_shape, sides[0] / sides[1] if sides else 1.0)
    if frame is None:
        raise CephError(f"{film.name}: too few landmarks were detected to compare")
    steps = frame.to_head(film.landmarks[:, ::-1] - points)
    known = np.isfinite(steps).all(axis=1)
    if not known.any():
        raise CephError(f"{film.name}: has no landmark that was detected and corrected")
    if np.median(np.linalg.norm(steps[known], axis=1)) > _ANOTHER_FILM:
        raise CephError(f"{film.name}: its landmarks are far from those detected; do they belong to another film?")
    stated = film.pixel_spacing
    mm = stated if np.isfinite(stated) else detection.pixel_spacing[1] if detection.pixel_spacing else np.nan
    return steps, frame.radius * float(mm)


def profile_of(
    found: Comparison,
    model: ModelIdentity,
    name: str,
    learned_by: str | None = None,
    history: Sequence[Lesson] = (),
) -> Profile:
    """Return the profile that follows from compared films.

    Args:
        found: all films, those of earlier lessons first.
        model: whose detections they were compared with.
        name: of the profile.
        learned_by: who corrected the films of this lesson.
        history: earlier lessons.

    Raises:
        ValueError: if a name is longer than 64 letters.
    """
    learned = estimate(found.residuals)
    middle = float(np.nanmedian(found.radii)) if np.isfinite(found.radii).any() else None
    total = _errors(learned, found.radii, np.ones(len(SYMBOLS), dtype=bool))
    created = datetime.now(timezone.utc).replace(microsecond=0)
    new = len(found.residuals) - sum(lesson.films for lesson in history)
    return Profile(
        name=name,
        learned_by=learned_by,
        created=created,
        software=f"monai-ceph {__version__}",
        films=len(found.residuals),
        films_with_scale=int(np.isfinite(found.radii).sum()),
        weights_sha256=model.weights_sha256,
        landmark_set=SYMBOLS,
        landmarks={
            symbol: ProfileLandmark(
                forward=round(float(learned.offsets[index, 0]), 5),
                down=round(float(learned.offsets[index, 1]), 5),
                forward_mm=None if middle is None else round(float(learned.offsets[index, 0]) * middle, 2),
                down_mm=None if middle is None else round(float(learned.offsets[index, 1]) * middle, 2),
                films=int(learned.films[index]),
                **_errors(learned, found.radii, np.arange(len(SYMBOLS)) == index),
            )
            for index, symbol in enumerate(SYMBOLS)
            if learned.kept[index]
        },
        error_before=total["error_before"],
        error_after=total["error_after"],
        error_before_mm=total.get("error_before_mm"),
        error_after_mm=total.get("error_after_mm"),
        radii=learned_radii(learned.after),
        history=(*history, Lesson(created=created, learned_by=learned_by, films=new)),
        evidence=tuple(
            FilmEvidence(
                picture=picture,
                radius_mm=float(radius) if np.isfinite(radius) else None,
                steps=tuple((step[0], step[1]) if np.isfinite(step).all() else None for step in steps.tolist()),
            )
            for picture, radius, steps in zip(found.pictures, found.radii, found.residuals, strict=True)
        ),
    )


def learned_radii(errors: np.ndarray) -> dict[str, ProfileRadius]:
    """Return a radius of each landmark that has enough films on which a person placed it.

    Args:
        errors: (films, 19) leave-one-out distances, as shares of the head's radius; NaN where one is missing.
    """
    radii = {}
    films = np.isfinite(errors).sum(axis=0)
    for symbol, column, count in zip(SYMBOLS, errors_of_placed_points(errors).T, films, strict=True):
        known = column[np.isfinite(column)]
        if count >= FILMS_FOR_A_RADIUS and len(known) >= FEWEST_ERRORS:
            within_90, within_95 = (round(conformal_radius(known, share), 5) for share in (0.9, 0.95))
            radii[symbol] = ProfileRadius(films=len(known), within_90=within_90, within_95=within_95)
    return radii


def _errors(learned: Estimate, radii: np.ndarray, marks: np.ndarray) -> dict[str, float]:
    """Return mean distances before and after, as shares of the radius and, with a scale, in mm."""
    errors = {}
    for name, distances in (("error_before", learned.before[:, marks]), ("error_after", learned.after[:, marks])):
        errors[name] = round(float(np.nanmean(distances)), 5)
        in_mm = distances * radii[:, None]
        if np.isfinite(in_mm).any():
            errors[f"{name}_mm"] = round(float(np.nanmean(in_mm)), 2)
    return errors
