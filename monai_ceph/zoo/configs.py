"""The configs of the bundle: those of the package, with the model of the bundle instead of the shipped weights.

``local.json`` becomes ``train.json``, the name that MONAI's loaders look for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from monai.bundle import ConfigParser

from monai_ceph import weights

__all__ = ["Config", "inference", "overlay", "read", "training"]

Config = dict[str, Any]

# what training and inference must have in common, and the user may have changed
_SHARED = ("landmarks", "channels", "num_res_units")


def read(path: Any) -> Config:
    """Return a JSON config as it is written."""
    config: Config = json.loads(path.read_text(encoding="utf-8"))
    return config


def inference(
    config: ConfigParser, stages: Sequence[str], mean_shape: list[list[float]] | None, error_model: bool
) -> Config:
    """Return ``inference.json`` with the networks of ``models/model.pt``.

    Args:
        config: ``inference.json`` of the package, with the overlays of the user.
        stages: the stages that have a network in the model.
        mean_shape: (N, 2), (row, column); None if the config has no pose.
        error_model: whether the bundle has ``models/errors.json``.
    """
    model = read(files("monai_ceph") / "zoo" / "templates" / "model.json")
    for stage in weights.STAGES:
        if stage not in stages:
            del model["network_def"][f"{stage}_network"]
            model |= {f"{stage}_weights": None, f"{stage}_network": None}
    if not error_model:
        del model["errors"]
        model["error_model"] = None
    # MONAI's parser adds an empty "_meta_", which would replace the metadata wherever this file is read after them
    own = {key: value for key, value in config.get().items() if key != "_meta_"}
    return {**own, **model, "mean_shape": mean_shape}


def training(config: Mapping[str, Any], inference: Mapping[str, Any]) -> Config:
    """Return ``train.json``: ``local.json`` of the package, with all networks of ``models/model.pt`` as its network.

    It trains one of them, which ``stage`` names. So ``monai.bundle.load`` finds the network that fits the weights.

    Args:
        config: ``local.json`` of the package.
        inference: ``inference.json`` of the bundle.
    """
    networks = inference["network_def"]
    definitions = {value.removeprefix("@"): None for value in networks.values() if value.startswith("@")}
    definitions = {name: inference[name] for name in definitions}
    result: Config = {}
    for key, value in _with_landmarks(config, inference).items():
        if key == "network_def":
            result |= {**_needed(definitions, config, inference), **definitions, "network_def": networks}
        elif key == "stage_network":
            result[key] = "$getattr(@network_def, @stage + '_network')"
        else:
            result[key] = value
    return result


def overlay(config: Mapping[str, Any], inference: Mapping[str, Any]) -> Config:
    """Return an overlay of the package for the configs of the bundle.

    Args:
        config: an overlay on ``local.json`` or on ``inference.json``.
        inference: ``inference.json`` of the bundle.
    """
    result = _with_landmarks(config, inference)
    result["description"] = result["description"].replace("local.json", "train.json")
    # inference.json of the bundle knows which limits were chosen for other weights
    result.pop("fitted_limits", None)
    if "network_def" in result:
        result = {f"{config['stage']}_{key}" if key == "network_def" else key: each for key, each in result.items()}
    if "weights.path" in str(result.get("initial_weights")):
        result |= {"initial_weights": inference["weights"], "mean_shape": inference["mean_shape"]}
    return result


def _with_landmarks(config: Mapping[str, Any], inference: Mapping[str, Any]) -> Config:
    return {key: inference[key] if key in _SHARED else value for key, value in config.items()}


def _needed(value: Any, config: Mapping[str, Any], inference: Mapping[str, Any]) -> Config:
    """Return the keys of ``inference`` that ``value`` refers to, directly or not, and that ``config`` lacks."""
    found: Config = {}
    for name in re.findall(r"@(\w+)", json.dumps(value)):
        if name not in config and name in inference:
            found |= {**_needed(inference[name], config, inference), name: inference[name]}
    return found
