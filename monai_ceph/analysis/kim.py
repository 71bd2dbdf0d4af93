"""The indicators of Kim: depth of the overbite (ODI) and anteroposterior dysplasia (APDI)."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.downs import ab_plane, facial_angle
from monai_ceph.analysis.plane import Face, Number

__all__ = ["DEFINITIONS"]


def _palate(face: Face) -> Number:
    return face.turn("Po-Or", "PNS-ANS")


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "ODI",
        "Overbite depth indicator",
        "degree",
        ("Kim", "ISBI 2015 challenge"),
        lambda face: face.angle("Me-Go", "B-A") + _palate(face),
        "angle between the directions Me-Go and B-A, plus FH-PP",
        f"{sources.KIM_1974}; {sources.CHALLENGE}; {sources.SIGNS}",
    ),
    Definition(
        "APDI",
        "Anteroposterior dysplasia indicator",
        "degree",
        ("Kim", "ISBI 2015 challenge"),
        lambda face: facial_angle(face) + ab_plane(face) + _palate(face),
        "facial angle plus A-B plane angle plus FH-PP",
        f"{sources.KIM_1978}; {sources.CHALLENGE}; {sources.SIGNS}",
    ),
)
