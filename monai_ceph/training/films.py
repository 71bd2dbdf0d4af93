"""The films of a run: those that train, validate, are evaluated, or only inferred."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch

from monai_ceph.datasets import Film, GroundTruth, as_dictionaries, open_dataset, split_fold
from monai_ceph.datasets.folder import TABLE
from monai_ceph.errors import CephError, DatasetError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import find_radiographs
from monai_ceph.transforms.geometry import apply, fit_similarity

__all__ = ["films", "films_per_batch", "inference_films", "mean_shape", "training_films"]

logger = logging.getLogger(__name__)

# phantoms are drawn at the local stage's grid: more pixels would be thrown away
_PHANTOM_HEIGHT, _PHANTOM_WIDTH = 1200, 968

# films that a warning names
_NAMED = 5


def _phantoms(folder: Path, count: int, seed: int) -> Path:
    """Draw phantoms once per folder."""
    from monai_ceph.datasets.phantom import write_phantoms

    folder = folder / f"{count}-seed-{seed}"
    # of several processes that train together, the first one draws
    with idist.one_rank_first():
        if not (folder / TABLE).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_phantoms(folder, count, seed, file_format="png", height=_PHANTOM_HEIGHT, width=_PHANTOM_WIDTH)
    return folder


def training_films(
    dataset_dir: str | None,
    phantom_dir: str,
    ground_truth: GroundTruth,
    fold: int | None,
    folds: int,
    seed: int,
    phantoms: int,
    landmarks: Sequence[str] = SYMBOLS,
) -> dict[str, list[dict[str, Any]]]:
    """Return the films to train and to validate on, as dictionaries.

    A film with fewer than two landmarks, or none of a set of one, has no pose or no patch, and is left out.

    Args:
        dataset_dir: a dataset folder, of which the training split is used; None trains on phantoms alone.
        phantom_dir: where phantoms are drawn.
        ground_truth: of ISBI 2015.
        fold: the group that validates; None trains on all films.
        folds: number of groups.
        seed: of the groups and of the phantoms.
        phantoms: how many phantoms join the films to train on; without a dataset, how many there are.
        landmarks: symbols of the landmarks to train, in the order of the channels.

    Raises:
        DatasetError: if the dataset does not have a known layout, or no film to train on has landmarks.
        CephError: if phantoms are asked for and do not have the landmarks, or a landmark is named twice.
    """
    if twice := {symbol for symbol in landmarks if list(landmarks).count(symbol) > 1}:
        raise CephError(f"landmarks: {min(twice)} is named twice")
    if dataset_dir is None:
        logger.warning(
            "NO DATASET: training on %d SYNTHETIC phantoms. The weights will be of no use on patients. "
            "Give --dataset_dir PATH to train on films.",
            phantoms,
        )
        train, validate = split_fold(_phantom_films(phantom_dir, phantoms, seed, landmarks), fold, folds, seed)
    else:
        films = open_dataset(dataset_dir, "train", ground_truth, symbols=landmarks)
        train, validate = split_fold(films, fold, folds, seed)
        if phantoms:
            train = train + _phantom_films(phantom_dir, phantoms, seed, landmarks)
    train, validate = _annotated(train), _annotated(validate)
    if not train:
        raise DatasetError(f"{dataset_dir}: no film to train on has landmarks")
    annotated = np.isfinite(np.stack([film.landmarks for film in train])).all(axis=2).any(axis=0)
    if never := [symbol for symbol, seen in zip(landmarks, annotated.tolist(), strict=True) if not seen]:
        logger.warning("no film to train on has %s: the networks will not find them", " ".join(never))
    logger.info("%d films to train on, %d to validate on", len(train), len(validate))
    unscaled = sum(not np.isfinite(film.pixel_spacing) for film in validate)
    if unscaled == len(validate):
        logger.warning(
            "no film to validate on has a pixel_spacing: errors in mm are not known, and no network is the best; "
            "final.pt is that of the last epoch"
        )
    elif unscaled:
        logger.warning(
            "%d of %d films to validate on have no pixel_spacing, and no part in the errors", unscaled, len(validate)
        )
    return {"train": as_dictionaries(train), "validate": as_dictionaries(validate)}


def _annotated(films: list[Film]) -> list[Film]:
    """Return the films that show where they are, and warn of the others."""
    kept: list[Film] = []
    bare: list[Film] = []
    for film in films:
        places = np.unique(film.landmarks[np.isfinite(film.landmarks).all(axis=1)], axis=0)
        (kept if len(places) >= min(2, len(film.landmarks)) else bare).append(film)
    if bare:
        names = ", ".join(film.name for film in bare[:_NAMED]) + (", ..." if len(bare) > _NAMED else "")
        logger.warning("%d films are left out, with fewer than two landmarks: %s", len(bare), names)
    return kept


def _phantom_films(folder: str, count: int, seed: int, landmarks: Sequence[str]) -> list[Film]:
    if unknown := [symbol for symbol in landmarks if symbol not in SYMBOLS]:
        raise CephError(
            f"phantoms have no landmark {' '.join(unknown)}: give --dataset_dir, with films that show them, and "
            "--phantoms 0"
        )
    return open_dataset(_phantoms(Path(folder), count, seed), symbols=landmarks)


def mean_shape(films: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return the Procrustes mean of the films' landmarks (Gower 1975, Generalized Procrustes Analysis).

    (N, 2), (row, column), centred, root mean square distance from the centre 1, in the mean direction of the films.
    Films with a landmark that is not annotated do not take part.

    Raises:
        CephError: if no film has all its landmarks, in two places or more.
    """
    shapes = [torch.as_tensor(film["landmarks"], dtype=torch.float64) for film in films]
    shapes = [shape for shape in shapes if not shape.isnan().any() and len(shape.unique(dim=0)) > 1]
    if not shapes:
        raise CephError("no film has all its landmarks, in two places or more, so that there is no mean shape")
    mean = shapes[0]
    for _ in range(5):
        aligned = [apply(fit_similarity(shape, mean), shape) for shape in shapes]
        mean = torch.stack(aligned).mean(dim=0)
        mean = mean - mean.mean(dim=0)
        mean = mean / mean.square().sum(dim=1).mean().sqrt()
    turns = [fit_similarity(mean, shape)[:2, :2] for shape in shapes]
    direction = torch.stack([turn / torch.linalg.det(turn).sqrt() for turn in turns]).mean(dim=0)
    direction = direction / torch.linalg.det(direction).sqrt()
    return [[round(value, 4) for value in point] for point in (mean @ direction.mT).tolist()]


def films(
    dataset_dir: str | None,
    phantom_dir: str,
    split: Any,
    ground_truth: GroundTruth,
    doubles: bool,
    phantoms: int,
    landmarks: Sequence[str] = SYMBOLS,
) -> list[dict[str, Any]]:
    """Return the films to evaluate on, as dictionaries; phantoms if there is no dataset.

    Films without a pixel spacing have no errors in mm: a warning counts them.
    """
    if dataset_dir is None:
        logger.warning("NO DATASET: evaluating on %d SYNTHETIC phantoms. Give --dataset_dir PATH.", phantoms)
        return as_dictionaries(_phantom_films(phantom_dir, phantoms, 10_000, landmarks))
    found = open_dataset(dataset_dir, split, ground_truth, doubles, landmarks)
    if unscaled := sum(not np.isfinite(film.pixel_spacing) for film in found):
        logger.warning("%d of %d films have no pixel_spacing, and no part in the errors", unscaled, len(found))
    return as_dictionaries(found)


def inference_films(dataset_dir: str | None, phantom_dir: str, phantoms: int) -> list[dict[str, Any]]:
    """Return the films of a file or a folder as dictionaries with ``image`` and ``file``; phantoms without one.

    Raises:
        CephError: if there is no film.
    """
    if dataset_dir is None:
        logger.warning("NO DATASET: detecting on %d SYNTHETIC phantoms. Give --dataset_dir PATH.", phantoms)
        dataset_dir = str(_phantoms(Path(phantom_dir), phantoms, seed=10_000))
    found = find_radiographs([dataset_dir])
    if not found:
        raise CephError(f"{dataset_dir}: no film in it")
    return [{"image": str(path), "file": str(path)} for path in found]


def films_per_batch(batch_size: int, patches_per_load: int) -> int:
    """Return how many films give the patches of a batch, so many each.

    Raises:
        CephError: if that is no whole number: the batch would have another size than was asked for.
    """
    if batch_size < 1 or patches_per_load < 1 or batch_size % patches_per_load:
        raise CephError(f"batch_size ({batch_size}) must be a multiple of patches_per_load ({patches_per_load})")
    return batch_size // patches_per_load
