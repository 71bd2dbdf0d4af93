"""Whether a pixel spacing fits the head on the film: a check once landmarks are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers.radiograph import Radiograph, SpacingSource, in_mm, without_planes

__all__ = ["LONGEST_SN", "SHORTEST_SN", "check_scale", "rescaled", "scale_problem"]

SHORTEST_SN, LONGEST_SN = 45.0, 95.0
"""Limits of the distance from Sella to Nasion in mm. They find wrong scales and are no norm: adults have about 65 to
80 mm (71 +- 3 mm in Jarabak's analysis), children less, and magnification adds up to a third."""


def scale_problem(
    points: np.ndarray, spacing: tuple[float, float], symbols: Sequence[str] = SYMBOLS
) -> tuple[bool, str | None]:
    """Return whether a scale is wrong, and a sentence on why it is wrong or could not be checked.

    Args:
        points: (N, 2) landmarks, (row, column) in pixels of the source image; NaN where missing.
        spacing: (row, column) in mm.
        symbols: of the landmarks, in their order.

    Returns:
        (True, sentence) for a wrong scale, (False, None) for one that can be right and for symbols without S and N,
        (False, sentence) if Sella or Nasion is missing.
    """
    places = dict(zip(symbols, points, strict=True))
    if {"S", "N"} - places.keys():
        return False, None
    length = math.hypot(*((places["S"] - places["N"]) * spacing))
    if math.isnan(length):
        return False, "The scale was not checked: Sella or Nasion is missing."
    if SHORTEST_SN <= length <= LONGEST_SN:
        return False, None
    return True, f"S-N is {length:.1f} mm long, outside {SHORTEST_SN:g} to {LONGEST_SN:g} mm."


def check_scale(radiograph: Radiograph, points: np.ndarray) -> Radiograph:
    """Return the film without its scale if the head on it would have an impossible size.

    The source of the scale is then ``implausible``, and a warning names the scale and the length of S-N. Without Sella
    or Nasion the scale cannot be checked: it is kept, with a warning. A film without a scale is returned as it is.

    Args:
        radiograph: the film.
        points: (19, 2), (row, column) in pixels of the source image; NaN where missing.
    """
    spacing = radiograph.pixel_spacing
    if spacing is None:
        return radiograph
    wrong, why = scale_problem(points, spacing)
    if not wrong:
        return replace(radiograph, warnings=(*radiograph.warnings, why)) if why else radiograph
    said = f"The scale of {in_mm(*spacing)} per pixel ({radiograph.spacing_source.label}) was ignored: {why}"
    return replace(
        radiograph,
        pixel_spacing=None,
        spacing_source=SpacingSource.IMPLAUSIBLE,
        warnings=(*without_planes(radiograph.warnings), said),
    )


def rescaled(
    places: Mapping[str, Sequence[float]],
    spacing: tuple[float, float],
    source: SpacingSource = SpacingSource.USER,
) -> tuple[tuple[float, float] | None, SpacingSource]:
    """Return a scale and its source for landmarks without a film: none, and ``implausible``, if it cannot be right.

    Args:
        places: (x, y) in pixels by symbol.
        spacing: (row, column) in mm.
        source: where it came from.
    """
    points = np.array([places[symbol][::-1] for symbol in places], dtype=np.float64).reshape(-1, 2)
    if {"S", "N"} <= places.keys() and scale_problem(points, spacing, tuple(places))[0]:
        return None, SpacingSource.IMPLAUSIBLE
    return spacing, source
