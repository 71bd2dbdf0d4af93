"""What a measurement is: a name, a formula on a face, and the sources of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from monai_ceph.analysis.plane import Face, Number, Point
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS

__all__ = ["ANALYSES", "Analysis", "Definition", "Formula", "Unit"]

Unit = Literal["degree", "ratio", "percent", "mm"]

Analysis = Literal[
    "Steiner",
    "Downs",
    "Tweed",
    "Ricketts",
    "McNamara",
    "Björk-Jarabak",
    "Eastman",
    "Wits",
    "Kim",
    "Vertical",
    "Dental",
    "Soft tissue",
    "ISBI 2015 challenge",
]
"""A group of measurements, in the order in which reports list them."""

ANALYSES: tuple[Analysis, ...] = get_args(Analysis)

Formula = Callable[[Face], Number]

# positions to try a formula on: no two are the same, and no three lie in a line
_SOMEWHERE = {mark.symbol: complex(n, n * n) for n, mark in enumerate((*LANDMARKS, *EXTRA_LANDMARKS), start=1)}


class _Recorder(Face):
    """A face that remembers which landmarks a formula asks for."""

    def __init__(self) -> None:
        super().__init__(_SOMEWHERE)
        self.asked: set[str] = set()

    def __getitem__(self, symbol: str) -> Point:
        self.asked.add(symbol)
        return super().__getitem__(symbol)


@dataclass(frozen=True)
class Definition:
    """One measurement.

    Attributes:
        symbol: the usual short form, unique.
        name: full name.
        unit: degree, ratio, percent or mm.
        analyses: the groups that have it.
        formula: returns the value on an upright face that looks right; NaN if landmarks that it needs coincide.
        text: the definition, in a sentence.
        citation: source of the definition. ``not read`` marks one that was not at hand, and is cited from others.
        smooth: a little change of a landmark changes the value a little. Otherwise the value has no interval.
    """

    symbol: str
    name: str
    unit: Unit
    analyses: tuple[Analysis, ...]
    formula: Formula
    text: str
    citation: str
    smooth: bool = True

    @cached_property
    def landmarks(self) -> tuple[str, ...]:
        """Symbols of the landmarks that the formula asks for, in the order of the vocabulary."""
        face = _Recorder()
        self.formula(face)
        return tuple(symbol for symbol in _SOMEWHERE if symbol in face.asked)
