"""A profile in words for those who corrected the films."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monai_ceph.landmarks import name_of
from monai_ceph.profiles.drift import LEVEL, Drift, LandmarkDrift
from monai_ceph.profiles.profile import Profile, ProfileLandmark

if TYPE_CHECKING:
    from monai_ceph.profiles.proposal import Proposal

__all__ = [
    "DriftWords",
    "LandmarkWords",
    "direction",
    "drift_summary",
    "drift_words",
    "history_words",
    "landmark_words",
    "proposal_summary",
    "summary",
]

# a component below this share of an offset is not worth a word
_WORTH_A_WORD = 0.35


@dataclass(frozen=True)
class LandmarkWords:
    """What was learned of one landmark, as texts.

    Attributes:
        name: of the landmark.
        lies: such as ``3.4 mm lower and further forward``.
        films: number of films.
        before: mean error before, with its unit.
        after: the same after, by leave-one-out.
    """

    name: str
    lies: str
    films: str
    before: str
    after: str


def direction(forward: float, down: float) -> str:
    """Return the direction of an offset in words, such as ``lower and further forward``.

    Args:
        forward: towards the face, in any unit.
        down: towards the chin, in the same unit.
    """
    length = math.hypot(forward, down)
    words = []
    if abs(down) > _WORTH_A_WORD * length:
        words.append("lower" if down > 0 else "higher")
    if abs(forward) > _WORTH_A_WORD * length:
        words.append("further forward" if forward > 0 else "further back")
    return " and ".join(words) or "in the same place"


def landmark_words(profile: Profile) -> list[LandmarkWords]:
    """Return what a profile says of each landmark that it moves, the largest offset first."""
    marks = sorted(profile.landmarks.items(), key=lambda each: -math.hypot(each[1].forward, each[1].down))
    return [
        LandmarkWords(
            name_of(symbol),
            f"{_offset(mark)} {direction(mark.forward, mark.down)}",
            str(mark.films),
            _length(mark.error_before, mark.error_before_mm),
            _length(mark.error_after, mark.error_after_mm),
        )
        for symbol, mark in marks
    ]


def summary(profile: Profile) -> str:
    """Return what was gained, in a sentence or two."""
    if not profile.landmarks:
        return (
            f"Nothing to gain on these {profile.films} films: your points differ from those detected by no more than "
            "chance, so the profile is empty and moves no point. With more films it may find something."
        )
    before = _length(profile.error_before, profile.error_before_mm)
    after = _length(profile.error_after, profile.error_after_mm)
    move = f"Learned from {profile.films} films: {len(profile.landmarks)} of {len(profile.landmark_set)} landmarks move"
    if profile.error_after >= profile.error_before:
        return f"{move}. On films that were not learned from, no gain shows yet: correct more films."
    return f"{move}, and the mean error falls from {before} to {after} on films that were not learned from."


def history_words(profile: Profile) -> list[str]:
    """Return a line for each time that the profile was taught, the first one first."""
    return [
        f"{lesson.created:%Y-%m-%d}: {_films(lesson.films)}{f' by {lesson.learned_by}' if lesson.learned_by else ''}"
        for lesson in profile.history
    ]


@dataclass(frozen=True)
class DriftWords:
    """What new films say of one landmark, as texts.

    Attributes:
        name: of the landmark.
        lies: how the new points lie, compared with those that the profile was learned from.
        films: number of new films.
        without: mean distance of the new points from those detected, with its unit.
        with_profile: the same with the profile.
        chance: p-value, adjusted for all landmarks.
    """

    name: str
    lies: str
    films: str
    without: str
    with_profile: str
    chance: str


def drift_words(found: Drift) -> list[DriftWords]:
    """Return what new films say of each landmark that they have, the least likely by chance first."""
    marks = sorted((mark for mark in found.landmarks if mark.films), key=lambda mark: mark.chance)
    return [
        DriftWords(
            name_of(mark.symbol),
            _change(mark, found.radius_mm),
            str(mark.films),
            _scaled(mark.error_without, found.radius_mm),
            _scaled(mark.error_with, found.radius_mm),
            f"{mark.chance:.3f}{', changed' if mark.changed else ''}",
        )
        for mark in marks
    ]


def drift_summary(profile: Profile, found: Drift) -> str:
    """Return whether a profile still fits, in two or three sentences."""
    films = _films(found.films, "new ")
    without, with_it = _scaled(found.error_without, found.radius_mm), _scaled(found.error_with, found.radius_mm)
    error = f"Without the profile the mean error on them is {without}, with it {with_it}."
    changed = [name_of(mark.symbol) for mark in found.landmarks if mark.changed]
    if changed:
        verdict = (
            f"The profile no longer fits: on {films}, {', '.join(changed)} {'lie' if len(changed) > 1 else 'lies'} "
            "elsewhere than on the films that it was learned from. Learn it again from recent films."
        )
    elif found.too_few:
        verdict = (
            f"It cannot be said whether the profile still fits: {films} {'is' if found.films == 1 else 'are'} too few "
            "for the test. Correct more films."
        )
    else:
        verdict = (
            f"The profile still fits, as far as {films} can tell: no landmark has changed by more than chance "
            f"({LEVEL:.0%} for all landmarks together)."
        )
    if profile.landmarks and not changed and found.error_with >= found.error_without:
        error += " It gains nothing on these films."
    return f"{verdict} {error}"


def proposal_summary(found: Proposal) -> str:
    """Return what signed films would teach, in a sentence."""
    now, then = _scaled(found.now, found.radius_mm), _scaled(found.then, found.radius_mm)
    if math.isnan(found.now):
        return "No signed film can be learned from yet."
    if math.isnan(found.then):
        return f"The signed films are too few for a profile. Expected error now: {now}."
    if found.profile is None:
        return f"A profile from {found.films} films would gain nothing: expected error {now} now, {then} with it."
    return f"Proposal from {found.films} films: expected error {now} now, {then} with it."


def _films(count: int, kind: str = "") -> str:
    return f"{count} {kind}film{'' if count == 1 else 's'}"


def _change(mark: LandmarkDrift, radius_mm: float | None) -> str:
    length = math.hypot(mark.forward, mark.down)
    return "" if math.isnan(length) else f"{_scaled(length, radius_mm)} {direction(mark.forward, mark.down)}"


def _scaled(share: float, radius_mm: float | None) -> str:
    return _length(share, None if radius_mm is None else share * radius_mm)


def _offset(mark: ProfileLandmark) -> str:
    if mark.forward_mm is None or mark.down_mm is None:
        return _length(math.hypot(mark.forward, mark.down), None)
    return _length(0.0, math.hypot(mark.forward_mm, mark.down_mm))


def _length(share: float, mm: float | None) -> str:
    return f"{100 * share:.1f} % of the head's radius" if mm is None else f"{mm:.1f} mm"
