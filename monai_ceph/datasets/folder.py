"""Any folder of films with a table of landmarks."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from monai_ceph.datasets.film import Film
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS, name_of

__all__ = ["TABLE", "folder", "template"]

TABLE = "landmarks.csv"
_REQUIRED = ("file", "symbol", "x", "y")
_SPREAD = ("spread_x", "spread_y")
_READ = (*_REQUIRED, "pixel_spacing", *_SPREAD)


def template(file: str = "film-001.png", symbols: Sequence[str] = SYMBOLS) -> str:
    """Return the text of an empty table for one film: one row per landmark, to fill in and to repeat."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "landmark", "symbol", "x", "y", "pixel_spacing"))
    table.writerows((file, name_of(symbol), symbol, "", "", "") for symbol in symbols)
    return text.getvalue()


def _number(row: dict[str, str], column: str, where: str) -> float:
    text = (row.get(column) or "").strip()
    if not text:
        return math.nan
    try:
        if "_" in text:  # which float passes over between digits
            raise ValueError
        value = float(text)
    except ValueError:
        raise DatasetError(f"{where}: {column} is {text!r}, not a number") from None
    if math.isinf(value):
        raise DatasetError(f"{where}: {column} is not finite")
    return value


def _rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every row with the place where it stands, for messages."""
    content = table.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{table}, line {line}: not UTF-8; save the table as CSV UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if lacking := [column for column in _REQUIRED if column not in (reader.fieldnames or [])]:
            raise DatasetError(f"{table}, line 1: no column {', '.join(lacking)} in the header")
        if double := [column for column in _READ if list(reader.fieldnames or []).count(column) > 1]:
            raise DatasetError(f"{table}, line 1: the column {double[0]} stands twice in the header")
        for row in reader:
            yield f"{table}, line {reader.line_num}", row
    except csv.Error as error:
        raise DatasetError(f"{table}, line {reader.line_num + 1}: {error}") from error


def _path(root: Path, file: str) -> Path:
    """The path of a film: tables are UTF-8, as names on the disk are, whatever encoding the locale has."""
    return root / os.fsdecode(file.encode())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def folder(root: str | Path, symbols: Sequence[str] = SYMBOLS) -> list[Film]:
    """Return the films of a folder that has a ``landmarks.csv``.

    The table has one row per film and landmark, in any order, with a header. Columns: ``file`` (relative to the
    folder), ``symbol`` (see :mod:`monai_ceph.landmarks`, or one of the user's own set), ``x`` and ``y`` (pixels of the
    image, x right, y down, pixel centres at integers; empty or NaN if not annotated), and optionally ``pixel_spacing``
    (mm per pixel, below 10, the same in every row of a film), and ``spread_x`` and ``spread_y`` (pixels, from ``x`` and
    ``y`` to one of two annotators, if they are midway between them). Other columns are left alone, so that the table
    of ``monai-ceph detect`` fits. A landmark without a row is not annotated.

    Args:
        root: the folder.
        symbols: the landmarks, in the order of the channels. Rows of the vocabulary's other landmarks are left alone;
            any other symbol is taken for a slip of the pen.

    Raises:
        DatasetError: if the table or a film is missing, or a row is wrong; it names file and line.
    """
    root = Path(root)
    table = root / TABLE
    if not table.is_file():
        raise DatasetError(f"{table}: no such file; a dataset folder needs one (monai-ceph template prints it)")
    order = {symbol: index for index, symbol in enumerate(symbols)}
    points: dict[str, np.ndarray] = {}
    names: dict[str, str] = {}
    spacing: dict[str, float] = {}
    spreads: dict[str, np.ndarray] = {}
    seen: set[tuple[str, str]] = set()
    for where, row in _rows(table):
        file, symbol = (row["file"] or "").strip(), (row["symbol"] or "").strip()
        if file not in points:
            if not (file and _is_file(_path(root, file))):
                raise DatasetError(f"{where}: {file!r} is not a file in the folder")
            # a film with two names could train and validate
            if (known := names.setdefault(os.path.realpath(_path(root, file)), file)) != file:
                raise DatasetError(f"{where}: {file!r} is the same file as {known!r}, and needs the same name")
        if symbol not in order and symbol not in SYMBOLS:
            raise DatasetError(
                f"{where}: no landmark has the symbol {symbol!r}; the landmarks are {' '.join(symbols)} (a set of your "
                "own goes into the config key landmarks)"
            )
        if (file, symbol) in seen:
            raise DatasetError(f"{where}: {symbol} of {file} stands twice")
        seen.add((file, symbol))
        place = points.setdefault(file, np.full((len(symbols), 2), math.nan))
        x, y = _number(row, "x", where), _number(row, "y", where)
        if math.isnan(x) != math.isnan(y):
            raise DatasetError(f"{where}: {symbol} has only one of x and y")
        to_x, to_y = (_number(row, column, where) for column in _SPREAD)
        if math.isnan(to_x) != math.isnan(to_y):
            raise DatasetError(f"{where}: {symbol} has only one of spread_x and spread_y")
        if symbol in order:
            place[order[symbol]] = y, x
            spreads.setdefault(file, np.full((len(symbols), 2), math.nan))[order[symbol]] = to_y, to_x
        here = _number(row, "pixel_spacing", where)
        if here <= 0 or here >= 10:
            raise DatasetError(f"{where}: pixel_spacing is {here:g}, no length of a pixel in mm")
        before = spacing.setdefault(file, here)
        if not math.isnan(here):
            if not math.isnan(before) and before != here:
                raise DatasetError(f"{where}: pixel_spacing of {file} is {here} here and {before} before")
            spacing[file] = here
    if not points:
        raise DatasetError(f"{table}: no film in it")
    return [
        Film(file, _path(root, file), place, spacing[file], spreads.get(file)) for file, place in sorted(points.items())
    ]
