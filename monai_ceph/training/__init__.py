"""The functions that the configs in ``bundles/`` call: films of a run, its record, checkpoints, interruption."""

from monai_ceph.training.checkpoints import ResumableWarmupCosineSchedule, TimedCheckpointSaver, latest_checkpoint
from monai_ceph.training.films import films, films_per_batch, inference_films, mean_shape, training_films
from monai_ceph.training.interruption import exit_on_interrupt, run_until_interrupted
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
    "record_run",
    "run_until_interrupted",
    "training_films",
]
