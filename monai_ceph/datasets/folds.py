"""Split films into k folds, the same ones on every machine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from monai_ceph.errors import DatasetError

__all__ = ["split_fold"]

T = TypeVar("T")


def split_fold(
    films: Sequence[T],
    fold: int | None,
    folds: int,
    seed: int,
    same: Callable[[T], Hashable] | None = None,
) -> tuple[list[T], list[T]]:
    """Return the films to train on and the films to validate on.

    The films are shuffled by ``seed`` and split into ``folds`` groups of nearly equal size; group ``fold`` (counted
    from 0) is for validation. If ``fold`` is None, all films are for training, and validation uses the first group
    again: it then shows that training works, not how accurate it is.

    Args:
        films: the films to split.
        fold: the group to validate on, or None.
        folds: number of groups.
        seed: of the shuffle.
        same: films for which this returns the same value stay in one group, such as two scans of one film.

    Raises:
        DatasetError: if there are fewer films than folds, fewer than two folds, or no such fold.
    """
    keys: list[Hashable] = [index if same is None else same(film) for index, film in enumerate(films)]
    units = list(dict.fromkeys(keys))
    if not 2 <= folds <= len(units):
        raise DatasetError(
            f"{len(units)} films cannot be split into {folds} folds; give from 2 up to the number of films"
        )
    if fold is not None and not 0 <= fold < folds:
        raise DatasetError(f"fold must be None or from 0 to {folds - 1}, not {fold}")
    groups = np.array_split(np.random.RandomState(seed).permutation(len(units)), folds)
    held_out = {units[index] for index in groups[fold or 0].tolist()}
    validate = [film for film, key in zip(films, keys, strict=True) if key in held_out]
    train = [film for film, key in zip(films, keys, strict=True) if fold is None or key not in held_out]
    return train, validate
