"""What a training run is of: its landmarks and films, written beside its weights."""

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
"""The file that says which landmarks the networks of a run place."""

FILMS = "films.json"
"""The file that says which films a run trains and validates on."""


def record_run(
    folder: str,
    landmarks: Sequence[str],
    train: Sequence[Mapping[str, Any]],
    validate: Sequence[Mapping[str, Any]],
    shape: list[list[float]] | None,
    resume: bool,
    epoch_length: int,
) -> None:
    """Write what a run is of: ``landmarks.json`` and ``films.json``; and see that it goes on from its own checkpoint.

    ``landmarks.json`` says which landmarks the networks of the run place, and their mean shape. It is an overlay: laid
    over ``inference.json`` or ``evaluate.json`` it makes them fit the run's weights. ``films.json`` names the films
    that train and validate, with a digest of their annotations, and says how long an epoch is.

    Args:
        folder: of the run; made if it is not there.
        landmarks: symbols, in the order of the channels.
        train: films to train on.
        validate: films to validate on.
        shape: the mean shape in whose pose the run shows heads. None: that of the films to train on; if none of them
            has all landmarks there is none, and a warning.
        resume: whether the run goes on from the checkpoint in the folder. If not, the checkpoint is renamed to
            ``.old``, so that no later run goes on from it.
        epoch_length: iterations of an epoch. Those of the checkpoint count the run's progress.

    Raises:
        CephError: if it would go on from a checkpoint of other films, annotations, landmarks, or epochs.
        OSError: if they cannot be written.
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
        "description": "Overlay on inference.json and evaluate.json: the landmark set of this run, and its mean shape.",
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
    """Return what changes with any number of the films' places."""
    digest = hashlib.sha256()
    for place in places:
        digest.update(np.ascontiguousarray(place, dtype="<f8").tobytes())
    return digest.hexdigest()


def _check_record(run: Path, films_of_run: Mapping[str, Any]) -> None:
    """See that the record of an earlier run in this folder, if there is one, is of the same films and landmarks."""
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
    # earlier records lack these: 0.10.0 all of them, 0.12.0 that of the spreads
    if record.get("annotations_sha256", films_of_run["annotations_sha256"]) != films_of_run["annotations_sha256"]:
        differences.append("films of the same names with other annotations")
    if record.get("spreads_sha256", films_of_run["spreads_sha256"]) != films_of_run["spreads_sha256"]:
        differences.append("films of the same names whose annotators lie otherwise apart (spread_x, spread_y)")
    if (steps := record.get("epoch_length", films_of_run["epoch_length"])) != films_of_run["epoch_length"]:
        differences.append(
            f"epochs of {steps} iterations, not {films_of_run['epoch_length']}, as with another batch_size"
        )
    if differences:
        raise CephError(
            f"{run}: holds a training run on {differences[0]}; give another --output_dir, or --resume False to begin "
            "anew here"
        )


def _first_difference(before: Sequence[str], now: Sequence[str]) -> str:
    if gone := [name for name in before if name not in set(now)]:
        return f"{len(before)} then, {len(now)} now; {gone[0]!r} then and not now"
    if new := [name for name in now if name not in set(before)]:
        return f"{len(before)} then, {len(now)} now; {new[0]!r} now and not then"
    return "in another order"
