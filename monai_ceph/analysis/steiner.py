"""Steiner's analysis: jaws and incisors against the cranial base and the lines N-A and N-B."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number, Point

__all__ = ["DEFINITIONS", "anb", "occlusal_plane", "sna", "snb"]


def sna(face: Face) -> Number:
    """Return the angle at N between S and A."""
    return face.angle("N-S", "N-A")


def snb(face: Face) -> Number:
    """Return the angle at N between S and B."""
    return face.angle("N-S", "N-B")


def anb(face: Face) -> Number:
    """Return SNA minus SNB."""
    return sna(face) - snb(face)


def occlusal_plane(face: Face) -> Point:
    """Return the direction from the middle of the first molars' cusps to the middle of the incisors' tips."""
    return face.middle("UI", "LI") - face.middle("U6", "L6")


# Steiner measures millimetres from the most labial point of the crown; the landmarks are the tips
_TIP = "the original measures from the most labial point of the crown"

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "SNA",
        "Position of the maxilla",
        "degree",
        ("Steiner", "Eastman", "ISBI 2015 challenge"),
        sna,
        "angle at N between S and A",
        f"{sources.RIEDEL_1952}; {sources.STEINER_1953}; {sources.CHALLENGE}",
    ),
    Definition(
        "SNB",
        "Position of the mandible",
        "degree",
        ("Steiner", "Eastman", "ISBI 2015 challenge"),
        snb,
        "angle at N between S and B",
        f"{sources.RIEDEL_1952}; {sources.STEINER_1953}; {sources.CHALLENGE}",
    ),
    Definition(
        "ANB",
        "Relation of maxilla and mandible",
        "degree",
        ("Steiner", "Eastman", "ISBI 2015 challenge"),
        anb,
        "SNA minus SNB",
        f"{sources.RIEDEL_1952}; {sources.STEINER_1953}; {sources.CHALLENGE}",
    ),
    Definition(
        "SND",
        "Position of the symphysis",
        "degree",
        ("Steiner",),
        lambda face: face.angle("N-S", "N-D"),
        "angle at N between S and D",
        sources.STEINER_1953,
    ),
    Definition(
        "SN-GoGn",
        "SN to mandibular plane Go-Gn",
        "degree",
        ("Steiner", "ISBI 2015 challenge"),
        lambda face: face.turn("S-N", "Go-Gn"),
        "turn from S-N to Go-Gn, positive if they meet behind the face; the challenge calls it FMA",
        f"{sources.STEINER_1953}; {sources.CHALLENGE}; {sources.VARIABLES}",
    ),
    Definition(
        "SN-OP",
        "SN to occlusal plane",
        "degree",
        ("Steiner",),
        lambda face: face.turn("S-N", occlusal_plane(face)),
        "turn from S-N to the line from the middle of U6-L6 to the middle of UI-LI, positive if it falls in front",
        f"{sources.STEINER_1953}; {sources.VARIABLES}; {sources.OCCLUSAL}",
    ),
    Definition(
        "U1-NA (deg)",
        "Upper incisor to NA",
        "degree",
        ("Steiner",),
        lambda face: face.turn("U1A-UI", "N-A"),
        "angle between the upper incisor's axis and N-A, positive if the tip is proclined",
        f"{sources.STEINER_1953}; {sources.VARIABLES}",
    ),
    Definition(
        "U1-NA (mm)",
        "Upper incisor to NA",
        "mm",
        ("Steiner",),
        lambda face: face.ahead("UI", "N-A"),
        f"distance of UI from the line N-A, positive in front of it; {_TIP}",
        f"{sources.STEINER_1953}; {sources.VARIABLES}",
    ),
    Definition(
        "L1-NB (deg)",
        "Lower incisor to NB",
        "degree",
        ("Steiner",),
        lambda face: face.turn("N-B", "LI-L1A"),
        "angle between N-B and the lower incisor's axis, positive if the tip is proclined",
        f"{sources.STEINER_1953}; {sources.VARIABLES}",
    ),
    Definition(
        "L1-NB (mm)",
        "Lower incisor to NB",
        "mm",
        ("Steiner",),
        lambda face: face.ahead("LI", "N-B"),
        f"distance of LI from the line N-B, positive in front of it; {_TIP}",
        f"{sources.STEINER_1953}; {sources.VARIABLES}",
    ),
    Definition(
        "Pog-NB",
        "Pogonion to NB",
        "mm",
        ("Steiner",),
        lambda face: face.ahead("Pog", "N-B"),
        "distance of Pog from the line N-B, positive in front of it",
        f"{sources.STEINER_1959}; {sources.VARIABLES}",
    ),
    Definition(
        "Interincisal",
        "Interincisal angle",
        "degree",
        ("Steiner", "Downs", "Dental"),
        lambda face: face.turn("LI-L1A", "UI-U1A") % 360,
        "angle between the axes of both incisors, on the side of the tongue",
        f"{sources.DOWNS_1948}; {sources.STEINER_1953}; {sources.VARIABLES}",
    ),
)
