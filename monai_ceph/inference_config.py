"""Inference configs: read with overlays, checked, and what identifies the model that one describes."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from yaml import YAMLError

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.folders import BUNDLES
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.result import ModelIdentity
from monai_ceph.version import __version__

__all__ = [
    "INFERENCE",
    "as_number",
    "inference_config",
    "mean_shape_of",
    "model_identity",
    "read_config",
    "rejection_limits",
    "root_cause",
    "used_weights",
]

INFERENCE = str(BUNDLES / "inference.json")
"""The shipped config."""

# config keys that change no landmark, such as paths; weights have their own hash
_NOT_IN_RECIPE = {
    *("description", "imports", "bundle_root", "output_dir", "dataset_dir", "phantoms", "device", "run", "inferring"),
    *("dataset", "dataloader", "load_transform", "preprocessing", "postprocessing", "handlers", "evaluator"),
    *("used_weights", "fitted_limits", "local_network", "decode_transform"),
    *(f"{stage}_weights" for stage in weights.STAGES),
}

# keys of `rejection`; checked here because check_landmarks would complain only at the first film
_LIMITS = {"max_shape_residual", "min_mean_score", "min_evidence"}


def read_config(paths: Sequence[str]) -> ConfigParser:
    """Return a config with overlays applied in the given order.

    Raises:
        CephError: if a file cannot be read; the message names it.
    """
    config = ConfigParser()
    for number, path in enumerate(paths, start=1):
        try:
            config.read_config(list(paths[:number]))
        except (AttributeError, TypeError) as error:
            raise CephError(f"{path}: cannot be read as a config: it must be an object with keys") from error
        except (OSError, ValueError, YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise CephError(f"{path}: cannot be read as a config: {reason}") from error
    return config


def inference_config(overlays: Sequence[str | Path] = (), overrides: dict[str, Any] | None = None) -> ConfigParser:
    """Return ``bundles/inference.json`` with overlays applied, and then single keys changed.

    Raises:
        CephError: if a config cannot be read, or if a key is unknown and nothing refers to it.
    """
    config = read_config([INFERENCE, *map(str, overlays)])
    try:
        for key, value in (overrides or {}).items():
            config[key] = value
    except KeyError as error:
        raise CephError(f"the config has no such key ({error})") from error
    _check_keys(config)
    return config


def _recipe_sha256(config: ConfigParser) -> str:
    recipe = {key: value for key, value in config.get().items() if key not in _NOT_IN_RECIPE}
    # the value on this device: bfloat16 and single precision give different results
    by_torch = config.get_parsed_content("runtime") == "torch"
    recipe["mixed_precision"] = by_torch and config.get_parsed_content("mixed_precision")
    recipe["activation_ranges"] = None if by_torch else config.get_parsed_content("activation_ranges")
    # its values, not where they are: they decide which landmarks are uncertain or missing
    recipe["error_model"] = config.get_parsed_content("error_model")
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()


def _check_keys(config: ConfigParser) -> None:
    """Refuse unknown keys that nothing refers to, such as misspelt ones, which would have no effect."""
    known = set(read_config([INFERENCE]).get())
    text = json.dumps(config.get(), default=str)
    for key in config.get():
        if key not in known and not re.search(rf"[@%]{re.escape(key)}\b", text):
            similar = get_close_matches(key, known, n=1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise CephError(f"the config key {key} is not in bundles/inference.json, and nothing refers to it{hint}")


def as_number(key: str, value: Any) -> float:
    """Return a value of a config key as a float.

    Raises:
        CephError: if it is no finite number; the message names the key.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise CephError(f"{key} must be a number, got {value!r}")
    return float(value)


def mean_shape_of(shape: Any) -> np.ndarray:
    """Return the mean shape as an array (19, 2)."""
    try:
        result = np.array(shape, dtype=np.float64)
    except (TypeError, ValueError):
        result = np.empty(0)
    if result.shape != (len(SYMBOLS), 2) or not np.isfinite(result).all():
        raise CephError(f"mean_shape must be {len(SYMBOLS)} pairs of numbers (row, column)")
    return result


def rejection_limits(rejection: Any) -> dict[str, float]:
    """Return the checked limits for :func:`check_landmarks`."""
    if not isinstance(rejection, dict) or set(rejection) != _LIMITS:
        raise CephError(f"rejection must have {', '.join(sorted(_LIMITS))} and no other keys, got {rejection!r}")
    return {key: as_number(f"rejection#{key}", value) for key, value in rejection.items()}


def used_weights(config: ConfigParser) -> dict[str, str]:
    """Return the weights file of each stage that has one.

    Raises:
        CephError: if the global or the local stage has no weights file.
    """
    named = {stage: config.get_parsed_content(f"{stage}_weights") for stage in weights.STAGES}
    if without := [stage for stage in ("global", "local") if named[stage] is None]:
        raise CephError(f"{without[0]}_weights must name a file: only the context network is optional")
    return {stage: file for stage, file in named.items() if file is not None}


def model_identity(config: ConfigParser) -> ModelIdentity:
    """Return the identity of the weights and parameters that an inference config names."""
    used = used_weights(config)
    shipped = all(weights.is_shipped(stage, file) for stage, file in used.items())
    return ModelIdentity(
        name=weights.model()["name"] if shipped else "weights of the user",
        version=weights.model()["version"] if shipped else "unknown",
        weights_sha256=weights.sha256(*used.values()),
        recipe_sha256=_recipe_sha256(config),
        software=f"monai-ceph {__version__}",
    )


def root_cause(error: BaseException) -> BaseException:
    """Return the first error of a chain: MONAI wraps the errors that happen in a config."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
