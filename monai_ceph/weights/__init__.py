"""The shipped weights, in half precision, and what is known of them (``model.json``).

``global.pt`` and ``local.pt`` are state dictionaries of :class:`monai_ceph.networks.HeatmapUNet`, ``context.pt`` is
one of :class:`monai_ceph.pretrained.EfficientNetHeatmapUNet`. How they were trained, and on what, stands in
docs/model_card.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.reports.atomic import written_beside

if TYPE_CHECKING:
    import torch

__all__ = ["STAGES", "export", "halved", "is_shipped", "load", "mean_shape", "model", "path", "sha256"]

STAGES = ("global", "local", "context")

_FOLDER = Path(__file__).parent


def path(stage: str, landmarks: Sequence[str] = SYMBOLS) -> str:
    """Return the shipped file of a stage: ``global``, ``local`` or ``context``.

    Args:
        stage: of the method.
        landmarks: symbols of the landmarks that the network has to place, in the order of its channels.

    Raises:
        CephError: if the file has not the hash that ``model.json`` records, or the shipped network places others.
    """
    _only_for_the_vocabulary(landmarks, f"no shipped weights of the {stage} network", f"{stage}_weights")
    file = _FOLDER / f"{stage}.pt"
    if file.is_file() and sha256(str(file)) != model()["sha256"][stage]:
        raise CephError(
            f"{file}: not the weights that this version ships (its SHA-256 differs from model.json); reinstall"
        )
    return str(file)


def mean_shape(landmarks: Sequence[str] = SYMBOLS) -> list[list[float]]:
    """Return the mean shape of the shipped weights: (N, 2), (row, column); see ``mean_shape_note`` in ``model.json``.

    Raises:
        CephError: if ``landmarks`` are not those of the shipped weights.
    """
    _only_for_the_vocabulary(landmarks, "no shipped mean shape", "mean_shape")
    shape: list[list[float]] = model()["mean_shape"]
    return shape


def _only_for_the_vocabulary(landmarks: Sequence[str], lacking: str, key: str) -> None:
    if tuple(landmarks) != SYMBOLS:
        raise CephError(
            f"{lacking} for these {len(landmarks)} landmarks, only for the {NUM_LANDMARKS} of monai_ceph.landmarks: "
            f"give the config key {key} (docs/own_landmarks.md)"
        )


def is_shipped(stage: str, file: str) -> bool:
    """Return whether ``file`` is the shipped file of the stage, by whatever path."""
    return Path(file).resolve() == (_FOLDER / f"{stage}.pt").resolve()


@cache
def model() -> dict[str, Any]:
    """Return ``model.json``: name, version, and the figures that were read off the training films."""
    return json.loads((_FOLDER / "model.json").read_text(encoding="utf-8"))


def sha256(*files: str) -> str:
    """Return the hash of the given files' bytes, in the given order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def load(network: torch.nn.Module, file: str) -> torch.nn.Module:
    """Load weights into a network and set it to evaluation.

    Takes a state dictionary, or a training checkpoint that has one under ``network``. A shipped file must have the
    hash that ``model.json`` records.

    Raises:
        CephError: if the file is missing, is no checkpoint, does not fit the network, or is a shipped file that was
            changed; it names the file.
    """
    for stage in STAGES:
        if is_shipped(stage, file):
            path(stage)
    try:
        network.load_state_dict(_state(file))
    except Exception as error:  # torch raises a different class for each way in which a file can be wrong
        raise CephError(f"{file}: no weights for this network: {_cause(error)}") from error
    return network.eval()


def _state(file: str) -> dict[str, torch.Tensor]:
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    return state.get("network", state)


def _cause(error: Exception) -> str:
    """Return the first lines that say something: torch begins with the class of the network, then goes on."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def halved(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dictionary in half precision. Integer buffers keep their type.

    Raises:
        CephError: if half precision cannot hold its values; it names the tensor.
    """
    import torch

    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    for key, value in half.items():
        # what is beyond the largest half has become infinite
        if value.is_floating_point() and value.isinf().any():
            raise CephError(f"{key} has values beyond {torch.finfo(torch.float16).max:g}, where half precision ends")
    return half


def export(checkpoint: str, target: str) -> None:
    """Write the network of a training checkpoint as a half-precision state dictionary (see :func:`halved`).

    The file is written beside the target and renamed.

    Raises:
        CephError: if the checkpoint is missing or is none, or half precision cannot hold it; it names the file.
        OSError: if the target cannot be written.
    """
    try:
        half = halved(_state(checkpoint))
    except CephError as error:
        raise CephError(f"{checkpoint}: {error}") from error
    except Exception as error:
        raise CephError(f"{checkpoint}: no checkpoint: {_cause(error)}") from error
    import torch

    with written_beside(Path(target)) as part:
        torch.save(half, part)
