"""The film with its landmarks drawn on it, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_ceph.grey_limits import grey_limits
from monai_ceph.readers import Radiograph
from monai_ceph.reports.atomic import written_beside
from monai_ceph.result import Detection

__all__ = ["NOTICE", "draw_overlay", "save_overlay", "scale_line"]

# longest side in pixels: more detail than a screen shows would only cost time and disk
_LONGEST = 1400
_COLOURS = {"ok": (80, 220, 100), "uncertain": (255, 170, 30)}
# where a symbol goes, in arms of the cross from the landmark, and its anchor there; the first that is free
_LABEL_PLACES = (
    *((1, -1, "lb"), (1, 1, "lt"), (-1, -1, "rb"), (-1, 1, "rt")),
    *((1.3, 0, "lm"), (-1.3, 0, "rm"), (0, -1.3, "mb"), (0, 1.3, "mt")),
)
NOTICE = "Research use, not a medical device. A trained person reviews every result."


def _grey(pixels: np.ndarray) -> np.ndarray:
    # as bundles/inference.json scales films: a person sees what the networks see
    limits = grey_limits(pixels[::4, ::4], (0.5, 99.5), max_gap=0.4)
    scaled = (pixels - limits.low) * (255 / max(limits.high - limits.low, 1e-6))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def draw_overlay(radiograph: Radiograph, detection: Detection) -> Image.Image:
    """Return the film with a cross and the symbol at each landmark: green if ok, orange if uncertain."""
    film = Image.fromarray(_grey(radiograph.pixels))
    scale = min(1.0, _LONGEST / max(film.size))
    size = (max(1, round(film.width * scale)), max(1, round(film.height * scale)))
    picture = film.resize(size, Image.Resampling.BOX).convert("RGB")
    draw = ImageDraw.Draw(picture)
    unit = max(picture.size) / _LONGEST
    size_of_text = max(10.0, 17 * unit)
    font = ImageFont.load_default(size=size_of_text)
    arm = max(4.0, 9 * unit)
    # pixel centres at integers: the drawing's own grid counts centres the same way after scaling
    places = {
        mark: ((mark.x + 0.5) * scale - 0.5, (mark.y + 0.5) * scale - 0.5)
        for mark in detection.landmarks
        if mark.x is not None and mark.y is not None
    }
    taken = [(x - arm, y - arm, x + arm, y + arm) for x, y in places.values()]
    for mark, (x, y) in places.items():
        colour = _COLOURS[mark.status]
        for width, line in ((max(3, round(4 * unit)), (0, 0, 0)), (max(1, round(2 * unit)), colour)):
            draw.line((x - arm, y, x + arm, y), fill=line, width=width)
            draw.line((x, y - arm, x, y + arm), fill=line, width=width)
        options = [
            (
                (x + across * arm, y + down * arm),
                anchor,
                draw.textbbox((x + across * arm, y + down * arm), mark.symbol, font, anchor),
            )
            for across, down, anchor in _LABEL_PLACES
        ]
        place, anchor, box = min(options, key=lambda option: sum(_overlap(option[2], other) for other in taken))
        taken.append(box)
        draw.text(place, mark.symbol, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill=0)
    if symbols := _missing(detection):
        draw.text((10, 10), f"missing: {symbols}", fill=(255, 90, 90), font=font, stroke_width=2, stroke_fill=0)
    for row, text in enumerate((NOTICE, scale_line(detection))):
        place = (10, picture.height - 10 - 1.4 * row * size_of_text)
        draw.text(place, text, fill=(230, 230, 230), font=font, anchor="lb", stroke_width=2, stroke_fill=0)
    return picture


def scale_line(detection: Detection) -> str:
    """Return where the scale of the film came from, in a line for pictures."""
    return f"scale: {detection.spacing_source}"


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the common area of two boxes (left, top, right, bottom)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)


def _missing(detection: Detection) -> str:
    return ", ".join(mark.symbol for mark in detection.landmarks if mark.status == "missing")


def save_overlay(target: Path, radiograph: Radiograph, detection: Detection) -> None:
    """Write the overlay as PNG, beside its place first.

    Raises:
        OSError: if the file cannot be written.
    """
    with written_beside(target) as part:
        draw_overlay(radiograph, detection).save(part, format="PNG", compress_level=3)
