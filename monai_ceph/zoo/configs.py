"""The configs of the bundle: those of the package, with the model of the bundle instead of the shipped weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from monai.bundle import ConfigParser

from monai_ceph import weights

__all__ = ["Config", "inference", "read", "with_model"]

Config = dict[str, Any]

# what training and inference must have in common, and the user may have changed
_SHARED = ("landmarks", "channels", "num_res_units")


def read(path: Any) -> Config:
    """Return a JSON config as it is written."""
    config: Config = json.loads(path.read_text(encoding="utf-8"))
    return config


def inference(config: ConfigParser, stages: Sequence[str], mean_shape: list[list[float]] | None) -> Config:
    """Return ``inference.json`` with the networks of ``models/model.pt``.

    Args:
        config: ``inference.json`` of the package, with the overlays of the user.
        stages: the stages that have a network in the model.
        mean_shape: (N, 2), (row, column); None if the config has no pose.
    """
    model = read(files("monai_ceph") / "zoo" / "templates" / "model.json")
    for stage in weights.STAGES:
        if stage not in stages:
            del model["network_def"][f"{stage}_network"]
            model |= {f"{stage}_weights": None, f"{stage}_network": None}
    return {**config.get(), **model, "mean_shape": mean_shape}


def with_model(config: Mapping[str, Any], inference: Mapping[str, Any]) -> Config:
    """Return another config of the package with what depends on the model: landmarks, size of the networks, weights.

    Args:
        config: a config for training, or an overlay.
        inference: ``inference.json`` of the bundle.
    """
    result = {key: inference[key] if key in _SHARED else value for key, value in config.items()}
    if "weights.path" in str(result.get("initial_weights")):
        result |= {"initial_weights": inference["weights"], "mean_shape": inference["mean_shape"]}
    return result
