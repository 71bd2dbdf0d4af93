"""Lines, circles and words in layers, which become an SVG or are drawn on a picture: both show the same.

Coordinates are (x, y) in source pixels: x right, y down, pixel centres at integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Box", "Circle", "Layer", "Line", "Shape", "Words", "draw_shapes", "ink_height", "svg_layers", "width_of"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_ABOVE, _BELOW = 0.78, 0.24
# share of a pattern that is drawn, and its length in line widths
_DASH, _GAP = 5.0, 4.0
# lines are drawn this many times larger, and reduced, so that slanted ones are smooth
_FINER = 2
_MEASURED_AT = 100


@dataclass(frozen=True)
class Line:
    """A line through points.

    Attributes:
        points: at least two, (x, y).
        colour: such as ``#50dc64``.
        width: in source pixels.
        dashed: it is drawn as dashes.
    """

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float
    dashed: bool = False


@dataclass(frozen=True)
class Circle:
    """A circle that is not filled.

    Attributes:
        centre: (x, y).
        radius: in source pixels.
        colour: such as ``#50dc64``.
        width: of the line, in source pixels.
    """

    centre: tuple[float, float]
    radius: float
    colour: str
    width: float


@dataclass(frozen=True)
class Words:
    """One line of text, upright.

    Attributes:
        text: what it says.
        start: (x, y) of the left end of the line that the letters are on.
        size: of the letters, in source pixels.
        colour: such as ``#50dc64``.
    """

    text: str
    start: tuple[float, float]
    size: float
    colour: str

    @property
    def box(self) -> Box:
        """The box that the letters fill at most."""
        x, y = self.start
        return x, y - _ABOVE * self.size, x + width_of(self.text, self.size), y + _BELOW * self.size

    @classmethod
    def within(cls, text: str, box: Box, size: float, colour: str) -> Words:
        """Return text in the middle of a box."""
        left, top, right, bottom = box
        x = (left + right - width_of(text, size)) / 2
        return cls(text, (x, (top + bottom + (_ABOVE - _BELOW) * size) / 2), size, colour)


Shape = Line | Circle | Words


@dataclass(frozen=True)
class Layer:
    """Shapes that are shown or hidden together.

    Attributes:
        name: lower case, unique in a drawing.
        title: for people.
        shapes: drawn in this order.
        layers: parts that can be hidden on their own.
    """

    name: str
    title: str
    shapes: tuple[Shape, ...] = ()
    layers: tuple[Layer, ...] = ()

    def all_shapes(self) -> Iterator[Shape]:
        """Return the shapes of this layer and of its parts."""
        yield from self.shapes
        for layer in self.layers:
            yield from layer.all_shapes()


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def width_of(text: str, size: float) -> float:
    """Return how wide a text is, in the unit of the size of its letters."""
    return _font(_MEASURED_AT).getlength(text) * size / _MEASURED_AT


def ink_height(size: float) -> float:
    """Return how high the box of a text is, in the unit of the size of its letters."""
    return (_ABOVE + _BELOW) * size


def svg_layers(layers: Iterable[Layer], halo: str, prefix: str = "") -> Iterator[str]:
    """Return the layers as lines of SVG, each a group ``<g id="layer-NAME">``.

    Args:
        layers: drawn in this order.
        halo: colour around lines and letters, so that they show on any ground.
        prefix: before each id, so that several drawings fit on one page.
    """
    for layer in layers:
        name, title = escape(f"{prefix}layer-{layer.name}"), escape(layer.title)
        # Inkscape lists groups with these attributes as layers
        yield f'<g id="{name}" class="layer" inkscape:groupmode="layer" inkscape:label="{title}"><title>{title}</title>'
        for shape in _halos_first(layer.shapes, halo):
            yield _svg_shape(shape, halo)
        yield from svg_layers(layer.layers, halo, prefix)
        yield "</g>"


def _halos_first(shapes: Sequence[Shape], halo: str) -> Iterator[Shape]:
    """Return the shapes with their halos below all of them, so that no halo cuts another line; words are on top."""
    lines = [shape for shape in shapes if not isinstance(shape, Words)]
    for shape in lines:
        below = replace(shape, colour=halo, width=2 * shape.width)
        yield replace(below, dashed=False) if isinstance(below, Line) else below
    yield from lines
    yield from (shape for shape in shapes if isinstance(shape, Words))


def _svg_shape(shape: Shape, halo: str) -> str:
    if isinstance(shape, Words):
        x, y = shape.start
        # the length keeps the place that was measured for the text, whatever font a viewer has
        return (
            f'<text x="{_number(x)}" y="{_number(y)}" font-family="sans-serif" font-size="{_number(shape.size)}" '
            f'textLength="{_number(width_of(shape.text, shape.size))}" lengthAdjust="spacingAndGlyphs" '
            f'fill="{shape.colour}" stroke="{halo}" stroke-width="{_number(shape.size / 6)}" '
            f'stroke-linejoin="round" paint-order="stroke">{escape(shape.text)}</text>'
        )
    stroke = f'fill="none" stroke="{shape.colour}" stroke-width="{_number(shape.width)}"'
    if isinstance(shape, Circle):
        x, y = shape.centre
        return f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{_number(shape.radius)}" {stroke}/>'
    places = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
    dashes = f'stroke-dasharray="{_number(_DASH * shape.width)} {_number(_GAP * shape.width)}" ' if shape.dashed else ""
    return f'<polyline points="{places}" {stroke} {dashes}stroke-linejoin="round"/>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def draw_shapes(picture: Image.Image, layers: Iterable[Layer], halo: str, scale: float, top: float = -0.5) -> None:
    """Draw the shapes of layers on a picture.

    Args:
        picture: RGB; it is changed.
        layers: drawn in this order.
        halo: colour around lines and letters.
        scale: pixels of the picture per source pixel.
        top: y of the picture's upper edge, in source pixels.
    """
    fine = Image.new("RGBA", (picture.width * _FINER, picture.height * _FINER))
    pen = _Pen(ImageDraw.Draw(fine), scale * _FINER, top)
    for layer in layers:
        for shape in _halos_first(list(layer.all_shapes()), halo):
            pen.draw(shape, halo)
    if (drawn := fine.getbbox()) is None:
        return
    left, upper, right, lower = drawn[0] // _FINER, drawn[1] // _FINER, -(-drawn[2] // _FINER), -(-drawn[3] // _FINER)
    part = fine.crop((left * _FINER, upper * _FINER, right * _FINER, lower * _FINER))
    # colours that are weighted by their opacity do not darken where lines end
    smooth = part.convert("RGBa").reduce(_FINER).convert("RGBA")
    picture.paste(smooth, (left, upper), smooth)


class _Pen:
    """Draws shapes on a picture with ``scale`` of its pixels per source pixel, from the y of its upper edge on."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, top: float) -> None:
        self._draw, self._scale, self._top = draw, scale, top

    def draw(self, shape: Shape, halo: str) -> None:
        if isinstance(shape, Words):
            size = shape.size * self._scale
            self._draw.text(
                self._place(shape.start),
                shape.text,
                fill=shape.colour,
                font=_font(size),
                anchor="ls",
                stroke_width=size / 12,
                stroke_fill=halo,
            )
            return
        if isinstance(shape, Circle):
            self._circle(shape)
        else:
            for part in _dashes(shape) if shape.dashed else [shape.points]:
                self._line(part, shape)

    def _place(self, point: tuple[float, float]) -> tuple[float, float]:
        return (point[0] + 0.5) * self._scale - 0.5, (point[1] - self._top) * self._scale - 0.5

    def _line(self, points: Sequence[tuple[float, float]], shape: Line) -> None:
        thick = max(1, round(shape.width * self._scale))
        self._draw.line([self._place(point) for point in points], fill=shape.colour, width=thick, joint="curve")

    def _circle(self, shape: Circle) -> None:
        x, y = self._place(shape.centre)
        thick = max(1, round(shape.width * self._scale))
        reach = shape.radius * self._scale + thick / 2
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=shape.colour, width=thick)


def _dashes(line: Line) -> Iterator[tuple[tuple[float, float], ...]]:
    """Return the dashes of a line, which go around its corners."""
    places = np.asarray(line.points, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
    for begin in np.arange(0.0, along[-1], (_DASH + _GAP) * line.width):
        end = min(begin + _DASH * line.width, along[-1])
        stops = [begin, *along[(along > begin) & (along < end)], end]
        xs, ys = (np.interp(stops, along, axis).tolist() for axis in places.T)
        yield tuple(zip(xs, ys, strict=True))
