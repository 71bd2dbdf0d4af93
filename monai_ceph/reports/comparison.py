"""What the comparison of two films says, and its figures: both tracings on each other, for every kind of file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from monai_ceph.analysis import Measurement
from monai_ceph.analysis.superimposition import REGISTRATIONS, Change, Superimposition, changes, superimpose
from monai_ceph.readers.radiograph import in_mm
from monai_ceph.reports.labels import place_labels
from monai_ceph.reports.legend import Entry, legend_below
from monai_ceph.reports.report_content import DRAFT, quantity, span
from monai_ceph.reports.report_figure import Switch
from monai_ceph.reports.shapes import Circle, Layer, Line, Shape, Words, ink_height, svg_layers, width_of
from monai_ceph.reports.tracing_layout import TracingShapes
from monai_ceph.reports.tracing_lines import OUTLINES, PLANES, outline_points, part_on_film, plane_ends
from monai_ceph.result import Detection

__all__ = ["ChangeGroup", "ChangeRow", "ComparedFilm", "Comparison", "Overlay", "comparison"]

FIRST, SECOND = "#0072b2", "#c04000"
"""Colours of the first and the second film, also told apart by people who do not see red or green."""

_GREY, _PAPER = "#555555", "#ffffff"
_PLANES = ("sn", "palatal", "mandibular", "facial")
# longest side of a figure in its own unit, and lengths in it
_LONGEST, _MARGIN, _LETTERS, _THICK, _THIN, _DOT = 1400.0, 90.0, 26.0, 4.0, 2.2, 7.0
_INDEPENDENT = (
    "Interval: 95 %, from the errors of the points on both films, taken as independent. A change whose interval does "
    "not contain 0 is more than the method's error; that does not make it clinically relevant."
)
_NOT_STRUCTURAL = (
    "Superimposed on two landmarks each, not on stable structures: ANS remodels, and nasion moves with growth."
)


@dataclass(frozen=True)
class ComparedFilm:
    """One of the two films.

    Attributes:
        role: first film or second film.
        name: what it is called.
        image_uid: SOP Instance UID of a DICOM image.
        facts: scale, model and time in a sentence.
        colour: of its tracing.
    """

    role: str
    name: str
    image_uid: str | None
    facts: str
    colour: str


@dataclass(frozen=True)
class ChangeRow:
    """The change of one measurement, as text; empty where there is nothing to say."""

    symbol: str
    name: str
    first: str
    second: str
    change: str
    interval: str
    verdict: str


@dataclass(frozen=True)
class ChangeGroup:
    """The changes of one analysis."""

    title: str
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True)
class Overlay:
    """A figure of both tracings, in its own unit: x right, y down.

    Attributes:
        name: of the registration; before each id of the SVG, so that one page holds several.
        title: for people.
        size: (columns, rows) without the legend.
        shapes: what is drawn.
    """

    name: str
    title: str
    size: tuple[int, int]
    shapes: TracingShapes
    film_png: bytes | None = None

    def svg(self) -> str:
        """Return the figure as SVG."""
        width, height = self.size[0], self.shapes.height
        label = escape(f"Both tracings, superimposed {self.title}")
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
                f'viewBox="-0.5 -0.5 {width} {height:g}" width="{width}" height="{height:g}" role="img" '
                f'aria-label="{label}">',
                *svg_layers((*self.shapes.layers, *self.shapes.legend), self.shapes.halo, f"{self.name}-"),
                "</svg>",
            )
        )

    def switches(self) -> tuple[Switch, ...]:
        """Return the layers, from the lowest."""
        layers = (*self.shapes.layers, *self.shapes.legend)
        return tuple(Switch(f"{self.name}-layer-{layer.name}", layer.title) for layer in layers)


@dataclass(frozen=True)
class Comparison:
    """What a comparison says.

    Attributes:
        title: of the document.
        standing: that it is a draft.
        films: the first and the second.
        warnings: sentences for the person who reviews the result, of this comparison and of both films.
        overlays: figures, one for each way to superimpose that is possible.
        groups: changes that can be given, by analysis.
        absent: reason and symbols of those that cannot.
        explanations: what intervals and figures mean, in sentences.
    """

    title: str
    standing: str
    films: tuple[ComparedFilm, ComparedFilm]
    warnings: tuple[str, ...]
    overlays: tuple[Overlay, ...]
    groups: tuple[ChangeGroup, ...]
    absent: tuple[tuple[str, str], ...]
    explanations: tuple[str, ...]


def comparison(
    first: Detection,
    second: Detection,
    measurements: tuple[Sequence[Measurement], Sequence[Measurement]],
    warnings: Sequence[str] = (),
) -> Comparison:
    """Return the comparison of two films of one patient.

    Args:
        first: the earlier film.
        second: the later film.
        measurements: of both.
        warnings: sentences on the pair, such as that nothing says whose films they are.
    """
    scales = first.pixel_spacing is not None, second.pixel_spacing is not None
    groups: dict[str, list[ChangeRow]] = {}
    absent: dict[str, list[str]] = {}
    for change in changes(*measurements, scales):
        if change.change is None:
            absent.setdefault(change.reason or "no value", []).append(change.symbol)
        else:
            groups.setdefault(change.analysis, []).append(_row(change, change.change))
    overlays, notes = [], list(warnings)
    for name, registration in REGISTRATIONS.items():
        found = superimpose(first, second, registration)
        if isinstance(found, str):
            notes.append(f"Not superimposed {registration.title}: {found}")
        else:
            overlays.append(_overlay(name, found))
    if not all(scales):
        notes.append("Without a scale in both films lengths are not compared, and growth in size does not show.")
    for role, film in (("first", first), ("second", second)):
        notes += [f"The {role} film as a whole is uncertain."] if film.state == "uncertain" else []
        notes += [f"{role.capitalize()} film: {warning}" for warning in film.warnings]
    return Comparison(
        title="Comparison of two cephalograms",
        standing=DRAFT,
        films=(_film("first film", first, FIRST), _film("second film", second, SECOND)),
        warnings=tuple(notes),
        overlays=tuple(overlays),
        groups=tuple(ChangeGroup(title, tuple(rows)) for title, rows in groups.items()),
        absent=tuple((reason, ", ".join(symbols)) for reason, symbols in absent.items()),
        explanations=(_INDEPENDENT, _NOT_STRUCTURAL),
    )


def _film(role: str, detection: Detection, colour: str) -> ComparedFilm:
    spacing, model = detection.pixel_spacing, detection.model
    scale = f"{in_mm(*spacing)} per pixel ({detection.spacing_source.label})" if spacing else "no known scale"
    facts = f"{scale}; {model.name} {model.version}, weights {model.weights_sha256[:12]}, {model.software}"
    if detection.profile is not None:
        facts += f", profile {detection.profile.label}"
    return ComparedFilm(role, detection.file, detection.image_uid, facts, colour)


def _row(change: Change, by: float) -> ChangeRow:
    said = {True: "exceeded", False: "within", None: ""}[change.exceeds]
    return ChangeRow(
        symbol=change.symbol,
        name=change.name,
        first="" if change.first is None else quantity(change.first, change.unit),
        second="" if change.second is None else quantity(change.second, change.unit),
        change=quantity(by, change.unit, signed=True),
        interval="" if change.interval is None else span(*change.interval, change.unit),
        verdict=said,
    )


def _overlay(name: str, found: Superimposition) -> Overlay:
    every = np.array([*found.first.values(), *found.second.values()])
    low, reach = every.min(axis=0), float(np.ptp(every, axis=0).max()) or 1.0
    unit = (_LONGEST - 2 * _MARGIN) / reach

    def placed(points: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        return {
            symbol: (unit * (x - low[0]) + _MARGIN, unit * (y - low[1]) + _MARGIN) for symbol, (x, y) in points.items()
        }

    first, second = placed(found.first), placed(found.second)
    width, height = np.ceil(unit * np.ptp(every, axis=0) + 2 * _MARGIN).astype(int).tolist()
    size = (width, height)
    fixed = first[found.registration.at]
    layers = (
        Layer("first", "first film", tuple(_tracing(first, FIRST, size))),
        Layer("second", "second film", tuple(_tracing(second, SECOND, size))),
        Layer("symbols", "symbols", (*_symbols(first, second, size), Circle(fixed, 2.2 * _DOT, _GREY, _THIN))),
    )
    entries = [
        Entry("line", "first film", FIRST),
        Entry("line", "second film", SECOND),
        Entry("circle", f"superimposed {found.registration.title}", _GREY),
    ]
    unit_note = "both in mm" if found.in_mm else "second film scaled to the first"
    legend = legend_below(
        entries, [(f"{unit_note}; outlines join landmarks, they show no anatomy", _GREY)], size, 1.2 * _LETTERS
    )
    shapes = TracingShapes(layers, (Layer("legend", "legend", legend.shapes),), _PAPER, _PAPER, height + legend.height)
    return Overlay(name, found.registration.title, size, shapes)


def _tracing(points: dict[str, tuple[float, float]], colour: str, size: tuple[int, int]) -> Iterator[Shape]:
    for plane in PLANES:
        ends = plane_ends(plane, points) if plane.name in _PLANES else None
        if ends is not None and (line := part_on_film(ends, size)) is not None:
            yield Line(line, colour, _THIN, dashed=True)
    for outline in OUTLINES:
        for part in outline_points(outline, points):
            yield Line(part, colour, _THICK)
    for place in points.values():
        yield Circle(place, _DOT, colour, _THIN)


def _symbols(
    first: dict[str, tuple[float, float]], second: dict[str, tuple[float, float]], size: tuple[int, int]
) -> Iterator[Words]:
    """Return the symbols beside the landmarks of the first film, off those of the second."""
    margin = 4.0
    sizes = [(width_of(each, _LETTERS) + 2 * margin, ink_height(_LETTERS) + 2 * margin) for each in first]
    taken = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in second.values()]
    boxes = place_labels(np.array(list(first.values())), np.array(sizes), (float(size[0]), float(size[1])), _DOT, taken)
    for symbol, place in zip(first, boxes, strict=True):
        yield Words.within(symbol, place.box, _LETTERS, _GREY)
