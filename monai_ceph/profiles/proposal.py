"""What films that people signed say: a profile to propose, and whether the one in use still fits. Applies nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_ceph.datasets import Film
from monai_ceph.errors import CephError
from monai_ceph.profiles.drift import Drift, drift
from monai_ceph.profiles.estimate import FEWEST_FILMS, estimate
from monai_ceph.profiles.learn import Comparison, compare_detected, profile_of
from monai_ceph.profiles.pictures import Picture, read_picture
from monai_ceph.profiles.profile import Profile
from monai_ceph.result import Detection, ModelIdentity

__all__ = ["Proposal", "SignedFilm", "propose"]


@dataclass(frozen=True)
class SignedFilm:
    """A film with the points that a person signed, and what was detected on it before.

    Attributes:
        film: its landmarks are those that were signed.
        detection: what the person began with; a profile may have moved its points.
    """

    film: Film
    detection: Detection


@dataclass(frozen=True)
class Proposal:
    """What signed films say.

    Attributes:
        profile: what they would teach, on top of the profile in use; None if that is no better than what is used now.
        pictures: of the films that could be used, as :class:`~monai_ceph.profiles.profile.FilmEvidence` knows them.
        films: those of a profile learned now, with the films of the profile in use.
        now: mean distance of signed points from those that results show now, on films that the profile in use was not
            learned from; a share of the head's radius. NaN without such a film.
        then: the same with the proposed profile, by leave-one-out.
        radius_mm: middle radius of the heads with a scale; None without one.
        drift: how these films differ from those of the profile in use; None without a profile or without a new film.
        left_out: a sentence for each film that could not be used.
    """

    profile: Profile | None
    pictures: frozenset[str]
    films: int
    now: float
    then: float
    radius_mm: float | None
    drift: Drift | None
    left_out: tuple[str, ...]


def _without_profile(found: Detection, identity: ModelIdentity) -> Detection:
    """Return a detection that was made before, as if no profile had moved its points."""
    if found.model.weights_sha256 != identity.weights_sha256:
        raise CephError(f"{found.file}: was detected with other weights")
    raw = [
        mark if mark.raw_x is None else mark.model_copy(update={"x": mark.raw_x, "y": mark.raw_y})
        for mark in found.landmarks
    ]
    return found.model_copy(update={"landmarks": tuple(raw)})


def propose(
    signed: Sequence[SignedFilm],
    in_use: Profile | None,
    identity: ModelIdentity,
    mean_shape: np.ndarray,
    name: str,
    picture: Callable[[Path], Picture] = read_picture,
) -> Proposal:
    """Learn a profile from signed films and from those of the profile in use, without detecting again.

    Args:
        signed: a film that the profile in use was learned from counts with its newly signed points.
        in_use: None without one.
        identity: of the model that detects now. Films that other weights detected are left out.
        mean_shape: (N, 2), (x, y), of this model.
        name: of the proposed profile.
        picture: reads the picture of a film; :class:`~monai_ceph.profiles.pictures.KnownPictures` reads it once.

    Raises:
        CephError: if the profile in use is for another model.
        ValueError: if the name is longer than 64 letters.
    """
    if in_use is not None:
        in_use.check(identity)
    by_file = {each.film.image: each.detection for each in signed}

    def open_film(film: Film) -> tuple[Picture, Callable[[], Detection]]:
        return picture(film.image), lambda: _without_profile(by_file[film.image], identity)

    found = compare_detected([each.film for each in signed], open_film, mean_shape)
    earlier = {} if in_use is None else {film.picture: index for index, film in enumerate(in_use.evidence)}
    fresh = np.array([picture not in earlier for picture in found.pictures], dtype=bool)
    every = found if in_use is None else _together(in_use, found)
    offsets = 0.0 if in_use is None else in_use.offsets()
    steps = found.residuals[fresh]
    now, then, profile = _mean(np.linalg.norm(steps - offsets, axis=2)), float("nan"), None
    if fresh.any() and len(every.pictures) >= FEWEST_FILMS:
        learned = estimate(every.residuals)
        new = {picture for picture, is_new in zip(found.pictures, fresh, strict=True) if is_new}
        then = _mean(learned.after[[picture in new for picture in every.pictures]])
        if then < now:
            history = () if in_use is None else in_use.history
            profile = profile_of(every, identity, name, None, history)
    scaled = found.radii[np.isfinite(found.radii)]
    changed = None
    if in_use is not None and in_use.evidence and fresh.any():
        of_new = tuple(picture for picture, is_new in zip(found.pictures, fresh, strict=True) if is_new)
        changed = drift(in_use, Comparison(steps, found.radii[fresh], of_new))
    return Proposal(
        profile,
        frozenset(found.pictures),
        len(every.pictures),
        now,
        then,
        float(np.median(scaled)) if scaled.size else None,
        changed,
        found.left_out,
    )


def _together(in_use: Profile, found: Comparison) -> Comparison:
    """Return the films of a profile that were not signed again, and then the signed ones."""
    residuals, radii = in_use.residuals()
    kept = np.array([film.picture not in found.pictures for film in in_use.evidence], dtype=bool)
    return Comparison(
        np.concatenate([residuals[kept], found.residuals]),
        np.concatenate([radii[kept], found.radii]),
        (*(film.picture for film, stays in zip(in_use.evidence, kept, strict=True) if stays), *found.pictures),
    )


def _mean(distances: np.ndarray) -> float:
    known = distances[np.isfinite(distances)]
    return float(known.mean()) if known.size else float("nan")
