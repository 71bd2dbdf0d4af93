"""Tweed's diagnostic triangle: the lower incisor against the mandibular and the Frankfort plane."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition

__all__ = ["DEFINITIONS"]

# FMA, the third angle of the triangle, is in downs.py: it belongs to four analyses
DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "IMPA",
        "Incisor-mandibular plane angle",
        "degree",
        ("Tweed", "Downs", "Eastman"),
        lambda face: face.angle("LI-L1A", "Go-Me"),
        "angle between the lower incisor's axis and Go-Me, on the side of the tongue",
        f"{sources.TWEED_1954}; {sources.VARIABLES}",
    ),
    Definition(
        "FMIA",
        "Frankfort-mandibular incisor angle",
        "degree",
        ("Tweed",),
        lambda face: face.angle("L1A-LI", "Po-Or"),
        "angle between the lower incisor's axis and the Frankfort plane Po-Or, behind the axis",
        f"{sources.TWEED_1954}; {sources.VARIABLES}",
    ),
)
