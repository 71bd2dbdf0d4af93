"""Whether a profile still fits: what newly corrected films say, compared with those that it was learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles.learn import Comparison
from monai_ceph.profiles.profile import Profile

__all__ = ["LEVEL", "Drift", "LandmarkDrift", "change_chances", "drift"]

LEVEL = 0.05
"""How often a profile that fits is said not to fit: for all landmarks together."""

# all ways to draw the new films if there are no more; otherwise a random sample of this size
_DRAWS = 5000
_SEED = 0


@dataclass(frozen=True)
class LandmarkDrift:
    """What new films say of one landmark. Lengths are shares of the head's radius, on heads of any size.

    Attributes:
        symbol: of the landmark.
        films: new films that have it.
        forward: how much further forward the new points lie than the earlier ones, on average.
        down: how much lower.
        error_without: mean distance of the new points from those detected; NaN if no new film has the landmark.
        error_with: the same with the profile.
        chance: p-value, adjusted for all landmarks; 1 if too few films have the landmark.
    """

    symbol: str
    films: int
    forward: float
    down: float
    error_without: float
    error_with: float
    chance: float

    @property
    def changed(self) -> bool:
        """Whether the definition is no longer the one that was learned."""
        return self.chance <= LEVEL


@dataclass(frozen=True)
class Drift:
    """What new films say of a profile.

    Attributes:
        landmarks: one for each, in the order of the vocabulary.
        films: new films.
        radius_mm: middle radius of the heads of new films with a scale; None without.
        error_without: mean distance of all new points from those detected, as a share of the head's radius.
        error_with: the same with the profile.
        smallest_chance: no p-value of so few films can be smaller.
    """

    landmarks: tuple[LandmarkDrift, ...]
    films: int
    radius_mm: float | None
    error_without: float
    error_with: float
    smallest_chance: float

    @property
    def too_few(self) -> bool:
        """Whether no change, however large, could be told from chance."""
        return self.smallest_chance > LEVEL


def drift(profile: Profile, found: Comparison) -> Drift:
    """Compare new films with those of a profile.

    Args:
        profile: with evidence.
        found: one new film or more.

    Raises:
        CephError: if there is no new film.
    """
    if not found.pictures:
        why = f" ({'; '.join(found.left_out[:3])})" if found.left_out else ""
        raise CephError(f"there is no new film to check the profile {profile.name} with{why}")
    before, _ = profile.residuals()
    chances, smallest = change_chances(before, found.residuals)
    plain = np.linalg.norm(found.residuals, axis=2)
    moved = np.linalg.norm(found.residuals - profile.offsets(), axis=2)
    steps = _mean(found.residuals) - _mean(before)
    marks = tuple(
        LandmarkDrift(
            symbol,
            int(np.isfinite(plain[:, index]).sum()),
            float(steps[index, 0]),
            float(steps[index, 1]),
            float(_mean(plain[:, index])),
            float(_mean(moved[:, index])),
            float(chances[index]),
        )
        for index, symbol in enumerate(SYMBOLS)
    )
    scaled = found.radii[np.isfinite(found.radii)]
    middle = float(np.median(scaled)) if scaled.size else None
    return Drift(marks, len(plain), middle, float(np.nanmean(plain)), float(np.nanmean(moved)), smallest)


def change_chances(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, float]:
    """Test whether each landmark's residuals have changed, by permutation, for all landmarks together.

    If nothing changed, any choice of the films is as likely to be the new ones as any other. So the test is exact for
    any distribution, with all choices or with a random sample to which the real choice belongs (Phipson and Smyth
    2010). The statistic is the squared distance of both means over the variance. Its largest value of all landmarks,
    choice by choice, adjusts the p-values: the chance that any landmark is called changed though none is stays below
    the level, however the landmarks are correlated (max T; Westfall and Young 1993).

    Args:
        before: (films, L, 2) residuals; NaN where one is missing.
        after: the same of new films.

    Returns:
        (L,) adjusted p-values, and the smallest that is possible with so many films.
    """
    every = np.concatenate([before, after])
    drawn = _choices(len(every), len(after))
    statistics = _statistics(every, drawn)
    largest = statistics.max(axis=1)
    # equal up to rounding counts as at least as large
    chances = (largest[:, None] >= statistics[0] * (1 - 1e-9)).mean(axis=0)
    # with two groups of the same size, exchanging them gives the same distance
    smallest = (2 if 2 * len(after) == len(every) else 1) / len(drawn)
    return np.where(statistics[0] > 0, chances, 1.0), smallest


def _choices(films: int, new: int) -> np.ndarray:
    """Return which films are the new ones, (choices, films): first the last ones, as it is, then other choices."""
    real = np.arange(films) >= films - new
    if math.comb(films, new) <= _DRAWS:
        others = [np.isin(np.arange(films), chosen) for chosen in combinations(range(films), new)]
        return np.array([real, *(other for other in others if (other != real).any())])
    random = np.random.default_rng(_SEED)
    return np.array([real, *(random.permutation(real) for _ in range(_DRAWS - 1))])


def _statistics(every: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return (choices, L) how far both groups lie apart; 0 where a group has no film with the landmark."""
    known = np.isfinite(every).all(axis=2)
    values = np.where(known[..., None], every, 0.0)
    films, marks = known.shape
    means, within, counts = [], (values**2).sum(axis=(0, 2)), []
    for group in (drawn.astype(float), (~drawn).astype(float)):
        count = group @ known
        total = (group @ values.reshape(films, -1)).reshape(len(drawn), marks, 2)
        mean = total / np.maximum(count, 1)[..., None]
        within = within - (mean * total).sum(axis=2)
        means.append(mean)
        counts.append(count)
    distance = ((means[0] - means[1]) ** 2).sum(axis=2)
    weight = counts[0] * counts[1] / np.maximum(counts[0] + counts[1], 1)
    statistics: np.ndarray = weight * distance / np.maximum(within, 1e-12)
    return statistics


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over films; NaN where none has a value."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean: np.ndarray = np.divide(total, count, out=np.full(np.shape(count), np.nan), where=count > 0)
    return mean
