"""How far off a point of a profile may be: radii from the clinic's own films."""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "FEWEST_ERRORS",
    "LEARNED_SHARE",
    "MOST_LEFT",
    "UNMOVED",
    "conformal_radius",
    "errors_of_placed_points",
    "radii_of_few_films",
]

FEWEST_ERRORS = 19
"""With fewer errors, a radius for 95 % would be unlimited."""

LEARNED_SHARE = 10.0
"""With this many films, a landmark's own errors count half, and those of all landmarks the other half."""

UNMOVED = 2.5e-4
"""A smaller distance, in radii of the head, is that of a point which nobody placed: about 0.01 mm."""

MOST_LEFT = 0.2
"""If a larger share of a landmark's points was left where it was, the films do not tell how large its errors are."""


def errors_of_placed_points(errors: np.ndarray) -> np.ndarray:
    """Return the errors of points that a person placed, and NaN for others.

    Reviewers leave a point where it is if it is good enough, and tables round it. Such a point seems to be found
    without any error. Those that are moved are the worst ones. So where many points of a landmark were left, neither
    tells how large its errors are, and all are left out.

    Args:
        errors: (films, N) distances in radii of the head; NaN where one is missing.
    """
    known = np.isfinite(errors)
    left = known & (np.nan_to_num(errors) < UNMOVED)
    many_left = left.sum(axis=0) > MOST_LEFT * known.sum(axis=0)
    placed: np.ndarray = np.where(left | many_left, np.nan, errors)
    return placed


def conformal_radius(errors: np.ndarray, share: float) -> float:
    """Return the radius that a new error of the same kind stays within in at least this share of cases.

    It is the k-th smallest error with ``k = ceil((n + 1) share)``, as in split conformal prediction (Papadopoulos et
    al. 2002; Lei et al. 2018). The guarantee is for exchangeable errors: new films must be like those that were learned
    from, and what is predicted must not depend on the errors. Leave-one-out errors come near to that: each film is
    judged by a profile of all others, which is not quite the profile of all films.

    Args:
        errors: (n,), finite.
        share: such as 0.9.

    Returns:
        infinity if there are too few errors for this share.
    """
    rank = math.ceil((len(errors) + 1) * share - 1e-9)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else math.inf


def radii_of_few_films(errors: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """Return radii for 90 and 95 %, (N, 2), where each landmark has too few films for radii of its own.

    The size of a landmark's error lies between two: that on other films times how much larger this clinic's errors are
    over all landmarks, and the mean error of this landmark; of these the second counts ``n / (n + 10)`` with n films.
    The radius is the size times the conformal quantile of error over size, of all landmarks and films together. Points
    of one film are correlated, so this is no guarantee: docs/explanation/uncertainty.md has what it covers.

    Args:
        errors: (films, N) leave-one-out distances, in any unit; NaN where one is missing, or nobody placed the point.
        typical: (N, 2) radii for the evidence that is usual for each landmark, learned on other films, in this unit.

    Returns:
        ``typical`` if nothing can be said: for all with fewer than :data:`FEWEST_ERRORS` errors, and for a landmark
        without any.
    """
    known = np.isfinite(errors)
    films = known.sum(axis=0)
    if known.sum() < FEWEST_ERRORS or not np.nansum(errors) > 0:
        return typical.copy()
    means = np.where(known, errors, 0.0).sum(axis=0) / np.maximum(films, 1)
    usual, seen = typical[:, 0], films > 0
    larger = means[seen].sum() / usual[seen].sum()
    # a landmark whose errors are all 0 says nothing of its own
    share = np.where(means > 0, films / (films + LEARNED_SHARE), 0.0)
    own = np.where(means > 0, means, usual) / usual
    sizes = usual * larger ** (1 - share) * own**share
    ratios = (errors / sizes)[known]
    radii: np.ndarray = np.outer(sizes, [conformal_radius(ratios, each) for each in (0.9, 0.95)])
    radii[~seen] = typical[~seen]
    return radii
