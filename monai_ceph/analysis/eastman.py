"""The Eastman analysis: SNA, SNB and ANB with its correction, the planes of both jaws, and the incisors."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number
from monai_ceph.analysis.steiner import anb, sna

__all__ = ["DEFINITIONS"]


def _corrected_anb(face: Face) -> Number:
    # half a degree for each degree of SNA above or below the mean of 81
    return anb(face) - (sna(face) - 81) / 2


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "ANB (Eastman)",
        "ANB with the Eastman correction",
        "degree",
        ("Eastman",),
        _corrected_anb,
        "ANB minus half of what SNA exceeds 81 degrees",
        sources.MILLS_1982,
    ),
    Definition(
        "PP-MP",
        "Maxillary-mandibular planes angle",
        "degree",
        ("Eastman", "Vertical"),
        lambda face: face.turn("PNS-ANS", "Go-Me"),
        "turn from PNS-ANS to Go-Me, positive if they meet behind the face",
        f"{sources.MILLS_1982}; {sources.PLANES}",
    ),
    Definition(
        "SN-PP",
        "SN to palatal plane",
        "degree",
        ("Eastman", "Vertical"),
        lambda face: face.turn("S-N", "PNS-ANS"),
        "turn from S-N to PNS-ANS, positive if they meet behind the face",
        f"{sources.MILLS_1982}; {sources.PLANES}",
    ),
    Definition(
        "LAFH/TAFH",
        "Lower to total anterior facial height",
        "percent",
        ("Eastman", "Vertical"),
        lambda face: 100 * face.distance("ANS-Me") / face.distance("N-Me"),
        "100 times distance ANS-Me divided by distance N-Me",
        f"{sources.HEIGHTS}; {sources.LENGTHS}",
    ),
    Definition(
        "U1-PP",
        "Upper incisor to palatal plane",
        "degree",
        ("Eastman", "Dental"),
        lambda face: face.angle("U1A-UI", "ANS-PNS"),
        "angle between the upper incisor's axis and the palatal plane, on the side of the tongue",
        f"{sources.MILLS_1982}; {sources.AXES}",
    ),
)
