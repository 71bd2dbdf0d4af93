"""How well two readings of the same films agree: Dahlberg's error, the intraclass correlation, limits of agreement.

A reading is one number per film, such as SNA by the model and by a doctor. NaN is a film without a value: it takes no
part, and is counted.

- Dahlberg's error: sqrt(sum d^2 / 2n) of the n differences d. Dahlberg 1940, *Statistical Methods for Medical and
  Biological Students* (not read; the formula is from secondary texts). It is the standard deviation of one reading if
  both have the same error and no bias; a bias between them makes it larger.
- ICC(2,1): two-way random effects, absolute agreement, one reading. Shrout and Fleiss 1979, Psychol Bull 86:420 (not
  read; the formula is that in the documentation of the R package DescTools, ICC2). It depends on how much the films
  differ: with films that are alike it is low even if the readings are close.
- Limits of agreement: mean difference +- 1.96 standard deviations. Bland and Altman 1999, Stat Methods Med Res 8:135
  (abstract read); first in Lancet 1986;1:307 (not read).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["LIMITS", "Agreement", "agreement", "dahlberg_error", "intraclass_correlation"]

LIMITS = 1.96
"""Standard deviations on both sides of the mean difference between which 95 % of a normal distribution lie."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of two readings, in their unit; NaN if there are too few films.

    Attributes:
        films: films for which the reference has a value.
        missing: how many of these have no value in the other reading.
        mean_absolute: mean absolute difference.
        bias: mean difference, other reading minus reference.
        sd: standard deviation of the differences (n - 1).
        low: lower limit of agreement, bias - 1.96 sd.
        high: upper limit of agreement, bias + 1.96 sd.
        dahlberg: Dahlberg's error.
        icc: ICC(2,1), without unit.
    """

    films: int
    missing: int
    mean_absolute: float
    bias: float
    sd: float
    low: float
    high: float
    dahlberg: float
    icc: float

    def as_dictionary(self) -> dict[str, Any]:
        """Return the figures for JSON; one that is not finite is null."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def dahlberg_error(differences: np.ndarray) -> float:
    """Return Dahlberg's error of the differences of two readings, in their unit; NaN without any."""
    differences = differences[np.isfinite(differences)]
    return float(np.sqrt(np.mean(differences**2) / 2)) if len(differences) else math.nan


def intraclass_correlation(readings: np.ndarray) -> float:
    """Return ICC(2,1) of readings (films, readers).

    NaN with fewer than two films that all readers have read, or if all numbers are equal.
    """
    readings = readings[np.isfinite(readings).all(axis=1)]
    films, readers = readings.shape
    if films < 2 or readers < 2:
        return math.nan
    mean = readings.mean()
    of_film, of_reader = readings.mean(axis=1), readings.mean(axis=0)
    between_films = readers * np.sum((of_film - mean) ** 2) / (films - 1)
    between_readers = films * np.sum((of_reader - mean) ** 2) / (readers - 1)
    rest = np.sum((readings - of_film[:, None] - of_reader + mean) ** 2) / ((films - 1) * (readers - 1))
    total = between_films + (readers - 1) * rest + readers * (between_readers - rest) / films
    return float((between_films - rest) / total) if total > 0 else math.nan


def agreement(reading: np.ndarray, reference: np.ndarray) -> Agreement:
    """Return how well a reading agrees with a reference.

    Args:
        reading: (films,), such as the model's values.
        reference: (films,), such as a doctor's. A film without a value here is left out.
    """
    known = np.isfinite(reference)
    pairs = np.stack((reading, reference), axis=1)[known]
    difference = pairs[:, 0] - pairs[:, 1]
    both = difference[np.isfinite(difference)]
    bias = float(both.mean()) if len(both) else math.nan
    sd = float(both.std(ddof=1)) if len(both) > 1 else math.nan
    return Agreement(
        films=int(known.sum()),
        missing=int(known.sum()) - len(both),
        mean_absolute=float(np.abs(both).mean()) if len(both) else math.nan,
        bias=bias,
        sd=sd,
        low=bias - LIMITS * sd,
        high=bias + LIMITS * sd,
        dahlberg=dahlberg_error(both),
        icc=intraclass_correlation(pairs),
    )
