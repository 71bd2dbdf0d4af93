"""``configs/metadata.json`` of the bundle: the one of the package, adapted to the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from monai_ceph.folders import BUNDLES
from monai_ceph.landmarks import SYMBOLS, name_of
from monai_ceph.result import ModelIdentity
from monai_ceph.version import __version__

__all__ = ["metadata"]


def metadata(landmarks: Sequence[str], model: ModelIdentity, shipped: bool) -> dict[str, Any]:
    """Return the metadata by MONAI's bundle specification.

    Args:
        landmarks: symbols, in the order of the channels.
        model: identity of the model in the bundle.
        shipped: whether weights and recipe are those of the package, so that its figures apply.
    """
    text = (BUNDLES / "metadata.json").read_text(encoding="utf-8")
    result: dict[str, Any] = json.loads(text)
    # the configs use this package; the model zoo's CI installs the packages listed here with pip
    result["required_packages_version"]["monai-ceph"] = __version__
    result["model"] = {"name": model.name, "version": model.version, "weights_sha256": model.weights_sha256}
    pred = result["network_data_format"]["outputs"]["pred"]
    pred["num_channels"] = len(landmarks) + 1
    pred["channel_def"] = {str(index): name for index, name in enumerate([*map(name_of, landmarks), "background"])}
    if not shipped:
        result["eval_metrics"] = {}
        result["data_source"] = "given by the user"
    if tuple(landmarks) != SYMBOLS:
        result["task"] = f"{len(landmarks)} landmarks on radiographs"
        for key in ("label_classes", "pred_classes"):
            result[key] = result[key].replace(f"{len(SYMBOLS)} landmark", f"{len(landmarks)} landmark")
    return result
