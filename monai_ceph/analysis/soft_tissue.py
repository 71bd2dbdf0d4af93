"""The soft tissue profile: lips, nose and chin."""

from __future__ import annotations

import numpy as np

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number

__all__ = ["DEFINITIONS"]


def _z_angle(face: Face) -> Number:
    # the profile line touches one of the two lips
    return np.minimum(face.angle("Or-Po", "UL-Pog'"), face.angle("Or-Po", "LL-Pog'"))


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "UL-SnPog'",
        "Upper lip to Sn-Pog'",
        "mm",
        ("Soft tissue",),
        lambda face: face.ahead("UL", "Sn-Pog'"),
        "distance of UL from the line Sn-Pog', positive in front of it",
        f"{sources.BURSTONE_1967}; {sources.LEGAN_1980}",
    ),
    Definition(
        "LL-SnPog'",
        "Lower lip to Sn-Pog'",
        "mm",
        ("Soft tissue",),
        lambda face: face.ahead("LL", "Sn-Pog'"),
        "distance of LL from the line Sn-Pog', positive in front of it",
        f"{sources.BURSTONE_1967}; {sources.LEGAN_1980}",
    ),
    Definition(
        "LL-H",
        "Lower lip to H line",
        "mm",
        ("Soft tissue",),
        lambda face: face.ahead("LL", "UL-Pog'"),
        "distance of LL from the line UL-Pog', positive in front of it",
        sources.HOLDAWAY_1983,
    ),
    Definition(
        "Sn-H",
        "Subnasale to H line",
        "mm",
        ("Soft tissue",),
        lambda face: -face.ahead("Sn", "UL-Pog'"),
        "distance of Sn from the line UL-Pog', positive behind it",
        sources.HOLDAWAY_1983,
    ),
    Definition(
        "H angle (NB)",
        "H line to NB",
        "degree",
        ("Soft tissue",),
        lambda face: face.turn("N-B", "UL-Pog'"),
        "angle between UL-Pog' and N-B, positive if UL-Pog' leans further forward at the top",
        sources.secondary(sources.SOFT_TISSUE),
    ),
    Definition(
        "H angle",
        "H angle",
        "degree",
        ("Soft tissue",),
        lambda face: face.turn("N'-Pog'", "UL-Pog'"),
        "angle between the soft tissue facial plane N'-Pog' and UL-Pog', positive if UL is in front of it",
        sources.HOLDAWAY_1983,
    ),
    Definition(
        "Z angle",
        "Z angle",
        "degree",
        ("Soft tissue",),
        _z_angle,
        "lower inner angle between the Frankfort plane and the line from Pog' to UL or LL, whichever is smaller",
        sources.MERRIFIELD_1966,
    ),
    Definition(
        "Nasolabial",
        "Nasolabial angle",
        "degree",
        ("Soft tissue", "McNamara"),
        lambda face: face.angle("Sn-Cm", "Sn-UL"),
        "angle at Sn between Cm and UL",
        f"{sources.LEGAN_1980}; {sources.MCNAMARA_1984}",
    ),
    Definition(
        "Soft convexity",
        "Facial convexity of the soft tissue",
        "degree",
        ("Soft tissue",),
        lambda face: face.turn("G'-Sn", "Sn-Pog'"),
        "turn from G'-Sn to Sn-Pog', positive if Sn is ahead of G'-Pog'",
        f"{sources.LEGAN_1980}; {sources.SOFT_TISSUE}",
    ),
    Definition(
        "Soft facial angle",
        "Soft tissue facial angle",
        "degree",
        ("Soft tissue",),
        lambda face: face.angle("Or-Po", "N'-Pog'"),
        "lower inner angle between the Frankfort plane Or-Po and N'-Pog'",
        sources.HOLDAWAY_1983,
    ),
)
