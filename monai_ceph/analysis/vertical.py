"""Planes and heights that no single analysis owns."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition

__all__ = ["DEFINITIONS"]

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "SN-FH",
        "SN to Frankfort plane",
        "degree",
        ("Vertical",),
        lambda face: face.turn("S-N", "Po-Or"),
        "turn from S-N to Po-Or, positive if they meet behind the face",
        sources.secondary(sources.JACOBSON_2006),
    ),
    Definition(
        "SNPog",
        "Position of the chin",
        "degree",
        ("Vertical",),
        lambda face: face.angle("N-S", "N-Pog"),
        "angle at N between S and Pog",
        sources.secondary(sources.JACOBSON_2006),
    ),
    Definition(
        "Y-axis (SN)",
        "Y-axis to SN",
        "degree",
        ("Vertical",),
        lambda face: face.turn("S-N", "S-Gn"),
        "turn from S-N to S-Gn, positive if Gn is below",
        sources.secondary(sources.VERTICAL),
    ),
    Definition(
        "N-ANS",
        "Upper anterior facial height",
        "mm",
        ("Vertical",),
        lambda face: face.distance("N-ANS"),
        "distance from N to ANS",
        sources.secondary(sources.HEIGHTS),
    ),
    Definition(
        "N-ANS/ANS-Me",
        "Upper to lower anterior facial height",
        "ratio",
        ("Vertical",),
        lambda face: face.distance("N-ANS") / face.distance("ANS-Me"),
        "distance N-ANS divided by distance ANS-Me",
        sources.secondary(sources.JACOBSON_2006),
    ),
)
