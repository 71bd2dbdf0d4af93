"""The tracing of a detection over its film, as SVG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from monai_ceph.readers import Radiograph
from monai_ceph.reports.film_picture import film_picture, film_png
from monai_ceph.reports.notes import absent_lines, circle_radii, note_lines, points_by_symbol, uncertain_symbols
from monai_ceph.reports.tracing import tracing_picture, tracing_svg
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["draw_tracing", "save_tracing"]


def draw_tracing(
    radiograph: Radiograph, detection: Detection, notes: Sequence[str] = (), circles: bool = False
) -> Image.Image:
    """Return the film with its tracing as an RGB picture.

    Args:
        radiograph: the film.
        detection: result for it.
        notes: lines of text before those below every picture.
        circles: draw the circle in which each landmark lies in 90 % of cases.
    """
    return tracing_picture(
        *(points_by_symbol(detection), (detection.columns, detection.rows)),
        film=film_picture(radiograph),
        uncertainty=circle_radii(detection, circles),
        uncertain=uncertain_symbols(detection),
        alerts=absent_lines(detection),
        notes=[*notes, *note_lines(detection, circles)],
    )


def save_tracing(target: Path, radiograph: Radiograph, detection: Detection, circles: bool = False) -> None:
    """Write the film with its tracing, atomically: as SVG with layers if that is the suffix of its name, else as PNG.

    With ``circles``, there is a circle in which each landmark lies in 90 % of cases.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        if target.suffix != ".svg":
            draw_tracing(radiograph, detection, circles=circles).save(part, format="PNG", compress_level=3)
            return
        svg = tracing_svg(
            *(points_by_symbol(detection), (detection.columns, detection.rows)),
            film_png=film_png(radiograph),
            uncertainty=circle_radii(detection, circles),
            uncertain=uncertain_symbols(detection),
            alerts=absent_lines(detection),
            notes=note_lines(detection, circles),
        )
        part.write_text(svg, encoding="utf-8")
