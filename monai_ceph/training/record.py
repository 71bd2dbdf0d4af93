"""The record of a training run: its landmarks and films, written beside its weights."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np

from monai_ceph.errors import CephError
from monai_ceph.storage.atomic import written_beside
from monai_ceph.training.checkpoints import CHECKPOINT
from monai_ceph.training.films import mean_shape

__all__ = ["FILMS", "LANDMARK_SET", "record_run"]

logger = logging.getLogger(__name__)

LANDMARK_SET = "landmarks.json"
"""Name of the file with the landmarks of a run and their mean shape."""

FILMS = "films.json"
"""Name of the file with the films that a run trains and validates on."""


def record_run(
    folder: str,
    landmarks: Sequence[str],
    train: Sequence[Mapping[str, Any]],
    validate: Sequence[Mapping[str, Any]],
    shape: list[list[float]] | None,
    resume: bool,
    epoch_length: int,
) -> None:
    """Write ``landmarks.json`` and ``films.json``, and check that the run resumes its own checkpoint.

    ``landmarks.json`` has the landmarks of the run and their mean shape. It is an overlay on ``inference.json`` for the
    weights of this run. ``films.json`` has the names of the training and validation films, a digest of their
    annotations, and the length of an epoch.

    Args:
        folder: folder of the run; created if it does not exist.
        landmarks: symbols, in the order of the channels.
        train: training films.
        validate: validation films.
        shape: mean shape of the pose in which the run sees heads, (N, 2), (row, column). None takes the mean shape of
            the training films, or logs a warning if none of them has all landmarks.
        resume: whether the run resumes the checkpoint in the folder. If not, the checkpoint is renamed to ``.old``, so
            that no later run resumes it.
        epoch_length: iterations per epoch.

    Raises:
        CephError: if the checkpoint belongs to other films, annotations, landmarks, or epochs.
        OSError: if a file cannot be written.
    """
    if not isinstance(resume, bool):
        raise CephError(f"resume must be True or False, got {resume!r}")
    if idist.get_rank() > 0:
        return
    run = Path(folder)
    films_of_run = {
        "landmarks": list(landmarks),
        "train": [str(film["name"]) for film in train],
        "validate": [str(film["name"]) for film in validate],
        "annotations_sha256": _digest(film["landmarks"] for film in (*train, *validate)),
        "spreads_sha256": _digest(film["spread"] for film in (*train, *validate) if "spread" in film),
        "epoch_length": epoch_length,
    }
    checkpoint = run / CHECKPOINT
    if checkpoint.is_file():
        if resume:
            _check_record(run, films_of_run)
        else:
            checkpoint.replace(checkpoint.with_name(f"{CHECKPOINT}.old"))
    overlay: dict[str, Any] = {
        "description": "Overlay on inference.json: the landmarks of this run, and their mean shape.",
        "landmarks": list(landmarks),
    }
    try:
        overlay["mean_shape"] = shape or mean_shape(train)
    except CephError as error:
        logger.warning("%s", error)
    for name, content in ((LANDMARK_SET, overlay), (FILMS, films_of_run)):
        with written_beside(run / name) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _digest(places: Iterable[np.ndarray]) -> str:
    """Return a hash of the landmarks' coordinates."""
    digest = hashlib.sha256()
    for place in places:
        digest.update(np.ascontiguousarray(place, dtype="<f8").tobytes())
    return digest.hexdigest()


def _check_record(run: Path, films_of_run: Mapping[str, Any]) -> None:
    """Check that an earlier run in this folder had the same films and landmarks."""
    file = run / FILMS
    if not file.is_file():
        return
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        known = {key: list(record[key]) for key in ("landmarks", "train", "validate")}
    except (ValueError, TypeError, KeyError) as error:
        raise CephError(f"{file}: not the record of a training run ({error!r})") from error
    what = {"landmarks": "other landmarks", "train": "other films", "validate": "another split of the films"}
    differences = [
        f"{what[key]} ({_first_difference(names, films_of_run[key])})"
        for key, names in known.items()
        if names != films_of_run[key]
    ]
    # version 0.10.0 wrote none of these keys, and 0.12.0 wrote no spreads
    if record.get("annotations_sha256", films_of_run["annotations_sha256"]) != films_of_run["annotations_sha256"]:
        differences.append("films of the same names with other annotations")
    if record.get("spreads_sha256", films_of_run["spreads_sha256"]) != films_of_run["spreads_sha256"]:
        differences.append("films of the same names with other spreads of the annotators (spread_x, spread_y)")
    if (steps := record.get("epoch_length", films_of_run["epoch_length"])) != films_of_run["epoch_length"]:
        differences.append(
            f"epochs of {steps} iterations, not {films_of_run['epoch_length']}, as with another batch_size"
        )
    if differences:
        raise CephError(
            f"{run}: holds a training run on {differences[0]}. Give another --output_dir, or --resume False to start "
            "over here"
        )


def _first_difference(before: Sequence[str], now: Sequence[str]) -> str:
    if gone := [name for name in before if name not in set(now)]:
        return f"{len(before)} then, {len(now)} now; {gone[0]!r} then and not now"
    if new := [name for name in now if name not in set(before)]:
        return f"{len(before)} then, {len(now)} now; {new[0]!r} now and not then"
    return "in another order"
