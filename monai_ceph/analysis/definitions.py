"""All measurements, by analysis. Each analysis has its own file beside this one."""

from __future__ import annotations

from monai_ceph.analysis import (
    bjork_jarabak,
    dental,
    downs,
    eastman,
    isbi2015,
    kim,
    mcnamara,
    ricketts,
    soft_tissue,
    steiner,
    tweed,
    vertical,
    wits,
)
from monai_ceph.analysis.definition import Definition

__all__ = ["DEFINITIONS"]

DEFINITIONS: tuple[Definition, ...] = tuple(
    definition
    for analysis in (
        *(steiner, downs, tweed, ricketts, mcnamara, bjork_jarabak, eastman),
        *(wits, kim, vertical, dental, soft_tissue, isbi2015),
    )
    for definition in analysis.DEFINITIONS
)
"""All measurements, in the order in which they are reported: by the first of their analyses."""
