"""The films of a run: for training, validation, evaluation or inference."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_ceph import weights
from monai_ceph.datasets import (
    Film,
    GroundTruth,
    Split,
    as_dictionaries,
    is_isbi2015,
    layout_of,
    open_dataset,
    split_fold,
)
from monai_ceph.datasets.folder import TABLE
from monai_ceph.datasets.isbi2015 import first_scan
from monai_ceph.errors import CephError, DatasetError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import find_radiographs
from monai_ceph.transforms.geometry import apply, fit_similarity

__all__ = ["films", "films_per_batch", "inference_films", "mean_shape", "training_films", "warn_if_seen"]

logger = logging.getLogger(__name__)

# phantoms have the size of the local stage's grid, which needs no more pixels
_PHANTOM_HEIGHT, _PHANTOM_WIDTH = 1200, 968

# how many films a warning names
_NAMED = 5


def _phantoms(folder: Path, count: int, seed: int) -> Path:
    """Draw phantoms, unless the folder has them already."""
    # imported here, because inference.json imports this package, and detection needs no Ignite
    import ignite.distributed as idist

    from monai_ceph.datasets.phantom import write_phantoms

    folder = folder / f"{count}-seed-{seed}"
    # if several processes train together, the first one draws
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
    split: Split = "train",
) -> dict[str, list[dict[str, Any]]]:
    """Return the films to train and to validate on, as dictionaries.

    Films with fewer than two annotated landmarks are left out, because they have no pose. If the set has one landmark,
    one annotated landmark is enough.

    Args:
        dataset_dir: a dataset folder; None trains only on phantoms.
        phantom_dir: folder for the phantoms.
        ground_truth: annotations of ISBI 2015 to use.
        fold: the fold to validate on; None trains on all films.
        folds: number of folds.
        seed: seed of the folds and of the phantoms.
        phantoms: number of phantoms that are added to the training films, or in all if there is no dataset.
        landmarks: symbols of the landmarks to train, in the order of the channels.
        split: films of ISBI 2015 to train and to validate on. Two scans of one film stay in one fold.

    Raises:
        DatasetError: if the layout of the dataset is not known, or no training film has landmarks.
        CephError: if phantoms are asked for and lack a landmark, or a landmark is named twice.
    """
    if twice := {symbol for symbol in landmarks if list(landmarks).count(symbol) > 1}:
        raise CephError(f"landmarks: {min(twice)} is listed twice")
    if dataset_dir is None:
        logger.warning(
            "NO DATASET: training on %d SYNTHETIC phantoms. The weights will not work on patients. "
            "Give --dataset_dir PATH to train on films.",
            phantoms,
        )
        train, validate = split_fold(_phantom_films(phantom_dir, phantoms, seed, landmarks), fold, folds, seed)
    else:
        films = open_dataset(dataset_dir, split, ground_truth, symbols=landmarks)
        same = first_scan if is_isbi2015(dataset_dir) else None
        train, validate = split_fold(films, fold, folds, seed, same)
        if phantoms:
            train = train + _phantom_films(phantom_dir, phantoms, seed, landmarks)
    train, validate = _annotated(train), _annotated(validate)
    if not train:
        raise DatasetError(f"{dataset_dir}: no training film has landmarks")
    annotated = np.isfinite(np.stack([film.landmarks for film in train])).all(axis=2).any(axis=0)
    if never := [symbol for symbol, seen in zip(landmarks, annotated.tolist(), strict=True) if not seen]:
        logger.warning("no training film has %s: the networks will not learn to find them", " ".join(never))
    logger.info("%d films to train on, %d to validate on", len(train), len(validate))
    unscaled = sum(not np.isfinite(film.pixel_spacing) for film in validate)
    if unscaled == len(validate):
        logger.warning(
            "no validation film has a pixel_spacing, so errors in mm and the best epoch are not known. "
            "Use final.pt, the network of the last epoch"
        )
    elif unscaled:
        logger.warning(
            "%d of %d validation films have no pixel_spacing and do not count in the errors", unscaled, len(validate)
        )
    return {"train": as_dictionaries(train), "validate": as_dictionaries(validate)}


def _annotated(films: list[Film]) -> list[Film]:
    """Return the films with enough annotated landmarks, and warn about the others."""
    kept: list[Film] = []
    bare: list[Film] = []
    for film in films:
        places = np.unique(film.landmarks[np.isfinite(film.landmarks).all(axis=1)], axis=0)
        (kept if len(places) >= min(2, len(film.landmarks)) else bare).append(film)
    if bare:
        names = ", ".join(film.name for film in bare[:_NAMED]) + (", ..." if len(bare) > _NAMED else "")
        logger.warning("%d films with fewer than two landmarks are left out: %s", len(bare), names)
    return kept


def _phantom_films(folder: str, count: int, seed: int, landmarks: Sequence[str]) -> list[Film]:
    if unknown := [symbol for symbol in landmarks if symbol not in SYMBOLS]:
        raise CephError(
            f"phantoms have no landmark {' '.join(unknown)}. Give --dataset_dir with films that show them, and "
            "--phantoms 0"
        )
    return open_dataset(_phantoms(Path(folder), count, seed), symbols=landmarks)


def mean_shape(films: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return the Procrustes mean of the films' landmarks (Gower 1975, Generalized Procrustes Analysis).

    (N, 2), (row, column), centred, with a root mean square distance of 1 from the centre and the mean orientation of
    the films. Films that lack a landmark are not used.

    Raises:
        CephError: if no film has all its landmarks, at two places or more.
    """
    shapes = [torch.as_tensor(film["landmarks"], dtype=torch.float64) for film in films]
    shapes = [shape for shape in shapes if not shape.isnan().any() and len(shape.unique(dim=0)) > 1]
    if not shapes:
        raise CephError("there is no mean shape: no film has all its landmarks, at two or more different points")
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
    """Return the films for evaluation as dictionaries, or phantoms if there is no dataset.

    Films without a pixel spacing have no errors in mm; a warning says how many there are.
    """
    if dataset_dir is None:
        logger.warning("NO DATASET: evaluating on %d SYNTHETIC phantoms. Give --dataset_dir PATH.", phantoms)
        return as_dictionaries(_phantom_films(phantom_dir, phantoms, 10_000, landmarks))
    found = open_dataset(dataset_dir, split, ground_truth, doubles, landmarks)
    if unscaled := sum(not np.isfinite(film.pixel_spacing) for film in found):
        logger.warning("%d of %d films have no pixel_spacing and do not count in the errors", unscaled, len(found))
    return as_dictionaries(found)


def inference_films(dataset_dir: str | None, phantom_dir: str, phantoms: int) -> list[dict[str, Any]]:
    """Return the films of a file or a folder as dictionaries with ``image`` and ``file``, or phantoms.

    Raises:
        CephError: if the folder has no film.
    """
    if dataset_dir is None:
        logger.warning("NO DATASET: detecting on %d SYNTHETIC phantoms. Give --dataset_dir PATH.", phantoms)
        dataset_dir = str(_phantoms(Path(phantom_dir), phantoms, seed=10_000))
    found = find_radiographs([dataset_dir])
    if not found:
        raise CephError(f"{dataset_dir}: the folder has no film")
    return [{"image": str(path), "file": str(path)} for path in found]


def films_per_batch(batch_size: int, patches_per_load: int) -> int:
    """Return how many films fill a batch if each of them gives ``patches_per_load`` patches.

    Raises:
        CephError: if ``batch_size`` is not a multiple of ``patches_per_load``.
    """
    if batch_size < 1 or patches_per_load < 1 or batch_size % patches_per_load:
        raise CephError(f"batch_size ({batch_size}) must be a multiple of patches_per_load ({patches_per_load})")
    return batch_size // patches_per_load


def warn_if_seen(files: Mapping[str, str | None], dataset_dir: str | None, split: str) -> None:
    """Log a warning if shipped networks were trained on the films that they are to be evaluated on.

    Args:
        files: weights by stage; None for a stage without weights.
        dataset_dir: a dataset folder; None for phantoms.
        split: of the dataset.
    """
    if dataset_dir and (note := weights.training_figures_note(files, layout_of(dataset_dir), split)):
        logger.warning("%s", note)
