"""McNamara's analysis: positions ahead of the perpendicular to the Frankfort plane through N, and lengths."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number

__all__ = ["DEFINITIONS"]


def _ahead_of_perpendicular(face: Face, symbol: str) -> Number:
    return face.along(f"N-{symbol}", "Po-Or")


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "A-Nperp",
        "A to nasion perpendicular",
        "mm",
        ("McNamara",),
        lambda face: _ahead_of_perpendicular(face, "A"),
        "distance of A from the perpendicular to Po-Or through N, positive in front of it",
        f"{sources.MCNAMARA_1984}; {sources.VARIABLES}",
    ),
    Definition(
        "Pog-Nperp",
        "Pogonion to nasion perpendicular",
        "mm",
        ("McNamara",),
        lambda face: _ahead_of_perpendicular(face, "Pog"),
        "distance of Pog from the perpendicular to Po-Or through N, positive in front of it",
        f"{sources.MCNAMARA_1984}; {sources.VARIABLES}",
    ),
    Definition(
        "U1-A",
        "Upper incisor to A perpendicular",
        "mm",
        ("McNamara",),
        lambda face: face.along("A-UI", "Po-Or"),
        "distance of UI from the perpendicular to Po-Or through A, positive in front of it; the original measures from "
        "the most labial point of the crown",
        sources.MCNAMARA_1984,
    ),
    Definition(
        "Co-A",
        "Effective length of the midface",
        "mm",
        ("McNamara",),
        lambda face: face.distance("Co-A"),
        "distance from Co to A",
        f"{sources.MCNAMARA_1984}; {sources.VARIABLES}; {sources.LENGTHS}",
    ),
    Definition(
        "Co-Gn",
        "Effective length of the mandible",
        "mm",
        ("McNamara",),
        lambda face: face.distance("Co-Gn"),
        "distance from Co to Gn",
        f"{sources.MCNAMARA_1984}; {sources.VARIABLES}; {sources.LENGTHS}",
    ),
    Definition(
        "Co-Gn - Co-A",
        "Maxillomandibular difference",
        "mm",
        ("McNamara",),
        lambda face: face.distance("Co-Gn") - face.distance("Co-A"),
        "distance from Co to Gn minus distance from Co to A",
        f"{sources.MCNAMARA_1984}; {sources.VARIABLES}",
    ),
    Definition(
        "ANS-Me",
        "Lower anterior facial height",
        "mm",
        ("McNamara", "Vertical"),
        lambda face: face.distance("ANS-Me"),
        "distance from ANS to Me",
        f"{sources.MCNAMARA_1984}; {sources.HEIGHTS}",
    ),
)
