"""The figure of a report: a film with its tracing, the same for a page in a browser and for paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from monai_ceph.analysis.uncertainty import head_size, landmark_errors
from monai_ceph.reports.notes import points_by_symbol, uncertain_symbols
from monai_ceph.reports.shapes import Layer
from monai_ceph.reports.tracing import tracing_svg
from monai_ceph.reports.tracing_layout import TracingShapes, tracing_shapes
from monai_ceph.result import Detection

__all__ = ["Figure", "Switch", "film_figure", "uncertainty_radii"]

# radius that holds 95 % of an isotropic Gaussian in the plane, in its standard deviations per axis
_RADIUS_95 = math.sqrt(-2 * math.log(0.05))
_NO_FILM = "The film was not at hand, so the tracing is on white."
_CIRCLES = (
    "Circles: 95 % of the errors of this landmark on films with known points; they do not say how sure this one is."
)


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
        film_png: the picture of the whole film, as PNG; None for the tracing alone.
        radii: of the circles of uncertainty in source pixels, by symbol.
        uncertain: symbols of the landmarks in doubt.
    """

    points: Mapping[str, tuple[float, float]]
    size: tuple[int, int]
    film_png: bytes | None
    radii: Mapping[str, float]
    uncertain: tuple[str, ...]

    @property
    def note(self) -> str:
        """Sentences on what the figure shows and what it lacks."""
        return " ".join(
            text for text, said in ((_CIRCLES, bool(self.radii)), (_NO_FILM, self.film_png is None)) if said
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
    )


def uncertainty_radii(detection: Detection) -> dict[str, float]:
    """Return the radius within which 95 % of the errors of each landmark lie, in source pixels, by symbol.

    It is that of :func:`monai_ceph.analysis.uncertainty.landmark_errors`, in proportion to the head on the film. Pixels
    count as square. A landmark whose error is not known has none.
    """
    places = {symbol: complex(x, y) for symbol, (x, y) in points_by_symbol(detection).items()}
    size = head_size(places)
    errors = landmark_errors()
    return {} if size is None else {each: _RADIUS_95 * errors[each] * size for each in places if each in errors}


def _switch(layer: Layer) -> Switch:
    return Switch(f"layer-{layer.name}", layer.title, tuple(map(_switch, layer.layers)))
