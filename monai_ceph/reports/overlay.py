"""A picture of the film with its landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_ceph.readers import Radiograph
from monai_ceph.readers.grey_limits import grey_limits
from monai_ceph.reports.labels import Box, place_labels
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside

__all__ = ["NOTICE", "draw_overlay", "save_overlay", "scale_line"]

# limits of the longest side in pixels: a screen shows no more detail, and the symbols need room
_LONGEST, _SHORTEST = 1400, 1000
_COLOURS = {"ok": (80, 220, 100), "uncertain": (255, 170, 30)}
_WHITE, _RED, _BLACK = (230, 230, 230), (255, 90, 90), (0, 0, 0)
# width of the dark outline of letters, in pixels
_STROKE = 2
NOTICE = "Research use, not a medical device. A trained person reviews every result."


def _grey(pixels: np.ndarray) -> np.ndarray:
    # scaled as in bundles/inference.json, so that a person sees what the networks see
    limits = grey_limits(pixels[::4, ::4], (0.5, 99.5), max_gap=0.4)
    scaled = (pixels - limits.low) * (255 / max(limits.high - limits.low, 1e-6))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def draw_overlay(radiograph: Radiograph, detection: Detection) -> Image.Image:
    """Return the film with a cross and the symbol at each landmark: green if ok, orange if uncertain.

    Every symbol is nearest to its own landmark (:func:`~monai_ceph.reports.labels.place_labels`). Missing landmarks and
    those outside the film are listed. Small films are enlarged.
    """
    film = Image.fromarray(_grey(radiograph.pixels))
    scale = min(max(1.0, _SHORTEST / max(film.size)), _LONGEST / max(film.size))
    size = (max(1, round(film.width * scale)), max(1, round(film.height * scale)))
    how = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BICUBIC
    picture = film.resize(size, how).convert("RGB")
    draw = ImageDraw.Draw(picture)
    unit = max(picture.size) / _LONGEST
    size_of_text = max(16.0, 19 * unit)
    font = ImageFont.load_default(size=size_of_text)
    arm = round(8 * unit)
    # pixel centres are at integers, before and after scaling
    places = {
        mark: ((mark.x + 0.5) * scale - 0.5, (mark.y + 0.5) * scale - 0.5)
        for mark in detection.landmarks
        if mark.x is not None and mark.y is not None and _on_film(mark.x, mark.y, detection)
    }
    taken = _write_lines(draw, font, size_of_text, picture.size, detection)
    # bounding box of each symbol, and a margin around it
    inks = {mark: draw.textbbox((0, 0), mark.symbol, font, stroke_width=_STROKE) for mark in places}
    margin = 2 * unit
    height = max((ink[3] - ink[1] for ink in inks.values()), default=0.0)
    sizes = np.array([(ink[2] - ink[0] + 2 * margin, height + 2 * margin) for ink in inks.values()])
    labels = place_labels(np.array(list(places.values())), sizes, picture.size, arm, taken)
    for (mark, (x, y)), label in zip(places.items(), labels, strict=True):
        x, y = round(x), round(y)
        cross = [(x - arm, y, x + arm, y), (x, y - arm, x, y + arm)]
        leader = [(*label.leader[0], *label.leader[1])] if label.leader else []
        _draw_lines(draw, leader, unit, _COLOURS[mark.status])
        _draw_lines(draw, cross, 2 * unit, _COLOURS[mark.status])
    for mark, label in zip(places, labels, strict=True):
        left, top = label.box[0] + margin - inks[mark][0], label.box[3] - margin - inks[mark][3]
        colour = _COLOURS[mark.status]
        draw.text((left, top), mark.symbol, fill=colour, font=font, stroke_width=_STROKE, stroke_fill=_BLACK)
    return picture


def _on_film(x: float, y: float, detection: Detection) -> bool:
    return -0.5 <= x <= detection.columns - 0.5 and -0.5 <= y <= detection.rows - 0.5


def _draw_lines(draw: ImageDraw.ImageDraw, lines: Sequence[Box], width: float, colour: tuple[int, int, int]) -> None:
    """Draw lines with a dark edge, so that they show on bone and on air."""
    inner = max(1, round(width))
    for each, fill in ((inner + 2, _BLACK), (inner, colour)):
        for line in lines:
            draw.line(line, fill=fill, width=each)


def _write_lines(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size_of_text: float,
    picture: tuple[int, int],
    detection: Detection,
) -> list[Box]:
    """Write the lines about the whole film, and return their boxes."""
    outside = [
        mark.symbol
        for mark in detection.landmarks
        if mark.x is not None and mark.y is not None and not _on_film(mark.x, mark.y, detection)
    ]
    missing = [mark.symbol for mark in detection.landmarks if mark.status == "missing"]
    absent = [f"{word}: {', '.join(each)}" for word, each in (("missing", missing), ("outside", outside)) if each]
    step = 1.4 * size_of_text
    lines = [((10, 10 + row * step), text, _RED, "lt") for row, text in enumerate(absent)]
    lines += [
        ((10, picture[1] - 10 - row * step), text, _WHITE, "lb")
        for row, text in enumerate((NOTICE, scale_line(detection)))
    ]
    for place, text, colour, anchor in lines:
        draw.text(place, text, fill=colour, font=font, anchor=anchor, stroke_width=_STROKE, stroke_fill=_BLACK)
    return [draw.textbbox(place, text, font, anchor, stroke_width=_STROKE) for place, text, _, anchor in lines]


def scale_line(detection: Detection) -> str:
    """Return the line for pictures that says where the scale came from."""
    return f"scale: {detection.spacing_source.label}"


def save_overlay(target: Path, radiograph: Radiograph, detection: Detection) -> None:
    """Write the overlay as PNG, atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        draw_overlay(radiograph, detection).save(part, format="PNG", compress_level=3)
