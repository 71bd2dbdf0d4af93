"""Write the bundle: configs, weights, TorchScript and documents in one folder."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser, ckpt_export

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.folders import BUNDLES
from monai_ceph.inference_config import model_identity, read_config, root_cause, used_weights
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.storage.atomic import folder_written_beside
from monai_ceph.zoo import configs, documents
from monai_ceph.zoo.metadata import metadata
from monai_ceph.zoo.networks import StageNetworks

__all__ = ["LARGE", "NAME", "Written", "write_bundle"]

NAME = "head_xray_landmark_detection"
"""Name of the bundle's folder, by the model zoo's convention: organ, modality, task."""

LARGE = 25_000_000
"""Size in bytes above which the model zoo takes a file from a URL instead of its repository."""

_TEMPLATES = Path(str(files("monai_ceph") / "zoo" / "templates"))


@dataclass(frozen=True)
class Written:
    """The bundle that was written.

    Attributes:
        folder: folder of the bundle.
        large: files larger than :data:`LARGE`, relative to the folder.
    """

    folder: Path
    large: tuple[str, ...]


def write_bundle(
    out: Path, overlays: Sequence[Path] = (), files_url: str | None = None, torchscript: bool = True
) -> Written:
    """Write the bundle to ``out/head_xray_landmark_detection``, completely or not at all.

    Args:
        out: parent folder; created if it does not exist.
        overlays: configs that change keys of ``inference.json``, such as other weights.
        files_url: URL of the folder for large files, for ``large_files.yml``.
        torchscript: also export ``models/model.ts``.

    Raises:
        CephError: if a config or weights cannot be read, the folder is not empty, or a network cannot be exported or
            has values too large for half precision.
        OSError: if the folder cannot be written.
    """
    target = out / NAME
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CephError(f"{target}: the folder exists and is not empty. Remove it, or give another folder")
    inference = read_config([str(BUNDLES / "inference.json"), *map(str, overlays)])
    try:
        model, identity = _networks(inference), model_identity(inference)
        landmarks = list(inference.get_parsed_content("landmarks"))
        # without a pose neither is used, and the mean shape may be missing
        has_pose = inference["pose"] is not None
        mean_shape = inference.get_parsed_content("mean_shape") if has_pose else None
        error_model = inference.get_parsed_content("error_model") if has_pose else None
    except RuntimeError as error:
        # the cause of MONAI's error says what is wrong
        raise CephError(f"the config does not work: {root_cause(error)}") from error
    stages = [name.removesuffix("_network") for name, _ in model.named_children()]
    shipped = not overlays and identity.name == weights.model()["name"]
    meta = metadata(landmarks, identity, shipped)
    with folder_written_beside(target) as part:
        for name in ("configs", "models", "docs"):
            (part / name).mkdir()
        whole = configs.inference(inference, stages, mean_shape, bool(error_model))
        (part / "configs" / "overlays").mkdir()
        for path in sorted(BUNDLES.rglob("*.json")):
            config = configs.read(path)
            if path.stem == "context" and not _same_network(config, inference):
                # it would train a network that is not in the model
                continue
            if path.stem == "finetune" and mean_shape is None:
                # the model does not use a pose
                continue
            name = path.relative_to(BUNDLES).as_posix()
            if name == "local.json":
                _save(part / "configs" / "train.json", configs.training(config, whole))
            else:
                own = {"inference.json": whole, "metadata.json": meta}.get(name)
                _save(part / "configs" / name, own or configs.overlay(config, whole))
        shutil.copy(BUNDLES / "logging.conf", part / "configs")
        shutil.copy(Path(str(files("monai_ceph") / "zoo" / "LICENSE")), part)
        if set(landmarks) <= set(SYMBOLS):
            # they run on phantoms, which have no other landmarks
            (part / "ci" / "unit_tests").mkdir(parents=True)
            for kind in ("", "_dist"):
                shutil.copy(_TEMPLATES / f"unit_test{kind}.py", part / "ci" / "unit_tests" / f"test_{NAME}{kind}.py")
        for file, content in documents.texts(meta, stages, shipped, bool(error_model)).items():
            (part / file).write_text(content, encoding="utf-8")
        torch.save(weights.halved(model.state_dict()), part / "models" / "model.pt")
        if error_model:
            own = {"stages": stages, "weights_sha256": weights.sha256(str(part / "models" / "model.pt"))}
            _save(part / "models" / "errors.json", {**error_model, **own})
        if torchscript:
            _export(part)
            shutil.copy(_TEMPLATES / "inference_ts.json", part / "configs" / "overlays")
        large = [path for path in sorted(part.rglob("*")) if path.is_file() and path.stat().st_size > LARGE]
        if large and files_url:
            (part / "large_files.yml").write_text(_large_files(part, large, files_url), encoding="utf-8")
        return Written(target, tuple(path.relative_to(part).as_posix() for path in large))


def _same_network(overlay: Mapping[str, Any], inference: ConfigParser) -> bool:
    """Return whether the overlay trains the class of network that the model has as its context network."""
    definition = inference["context_network_def"]
    # a config may define it in Python
    return isinstance(definition, dict) and definition.get("_target_") == overlay["network_def"]["_target_"]


def _networks(config: ConfigParser) -> StageNetworks:
    """Return the networks of all stages with weights."""
    networks: dict[str, Any] = {
        f"{stage}_network": weights.load(config.get_parsed_content(f"{stage}_network_def"), file)
        for stage, file in used_weights(config).items()
    }
    return StageNetworks(**networks)


def _save(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _export(bundle: Path) -> None:
    """Export ``models/model.ts`` as the model zoo's CI does."""
    logger = logging.getLogger("monai.bundle.scripts")
    level = logger.level
    # MONAI logs all arguments
    logger.setLevel(logging.WARNING)
    try:
        ckpt_export(
            net_id="network_def",
            filepath=str(bundle / "models" / "model.ts"),
            ckpt_file=str(bundle / "models" / "model.pt"),
            meta_file=str(bundle / "configs" / "metadata.json"),
            config_file=str(bundle / "configs" / "inference.json"),
        )
    except Exception as error:  # torch does not document which exceptions it raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CephError(
            f"a network cannot be exported to TorchScript ({reason}). Give --no-torchscript to leave it out"
        ) from error
    finally:
        logger.setLevel(level)


def _large_files(bundle: Path, large: Sequence[Path], url: str) -> str:
    entries = [
        {
            "path": path.relative_to(bundle).as_posix(),
            "url": f"{url.rstrip('/')}/{path.relative_to(bundle).as_posix()}",
            "hash_val": hashlib.sha256(path.read_bytes()).hexdigest(),
            "hash_type": "sha256",
        }
        for path in large
    ]
    return yaml.safe_dump({"large_files": entries}, sort_keys=False)
