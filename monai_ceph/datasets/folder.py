"""Any folder of films with a table of landmarks."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_ceph.datasets.annotation_checks import check_on_film, without_placeholders
from monai_ceph.datasets.film import Film
from monai_ceph.datasets.film_finder import FilmFinder
from monai_ceph.datasets.table import number, rows
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS, landmark_of, name_of
from monai_ceph.storage.csv_cells import safe_cell

__all__ = ["TABLE", "folder", "template"]

TABLE = "landmarks.csv"
_REQUIRED = ("film", "symbol", "x", "y")
_SPREAD = ("spread_x", "spread_y")
_READ = (*_REQUIRED, "pixel_spacing", *_SPREAD)


def template(files: Sequence[str] = ("film-001.png",), symbols: Sequence[str] = SYMBOLS) -> str:
    """Return the text of an empty table: one row per film and landmark, to fill in."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("film", "landmark", "symbol", "x", "y", "pixel_spacing"))
    table.writerows((safe_cell(file), name_of(symbol), symbol, "", "", "") for file in files for symbol in symbols)
    return text.getvalue()


def folder(root: str | Path, symbols: Sequence[str] = SYMBOLS) -> list[Film]:
    """Return the films of a folder that has a ``landmarks.csv``.

    The table has one row per film and landmark, in any order, with a header; see
    :func:`~monai_ceph.datasets.table.rows` for the kinds of text that are read. Columns:

    - ``film``, or ``file``: see :class:`~monai_ceph.datasets.film_finder.FilmFinder`;
    - ``symbol``: see :mod:`monai_ceph.landmarks`, or one of the user's own set;
    - ``x`` and ``y``: pixels of the image, x right, y down, pixel centres at integers. A landmark that is not annotated
      has them empty, or both -1, or a common spelling of no value such as "NA"; both 0 if that is so for two or more
      landmarks of a film;
    - ``pixel_spacing``, optional: mm per pixel, below 10, the same in every row of a film;
    - ``spread_x`` and ``spread_y``, optional: if ``x`` and ``y`` are midway between two annotators, the distance in
      pixels to one of them.

    Other columns are ignored. A landmark without a row is not annotated.

    Args:
        root: the folder.
        symbols: the landmarks, in the order of the channels. Rows of other landmarks in `monai_ceph.landmarks` are
            ignored; any other symbol is an error.

    Raises:
        DatasetError: if the table or a film is missing, or a row is wrong, such as a landmark that is not on the film.
            The message names file and line.
    """
    root = Path(root)
    table = root / TABLE
    if not table.is_file():
        raise DatasetError(f"{table}: no such file; print an empty one with monai-ceph template")
    order = {symbol: index for index, symbol in enumerate(symbols)}
    find = FilmFinder(root)
    images: dict[str, Path] = {}
    points: dict[str, np.ndarray] = {}
    lines: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    spacing: dict[str, float] = {}
    spreads: dict[str, np.ndarray] = {}
    seen: set[tuple[str, str]] = set()
    for where, row in rows(table, _REQUIRED, _READ, {"file": "film"}):
        file, symbol = row["film"].strip(), row["symbol"].strip()
        if file not in points:
            image = find(file)
            if image is None:
                raise DatasetError(f"{where}: {file!r} is not a file in the folder, nor the UID of a DICOM film in it")
            images[file] = image
            # under two names a film could be in both training and validation
            if (known := names.setdefault(os.path.realpath(image), file)) != file:
                raise DatasetError(f"{where}: {file!r} is the same file as {known!r}; use one name")
        if symbol not in order and landmark_of(symbol) is None:
            raise DatasetError(
                f"{where}: no landmark has the symbol {symbol!r}; the landmarks are {' '.join(symbols)}. Landmarks of "
                "your own belong in the config key landmarks"
            )
        if (file, symbol) in seen:
            raise DatasetError(f"{where}: a second row for {symbol} of {file}; keep one")
        seen.add((file, symbol))
        place = points.setdefault(file, np.full((len(symbols), 2), math.nan))
        x, y = number(row, "x", where), number(row, "y", where)
        if math.isnan(x) != math.isnan(y):
            raise DatasetError(f"{where}: {symbol} has only one of x and y")
        to_x, to_y = (number(row, column, where) for column in _SPREAD)
        if math.isnan(to_x) != math.isnan(to_y):
            raise DatasetError(f"{where}: {symbol} has only one of spread_x and spread_y")
        if symbol in order:
            place[order[symbol]] = y, x
            lines.setdefault(file, [""] * len(symbols))[order[symbol]] = where
            spreads.setdefault(file, np.full((len(symbols), 2), math.nan))[order[symbol]] = to_y, to_x
        here = number(row, "pixel_spacing", where)
        if here <= 0 or here >= 10:
            raise DatasetError(f"{where}: pixel_spacing is {here:g}; give mm per pixel, between 0 and 10")
        before = spacing.setdefault(file, here)
        if not math.isnan(here):
            if not math.isnan(before) and before != here:
                raise DatasetError(f"{where}: pixel_spacing of {file} is {here}, but {before} in an earlier row")
            spacing[file] = here
    if not points:
        raise DatasetError(f"{table}: the table has no rows")
    films = []
    for file in sorted(points):
        place = without_placeholders(points[file])
        if np.isfinite(place).any():
            check_on_film(str(images[file]), place, symbols, lines[file])
        films.append(Film(file, images[file], place, spacing[file], spreads.get(file)))
    return films
