"""A tracing: planes, outlines, landmarks and their uncertainty, drawn over the film or on paper, as SVG or PNG.

The outlines go through landmarks that lie on one contour. They are an aid for the eye: between the landmarks they show
no anatomy, and the legend says so. Text is upright, whichever way the head lies or faces.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from html import escape
from io import BytesIO

from PIL import Image

from monai_ceph.reports.film_picture import picture_scale, png_bytes
from monai_ceph.reports.shapes import draw_shapes, svg_layers
from monai_ceph.reports.tracing_layout import LAYERS, NOT_ANATOMY, Points, TracingShapes, tracing_shapes

__all__ = [
    "LAYERS",
    "NOT_ANATOMY",
    "TracingShapes",
    "tracing_picture",
    "tracing_png",
    "tracing_shapes",
    "tracing_svg",
]


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
    drawing = tracing_shapes(
        *(points, size),
        layers=layers,
        on_film=film_png is not None,
        uncertainty=uncertainty,
        uncertain=uncertain,
        alerts=alerts,
        notes=notes,
    )
    columns, rows = size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
        f'viewBox="-0.5 -0.5 {columns} {drawing.height:g}" width="{columns}" height="{drawing.height:g}" '
        f'role="img" aria-label="Cephalometric tracing">',
        f'<rect x="-0.5" y="-0.5" width="100%" height="100%" fill="{drawing.paper}"/>',
        # what lies off the film is not drawn
        f'<svg x="-0.5" y="-0.5" width="{columns}" height="{rows}" viewBox="-0.5 -0.5 {columns} {rows}">',
    ]
    if film_png is not None and (layers is None or "film" in layers):
        parts += [
            f'<g id="{escape(id_prefix)}layer-film" class="layer" inkscape:groupmode="layer" inkscape:label="film">',
            f'<image x="-0.5" y="-0.5" width="{columns}" height="{rows}" preserveAspectRatio="none" '
            f'href="data:image/png;base64,{b64encode(film_png).decode()}"/></g>',
        ]
    parts += svg_layers(drawing.layers, drawing.halo, id_prefix)
    parts.append("</svg>")
    parts += svg_layers(drawing.legend, drawing.halo, id_prefix)
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
    picture = tracing_picture(
        *(points, size),
        layers=layers,
        film=film,
        uncertainty=uncertainty,
        uncertain=uncertain,
        alerts=alerts,
        notes=notes,
    )
    return png_bytes(picture)


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
    drawing = tracing_shapes(
        *(points, size),
        layers=layers,
        on_film=film is not None,
        uncertainty=uncertainty,
        uncertain=uncertain,
        alerts=alerts,
        notes=notes,
    )
    scale = picture_scale(size)
    columns, rows = (max(1, round(scale * length)) for length in size)
    paper, halo = drawing.paper, drawing.halo
    picture = Image.new("RGB", (columns, rows), paper)
    if film is not None and (layers is None or "film" in layers):
        picture.paste(film.convert("RGB").resize((columns, rows)))
    draw_shapes(picture, drawing.layers, halo, scale)
    # a picture of its own, since what lies off the film is not drawn
    below = Image.new("RGB", (columns, round(scale * (drawing.height - size[1]))), paper)
    draw_shapes(below, drawing.legend, halo, scale, top=size[1] - 0.5)
    whole = Image.new("RGB", (columns, rows + below.height), paper)
    whole.paste(picture)
    whole.paste(below, (0, rows))
    return whole
