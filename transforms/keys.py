"""Options of dictionary transforms that have a value for each key."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from monai.config import KeysCollection
from monai.utils import ensure_tuple

__all__ = ["per_key", "target_per_key"]


def per_key(name: str, values: KeysCollection, keys: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return one value for each of ``keys``. A single value holds for all of them.

    Raises:
        ValueError: if there are several values, but not as many as keys; it names the option.
    """
    found: tuple[Hashable, ...] = ensure_tuple(values)
    found = found * len(keys) if len(found) == 1 else found
    if len(found) != len(keys):
        raise ValueError(f"{name}: give one, or one for each of {list(keys)}, not {list(found)}")
    return found


def target_per_key(name: str, values: KeysCollection, keys: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return one value for each of ``keys``, all different: results must not overwrite each other.

    Raises:
        ValueError: if there is not a value of its own for each key; it names the option.
    """
    found: tuple[Hashable, ...] = ensure_tuple(values)
    if len(found) != len(keys) or len(set(found)) < len(found):
        raise ValueError(f"{name}: give one of its own for each of {list(keys)}, not {list(found)}")
    return found
