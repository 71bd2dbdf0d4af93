"""Where the package's configs and code lie: in it when it is installed, beside it in a checkout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["BUNDLES", "TRANSFORMS"]


def _folder(name: str) -> Path:
    spec = find_spec(f"monai_ceph.{name}")
    assert spec is not None
    return Path(next(iter(spec.submodule_search_locations or ())))


BUNDLES = _folder("bundles")
"""The configs of the bundles: what a run is."""
TRANSFORMS = _folder("transforms")
"""The code of the transforms."""
