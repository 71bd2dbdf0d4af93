"""Where everything in a tracing is: its layers with their shapes and colours, for writers of any kind of file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monai_ceph.reports.film_picture import LONGEST, picture_scale
from monai_ceph.reports.labels import place_labels, place_name
from monai_ceph.reports.legend import Entry, legend_below
from monai_ceph.reports.shapes import Circle, Layer, Line, Shape, Words, ink_height, width_of
from monai_ceph.reports.tracing_lines import OUTLINES, PLANES, outline_points, part_on_film, plane_ends

__all__ = ["LAYERS", "NOT_ANATOMY", "Points", "TracingShapes", "tracing_shapes"]

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


@dataclass(frozen=True)
class TracingShapes:
    """What a tracing draws.

    Attributes:
        layers: over the film, from the lowest. They may reach beyond the film, where nothing must be drawn.
        legend: below the film.
        halo: colour around lines and letters.
        paper: colour of the ground.
        height: of film and legend together, in source pixels.
    """

    layers: tuple[Layer, ...]
    legend: tuple[Layer, ...]
    halo: str
    paper: str
    height: float


def tracing_shapes(
    points: Points,
    size: tuple[int, int],
    *,
    layers: Sequence[str] | None = None,
    on_film: bool,
    uncertainty: Mapping[str, float] | None = None,
    uncertain: Collection[str] = (),
    alerts: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> TracingShapes:
    """Return the shapes of a tracing.

    Arguments and errors are those of :func:`monai_ceph.reports.tracing.tracing_svg`; ``on_film`` chooses the colours
    for a film or for paper.
    """
    drawing = _Drawing(points, size, layers, on_film, uncertainty or {}, uncertain)
    legend, band = drawing.legend(alerts, notes)
    return TracingShapes(
        tuple(drawing.layers), tuple(legend), drawing.ground.halo, drawing.ground.paper, size[1] + band
    )


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
