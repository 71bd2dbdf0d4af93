"""Björk's and Jarabak's analysis: the polygon N-S-Ar-Go-Me, its angles and sides, and facial heights."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition

__all__ = ["DEFINITIONS"]


def _corner(symbol: str, name: str, polygon: str, citation: str = sources.VARIABLES) -> Definition:
    return Definition(
        symbol,
        name,
        "degree",
        ("Björk-Jarabak",),
        lambda face: face.corner(polygon),
        f"angle {polygon}, inside the polygon N-S-Ar-Go-Me",
        f"{sources.BJORK_1969}; {sources.JARABAK_1972}; {sources.JARABAK_TERMS}; {citation}",
    )


def _length(line: str, name: str, citation: str = f"{sources.JARABAK_1972}; {sources.VARIABLES}") -> Definition:
    start, end = line.split("-")
    return Definition(
        line,
        name,
        "mm",
        ("Björk-Jarabak",),
        lambda face: face.distance(line),
        f"distance from {start} to {end}",
        citation,
    )


DEFINITIONS: tuple[Definition, ...] = (
    _corner("Saddle", "Saddle angle", "N-S-Ar"),
    _corner("Articular", "Articular angle", "S-Ar-Go"),
    _corner("Gonial", "Gonial angle", "Ar-Go-Me"),
    _corner("Upper gonial", "Upper gonial angle", "Ar-Go-N", sources.VERTICAL),
    _corner("Lower gonial", "Lower gonial angle", "N-Go-Me", sources.VERTICAL),
    Definition(
        "Björk sum",
        "Sum of saddle, articular and gonial angle",
        "degree",
        ("Björk-Jarabak",),
        lambda face: face.corner("N-S-Ar") + face.corner("S-Ar-Go") + face.corner("Ar-Go-Me"),
        "saddle angle plus articular angle plus gonial angle",
        f"{sources.BJORK_1969}; {sources.JARABAK_1972}",
    ),
    Definition(
        "SN-GoMe",
        "SN to mandibular plane Go-Me",
        "degree",
        ("Björk-Jarabak", "Vertical"),
        lambda face: face.turn("S-N", "Go-Me"),
        "turn from S-N to Go-Me, positive if they meet behind the face",
        f"{sources.JARABAK_1972}; {sources.PLANES}",
    ),
    _length("S-N", "Anterior cranial base", f"{sources.JARABAK_1972}; {sources.HEIGHTS}"),
    _length("S-Ar", "Posterior cranial base"),
    _length("Ar-Go", "Height of the ramus"),
    _length("Go-Me", "Body of the mandible", f"{sources.JARABAK_1972}; {sources.PLANES}"),
    _length("S-Go", "Posterior facial height", f"{sources.JARABAK_1972}; {sources.HEIGHTS}"),
    _length("N-Me", "Anterior facial height", f"{sources.JARABAK_1972}; {sources.HEIGHTS}"),
    Definition(
        "Jarabak ratio",
        "Posterior to anterior facial height",
        "percent",
        ("Björk-Jarabak",),
        lambda face: 100 * face.distance("S-Go") / face.distance("N-Me"),
        "100 times distance S-Go divided by distance N-Me",
        f"{sources.JARABAK_1972}; {sources.VARIABLES}",
    ),
)
