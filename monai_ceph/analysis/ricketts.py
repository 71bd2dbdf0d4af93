"""Ricketts' analysis: depths, convexity, the lower incisor and the esthetic line."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition

__all__ = ["DEFINITIONS"]

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "Facial axis",
        "Facial axis",
        "degree",
        ("Ricketts", "McNamara"),
        lambda face: face.angle("N-Ba", "PT-Gn"),
        "lower inner angle between Ba-N and PT-Gn",
        f"{sources.RICKETTS_1981}; {sources.RICKETTS_TERMS}",
    ),
    Definition(
        "Maxillary depth",
        "Maxillary depth",
        "degree",
        ("Ricketts",),
        lambda face: face.angle("Or-Po", "N-A"),
        "lower inner angle between the Frankfort plane Or-Po and N-A",
        sources.RICKETTS_1981,
    ),
    Definition(
        "A-NPog",
        "Convexity of A",
        "mm",
        ("Ricketts",),
        lambda face: face.ahead("A", "N-Pog"),
        "distance of A from the facial plane N-Pog, positive in front of it",
        f"{sources.RICKETTS_1961}; {sources.RICKETTS_TERMS}",
    ),
    Definition(
        "L1-APog (mm)",
        "Lower incisor to A-Pog",
        "mm",
        ("Ricketts", "McNamara"),
        lambda face: face.ahead("LI", "A-Pog"),
        "distance of LI from the line A-Pog, positive in front of it",
        f"{sources.RICKETTS_1961}; {sources.MCNAMARA_1984}; {sources.RICKETTS_TERMS}; {sources.VARIABLES}",
    ),
    Definition(
        "L1-APog (deg)",
        "Lower incisor to A-Pog",
        "degree",
        ("Ricketts",),
        lambda face: face.turn("A-Pog", "LI-L1A"),
        "angle between A-Pog and the lower incisor's axis, positive if the tip is proclined",
        f"{sources.RICKETTS_1981}; {sources.VARIABLES}",
    ),
    Definition(
        "FH-PP",
        "Frankfort to palatal plane",
        "degree",
        ("Ricketts", "Kim"),
        lambda face: face.turn("Po-Or", "PNS-ANS"),
        "turn from Po-Or to PNS-ANS, positive if the palatal plane is tipped down in front",
        f"{sources.RICKETTS_1981}; {sources.SIGNS} (ODI)",
    ),
    Definition(
        "UL-E",
        "Upper lip to esthetic line",
        "mm",
        ("Ricketts", "Soft tissue"),
        lambda face: face.ahead("UL", "Prn-Pog'"),
        "distance of UL from the line Prn-Pog', positive in front of it",
        f"{sources.RICKETTS_1968}; {sources.VARIABLES}; {sources.SOFT_TISSUE}",
    ),
    Definition(
        "LL-E",
        "Lower lip to esthetic line",
        "mm",
        ("Ricketts", "Soft tissue"),
        lambda face: face.ahead("LL", "Prn-Pog'"),
        "distance of LL from the line Prn-Pog', positive in front of it",
        f"{sources.RICKETTS_1968}; {sources.VARIABLES}; {sources.SOFT_TISSUE}",
    ),
)
