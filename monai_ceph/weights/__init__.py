"""The shipped weights, in half precision, and their description (``model.json``).

``global.pt`` and ``local.pt`` are state dictionaries of :class:`monai_ceph.networks.HeatmapUNet`, ``context.pt`` is
one of :class:`monai_ceph.networks.efficientnet.EfficientNetHeatmapUNet`. docs/explanation/model-card.md says how
they were trained.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.storage.atomic import written_beside

if TYPE_CHECKING:
    import torch

__all__ = [
    "STAGES",
    "activation_ranges",
    "bundled_error_model",
    "context_beside",
    "error_model",
    "export",
    "halved",
    "is_shipped",
    "limits_note",
    "load",
    "log_used",
    "mean_shape",
    "model",
    "path",
    "read_error_model",
    "sha256",
    "training_figures_note",
]

logger = logging.getLogger(__name__)

STAGES = ("global", "local", "context")

_FOLDER = Path(__file__).parent


def path(stage: str, landmarks: Sequence[str] = SYMBOLS) -> str:
    """Return the path of the shipped weights of a stage.

    Args:
        stage: ``global``, ``local`` or ``context``.
        landmarks: symbols of the landmarks that the network is to find, in the order of its channels.

    Raises:
        CephError: if the file does not have the hash in ``model.json``, or the shipped network finds other landmarks.
    """
    _only_for_the_vocabulary(landmarks, f"no shipped weights of the {stage} network", f"{stage}_weights")
    file = _FOLDER / f"{stage}.pt"
    if file.is_file() and sha256(str(file)) != model()["sha256"][stage]:
        raise CephError(
            f"{file}: not the weights that this version ships (SHA-256 differs from model.json). Reinstall monai-ceph"
        )
    return str(file)


def mean_shape(landmarks: Sequence[str] = SYMBOLS) -> list[list[float]]:
    """Return the mean shape of the shipped weights, (N, 2), (row, column); see ``mean_shape_note`` in ``model.json``.

    Raises:
        CephError: if ``landmarks`` are not those of the shipped weights.
    """
    _only_for_the_vocabulary(landmarks, "no shipped mean shape", "mean_shape")
    shape: list[list[float]] = model()["mean_shape"]
    return shape


def _only_for_the_vocabulary(landmarks: Sequence[str], lacking: str, key: str) -> None:
    if tuple(landmarks) != SYMBOLS:
        raise CephError(
            f"{lacking} for these {len(landmarks)} landmarks, only for the {NUM_LANDMARKS} of monai_ceph.landmarks. "
            f"Set the config key {key} (docs/how-to/own-landmarks.md)"
        )


def is_shipped(stage: str, file: str) -> bool:
    """Return whether ``file`` is the shipped file of the stage, also through a link."""
    return Path(file).resolve() == (_FOLDER / f"{stage}.pt").resolve()


def context_beside(local_weights: str | None, landmarks: Sequence[str] = SYMBOLS) -> str | None:
    """Return the shipped context weights if the local weights are the shipped ones, and None otherwise.

    The heatmaps of both networks are multiplied, so the shipped context network would hide the errors of another local
    network. To use it anyway, name it in a config: ``"context_weights": "$weights.path('context')"``.
    """
    return path("context", landmarks) if local_weights and is_shipped("local", local_weights) else None


def error_model(files: Mapping[str, str | None], landmarks: Sequence[str] = SYMBOLS) -> dict[str, Any] | None:
    """Return the error model of the shipped weights, for :class:`monai_ceph.inferers.ErrorModel`.

    Args:
        files: weights by stage; None for a stage without weights.
        landmarks: symbols of the landmarks that the networks find, in the order of their channels.

    Returns:
        None if a network is not a shipped one, or not used: the errors of others are not known.
    """
    shipped = [is_shipped(stage, file) for stage in STAGES if (file := files.get(stage))]
    if tuple(landmarks) != SYMBOLS or len(shipped) < len(STAGES) or not all(shipped):
        return None
    return read_error_model(_FOLDER / "errors.json")


def bundled_error_model(file: str, files: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Return the error model of a bundle that ``monai-ceph bundle`` wrote, for :class:`monai_ceph.inferers.ErrorModel`.

    Args:
        file: ``models/errors.json`` of the bundle, which says what ``models/model.pt`` it belongs to.
        files: weights by stage; None for a stage without weights.

    Returns:
        None if a network has other weights than the model was learned for, or is not used: their errors are not known.

    Raises:
        CephError: if the file cannot be read, or does not say what weights it is for.
    """
    model = read_error_model(file)
    used = {stage: given for stage, given in files.items() if given}
    try:
        fits = set(used) == set(model["stages"]) and {sha256(given) for given in set(used.values())} == {
            model["weights_sha256"]
        }
    except KeyError as error:
        raise CephError(f"{file}: not an error model of a bundle: it lacks {error.args[0]}") from error
    except OSError as error:
        raise CephError(f"{error.filename}: {error.strerror or error}") from error
    return model if fits else None


def read_error_model(file: str | Path) -> dict[str, Any]:
    """Return an error model that ``benchmarks/error_model.py`` wrote, such as for weights of your own.

    Raises:
        CephError: if the file cannot be read as a JSON object; the message names it.
    """
    try:
        model = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise CephError(f"{file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CephError(f"{file}: not JSON, so not an error model") from error
    if not isinstance(model, dict):
        raise CephError(f"{file}: not an error model: it must be an object with keys")
    return model


def activation_ranges(files: Mapping[str, str | None]) -> dict[str, dict[str, list[float]]]:
    """Return the ranges of the layers of the shipped networks, for computing in 8-bit integers.

    Args:
        files: weights by stage; None for a stage without weights.

    Returns:
        For each stage with the shipped weights, the smallest and the largest input of layers by name
        (:mod:`monai_ceph.networks.quantization`). A network with other weights has other ranges.
    """
    ranges: dict[str, dict[str, list[float]]] = json.loads((_FOLDER / "ranges.json").read_text(encoding="utf-8"))
    return {stage: each for stage, each in ranges.items() if (file := files.get(stage)) and is_shipped(stage, file)}


def limits_note(files: Mapping[str, str | None], limits: Sequence[str]) -> str | None:
    """Return the warning for limits that were chosen for other weights, or None if all weights are the shipped ones.

    Args:
        files: weights by stage; None for a stage without weights.
        limits: config keys whose values were chosen for the shipped weights.
    """
    others = [stage for stage, file in files.items() if file and not is_shipped(stage, file)]
    if not others or not limits:
        return None
    return (
        f"The limits {', '.join(limits)} were chosen for the shipped weights, but the {' and '.join(others)} weights "
        "are others. Choose your own limits on films that were held out."
    )


def training_figures_note(files: Mapping[str, str | None], layout: str, split: str) -> str | None:
    """Return the warning for figures on films that shipped networks were trained on, or None.

    Args:
        files: weights by stage; None for a stage without weights.
        layout: of the dataset (:func:`monai_ceph.datasets.layout_of`).
        split: of the dataset.
    """
    seen = model()["trained_on"].get(layout, [])
    shipped = [stage for stage, file in files.items() if file and is_shipped(stage, file)]
    if not shipped or not seen or split not in (*seen, "all"):
        return None
    return (
        "TRAINING FIGURES: the shipped weights were trained on these films, so the errors are smaller than on other "
        "films. docs/explanation/accuracy.md has figures of films that the networks had not seen."
    )


def log_used(files: Mapping[str, str | None], limits: Sequence[str]) -> None:
    """Log which networks a run uses, and warn if its limits were chosen for others (see :func:`limits_note`)."""
    names = {
        stage: "none" if not file else f"shipped, {model()['version']}" if is_shipped(stage, file) else file
        for stage, file in files.items()
    }
    logger.info("weights: %s", "; ".join(f"{stage}: {name}" for stage, name in names.items()))
    if note := limits_note(files, limits):
        logger.warning("%s", note)


@cache
def model() -> dict[str, Any]:
    """Return ``model.json``: name, version, hashes, and the mean shape of the training films."""
    return json.loads((_FOLDER / "model.json").read_text(encoding="utf-8"))


def sha256(*files: str) -> str:
    """Return the SHA-256 of the files' bytes, in the given order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def load(network: torch.nn.Module, file: str) -> torch.nn.Module:
    """Load weights into a network and set it to evaluation.

    The file is a state dictionary, or a training checkpoint that has one under ``network``. A shipped file must have
    the hash in ``model.json``.

    Raises:
        CephError: if the file is missing, is not a checkpoint, does not fit the network, or is a shipped file that was
            changed. The message names the file.
    """
    for stage in STAGES:
        if is_shipped(stage, file):
            path(stage)
    try:
        network.load_state_dict(_state(file))
    except Exception as error:  # torch raises many different classes
        raise CephError(f"{file}: not weights of this network: {_cause(error)}") from error
    return network.eval()


def _state(file: str) -> dict[str, torch.Tensor]:
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    return state.get("network", state)


def _cause(error: Exception) -> str:
    """Return the first two lines of torch's message that are not empty."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def halved(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dictionary in half precision. Integer buffers keep their type.

    Raises:
        CephError: if a value is too large for half precision. The message names the tensor.
    """
    import torch

    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    for key, value in half.items():
        # values too large for half precision have become infinite
        if value.is_floating_point() and value.isinf().any():
            raise CephError(f"{key} has values above {torch.finfo(torch.float16).max:g}, too large for half precision")
    return half


def export(checkpoint: str, target: str) -> None:
    """Write the network of a training checkpoint as a state dictionary in half precision (see :func:`halved`).

    Kernels keep the 8 significant bits that bfloat16 has, so that the file, which ``torch.load`` reads like any other,
    can be compressed. The file is written beside the target and renamed.

    Raises:
        CephError: if the checkpoint is missing, is not a checkpoint, or has values too large for half precision. The
            message names the file.
        OSError: if the target cannot be written.
    """
    try:
        half = halved({key: _rounded(value) for key, value in _state(checkpoint).items()})
    except CephError as error:
        raise CephError(f"{checkpoint}: {error}") from error
    except Exception as error:
        raise CephError(f"{checkpoint}: not a checkpoint: {_cause(error)}") from error
    import torch

    # not by its path, whose name would be part of the content
    with TemporaryFile() as plain, written_beside(Path(target)) as part:
        torch.save(half, plain)
        with ZipFile(plain) as before, ZipFile(part, "w", ZIP_DEFLATED, compresslevel=9) as after:
            for entry in before.infolist():
                # a new entry, without the place of the old one, and without today's date
                after.writestr(ZipInfo(entry.filename), before.read(entry), ZIP_DEFLATED)


def _rounded(value: torch.Tensor) -> torch.Tensor:
    """Return kernels as precise as bfloat16, and other tensors as they are, such as biases and batch statistics."""
    return value.bfloat16().to(value.dtype) if value.is_floating_point() and value.ndim > 1 else value
