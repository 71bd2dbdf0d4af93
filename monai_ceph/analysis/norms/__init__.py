"""Norms: what measurements are in a population, from data files with a source for each.

A set of norms is a YAML file: those in this folder have a name, those of a user a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Norm", "Norms", "Sex"]

Sex = Literal["F", "M"]


class Norm(BaseModel):
    """What one measurement is in one population: mean and standard deviation, or the limits of a range, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: str = Field(min_length=1, description="who was measured")
    sex: Sex | None = Field(default=None, description="null: both")
    age: tuple[float, float] | None = Field(
        default=None, description="youngest and oldest, in years; null if the source does not state it"
    )
    n: int | None = Field(default=None, ge=1, description="number of people; null if the source does not state it")
    mean: float | None = Field(default=None, allow_inf_nan=False)
    sd: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="standard deviation")
    low: float | None = Field(
        default=None, allow_inf_nan=False, description="lower limit, if the source has limits; else null"
    )
    high: float | None = Field(
        default=None, allow_inf_nan=False, description="upper limit, if the source has limits; else null"
    )
    citation: str = Field(min_length=1, description="where the figures are from")
    verified: bool = Field(default=False, description="the figures were read in the primary source")
    set: str = Field(default="", description="name of the set of norms, or of its file")

    @model_validator(mode="after")
    def _has_figures(self) -> Norm:
        if (self.mean is None) != (self.sd is None):
            raise ValueError("mean and sd belong together")
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high belong together")
        if self.mean is None and self.low is None:
            raise ValueError("mean and sd, or low and high, are missing")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be less than high")
        if self.age is not None and not 0 <= self.age[0] <= self.age[1]:
            raise ValueError("age must be the youngest and the oldest, in years")
        return self

    @property
    def people(self) -> str:
        """Who was measured: the population, with sex and age where the norm is for one."""
        parts = [self.population]
        if self.sex is not None:
            parts.append({"F": "female", "M": "male"}[self.sex])
        if self.age is not None:
            parts.append(f"{self.age[0]:g} to {self.age[1]:g} years")
        return ", ".join(parts)

    @property
    def limits(self) -> tuple[float, float]:
        """The values between which nothing is flagged: those of the source, or the mean minus and plus one SD."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        assert self.mean is not None
        assert self.sd is not None
        return self.mean - self.sd, self.mean + self.sd

    def applies_to(self, sex: Sex | None, age: float | None) -> bool:
        """Return whether it is meant for a person. A norm of one sex is not used for an unknown one."""
        if self.sex is not None and self.sex != sex:
            return False
        return self.age is None or age is None or self.age[0] <= age <= self.age[1]


@dataclass(frozen=True)
class Norms:
    """Norms by the symbol of the measurement. Without an argument there are none.

    Attributes:
        by_symbol: the norms of each measurement; the first that applies is used.
    """

    by_symbol: Mapping[str, Sequence[Norm]] = field(default_factory=dict)

    def find(self, symbol: str, sex: Sex | None = None, age: float | None = None) -> Norm | None:
        """Return the first norm of a measurement that is meant for a person, or None.

        Args:
            symbol: of the measurement.
            sex: None if not known.
            age: in years; None if not known. Then norms of any age apply, since who chose them knows the person.
        """
        return next((norm for norm in self.by_symbol.get(symbol, ()) if norm.applies_to(sex, age)), None)
