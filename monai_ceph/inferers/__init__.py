"""Inference as MONAI inferers: the head's pose, the local stage, and both stages together."""

from monai_ceph.inferers.attention_guided import AttentionGuidedInferer, Guide, StageResults
from monai_ceph.inferers.error_model import Certainty, ErrorModel
from monai_ceph.inferers.expansive_exploration import Arrangement, ExpansiveExplorationInferer, patch_offsets
from monai_ceph.inferers.local_stage import local_inferer
from monai_ceph.inferers.pose import UPRIGHT, Pose, PoseFinder, View, stated_view
from monai_ceph.inferers.shared_windows import SharedWindowsInferer
from monai_ceph.inferers.windows import WindowInferer, Windows

__all__ = [
    "UPRIGHT",
    "Arrangement",
    "AttentionGuidedInferer",
    "Certainty",
    "ErrorModel",
    "ExpansiveExplorationInferer",
    "Guide",
    "Pose",
    "PoseFinder",
    "SharedWindowsInferer",
    "StageResults",
    "View",
    "WindowInferer",
    "Windows",
    "local_inferer",
    "patch_offsets",
    "stated_view",
]
