"""The functions that the configs in ``bundles/`` call: films of a run, its record, checkpoints, interruption."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from monai_ceph.training.films import (
    films,
    films_per_batch,
    inference_films,
    mean_shape,
    training_films,
    warn_if_seen,
)

if TYPE_CHECKING:
    from monai_ceph.training.checkpoints import (
        ResumableWarmupCosineSchedule,
        TimedCheckpointSaver,
        latest_checkpoint,
    )
    from monai_ceph.training.interruption import exit_on_interrupt, run_until_interrupted
    from monai_ceph.training.one_line_errors import plain_errors
    from monai_ceph.training.record import record_run
    from monai_ceph.training.seeded_loader import ResumeDraws, SeededDataLoader
    from monai_ceph.training.stage_weights import StageWeights

__all__ = [
    "ResumableWarmupCosineSchedule",
    "ResumeDraws",
    "SeededDataLoader",
    "StageWeights",
    "TimedCheckpointSaver",
    "exit_on_interrupt",
    "films",
    "films_per_batch",
    "inference_films",
    "latest_checkpoint",
    "mean_shape",
    "plain_errors",
    "record_run",
    "run_until_interrupted",
    "training_films",
    "warn_if_seen",
]

# these modules need Ignite; detection reads inference.json, which imports this package, and does without
_MODULES = {
    "ResumableWarmupCosineSchedule": "checkpoints",
    "ResumeDraws": "seeded_loader",
    "SeededDataLoader": "seeded_loader",
    "StageWeights": "stage_weights",
    "TimedCheckpointSaver": "checkpoints",
    "exit_on_interrupt": "interruption",
    "latest_checkpoint": "checkpoints",
    "plain_errors": "one_line_errors",
    "record_run": "record",
    "run_until_interrupted": "interruption",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
