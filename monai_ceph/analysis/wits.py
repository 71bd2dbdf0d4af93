"""The Wits appraisal, and what stands in for it where the molars are not known."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number
from monai_ceph.analysis.steiner import occlusal_plane

__all__ = ["DEFINITIONS"]

_AHEAD = "positive if A is ahead of B"


def _functional(face: Face) -> Number:
    return face.along("B-A", face.middle("UPM", "LPM") - face.middle("UMT", "LMT"))


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "Wits",
        "Wits appraisal on the functional occlusal plane",
        "mm",
        ("Wits",),
        _functional,
        "distance between the projections of A and B on the line from the middle of UMT-LMT to the middle of UPM-LPM, "
        + _AHEAD,
        f"{sources.JACOBSON_1975}; {sources.AXES}",
    ),
    Definition(
        "Wits (bisected)",
        "Wits appraisal on the bisected occlusal plane",
        "mm",
        ("Wits",),
        lambda face: face.along("B-A", occlusal_plane(face)),
        "distance between the projections of A and B on the line from the middle of U6-L6 to the middle of UI-LI, "
        + _AHEAD,
        f"{sources.JACOBSON_2006}; {sources.OCCLUSAL}",
    ),
    Definition(
        "Wits (MM)",
        "Wits approximation on the bisector of palatal and mandibular plane",
        "mm",
        ("Wits",),
        lambda face: face.along("B-A", face.unit("PNS-ANS") + face.unit("Go-Me")),
        f"distance between the projections of A and B on the bisector of PNS-ANS and Go-Me, {_AHEAD}",
        sources.HALL_SCOTT_1994,
    ),
    Definition(
        "App-Bpp",
        "A and B on the palatal plane",
        "mm",
        ("Wits",),
        lambda face: face.along("B-A", "PNS-ANS"),
        f"distance between the projections of A and B on PNS-ANS, {_AHEAD}",
        sources.NANDA_1994,
    ),
)
