"""Start a process that only detects: quickly, and without waiting busily beside other work."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__ = ["import_monai_alone", "prepare_process"]

# packages that MONAI imports if they are installed, that take long, and that detection does not need
_OPTIONAL = frozenset(
    (
        *("IPython", "boto3", "botocore", "ignite", "itk", "matplotlib", "mlflow", "nibabel", "onnx", "onnxruntime"),
        *("pandas", "scipy", "skimage", "tensorboard", "tensorboardX", "torchvision", "transformers"),
    )
)

_ours_alone = False


def prepare_process() -> None:
    """Prepare a process that runs nothing but the command line, or its worker, before torch is imported.

    OpenMP reads ``OMP_WAIT_POLICY`` when it is loaded. By default its threads wait busily, and beside another busy
    process they take the processor from the thread that they wait for. A user's own setting is kept.
    """
    global _ours_alone
    _ours_alone = True
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def import_monai_alone(overlays: Sequence[str | Path] = ()) -> None:
    """Import MONAI without its optional packages, in a process that was prepared and now only detects.

    ``import monai`` imports all its modules, and with them all the optional packages that are installed, such as
    Ignite, matplotlib, pandas and SciPy: more than half of the time. MONAI works without them. Its parts that need one
    do not work in this process afterwards; everybody else can import these packages as usual. Nothing happens in other
    processes, where MONAI was imported before, or with a config that names classes or contains expressions: it may need
    any part of MONAI.
    """
    if _ours_alone and "monai" not in sys.modules and all(map(_has_only_values, overlays)):
        with _hidden():
            import monai  # noqa: F401


def _has_only_values(overlay: str | Path) -> bool:
    """Return whether a config only replaces values. What is wrong with one is said where it is used."""
    import yaml

    try:
        with Path(overlay).open(encoding="utf-8") as file:
            content = json.load(file) if str(overlay).endswith(".json") else yaml.safe_load(file)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return False
    # an expression, a macro, or a key with a meaning for MONAI, such as _target_
    return not any(text.startswith(("$", "%", "_")) for text in _texts(content))


def _texts(content: object) -> Iterator[str]:
    """Yield all keys and texts of a config."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)


class _Finder(MetaPathFinder):
    """Hides the optional packages from one thread: another one may read a film meanwhile."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Refuse a hidden package; leave all others to the finders that follow."""
        if name.partition(".")[0] in _OPTIONAL and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is not needed for detection", name=name)
        return None


@contextmanager
def _hidden() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
