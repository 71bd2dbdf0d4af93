"""The figure of a report: a film with its tracing, the same for a page in a browser and for paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from monai_ceph.analysis.uncertainty import RADIUS_95, head_size, landmark_errors
from monai_ceph.reports.notes import points_by_symbol, uncertain_symbols
from monai_ceph.reports.shapes import Layer
from monai_ceph.reports.tracing import tracing_svg
from monai_ceph.reports.tracing_layout import TracingShapes, tracing_shapes
from monai_ceph.result import Detection, RadiusSource

__all__ = ["Figure", "Switch", "film_figure", "uncertainty_radii"]

_NO_FILM = "The film was not at hand, so the tracing is on white."
_CIRCLES = {
    "other films": "Circles: the true point lies inside in 95 % of cases like this one; learned on other films.",
    "profile": "Circles: the true point lies inside in 95 % of cases like this one; learned on films of the profile.",
    None: "Circles: 95 % of the errors of this landmark on films with known points; they do not say how sure this one "
    "is.",
}


@dataclass(frozen=True)
class Switch:
    """A layer of the figure that a person can hide.

    Attributes:
        id: of its group in the SVG.
        title: for people.
        parts: layers inside it.
    """

    id: str
    title: str
    parts: tuple[Switch, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A film with its tracing.

    Attributes:
        points: (x, y) in source pixels by symbol.
        size: (columns, rows) of the film.
        film_png: the picture of the whole film, as PNG; None for only the tracing.
        radii: of the circles of uncertainty in source pixels, by symbol.
        uncertain: symbols of the landmarks in doubt.
        radius_source: where the radii were learned, as in a :class:`~monai_ceph.result.Detection`.
    """

    points: Mapping[str, tuple[float, float]]
    size: tuple[int, int]
    film_png: bytes | None
    radii: Mapping[str, float]
    uncertain: tuple[str, ...]
    radius_source: RadiusSource | None = None

    @property
    def note(self) -> str:
        """Sentences on what the figure shows and what it lacks."""
        return " ".join(
            text
            for text, said in (
                (_CIRCLES[self.radius_source], bool(self.radii)),
                (_NO_FILM, self.film_png is None),
            )
            if said
        )

    def svg(self) -> str:
        """Return the figure as SVG."""
        return tracing_svg(
            self.points, self.size, film_png=self.film_png, uncertainty=self.radii, uncertain=self.uncertain
        )

    @cached_property
    def shapes(self) -> TracingShapes:
        """The shapes of the figure, for other kinds of file."""
        return tracing_shapes(
            *(self.points, self.size),
            on_film=self.film_png is not None,
            uncertainty=self.radii,
            uncertain=self.uncertain,
        )

    def switches(self) -> tuple[Switch, ...]:
        """Return the layers that are there, from the lowest."""
        film = () if self.film_png is None else (Switch("layer-film", "film"),)
        return (*film, *map(_switch, (*self.shapes.layers, *self.shapes.legend)))


def film_figure(detection: Detection, film_png: bytes | None) -> Figure:
    """Return the figure of a film.

    Args:
        detection: result for the film.
        film_png: the picture of the whole film, from :func:`monai_ceph.reports.film_picture.film_png`; None if the film
            is not at hand.
    """
    return Figure(
        points=points_by_symbol(detection),
        size=(detection.columns, detection.rows),
        film_png=film_png,
        radii=uncertainty_radii(detection),
        uncertain=tuple(uncertain_symbols(detection)),
        radius_source=detection.radius_source,
    )


def uncertainty_radii(detection: Detection) -> dict[str, float]:
    """Return the radius that each landmark lies within in 95 % of cases, in source pixels, by symbol.

    It is ``radius_95_px`` of the detection, and otherwise that of
    :func:`monai_ceph.analysis.uncertainty.landmark_errors`, in proportion to the head on the film. Pixels count as
    square. A landmark whose error is not known has none.
    """
    places = {symbol: complex(x, y) for symbol, (x, y) in points_by_symbol(detection).items()}
    size = head_size(places)
    errors = landmark_errors()
    usual = {} if size is None else {each: RADIUS_95 * errors[each] * size for each in places if each in errors}
    own = {mark.symbol: mark.radius_95_px for mark in detection.landmarks if mark.radius_95_px is not None}
    return usual | own


def _switch(layer: Layer) -> Switch:
    return Switch(f"layer-{layer.name}", layer.title, tuple(map(_switch, layer.layers)))
