"""Inference as MONAI inferers: the head's pose, Expansive Exploration, and both stages together."""

from monai_ceph.inferers.attention_guided import AttentionGuidedInferer, Guide
from monai_ceph.inferers.expansive_exploration import (
    Arrangement,
    ExpansiveExplorationInferer,
    Windows,
    patch_offsets,
)
from monai_ceph.inferers.pose import UPRIGHT, Pose, PoseFinder, View, stated_view

__all__ = [
    "UPRIGHT",
    "Arrangement",
    "AttentionGuidedInferer",
    "ExpansiveExplorationInferer",
    "Guide",
    "Pose",
    "PoseFinder",
    "View",
    "Windows",
    "patch_offsets",
    "stated_view",
]
