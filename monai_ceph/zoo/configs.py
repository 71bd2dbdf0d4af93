"""The configs of the bundle, made from those of the package: the same parameters, with the weights of the bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from monai_ceph import weights

__all__ = ["FILE_NAMES", "TORCHSCRIPT", "overlay", "renamed", "whole"]

Config = dict[str, Any]

FILE_NAMES = {"local": "train", "global": "train_global", "multi_gpu": "multi_gpu_train"}
"""What the model zoo calls a config that has another name here; all others keep theirs."""

TORCHSCRIPT: Config = {
    "description": "Overlay on inference.json: the networks of models/model.ts.",
    "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts')",
    "handlers": [],
}
"""An overlay that needs no class of a network."""

_MODEL = "$@bundle_root + '/models/model.pt'"
_LOADER = "CheckpointLoader"


def whole(config: Mapping[str, Any], stages: Sequence[str], mean_shape: list[list[float]] | None) -> Config:
    """Return ``inference.json`` or ``evaluate.json`` with the networks of ``models/model.pt``.

    Args:
        config: of the package, with the overlays of the user.
        stages: that have a network in the model.
        mean_shape: of the landmarks, as the weights were trained with it.
    """
    result = renamed(config)
    result["imports"] = [line for line in result["imports"] if "monai_ceph.weights" not in line]
    result["mean_shape"] = mean_shape
    result["weights"] = _MODEL
    # MONAI logs which files it restores
    for key in ("used_weights", "fitted_limits"):
        result.pop(key, None)
    for key in ("evaluating", "inferring"):
        if key in result:
            result[key] = [step for step in result[key] if "log_used" not in step]
    for stage in weights.STAGES:
        # of one stage alone: instead of its part of the model
        result[f"{stage}_weights"] = None
        if stage != "local":
            result[f"{stage}_network"] = f"$@network.{stage}_network" if stage in stages else None
    if "context" in stages:
        # beside a local network of the user's own it takes no part unless it is named, as in the package
        result["context_network"] += " if @context_weights or not @local_weights else None"
    result["network_def"] = {
        "_target_": "monai_ceph.zoo.networks.StageNetworks",
        **{f"{stage}_network": f"@{stage}_network_def" for stage in stages},
    }
    result["network"] = "$@network_def.to(@device)"
    others = [handler for handler in result["handlers"] if handler["_target_"] != _LOADER]
    result["handlers"] = [
        _loader("@weights", "@network"),
        *(
            _loader(f"@{stage}_weights", f"$@network.{stage}_network") | {"_disabled_": f"$not @{stage}_weights"}
            for stage in stages
        ),
        *others,
    ]
    return result


def overlay(config: Mapping[str, Any], mean_shape: list[list[float]] | None) -> Config:
    """Return an overlay for the configs of the bundle.

    One that goes without a stage's weights goes without its network. One that names the shipped weights and mean
    shape names those of the model.

    Args:
        config: of the package.
        mean_shape: as of :func:`whole`.
    """
    result = renamed(config)
    if "weights.path" in str(result.get("initial_weights")):
        result |= {"initial_weights": _MODEL, "mean_shape": mean_shape}
        del result["+imports"]
    for stage in weights.STAGES:
        if f"{stage}_weights" in result and result[f"{stage}_weights"] is None:
            result[f"{stage}_network"] = None
    return result


def _loader(load_path: str, network: str) -> Config:
    return {"_target_": _LOADER, "load_path": load_path, "load_dict": {"network": network}, "map_location": "@device"}


def renamed(config: Mapping[str, Any]) -> Config:
    """Return a config with the names that the model zoo uses."""
    text = json.dumps(config).replace("validation_interval", "val_interval")
    result: Config = json.loads(text)
    for ours, theirs in FILE_NAMES.items():
        result["description"] = result.get("description", "").replace(f"{ours}.json", f"{theirs}.json")
    return result
