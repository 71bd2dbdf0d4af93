"""What else the ISBI 2015 challenge measures: the facial height index and the modified Wits."""

from __future__ import annotations

import numpy as np

from monai_ceph.analysis import sources
from monai_ceph.analysis.definition import Definition
from monai_ceph.analysis.plane import Face, Number

__all__ = ["DEFINITIONS"]


def _modified_wits(face: Face) -> Number:
    length = face.distance("LI-UI")
    return np.where(face["UI"].real < face["LI"].real, -length, length)


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "FHI",
        "Facial height index",
        "ratio",
        ("ISBI 2015 challenge",),
        lambda face: face.distance("S-Go") / face.distance("N-Me"),
        "distance S-Go divided by distance N-Me",
        sources.CHALLENGE,
    ),
    Definition(
        "MW",
        "Modified Wits",
        "mm",
        ("ISBI 2015 challenge",),
        _modified_wits,
        "distance between the tips of the lower and the upper incisor, negative if the upper one is behind the lower "
        "one along the rows of the upright film; it is no Wits appraisal",
        sources.CHALLENGE,
        smooth=False,
    ),
)
