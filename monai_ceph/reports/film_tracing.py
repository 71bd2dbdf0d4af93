"""The tracing of a detection over its film, as SVG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from monai_ceph.readers import Radiograph
from monai_ceph.reports.film_picture import film_picture, film_png
from monai_ceph.reports.notes import absent_lines, circle_radii, note_lines, points_by_symbol, uncertain_symbols
from monai_ceph.reports.tracing import tracing_picture, tracing_svg
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["draw_tracing", "save_tracing", "tracing_bytes"]


def draw_tracing(
    radiograph: Radiograph | None, detection: Detection, notes: Sequence[str] = (), circles: bool = False
) -> Image.Image:
    """Return the film with its tracing as an RGB picture.

    Args:
        radiograph: the film; None for the tracing on white paper.
        detection: result for it.
        notes: lines of text before those below every picture.
        circles: draw the circle in which each landmark lies in 90 % of cases.
    """
    return tracing_picture(
        *(points_by_symbol(detection), (detection.columns, detection.rows)),
        film=None if radiograph is None else film_picture(radiograph),
        uncertainty=circle_radii(detection, circles),
        uncertain=uncertain_symbols(detection),
        alerts=absent_lines(detection),
        notes=[*notes, *note_lines(detection, circles)],
    )


def save_tracing(
    target: Path, radiograph: Radiograph | None, detection: Detection, notes: Sequence[str] = (), circles: bool = False
) -> None:
    """Write the film with its tracing, atomically: as SVG with layers if that is the suffix of its name, else as PNG.

    Arguments are those of :func:`draw_tracing`, and the file to write.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        part.write_bytes(tracing_bytes(radiograph, detection, notes, circles, svg=target.suffix == ".svg"))


def tracing_bytes(
    radiograph: Radiograph | None,
    detection: Detection,
    notes: Sequence[str] = (),
    circles: bool = False,
    *,
    svg: bool,
) -> bytes:
    """Return what :func:`save_tracing` writes: an SVG file, or a PNG file."""
    if not svg:
        file = BytesIO()
        draw_tracing(radiograph, detection, notes, circles).save(file, format="PNG", compress_level=3)
        return file.getvalue()
    text = tracing_svg(
        *(points_by_symbol(detection), (detection.columns, detection.rows)),
        film_png=None if radiograph is None else film_png(radiograph),
        uncertainty=circle_radii(detection, circles),
        uncertain=uncertain_symbols(detection),
        alerts=absent_lines(detection),
        notes=[*notes, *note_lines(detection, circles)],
    )
    return text.encode()
