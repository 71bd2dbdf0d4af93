"""How far off a point of a profile may be: radii from the clinic's own films."""

from __future__ import annotations

import math

import numpy as np

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles.profile import FILMS_FOR_A_RADIUS, ProfileRadius

__all__ = ["conformal_radius", "learned_radii"]


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


def learned_radii(errors: np.ndarray) -> dict[str, ProfileRadius]:
    """Return a radius of each landmark that has enough films.

    Args:
        errors: (films, 19) leave-one-out distances, as shares of the head's radius; NaN where one is missing.
    """
    radii = {}
    for symbol, column in zip(SYMBOLS, errors.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known) >= FILMS_FOR_A_RADIUS:
            within_90, within_95 = (round(conformal_radius(known, share), 5) for share in (0.9, 0.95))
            radii[symbol] = ProfileRadius(films=len(known), within_90=within_90, within_95=within_95)
    return radii
