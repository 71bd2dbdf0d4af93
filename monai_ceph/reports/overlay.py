"""A picture of the film with its landmarks."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from monai_ceph.readers import Radiograph
from monai_ceph.reports.film_picture import film_picture
from monai_ceph.reports.notes import NOTICE, absent_lines, circle_radii, note_lines, points_by_symbol, uncertain_symbols
from monai_ceph.reports.tracing import tracing_picture
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["NOTICE", "draw_overlay", "save_overlay"]

_LAYERS = ("film", "points", "labels", "legend")


def draw_overlay(radiograph: Radiograph, detection: Detection, circles: bool = False) -> Image.Image:
    """Return the film with a cross and the symbol at each landmark: green if ok, orange if uncertain.

    Every symbol is nearest to its own landmark (:func:`~monai_ceph.reports.labels.place_labels`). Small films are
    enlarged. A band below the film explains the colours, and lists missing landmarks and those outside the film. With
    ``circles``, there is a circle in which each landmark lies in 90 % of cases.
    """
    return tracing_picture(
        *(points_by_symbol(detection), (detection.columns, detection.rows)),
        layers=(*_LAYERS, "uncertainty"),
        film=film_picture(radiograph),
        uncertainty=circle_radii(detection, circles),
        uncertain=uncertain_symbols(detection),
        alerts=absent_lines(detection),
        notes=note_lines(detection, circles),
    )


def save_overlay(target: Path, radiograph: Radiograph, detection: Detection, circles: bool = False) -> None:
    """Write the overlay as PNG, atomically; see :func:`draw_overlay`.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        draw_overlay(radiograph, detection, circles).save(part, format="PNG", compress_level=3)
