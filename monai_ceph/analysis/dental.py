"""Incisors against each other and against the cranial base."""

from __future__ import annotations

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition

__all__ = ["DEFINITIONS"]


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "U1-SN",
        "Upper incisor to SN",
        "degree",
        ("Dental",),
        lambda face: face.angle("U1A-UI", "N-S"),
        "angle between the upper incisor's axis and S-N, on the side of the tongue",
        sources.secondary(sources.JACOBSON_2006, sources.VARIABLES, sources.AXES),
    ),
    Definition(
        "Overjet",
        "Overjet along the Frankfort plane",
        "mm",
        ("Dental",),
        lambda face: face.along("LI-UI", "Po-Or"),
        "distance from LI to UI along Po-Or, positive if UI is ahead; not the overjet on casts, which is measured from "
        "the labial surface along the occlusal plane",
        sources.secondary(sources.JACOBSON_2006),
    ),
    Definition(
        "Overbite",
        "Overbite across the Frankfort plane",
        "mm",
        ("Dental",),
        lambda face: face.below("LI-UI", "Po-Or"),
        "distance from LI to UI across Po-Or, positive if UI is below",
        sources.secondary(sources.JACOBSON_2006),
    ),
    Definition(
        "Holdaway",
        "Holdaway difference",
        "mm",
        ("Dental",),
        lambda face: face.ahead("LI", "N-B") - face.ahead("Pog", "N-B"),
        "L1-NB (mm) minus Pog-NB; 0 where the Holdaway ratio is 1 to 1",
        sources.secondary(sources.JACOBSON_2006),
    ),
)
