"""The band below a picture of a film: what its colours mean, and lines of text. It covers nothing of the film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from monai_ceph.reports.shapes import Circle, Line, Shape, Words, width_of

__all__ = ["Entry", "Legend", "Swatch", "legend_below"]

Swatch = Literal["cross", "line", "dashes", "circle"]

# in sizes of letters
_STEP, _EDGE, _SWATCH, _BESIDE, _APART = 1.35, 0.6, 1.3, 0.4, 1.2
_LINE = 0.1


@dataclass(frozen=True)
class Entry:
    """One entry of a legend.

    Attributes:
        swatch: what is drawn in the colour before the text.
        text: what it means.
        colour: such as ``#50dc64``.
    """

    swatch: Swatch
    text: str
    colour: str


@dataclass(frozen=True)
class Legend:
    """A legend with its place.

    Attributes:
        shapes: to be drawn.
        height: of the band below the film, in source pixels.
    """

    shapes: tuple[Shape, ...]
    height: float


def legend_below(
    entries: Sequence[Entry], notes: Sequence[tuple[str, str]], size: tuple[int, int], letters: float
) -> Legend:
    """Return the legend of a film: the entries one after the other, then the notes, in as many lines as they need.

    Args:
        entries: what the drawing shows.
        notes: (text, colour).
        size: (columns, rows) of the film.
        letters: their size in source pixels.
    """
    columns, rows = size
    left, right = _EDGE * letters - 0.5, columns - 0.5 - _EDGE * letters
    x, y = left, rows - 0.5 + _STEP * letters
    shapes: list[Shape] = []
    indent = (_SWATCH + _BESIDE) * letters
    for entry in entries:
        first, *more = _wrapped(entry.text, right - left - indent, letters)
        if x > left and (more or x + indent + width_of(first, letters) > right):
            x, y = left, y + _STEP * letters
        shapes += _swatch(entry, x, y, letters)
        shapes.append(Words(first, (x + indent, y), letters, entry.colour))
        for text in more:
            y += _STEP * letters
            shapes.append(Words(text, (left + indent, y), letters, entry.colour))
        x = right if more else x + indent + width_of(first, letters) + _APART * letters
    if not entries:
        y -= _STEP * letters
    for note, colour in notes:
        for text in _wrapped(note, right - left, letters):
            y += _STEP * letters
            shapes.append(Words(text, (left, y), letters, colour))
    height = y + 0.5 * letters - (rows - 0.5) if shapes else 0.0
    return Legend(tuple(shapes), height)


def _swatch(entry: Entry, x: float, y: float, letters: float) -> Iterator[Shape]:
    width, middle = _LINE * letters, y - 0.33 * letters
    end, centre, arm = x + _SWATCH * letters, x + _SWATCH * letters / 2, 0.4 * letters
    if entry.swatch == "cross":
        yield Line(((centre - arm, middle), (centre + arm, middle)), entry.colour, width)
        yield Line(((centre, middle - arm), (centre, middle + arm)), entry.colour, width)
    elif entry.swatch == "circle":
        yield Circle((centre, middle), arm, entry.colour, width)
    else:
        yield Line(((x, middle), (end, middle)), entry.colour, width, dashed=entry.swatch == "dashes")


def _wrapped(text: str, width: float, letters: float) -> Iterator[str]:
    """Return the lines of a text; a word that is wider than a line has one of its own."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and width_of(longer, letters) > width:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line
