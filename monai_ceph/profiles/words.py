"""A profile in words for those who corrected the films."""

from __future__ import annotations

import math
from dataclasses import dataclass

from monai_ceph.landmarks import name_of
from monai_ceph.profiles.profile import Profile, ProfileLandmark

__all__ = ["LandmarkWords", "direction", "landmark_words", "summary"]

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
            f"Nothing is gained: on {profile.films} films, your corrections differ from the detector only by chance, "
            "or too little. The profile is empty and moves no point."
        )
    before = _length(profile.error_before, profile.error_before_mm)
    after = _length(profile.error_after, profile.error_after_mm)
    move = f"Learned from {profile.films} films: {len(profile.landmarks)} of {len(profile.landmark_set)} landmarks move"
    if profile.error_after >= profile.error_before:
        return f"{move}. On films that were not learned from, no gain shows yet: correct more films."
    return f"{move}, and the mean error falls from {before} to {after} on films that were not learned from."


def _offset(mark: ProfileLandmark) -> str:
    if mark.forward_mm is None or mark.down_mm is None:
        return _length(math.hypot(mark.forward, mark.down), None)
    return _length(0.0, math.hypot(mark.forward_mm, mark.down_mm))


def _length(share: float, mm: float | None) -> str:
    return f"{100 * share:.1f} % of the head's radius" if mm is None else f"{mm:.1f} mm"
