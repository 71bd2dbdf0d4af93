"""Which bundle configs may run code.

A config can hold Python: MONAI evaluates text that begins with ``$``, and calls whatever ``_target_`` names. So a file
from somebody else could do anything. One that only sets plain values is always used; a shipped one may do everything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from monai_ceph.errors import CephError

__all__ = ["check_trust"]


def check_trust(configs: Iterable[Path], remedy: str) -> None:
    """Check that no config runs code, except those that are shipped.

    Args:
        configs: the files. One that cannot be read is reported where it is used.
        remedy: how to use such a file all the same.

    Raises:
        CephError: one of them does.
    """
    for path in configs:
        try:
            content = path.read_bytes()
            values = yaml.safe_load(content) if path.suffix in (".yaml", ".yml") else json.loads(content)
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue
        key = next(_code(values), None)
        if key is not None and hashlib.sha256(content).hexdigest() not in _shipped():
            raise CephError(f"{path}: {key} would run Python code. If you trust the file, {remedy}")


def _shipped() -> set[str]:
    folder = files("monai_ceph") / "bundles"
    places = [folder, folder / "overlays"]
    found = [each for place in places if place.is_dir() for each in place.iterdir() if each.name.endswith(".json")]
    return {hashlib.sha256(each.read_bytes()).hexdigest() for each in found}


def _code(values: Any) -> Iterator[str]:
    """Yield the keys whose values run code. Every part is checked once, even if several aliases name it."""
    seen: set[int] = set()
    rest: list[tuple[str, Any]] = [("", values)]
    while rest:
        place, value = rest.pop()
        if isinstance(value, str):
            # % takes in a part of another file
            if value.lstrip()[:1] in ("$", "%"):
                yield place or "its text"
        elif isinstance(value, (dict, list)) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict) and "_target_" in value:
                yield f"{place}::_target_".removeprefix("::")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            rest += [(f"{place}::{name}".removeprefix("::"), item) for name, item in items]
