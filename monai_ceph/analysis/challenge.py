"""The eight classes of the ISBI 2015 challenge, and how often a method finds them: its success classification rates.

The rules are those of the challenge's evaluation code: ``angle.py`` and ``CM.m``, which are kept for example in the
folder dataset/EvaluationCode of github.com/DaisyHe/Anatomical-landmark-detection-for-CephalometryLandmark-. Their
peculiarities:

- coordinates are cut to whole pixels, and a pixel has 0.1 mm;
- "FMA" is the angle between S-N and Go-Gn, not the Frankfort-mandibular plane angle;
- MW has the sign of a comparison of the x coordinates *as text*: 1005 comes before 995;
- MW between 0 and 2 mm falls into class 3, although that is described as a negative overjet; class 2, exactly 0 mm,
  never occurs, so its row and column are absent;
- for FHI and FMA the arguments of the confusion matrix are exchanged: their rows are what the method found, and their
  rate is the mean precision instead of the mean recall;
- where a class has no film, the code divides by zero or stops. Here the mean then goes over the other classes.

*Corrected* means: coordinates keep their fractions, the scale is that of the film, numbers are compared as numbers, MW
between 0 and 2 mm has no class, and all rates are mean recall.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from monai_ceph.landmarks import index_of

__all__ = [
    "MEASURES",
    "NO_CLASS",
    "ClassAgreement",
    "FilmClass",
    "Measure",
    "Valued",
    "challenge_classes",
    "challenge_values",
    "class_agreement",
    "corrected_classes",
    "film_classes",
    "measurement_of",
]

NO_CLASS = 0
"""Stands for a film without a class: a landmark is missing, or the value has none."""


@dataclass(frozen=True)
class Measure:
    """One of the eight, with its limits; both belong to class 1.

    Attributes:
        symbol: the challenge's name.
        low: lower limit.
        high: upper limit.
        below: class below it.
        above: class above it.
        classes: what the classes mean, the first one first.
    """

    symbol: str
    low: float
    high: float
    below: int
    above: int
    classes: tuple[str, ...]


MEASURES: tuple[Measure, ...] = (
    Measure("ANB", 3.2, 5.7, 3, 2, ("Class I", "Class II", "Class III")),
    Measure("SNB", 74.6, 78.7, 2, 3, ("normal mandible", "retrognathic mandible", "prognathic mandible")),
    Measure("SNA", 79.4, 83.2, 3, 2, ("normal maxilla", "prognathic maxilla", "retrognathic maxilla")),
    Measure("ODI", 68.4, 80.5, 3, 2, ("normal", "deep bite tendency", "open bite tendency")),
    Measure("APDI", 77.6, 85.2, 2, 3, ("normal", "Class II tendency", "Class III tendency")),
    Measure("FHI", 0.65, 0.75, 3, 2, ("normal", "short face", "long face")),
    Measure("FMA", 26.8, 31.4, 3, 2, ("normal", "high angle", "low angle")),
    Measure("MW", 2.0, 4.5, 3, 4, ("normal", "edge to edge", "anterior cross bite", "large overjet")),
)
"""The eight, in the challenge's order."""

_FHI, _FMA, _MW = 5, 6, 7
# the measurement of this package for each measure of the challenge whose name differs
_MEASUREMENT = {"FMA": "SN-GoGn"}
# the measures whose confusion matrix the challenge's code transposes
_EXCHANGED = ("FHI", "FMA")


def challenge_values(points: np.ndarray) -> np.ndarray:
    """Return the eight values as the challenge's code computes them: degrees, a ratio, and mm for MW.

    Args:
        points: (films, 19, 2) landmarks, (x, y) in pixels; NaN where missing.

    Returns:
        (films, 8), in the order of :data:`MEASURES`; NaN where a landmark is missing or two coincide.
    """
    whole = np.trunc(points)
    place = whole[..., 0] + 1j * whole[..., 1]

    def line(start: str, end: str) -> np.ndarray:
        vector = place[:, index_of(end)] - place[:, index_of(start)]
        return np.where(vector == 0, complex(math.nan, math.nan), vector)

    def turn(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        # the sign is that of the cross product, as in the code; adding 0 makes -0.0, a half turn back, +0.0
        product = second * first.conj()
        return np.degrees(np.arctan2(product.imag + 0.0, product.real))

    def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.abs(turn(first, second))

    sna, snb = (angle(line("N", "S"), line("N", symbol)) for symbol in "AB")
    palate = turn(line("Po", "Or"), line("PNS", "ANS"))
    facial = line("N", "Pog")
    length = np.abs(place[:, index_of("UI")] - place[:, index_of("LI")]) / 10
    behind = [_before_as_text(upper, lower) for upper, lower in whole[:, [index_of("UI"), index_of("LI")], 0]]
    return np.stack(
        (
            sna - snb,
            snb,
            sna,
            angle(line("Me", "Go"), line("B", "A")) + palate,
            angle(line("Or", "Po"), facial) - turn(facial, line("A", "B")) + palate,
            np.abs(line("S", "Go")) / np.abs(line("N", "Me")),
            angle(line("S", "N"), line("Go", "Gn")),
            np.where(behind, -length, length),
        ),
        axis=1,
    )


def _before_as_text(one: float, other: float) -> bool:
    return math.isfinite(one) and math.isfinite(other) and str(int(one)) < str(int(other))


def challenge_classes(points: np.ndarray) -> np.ndarray:
    """Return the eight classes by the challenge's rules.

    Args:
        points: as for :func:`challenge_values`.

    Returns:
        (films, 8) whole numbers; :data:`NO_CLASS` without a value.
    """
    values = challenge_values(points)
    classes = _by_limits(values)
    # its order of questions: from 2 mm on, then 0, then all that is left
    mw = values[:, _MW]
    classes[:, _MW] = np.where(mw >= 2, np.where(mw <= 4.5, 1, 4), np.where(mw == 0, 2, 3))
    classes[np.isnan(values)] = NO_CLASS
    return classes


def corrected_classes(values: np.ndarray) -> np.ndarray:
    """Return the eight classes by their description.

    Args:
        values: (films, 8) in the order of :data:`MEASURES`, degrees, ratio, and mm for MW; NaN without a value.

    Returns:
        (films, 8) whole numbers; :data:`NO_CLASS` without a value, and for MW between 0 and 2 mm.
    """
    classes = _by_limits(values)
    mw = values[:, _MW]
    classes[:, _MW] = np.select([mw < 0, mw == 0, (mw >= 2) & (mw <= 4.5), mw > 4.5], [3, 2, 1, 4], default=NO_CLASS)
    classes[np.isnan(values)] = NO_CLASS
    return classes


def _by_limits(values: np.ndarray) -> np.ndarray:
    columns = [
        np.where(value < measure.low, measure.below, np.where(value > measure.high, measure.above, 1))
        for measure, value in zip(MEASURES, values.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def measurement_of(measure: Measure) -> str:
    """Return the symbol of this package's measurement for one of the eight. Only "FMA" has another name here."""
    return _MEASUREMENT.get(measure.symbol, measure.symbol)


class Valued(Protocol):
    """A measurement of one film, or what the film's JSON says of it."""

    @property
    def symbol(self) -> str:
        """Symbol of the measurement."""

    @property
    def value(self) -> float | None:
        """Value in its unit."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the value."""


@dataclass(frozen=True)
class FilmClass:
    """The class of one film by one of the eight, with the corrected definitions.

    Attributes:
        symbol: of the measurement in this package.
        classes: the class of the value first, then the others that the 95 % interval reaches; empty if the value has
            no class (MW between 0 and 2 mm).
    """

    symbol: str
    classes: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """Whether the interval stays within one class."""
        return len(self.classes) == 1


def film_classes(measurements: Iterable[Valued]) -> tuple[FilmClass, ...]:
    """Return the eight classes of one film; a measurement without a value has none.

    MW has no interval, because its sign jumps. What it may be follows from the intervals of overjet and overbite: its
    size is that of both together, and its sign is in doubt where that of the overjet is.

    Args:
        measurements: of the film.
    """
    values = {each.symbol: each for each in measurements}
    reached: list[tuple[int, str, list[float]]] = []
    for index, measure in enumerate(MEASURES):
        each = values.get(measurement_of(measure))
        if each is None or each.value is None:
            continue
        interval = _modified_wits_range(values, each.value) if index == _MW else each.interval
        low, high = interval or (each.value, each.value)
        # a class may lie between two limits, and both limits belong to class 1
        places = [each.value, low, high, *(limit for limit in (measure.low, measure.high) if low < limit < high)]
        reached.append((index, each.symbol, places))
    # a row for each place, all at once: a worklist asks for a thousand films
    table = np.full((sum(len(places) for _, _, places in reached), len(MEASURES)), math.nan)
    columns = [index for index, _, places in reached for _ in places]
    rows = np.arange(len(columns))
    table[rows, columns] = [place for _, _, places in reached for place in places]
    numbers = iter(corrected_classes(table)[rows, columns].tolist())
    found = []
    for index, symbol, places in reached:
        classes = [next(numbers) for _ in places]
        known = dict.fromkeys(number for number in classes if number != NO_CLASS)
        names = () if classes[0] == NO_CLASS else tuple(MEASURES[index].classes[number - 1] for number in known)
        found.append(FilmClass(symbol, names))
    return tuple(found)


def _modified_wits_range(values: Mapping[str, Valued], value: float) -> tuple[float, float] | None:
    """Return between which values MW may lie; None if that is not known."""
    known = [each.interval for name in ("Overjet", "Overbite") if (each := values.get(name)) and each.interval]
    if len(known) < 2:
        return None
    longest = math.hypot(*(max(abs(low), abs(high)) for low, high in known))
    if any(value * end <= 0 for end in known[0]):
        return -longest, longest
    shortest = math.hypot(*(0 if low <= 0 <= high else min(abs(low), abs(high)) for low, high in known))
    return (shortest, longest) if value > 0 else (-longest, -shortest)


@dataclass(frozen=True)
class ClassAgreement:
    """How often a reading of the films has the class of the truth, for one measure.

    Attributes:
        symbol: the challenge's name of the measure.
        films: films whose truth has a class.
        missing: how many of these have none in the reading.
        unclassed: films whose truth has no class.
        classes: the classes that occur, in the order of rows and columns.
        matrix: (classes, classes) films. A row is a class of the truth; if ``exchanged``, of the reading.
        row_totals: films of each row, also those without a class in the other reading.
        exchanged: rows and columns are exchanged, as in the challenge's code for FHI and FMA.
        rate: success classification rate in per cent: the mean over the rows of the share on the diagonal.
        accuracy: films with the right class out of ``films``, in per cent.
    """

    symbol: str
    films: int
    missing: int
    unclassed: int
    classes: tuple[int, ...]
    matrix: np.ndarray
    row_totals: tuple[int, ...]
    exchanged: bool
    rate: float
    accuracy: float

    def as_dictionary(self) -> dict[str, Any]:
        """Return the figures for JSON; a rate without any film is null."""
        return {
            **{name: getattr(self, name) for name in ("symbol", "films", "missing", "unclassed", "exchanged")},
            "classes": list(self.classes),
            "matrix": self.matrix.tolist(),
            "row_totals": list(self.row_totals),
            "rate": self.rate if math.isfinite(self.rate) else None,
            "accuracy": self.accuracy if math.isfinite(self.accuracy) else None,
        }


def class_agreement(found: np.ndarray, truth: np.ndarray, exact: bool = True) -> tuple[ClassAgreement, ...]:
    """Return the agreement for each of the eight measures.

    A film that has a class in the truth and none in the reading is a failure, except in the exchanged matrices of FHI
    and FMA, where it belongs to no row.

    Args:
        found: (films, 8) classes of the reading; :data:`NO_CLASS` for none.
        truth: (films, 8) classes of the truth.
        exact: exchange the matrices of FHI and FMA, as the challenge's code does.
    """
    result = []
    for measure, reading, right in zip(MEASURES, found.T, truth.T, strict=True):
        known = right != NO_CLASS
        reading, right, unclassed = reading[known], right[known], int((~known).sum())
        exchanged = exact and measure.symbol in _EXCHANGED
        rows, columns = (reading, right) if exchanged else (right, reading)
        classes = tuple(sorted({*map(int, right), *map(int, reading)} - {NO_CLASS}))
        matrix = np.array([[int(((rows == row) & (columns == column)).sum()) for column in classes] for row in classes])
        totals = tuple(int((rows == row).sum()) for row in classes)
        hits = [matrix[index, index] / total for index, total in enumerate(totals) if total]
        result.append(
            ClassAgreement(
                symbol=measure.symbol,
                films=len(right),
                missing=int((reading == NO_CLASS).sum()),
                unclassed=unclassed,
                classes=classes,
                matrix=matrix,
                row_totals=totals,
                exchanged=exchanged,
                rate=100 * float(np.mean(hits)) if hits else math.nan,
                accuracy=100 * float((reading == right).mean()) if len(right) else math.nan,
            )
        )
    return tuple(result)
