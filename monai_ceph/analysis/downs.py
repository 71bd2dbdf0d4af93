"""Downs' analysis: the facial pattern and the incisors against the Frankfort plane and N-Pog."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number
from monai_ceph.analysis.steiner import occlusal_plane

__all__ = ["DEFINITIONS", "ab_plane", "facial_angle"]


def facial_angle(face: Face) -> Number:
    """Return the lower inner angle between the Frankfort plane and N-Pog."""
    return face.angle("Or-Po", "N-Pog")


def ab_plane(face: Face) -> Number:
    """Return the angle between N-Pog and A-B, positive if B is ahead of A, seen from the facial plane."""
    return -face.turn("N-Pog", "A-B")


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "Facial angle",
        "Facial angle, or facial depth",
        "degree",
        ("Downs", "Ricketts"),
        facial_angle,
        "lower inner angle between the Frankfort plane Or-Po and the facial plane N-Pog",
        f"{sources.DOWNS_1948}; {sources.DOWNS_1956}; {sources.RICKETTS_1981}; {sources.VARIABLES}",
    ),
    Definition(
        "Convexity",
        "Angle of convexity",
        "degree",
        ("Downs",),
        lambda face: face.turn("N-A", "A-Pog"),
        "turn from N-A to A-Pog, positive if A is ahead of N-Pog",
        f"{sources.DOWNS_1948}; {sources.DOWNS_1956}; {sources.VARIABLES}",
    ),
    Definition(
        "A-B plane",
        "A-B plane angle",
        "degree",
        ("Downs",),
        ab_plane,
        "angle between the facial plane N-Pog and A-B, positive if B is ahead of A, seen from the facial plane",
        f"{sources.DOWNS_1948}; {sources.SIGNS} (APDI); {sources.VARIABLES}",
    ),
    Definition(
        "FMA",
        "Frankfort-mandibular plane angle",
        "degree",
        ("Downs", "Tweed", "Ricketts", "McNamara"),
        lambda face: face.turn("Po-Or", "Go-Me"),
        "turn from Po-Or to Go-Me, positive if they meet behind the face",
        f"{sources.TWEED_1954}; {sources.SIGNS} (FMP), with Go-Me of {sources.MANDIBULAR}",
    ),
    Definition(
        "Y-axis (FH)",
        "Y-axis to Frankfort plane",
        "degree",
        ("Downs",),
        lambda face: face.turn("Po-Or", "S-Gn"),
        "turn from Po-Or to S-Gn, positive if Gn is below",
        f"{sources.DOWNS_1948}; {sources.LENGTHS}",
    ),
    Definition(
        "FH-OP",
        "Cant of the occlusal plane",
        "degree",
        ("Downs",),
        lambda face: face.turn("Po-Or", occlusal_plane(face)),
        "turn from Po-Or to the line from the middle of U6-L6 to the middle of UI-LI, positive if it falls in front",
        f"{sources.DOWNS_1948}; {sources.VARIABLES}; {sources.OCCLUSAL}",
    ),
    Definition(
        "L1-OP",
        "Lower incisor to occlusal plane",
        "degree",
        ("Downs",),
        lambda face: face.turn(occlusal_plane(face), "LI-L1A") - 90,
        "angle between the occlusal plane and the lower incisor's axis minus 90, positive if the tip is proclined",
        f"{sources.DOWNS_1948}; {sources.OCCLUSAL}",
    ),
    Definition(
        "U1-APog (mm)",
        "Upper incisor to A-Pog",
        "mm",
        ("Downs", "Ricketts"),
        lambda face: face.ahead("UI", "A-Pog"),
        "distance of UI from the line A-Pog, positive in front of it",
        sources.DOWNS_1948,
    ),
)
