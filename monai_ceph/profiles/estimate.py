"""What a profile is learned by: a robust offset of each landmark, what of it is not chance, and what it gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Estimate", "estimate"]

FEWEST_FILMS = 3
"""Films that a landmark needs."""

FALSE_DISCOVERIES = 0.05
"""Of the landmarks that a profile moves, the share that may be chance; nominal, docs/explanation/profiles.md."""

# residuals beyond this many standard deviations (of an axis) count as if they were there
_CLIP = 2.0

# what a landmark's variance owes to those of the others, in degrees of freedom: as much as three films of its own
_PRIOR_FREEDOM = 4.0
_STEPS = 20


@dataclass(frozen=True)
class Estimate:
    """What was learned, for L landmarks; lengths are in the unit of the residuals.

    Attributes:
        offsets: (L, 2) what is added to each detected landmark; 0 where none was learned.
        kept: (L,) whether a landmark has an offset.
        chances: (L,) p-values: how often chance alone gives an offset as large.
        films: (L,) films that a landmark was learned from.
        before: (films, L) distances of the detected landmarks from the corrected ones; NaN where one is missing.
        after: (films, L) the same with the offsets learned from the other films (leave-one-out).
    """

    offsets: np.ndarray
    kept: np.ndarray
    chances: np.ndarray
    films: np.ndarray
    before: np.ndarray
    after: np.ndarray


def estimate(residuals: np.ndarray) -> Estimate:
    """Learn the offsets of a profile.

    A landmark's offset is the Huber M-estimate of its residuals with their scale ("proposal 2", Huber 1964; clipped
    at two standard deviations), so one wrong film of ten hardly moves it. Its variance borrows from the median variance
    of all landmarks, as in the moderated t statistic of Smyth 2004. Offsets are tested against 0 by Hotelling's T^2 for
    equal variances of both axes, and kept by Benjamini and Hochberg 1995 at a false discovery rate of 5 %. What is kept
    is shrunk by ``1 - variance / offset^2``, not below 0: the positive part of the empirical Bayes factor (Efron and
    Morris 1973, after James and Stein 1961). A landmark is left out as well if its offset, learned from the other
    films, does not reduce the mean distance on each film (leave-one-out).

    The distances ``after`` are those of leave-one-out that also decides again, without the film left out, which
    landmarks are kept. With three films that is not possible, so there they are somewhat too small.

    Args:
        residuals: (films, L, 2), corrected minus detected in the frame of the head; NaN where one is missing.
    """
    films = np.isfinite(residuals).all(axis=2).sum(axis=0)
    offsets, chances = _shrunk(residuals)
    kept = _discoveries(chances, films)
    before = np.linalg.norm(residuals, axis=2)
    # with the landmarks of all films, and with those that the other films alone would keep
    moved, after = before.copy(), before.copy()
    if kept.any():
        for film in range(len(residuals)):
            rest = np.delete(residuals, film, axis=0)
            others, chance = _shrunk(rest)
            moved[film, kept] = np.linalg.norm(residuals[film] - others, axis=1)[kept]
            again = kept
            if len(rest) >= FEWEST_FILMS:
                again = kept & _discoveries(chance, np.isfinite(rest).all(axis=2).sum(axis=0))
            after[film, again] = moved[film, again]
        gains = [_mean(before[:, mark]) - _mean(moved[:, mark]) for mark in range(len(kept))]
        kept = kept & (np.array(gains) > 0)
    return Estimate(np.where(kept[:, None], offsets, 0.0), kept, chances, films, before, np.where(kept, after, before))


def _mean(distances: np.ndarray) -> float:
    known = distances[np.isfinite(distances)]
    return float(known.mean()) if known.size else float("nan")


def _shrunk(residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shrunk offsets (L, 2), and the chance of each (L,)."""
    known = np.isfinite(residuals).all(axis=2)
    films = known.sum(axis=0)
    centres, variances = _centres(np.where(known[..., None], residuals, 0.0), known)
    freedom = 2.0 * np.maximum(films - 1, 0)
    several = films >= 2
    prior = float(np.median((variances * films)[several])) if several.any() else 0.0
    moderated = (_PRIOR_FREEDOM * prior + freedom * variances * films) / (_PRIOR_FREEDOM + freedom)
    variances = moderated / np.maximum(films, 1)
    freedom = freedom + _PRIOR_FREEDOM
    squares = (centres**2).sum(axis=1)
    # both axes; without any spread every offset is certain
    share = np.divide(2 * variances, squares, out=np.ones_like(squares), where=squares > 0)
    chances = np.where(several, (share / (share + 2 / freedom)) ** (freedom / 2), 1.0)
    factors = np.where(several, np.maximum(1 - share, 0.0), 0.0)
    return centres * factors[:, None], np.where(squares > 0, chances, 1.0)


def _centres(residuals: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the robust centre (L, 2) of each landmark, and its variance along each axis (L,)."""
    films = np.maximum(known.sum(axis=0), 1)
    free = np.maximum(films - 1, 1)
    # the expected square of a clipped normal residual, along an axis
    expected = 1 - np.exp(-(_CLIP**2) / 2)
    # medians, by columns: not all landmarks are known on the same films
    centres = np.array(
        [np.median(residuals[seen, mark], axis=0) if seen.any() else (0.0, 0.0) for mark, seen in enumerate(known.T)]
    )
    distances = _distances(residuals, centres, known)
    scales = np.sqrt((distances**2).sum(axis=0) / (2 * free))
    for _ in range(_STEPS):
        weights = _weights(distances, scales, known)
        centres = (weights[..., None] * residuals).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-300)[:, None]
        distances = _distances(residuals, centres, known)
        clipped = np.minimum(distances, _CLIP * scales)
        scales = np.sqrt((clipped**2).sum(axis=0) / (2 * expected * free))
    weights = _weights(distances, scales, known)
    # a clipped residual moves the centre only along the circle, by its weight
    slopes = (np.where(weights < 1, weights / 2, 1.0) * known).sum(axis=0) / films
    squares = ((weights * distances) ** 2).sum(axis=0) / (2 * free)
    return centres, squares / films / np.maximum(slopes, 1e-100) ** 2


def _distances(residuals: np.ndarray, centres: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.where(known, np.linalg.norm(residuals - centres, axis=2), 0.0)


def _weights(distances: np.ndarray, scales: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return Huber's weights: 1 near the centre, then falling with the distance; 0 where nothing is known."""
    limits = _CLIP * scales
    return known * np.divide(limits, distances, out=np.ones_like(distances), where=distances > limits)


def _discoveries(chances: np.ndarray, films: np.ndarray) -> np.ndarray:
    """Return which p-values are kept at :data:`FALSE_DISCOVERIES`, by Benjamini and Hochberg's step-up procedure."""
    chances = np.where(films >= FEWEST_FILMS, chances, 1.0)
    order = np.argsort(chances)
    below = np.flatnonzero(chances[order] <= FALSE_DISCOVERIES * np.arange(1, len(chances) + 1) / len(chances))
    kept = np.zeros(len(chances), dtype=bool)
    kept[order[: below[-1] + 1 if below.size else 0]] = True
    return kept
