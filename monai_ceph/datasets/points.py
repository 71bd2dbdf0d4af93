"""A table of landmarks without its films, such as the ``landmarks.csv`` of a run that a person has corrected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_ceph.datasets.table import Row, number, rows
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import landmark_of
from monai_ceph.readers.radiograph import LARGEST_PIXEL, SMALLEST_PIXEL, SpacingSource

__all__ = ["FilmPoints", "read_points"]

_REQUIRED = ("film", "symbol", "x", "y")
_ONCE = (*_REQUIRED, "pixel_spacing", "spacing_source", "status", "image_uid", "profile", "x_mm", "y_mm")

# x_mm and y_mm have three decimals: nearer to the edge their ratio to x and y is too coarse
_FAR_ENOUGH = 10.0


@dataclass
class FilmPoints:
    """The landmarks of one film.

    Attributes:
        film: what the table calls it.
        places: (x, y) in pixels by symbol; missing landmarks are left out.
        pixel_spacing: (row, column) in mm; None if unknown.
        spacing_source: where it came from.
        uncertain: symbols of landmarks in doubt.
        image_uid: SOP Instance UID of a DICOM image.
        profile: name of the profile that moved the points.
        frame: frame number of the image, if the file says it.
        on_film_only: the file can hold no landmark outside the film, so that its absence says nothing about one.
    """

    film: str
    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    pixel_spacing: tuple[float, float] | None = None
    spacing_source: SpacingSource = SpacingSource.NONE
    uncertain: tuple[str, ...] = ()
    image_uid: str | None = None
    profile: str | None = None
    frame: int | None = None
    on_film_only: bool = False


def read_points(table: Path) -> list[FilmPoints]:
    """Return the landmarks of a table with one row per film and landmark, in the order in which its films first occur.

    It needs the columns ``film`` (or ``file``), ``symbol``, ``x`` and ``y``, and uses ``pixel_spacing``,
    ``spacing_source``, ``status``, ``image_uid`` and ``profile``. Symbols are those of :mod:`monai_ceph.landmarks`,
    also of the extra landmarks. Where ``pixel_spacing`` is empty because pixels are not square, the scale is found from
    ``x_mm`` and ``y_mm``; these columns have no other use, so a corrected ``x`` needs no new ``x_mm``.

    Raises:
        DatasetError: if the table or a row cannot be read. The message names file and line.
        OSError: if there is no such file.
    """
    films: dict[str, list[tuple[str, Row]]] = {}
    for where, row in rows(table, _REQUIRED, _ONCE, {"file": "film"}):
        films.setdefault(row["film"].strip(), []).append((where, row))
    if not films:
        raise DatasetError(f"{table}: the table has no rows")
    return [_film(name, found) for name, found in films.items()]


def _film(name: str, found: list[tuple[str, Row]]) -> FilmPoints:
    film, seen, uncertain = FilmPoints(name), set(), []
    for where, row in found:
        symbol = row["symbol"].strip()
        if landmark_of(symbol) is None:
            raise DatasetError(f"{where}: no landmark has the symbol {symbol!r}; docs/reference/codes.md lists them")
        if symbol in seen:
            raise DatasetError(f"{where}: a second row for {symbol} of {name}; keep one")
        seen.add(symbol)
        x, y = number(row, "x", where), number(row, "y", where)
        if math.isnan(x) != math.isnan(y):
            raise DatasetError(f"{where}: {symbol} has only one of x and y")
        if math.isnan(x):
            continue
        film.places[symbol] = x, y
        if row.get("status", "").strip().lower() == "uncertain":
            uncertain.append(symbol)
    film.uncertain = tuple(uncertain)
    film.image_uid, film.profile = (
        next(filter(None, (row.get(column, "").strip() for _, row in found)), None)
        for column in ("image_uid", "profile")
    )
    film.pixel_spacing = _spacing(name, found)
    film.spacing_source = _source(found, film.pixel_spacing is not None)
    return film


def _spacing(name: str, found: list[tuple[str, Row]]) -> tuple[float, float] | None:
    given = [(where, number(row, "pixel_spacing", where)) for where, row in found]
    given = [(where, side) for where, side in given if not math.isnan(side)]
    for where, side in given:
        if not SMALLEST_PIXEL <= side <= LARGEST_PIXEL:
            limits = f"{SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}"
            raise DatasetError(f"{where}: pixel_spacing is {side:g}; give mm per pixel, from {limits}")
        if side != given[0][1]:
            raise DatasetError(f"{where}: pixel_spacing of {name} is {side:g}, but {given[0][1]:g} in an earlier row")
    if given:
        return given[0][1], given[0][1]
    row, column = (_ratio(found, axis) for axis in ("y", "x"))
    return None if row is None or column is None else (row, column)


def _ratio(found: Iterable[tuple[str, Row]], axis: str) -> float | None:
    """Return mm per pixel along an axis: the median over the landmarks, because a person may have moved some."""
    ratios = []
    for where, row in found:
        pixels, mm = number(row, axis, where), number(row, f"{axis}_mm", where)
        if mm > 0 and pixels >= _FAR_ENOUGH:
            ratios.append(mm / pixels)
    side = float(np.median(ratios)) if ratios else 0.0
    return side if SMALLEST_PIXEL <= side <= LARGEST_PIXEL else None


def _source(found: Iterable[tuple[str, Row]], scaled: bool) -> SpacingSource:
    said = {row.get("spacing_source", "").strip() for _, row in found}
    known = {SpacingSource(each) for each in said if each in {source.value for source in SpacingSource}}
    if not scaled:
        return SpacingSource.IMPLAUSIBLE if known == {SpacingSource.IMPLAUSIBLE} else SpacingSource.NONE
    named = known - {SpacingSource.NONE, SpacingSource.IMPLAUSIBLE}
    # a person who fills in a scale may leave the other column as it was
    return named.pop() if len(named) == 1 else SpacingSource.USER
