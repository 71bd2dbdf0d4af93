"""A tracing: planes, outlines, landmarks and their uncertainty, drawn over the film or on paper, as SVG or PNG.

The outlines go through landmarks that lie on one contour. They are an aid for the eye: between the landmarks they show
no anatomy, and the legend says so. Text is upright, whichever way the head lies or faces.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from monai_ceph.reports.film_picture import LONGEST, picture_scale
from monai_ceph.reports.labels import place_labels, place_name
from monai_ceph.reports.legend import Entry, legend_below
from monai_ceph.reports.shapes import (
    Circle,
    Layer,
    Line,
    Shape,
    Words,
    draw_shapes,
    ink_height,
    svg_layers,
    width_of,
)
from monai_ceph.reports.tracing_lines import OUTLINES, PLANES, outline_points, part_on_film, plane_ends

__all__ = ["LAYERS", "NOT_ANATOMY", "tracing_picture", "tracing_png", "tracing_svg"]

NOT_ANATOMY = "outlines join landmarks; between them they show no anatomy"
"""What the legend says of the outlines."""

LAYERS: dict[str, str] = {
    "film": "film",
    "uncertainty": "uncertainty",
    "outlines": "outlines",
    "planes": "planes",
    **{plane.name: plane.title for plane in PLANES},
    "points": "landmarks",
    "labels": "symbols",
    "legend": "legend",
}
"""The layers of a tracing, with titles for people, from the lowest; each plane is one inside ``planes``."""

Points = Mapping[str, "tuple[float, float]"]

# the size of letters in a picture whose longest side is 1400 pixels, and other lengths in the same unit
_LETTERS, _ARM, _THIN, _THICK, _MARGIN = 19.0, 8.0, 1.8, 2.0, 2.0
# smallest size of letters in pixels of the picture
_SMALLEST = 16.0


@dataclass(frozen=True)
class _Ground:
    """Colours on the film, which is dark, or on paper.

    Attributes:
        paper: of the drawing where there is no film.
        halo: around lines and letters.
        text: of notes and outlines.
        ok: of landmarks and their symbols.
        uncertain: of landmarks that are uncertain.
        alert: of text that must not be missed.
        planes: by name.
    """

    paper: str
    halo: str
    text: str
    ok: str
    uncertain: str
    alert: str
    planes: Mapping[str, str]


# told apart also by people who do not see red or green: the hues of Okabe and Ito, lighter or darker than the ground
_NAMES = [plane.name for plane in PLANES]
_ON_FILM = _Ground(
    *("#000000", "#000000", "#f0f0f0", "#50dc64", "#ffaa1e", "#ff6464"),
    dict(
        zip(
            _NAMES,
            (
                *("#56b4e9", "#f0e442", "#e08fc0", "#ff8040", "#40e0d0", "#9db4ff"),
                *("#c8a0ff", "#ffd0a0", "#ffffff", "#ffffff", "#b0ffb0"),
            ),
            strict=True,
        )
    ),
)
_ON_PAPER = _Ground(
    *("#ffffff", "#ffffff", "#303030", "#00702a", "#a85a00", "#c00000"),
    dict(
        zip(
            _NAMES,
            (
                *("#0072b2", "#8a7f00", "#a83a7c", "#c04000", "#00786c", "#3050c0"),
                *("#6a3fb0", "#8a5020", "#000000", "#000000", "#2f7d2f"),
            ),
            strict=True,
        )
    ),
)


def tracing_svg(
    points: Points,
    size: tuple[int, int],
    *,
    layers: Sequence[str] | None = None,
    film_png: bytes | None = None,
    uncertainty: Mapping[str, float] | None = None,
    uncertain: Collection[str] = (),
    alerts: Sequence[str] = (),
    notes: Sequence[str] = (),
    id_prefix: str = "",
) -> str:
    """Return a tracing as one SVG element that needs no other file.

    Its unit is the source pixel: a place of the drawing is a place of the film. Each layer is a group
    ``<g id="layer-NAME" class="layer">`` that can be hidden, such as by ``style.display = "none"``; groups that would
    be empty are left out. The legend lies below the film, so that it covers nothing.

    Args:
        points: (x, y) in source pixels by symbol; what is NaN or off the film has no mark.
        size: (columns, rows) of the film.
        layers: names of :data:`LAYERS` that are drawn, None for all. ``planes`` are all planes.
        film_png: the whole film as PNG of any size, under the drawing. Without it, the ground is white.
        uncertainty: radius of a circle around a landmark in source pixels, by symbol.
        uncertain: symbols of the landmarks that are drawn as uncertain.
        alerts: lines of text below the legend, in red.
        notes: lines of text below these.
        id_prefix: before each id, so that one page can hold several tracings.

    Raises:
        ValueError: no such layer, or a size that no film has.
    """
    drawing = _Drawing(points, size, layers, film_png is not None, uncertainty or {}, uncertain)
    legend, band = drawing.legend(alerts, notes)
    columns, rows = size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
        f'viewBox="-0.5 -0.5 {columns} {rows + band:g}" width="{columns}" height="{rows + band:g}" '
        f'role="img" aria-label="Cephalometric tracing">',
        f'<rect x="-0.5" y="-0.5" width="100%" height="100%" fill="{drawing.ground.paper}"/>',
        # what lies off the film is not drawn
        f'<svg x="-0.5" y="-0.5" width="{columns}" height="{rows}" viewBox="-0.5 -0.5 {columns} {rows}">',
    ]
    if film_png is not None and "film" in drawing.names:
        parts += [
            f'<g id="{escape(id_prefix)}layer-film" class="layer" inkscape:groupmode="layer" inkscape:label="film">',
            f'<image x="-0.5" y="-0.5" width="{columns}" height="{rows}" preserveAspectRatio="none" '
            f'href="data:image/png;base64,{b64encode(film_png).decode()}"/></g>',
        ]
    parts += svg_layers(drawing.layers, drawing.ground.halo, id_prefix)
    parts.append("</svg>")
    parts += svg_layers(legend, drawing.ground.halo, id_prefix)
    return "\n".join([*parts, "</svg>\n"])


def tracing_png(
    points: Points,
    size: tuple[int, int],
    *,
    layers: Sequence[str] | None = None,
    film_png: bytes | None = None,
    uncertainty: Mapping[str, float] | None = None,
    uncertain: Collection[str] = (),
    alerts: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> bytes:
    """Return the same tracing as the bytes of a PNG file; the longest side of the film has 1000 to 1400 pixels.

    Arguments and errors are those of :func:`tracing_svg`.
    """
    film = None if film_png is None else Image.open(BytesIO(film_png))
    file = BytesIO()
    tracing_picture(
        *(points, size),
        layers=layers,
        film=film,
        uncertainty=uncertainty,
        uncertain=uncertain,
        alerts=alerts,
        notes=notes,
    ).save(file, format="PNG", compress_level=6)
    return file.getvalue()


def tracing_picture(
    points: Points,
    size: tuple[int, int],
    *,
    layers: Sequence[str] | None = None,
    film: Image.Image | None = None,
    uncertainty: Mapping[str, float] | None = None,
    uncertain: Collection[str] = (),
    alerts: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Image.Image:
    """Return the same tracing as an RGB picture.

    Arguments and errors are those of :func:`tracing_svg`, but the film is a picture.
    """
    drawing = _Drawing(points, size, layers, film is not None, uncertainty or {}, uncertain)
    legend, band = drawing.legend(alerts, notes)
    scale = picture_scale(size)
    columns, rows = (max(1, round(scale * length)) for length in size)
    paper, halo = drawing.ground.paper, drawing.ground.halo
    picture = Image.new("RGB", (columns, rows), paper)
    if film is not None and "film" in drawing.names:
        picture.paste(film.convert("RGB").resize((columns, rows)))
    draw_shapes(picture, drawing.layers, halo, scale)
    # a picture of its own, since what lies off the film is not drawn
    below = Image.new("RGB", (columns, round(scale * band)), paper)
    draw_shapes(below, legend, halo, scale, top=size[1] - 0.5)
    whole = Image.new("RGB", (columns, rows + below.height), paper)
    whole.paste(picture)
    whole.paste(below, (0, rows))
    return whole


class _Drawing:
    """The layers of a tracing with the place of everything.

    Attributes:
        ground: the colours.
        names: of the layers that are drawn.
        layers: over the film.
    """

    def __init__(
        self,
        points: Points,
        size: tuple[int, int],
        layers: Sequence[str] | None,
        film: bool,
        uncertainty: Mapping[str, float],
        uncertain: Collection[str],
    ) -> None:
        if min(size) < 1:
            raise ValueError(f"a film has at least one column and one row, not {size}")
        if unknown := sorted(set(layers or ()) - LAYERS.keys()):
            raise ValueError(f"no such layer: {', '.join(unknown)}; there are {', '.join(LAYERS)}")
        self.names = set(LAYERS if layers is None else layers)
        if "planes" in self.names:
            self.names |= {plane.name for plane in PLANES}
        self.ground = _ON_FILM if film else _ON_PAPER
        self._size, self._uncertain = size, frozenset(uncertain)
        scale = picture_scale(size)
        self._unit = max(size) / LONGEST
        # letters stay legible in small pictures
        self._letters = max(_LETTERS * self._unit, _SMALLEST / scale)
        known = {symbol: (float(x), float(y)) for symbol, (x, y) in points.items() if np.isfinite((x, y)).all()}
        self._known = known
        self._on_film = {symbol: place for symbol, place in known.items() if _inside(place, size)}
        planes = self._planes()
        drawn = [
            Layer("uncertainty", LAYERS["uncertainty"], tuple(self._circles(uncertainty))),
            Layer("outlines", LAYERS["outlines"], tuple(self._outlines())),
            Layer("planes", LAYERS["planes"], (), tuple(planes)),
            Layer("points", LAYERS["points"], tuple(self._crosses())),
            Layer("labels", LAYERS["labels"], tuple(self._labels([each for layer in planes for each in layer.shapes]))),
        ]
        self.layers = [shown for layer in drawn if (shown := self._shown(layer)) is not None]
        self._entries = list(self._legend({layer.name for layer in self.layers}, planes))

    def legend(self, alerts: Sequence[str], notes: Sequence[str]) -> tuple[list[Layer], float]:
        """Return the layer of the legend, if it is drawn, and the height of its band in source pixels."""
        if "legend" not in self.names:
            return [], 0.0
        lines = [*((text, self.ground.alert) for text in alerts), *((text, self.ground.text) for text in notes)]
        legend = legend_below(self._entries, lines, self._size, self._letters)
        return [Layer("legend", LAYERS["legend"], legend.shapes)], legend.height

    def _shown(self, layer: Layer) -> Layer | None:
        """Return what is drawn of a layer; None if that is nothing."""
        parts = tuple(part for each in layer.layers if (part := self._shown(each)) is not None)
        shapes = layer.shapes if layer.name in self.names else ()
        return replace(layer, shapes=shapes, layers=parts) if parts or shapes else None

    def _colour(self, symbol: str) -> str:
        return self.ground.uncertain if symbol in self._uncertain else self.ground.ok

    def _circles(self, uncertainty: Mapping[str, float]) -> Iterator[Circle]:
        for symbol, centre in self._on_film.items():
            if (radius := uncertainty.get(symbol, 0.0)) > 0:
                yield Circle(centre, float(radius), self._colour(symbol), _THIN * self._unit)

    def _outlines(self) -> Iterator[Line]:
        for outline in OUTLINES:
            for part in outline_points(outline, self._known):
                yield Line(part, self.ground.text, _THIN * self._unit, dashed=True)

    def _planes(self) -> list[Layer]:
        """Return a layer for each plane: its line, and its name at an end where there is room."""
        result: list[Layer] = []
        marks = _arms(np.array(list(self._on_film.values())).reshape(-1, 2), _ARM * self._unit)
        taken = [(left, top, right, bottom) for left, top, right, bottom in marks.tolist()]
        for plane in PLANES:
            ends = plane_ends(plane, self._known) if plane.name in self.names else None
            line = None if ends is None else part_on_film(ends, self._size)
            if line is None:
                continue
            colour = self.ground.planes[plane.name]
            shapes: list[Line | Words] = [Line(line, colour, _THIN * self._unit)]
            if (
                box := place_name(line, width_of(plane.label, self._letters), self._letters, self._size, taken)
            ) is not None:
                taken.append(box)
                shapes.append(Words.within(plane.label, box, self._letters, colour))
            result.append(Layer(plane.name, plane.title, tuple(shapes)))
        return result

    def _crosses(self) -> Iterator[Line]:
        arm = _ARM * self._unit
        for symbol, (x, y) in self._on_film.items():
            for cross in (((x - arm, y), (x + arm, y)), ((x, y - arm), (x, y + arm))):
                yield Line(cross, self._colour(symbol), _THICK * self._unit)

    def _labels(self, others: Sequence[Shape]) -> Iterator[Line | Words]:
        """Return the symbols, each nearest to its own landmark, with a line to it from one that is not beside it."""
        symbols = list(self._on_film)
        margin = _MARGIN * self._unit + self._letters / 12
        height = ink_height(self._letters) + 2 * margin
        sizes = [(width_of(each, self._letters) + 2 * margin, height) for each in symbols]
        # the corner of the first pixel is (0, 0) for the places of labels
        names = np.array([each.box for each in others if isinstance(each, Words)]).reshape(-1, 4) + 0.5
        taken = [(left, top, right, bottom) for left, top, right, bottom in names.tolist()]
        places = place_labels(
            np.array(list(self._on_film.values())).reshape(-1, 2) + 0.5,
            np.array(sizes),
            (float(self._size[0]), float(self._size[1])),
            _ARM * self._unit,
            taken,
        )
        for symbol, place in zip(symbols, places, strict=True):
            if place.leader is not None:
                start, end = ((x - 0.5, y - 0.5) for x, y in place.leader)
                yield Line((start, end), self._colour(symbol), 0.5 * _THICK * self._unit)
        for symbol, place in zip(symbols, places, strict=True):
            left, top, right, bottom = (edge - 0.5 for edge in place.box)
            yield Words.within(symbol, (left, top, right, bottom), self._letters, self._colour(symbol))

    def _legend(self, drawn: Collection[str], planes: Sequence[Layer]) -> Iterator[Entry]:
        if "points" in drawn or "labels" in drawn:
            uncertain = self._uncertain & self._on_film.keys()
            if self._on_film.keys() - uncertain:
                yield Entry("cross", "landmark", self.ground.ok)
            if uncertain:
                yield Entry("cross", "uncertain landmark", self.ground.uncertain)
        if "uncertainty" in drawn:
            yield Entry("circle", LAYERS["uncertainty"], self.ground.ok)
        for layer in planes:
            yield Entry("line", layer.title, self.ground.planes[layer.name])
        if "outlines" in drawn:
            yield Entry("dashes", NOT_ANATOMY, self.ground.text)


def _inside(place: tuple[float, float], size: tuple[int, int]) -> bool:
    return all(-0.5 <= at <= length - 0.5 for at, length in zip(place, size, strict=True))


def _arms(points: np.ndarray, arm: float) -> np.ndarray:
    return np.concatenate([points - arm, points + arm], axis=1)
