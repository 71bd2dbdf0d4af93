"""Read the rows of a CSV table as spreadsheets and other programs write it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from monai_ceph.errors import DatasetError
from monai_ceph.storage.csv_cells import plain_cell

__all__ = ["Row", "number", "rows"]

Row = dict[str, str]
"""A row of a table: the text in each column, by the column's name in lower case."""

_DELIMITERS = (",", ";", "\t", "|")
# columns that an error about the header names
_SHOWN = 12
# Excel may write this line before the header
_SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")

# how pandas, R, Excel and databases write a missing value
_NO_VALUE = {"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "-"}


def rows(
    table: Path, required: Sequence[str], once: Sequence[str], also: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Row]]:
    """Yield every row, each after its file and line for messages.

    The text is UTF-8, or UTF-16 with a byte order mark. Columns are separated by commas, semicolons, tabs or vertical
    bars, whichever the header uses. Upper and lower case are the same in column names.

    Args:
        table: the file.
        required: columns that must be present.
        once: all columns that are used; they must not occur twice, and one that looks like them is refused.
        also: other names of columns, with the names that the rows get.

    Raises:
        DatasetError: if the text, the header or a row cannot be read. The message names file and line.
    """
    text = _text(table)
    given = _SEPARATOR.match(text)
    skipped = 0
    if given:
        text, skipped = text[given.end() :], 1
    header_line = text.split("\n", 1)[0]
    delimiter = given[1] if given else _delimiter(header_line, required)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        header = [name if (also or {}).get(name, name) in header else (also or {}).get(name, name) for name in header]
        if lacking := [column for column in required if column not in header]:
            has = [name for name in header if name]
            more = f" and {len(has) - _SHOWN} more" if len(has) > _SHOWN else ""
            found = f"; it has {', '.join(has[:_SHOWN])}{more}" if has else ""
            raise DatasetError(f"{table}, line {1 + skipped}: no column {', '.join(lacking)} in the header{found}")
        if double := [column for column in once if header.count(column) > 1]:
            raise DatasetError(f"{table}, line {1 + skipped}: two columns {double[0]} in the header; keep one")
        if wrong := _misspelt(header, once):
            raise DatasetError(
                f"{table}, line {1 + skipped}: does the column {wrong[0]} mean {wrong[1]}? Correct its name, or choose "
                "one that is less similar"
            )
        for values in reader:
            if values:
                row = dict(zip(header, [*map(plain_cell, values), *[""] * (len(header) - len(values))], strict=False))
                if delimiter != ",":
                    row = {key: _with_decimal_point(value) for key, value in row.items()}
                yield f"{table}, line {reader.line_num + skipped}", row
    except csv.Error as error:
        raise DatasetError(f"{table}, line {reader.line_num + skipped}: {error}") from error


def _misspelt(header: Sequence[str], known: Sequence[str]) -> tuple[str, str] | None:
    """Return an unknown column that looks like a known one which the table lacks, and that one; None if there is none.

    Such a column would be ignored without a word, although somebody filled it in.
    """
    absent = {_letters(column): column for column in known if column not in header and len(column) > 3}
    for name in header:
        if name not in known and (similar := get_close_matches(_letters(name), absent, n=1, cutoff=0.8)):
            return name, absent[similar[0]]
    return None


def _letters(name: str) -> str:
    """Return a column's name without blanks and signs: ``Pixel Spacing (mm)`` is ``pixelspacingmm``."""
    return re.sub(r"[\W_]+", "", name)


def _text(table: Path) -> str:
    content = table.read_bytes()
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{table}, line {line}: not UTF-8; save the table as CSV UTF-8") from error


def _delimiter(header: str, required: Sequence[str]) -> str:
    """Return the separator that finds most of the required columns; a comma if none finds any."""

    def found(delimiter: str) -> int:
        names = {name.strip(' "\r\n').lower() for name in header.split(delimiter)}
        return sum(column in names for column in required)

    return max(_DELIMITERS, key=found)


def _with_decimal_point(value: str) -> str:
    """Replace the comma of a decimal number such as 812,5 by a point."""
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value.strip()) else value


def number(row: Row, column: str, where: str) -> float:
    """Return the number in a column; NaN if it is absent, empty, or a common spelling of no value.

    Raises:
        DatasetError: if the text is not a finite number.
    """
    text = row.get(column, "").strip()
    if text.lower() in _NO_VALUE:
        return math.nan
    try:
        if "_" in text:  # which float() accepts between digits
            raise ValueError
        value = float(text)
    except ValueError:
        raise DatasetError(f"{where}: {column} is {text!r}, not a number") from None
    if math.isinf(value):
        raise DatasetError(f"{where}: {column} is not finite")
    return value
