"""Find out whether the detector's model has changed, without loading it: importing torch takes seconds.

The identity of a model (:func:`monai_ceph.inference_config.model_identity`) depends on files and on the machine. A run
stores it with the hash of all of these. If it may depend on anything else, such as code in a user's config, there is no
hash, and the model is loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from monai_ceph import weights
from monai_ceph.folders import BUNDLES, TRANSFORMS
from monai_ceph.version import __version__

__all__ = ["model_fingerprint"]

_PACKAGE = Path(__file__).parents[1]
_CPUINFO = Path("/proc/cpuinfo")

_DEFAULT_DEVICE = "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')"
_BY_DEVICE = "$networks.bfloat16_is_native(@device)"

# expressions in bundles/inference.json whose values depend only on the package, torch and the machine
_KNOWN = {
    "device": re.escape(_DEFAULT_DEVICE) + r"|\$torch\.device\('[\w:]+'\)",
    "landmarks": re.escape("$list(vocabulary.SYMBOLS)"),
    "mixed_precision": re.escape(_BY_DEVICE),
    "error_model": re.escape("$weights.error_model(@used_weights, @landmarks)"),
    **{f"{stage}_weights": rf"\$weights\.path\('{stage}'(, @landmarks)?\)" for stage in weights.STAGES},
}
_CONTEXT_BESIDE = "$weights.context_beside(@local_weights, @landmarks)"
_KNOWN["context_weights"] += "|" + re.escape(_CONTEXT_BESIDE)

# variables that torch and MONAI read; a change that does not matter only means that the model is loaded once more
_ENVIRONMENT = ("CUDA_", "MONAI_", "NVIDIA_", "PYTORCH_", "TORCH_")


class _UnknownError(Exception):
    """The identity may depend on something that is not checked."""


def model_fingerprint(
    device: str | None, overlays: Sequence[Path] = (), engine: str = "local", profile: str | None = None
) -> str | None:
    """Return the hash of everything that the identity of a detector's model depends on.

    Args:
        device: as for :class:`~monai_ceph.detection.CephalogramDetector`.
        overlays: bundle configs, as for the detector.
        engine: name of the executor.
        profile: hash of the profile's content, if there is one.

    Returns:
        64 hexadecimal digits. None if the identity may depend on anything else: a file cannot be read, a config gives
        weights, device or precision by code or includes a part of another file, or the abilities of the processor or
        the GPU are unknown.
    """
    try:
        configs = [BUNDLES / "inference.json", *overlays]
        contents = [file.read_bytes() for file in configs]
        parsed = [_parsed(file, content) for file, content in zip(configs, contents, strict=True)]
        values = _values(parsed)
        facts = [
            *(__version__, version("torch"), version("monai"), _openvino(), engine, device),
            *sorted(item for item in os.environ.items() if item[0].startswith(_ENVIRONMENT)),
            _sha256(_of("torch").with_name("version.py").read_bytes()),
            *(_sha256(file.read_bytes()) for file in _code()),
            *((file.suffix, _sha256(content)) for file, content in zip(configs, contents, strict=True)),
            *(weights.sha256(file) if file else None for file in _weights(values)),
        ]
        if profile is not None:
            facts.append(profile)
        if values["mixed_precision"] == _BY_DEVICE:
            facts += _processor()
            if "cuda" in str(device or values["device"]):
                facts += _gpus()
    except (OSError, ValueError, ImportError, yaml.YAMLError, RecursionError, _UnknownError):
        return None
    return _sha256(json.dumps(facts).encode())


def _openvino() -> str | None:
    """Return the version of OpenVINO, which computes the networks if a config says so."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _of(package: str) -> Path:
    """Return the first file of a package, without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise _UnknownError
    return Path(spec.origin)


def _code() -> list[Path]:
    """Return the files of this package: during development they change without a new version."""
    # in a checkout, the transforms lie beside the package
    code = {file.resolve() for folder in (_PACKAGE, TRANSFORMS) for file in folder.rglob("*.py")}
    data = (_PACKAGE / "weights" / f"{name}.json" for name in ("model", "errors", "ranges"))
    return sorted([*code, *data])


# configs


def _parsed(file: Path, content: bytes) -> dict[Any, Any]:
    config = yaml.safe_load(content) if file.suffix in (".yaml", ".yml") else json.loads(content)
    if not isinstance(config, dict):
        raise _UnknownError
    return config


def _values(configs: list[dict[Any, Any]]) -> dict[str, Any]:
    """Return the weights, device and precision in the configs; later configs replace values of earlier ones."""
    values: dict[str, Any] = {}
    for number, config in enumerate(configs):
        for key, value in config.items():
            # MONAI also accepts +key, ~key, key::part and key#part
            root = re.split("::|#", str(key).lstrip("+~"))[0]
            if root in _KNOWN:
                if root != key or not _is_fixed(root, value):
                    raise _UnknownError
                values[root] = value
            elif number and (root == "imports" or any(map(_reaches_out, _texts(value)))):
                raise _UnknownError
    if values.keys() != _KNOWN.keys():
        raise _UnknownError
    return values


def _is_fixed(key: str, value: Any) -> bool:
    """Return whether a value is literal, or a known expression."""
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        return re.fullmatch(_KNOWN[key], value) is not None
    return value is None or isinstance(value, (str, bool))


def _reaches_out(text: str) -> bool:
    """Return whether a text in a config imports something, or includes a part of another file."""
    return (text.startswith("$") and "import" in text) or re.fullmatch(r"%(?!\w+$).*", text, re.DOTALL) is not None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _weights(values: dict[str, Any]) -> Iterator[str | None]:
    for stage in weights.STAGES:
        file = values[f"{stage}_weights"]
        if file is not None and not isinstance(file, str):
            raise _UnknownError
        if file == _CONTEXT_BESIDE:
            local = values["local_weights"]
            beside = local and (local.startswith("$") or weights.is_shipped("local", local))
            yield str(_PACKAGE / "weights" / f"{stage}.pt") if beside else None
        else:
            yield str(_PACKAGE / "weights" / f"{stage}.pt") if file and file.startswith("$") else file


# the machine


def _processor() -> list[str]:
    """Return the model and the features of the first processor, from Linux."""
    first, _, _ = _CPUINFO.read_text().partition("\n\n")
    facts = [line for line in first.splitlines() if line.startswith(("model name", "flags", "Features", "CPU part"))]
    if not facts:
        raise _UnknownError
    return facts


def _gpus() -> list[Any]:
    """Return the GPUs that this process may use, from the NVIDIA driver, as torch does.

    The functions are those of the CUDA Driver API, cuda.h.
    """
    if Path("/dev/kfd").exists():
        # AMD GPUs
        raise _UnknownError
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ["no driver"]
    if (code := cuda.cuInit(0)) != 0:
        return ["no GPU", code]
    driver, count = ctypes.c_int(), ctypes.c_int()
    _asked(cuda.cuDriverGetVersion(ctypes.byref(driver)))
    _asked(cuda.cuDeviceGetCount(ctypes.byref(count)))
    facts: list[Any] = [driver.value]
    for number in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        major, minor = ctypes.c_int(), ctypes.c_int()
        _asked(cuda.cuDeviceGet(ctypes.byref(device), number))
        _asked(cuda.cuDeviceGetName(name, len(name), device))
        # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        _asked(cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device))
        _asked(cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device))
        facts.append([name.value.decode(errors="replace"), major.value, minor.value])
    return facts


def _asked(code: int) -> None:
    if code != 0:
        raise _UnknownError
