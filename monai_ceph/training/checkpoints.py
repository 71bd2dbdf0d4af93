"""Resume a training run: its checkpoint, and a learning rate schedule that fits the new options."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.engine.events import EventEnum
from monai.optimizers import WarmupCosineSchedule

from monai_ceph.errors import CephError
from monai_ceph.storage.atomic import written_beside

__all__ = ["CHECKPOINT", "ResumableWarmupCosineSchedule", "RunEvents", "TimedCheckpointSaver", "latest_checkpoint"]

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint file in the folder of a run."""


class RunEvents(EventEnum):
    """Events of a training run in addition to those of Ignite: ``SAVE`` writes a checkpoint now."""

    SAVE = "save"


class TimedCheckpointSaver:
    """Ignite handler that saves a run every few seconds and at the end of each epoch, after its validation.

    There is one file, and it is replaced atomically. MONAI's CheckpointSaver deletes the old checkpoint before it
    writes the new one, so a process that is killed in between loses both.

    Args:
        save_dir: folder of the run; created if it does not exist.
        save_dict: objects with a ``state_dict``, by the names that MONAI's CheckpointLoader uses.
        seconds: shortest time between two saves within an epoch.

    Raises:
        CephError: if ``seconds`` is not a positive number.
    """

    def __init__(self, save_dir: str, save_dict: Mapping[str, Any], seconds: float) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise CephError(f"checkpoint_seconds must be a positive number, got {seconds!r}")
        self._path = Path(save_dir) / CHECKPOINT
        self._save_dict, self._seconds = save_dict, seconds
        self._saved_at = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, after the handler that validates."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.register_events(*RunEvents)
        engine.add_event_handler(RunEvents.SAVE, self.save)

    def _start(self, engine: Engine) -> None:
        self._saved_at = time.monotonic()
        if idist.get_rank() == 0:
            # left by a run that was killed while saving
            for part in self._path.parent.glob(f".{CHECKPOINT}.*.part"):
                part.unlink(missing_ok=True)

    def _iteration_completed(self, engine: Engine) -> None:
        if time.monotonic() - self._saved_at >= self._seconds and not ends_epoch(engine):
            self.save(engine)

    def save(self, engine: Engine) -> None:
        """Save the run now. If several processes train, only the first one saves."""
        if idist.get_rank() == 0:
            with written_beside(self._path) as part, part.open("wb") as stream:
                torch.save({name: each.state_dict() for name, each in self._save_dict.items()}, stream)
        self._saved_at = time.monotonic()


def ends_epoch(engine: Engine) -> bool:
    """Return whether this iteration is the last of its epoch. A run saved here would skip the validation."""
    return bool(engine.state.iteration % engine.state.epoch_length == 0)


def latest_checkpoint(folder: str, max_epochs: int) -> str | None:
    """Return the checkpoint of an interrupted run, or None if the folder has no checkpoint.

    Raises:
        CephError: if the run in this folder already reached ``max_epochs``, or the file is not a checkpoint.
    """
    path = Path(folder) / CHECKPOINT
    if not path.is_file():
        return None
    iteration, epoch_length = _progress(path)
    epochs, iterations = divmod(iteration, epoch_length)
    if epochs >= max_epochs:
        raise CephError(
            f"{path}: this run already has {epochs} of {max_epochs} epochs. "
            "Give a larger --max_epochs, or another --output_dir"
        )
    more = f" and {iterations} of {epoch_length} iterations" if iterations else ""
    logger.warning("resuming after epoch %d%s: %s", epochs, more, path)
    return str(path)


def _progress(path: Path) -> tuple[int, int]:
    """Return how many iterations a saved run has done, and how many iterations an epoch has."""
    try:
        trainer = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["trainer"]
        iteration, epoch_length = int(trainer["iteration"]), int(trainer["epoch_length"])
    except Exception as error:  # torch raises many different classes
        raise CephError(f"{path}: not a checkpoint of a training run. Move it away to start over") from error
    return iteration, epoch_length


class ResumableWarmupCosineSchedule(WarmupCosineSchedule):
    """MONAI's linear warm-up and cosine decay, which follows the options of the resumed run.

    The checkpoint gives the current step only. If ``max_epochs`` or ``learning_rate`` changed since the interruption,
    the schedule uses the new values.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the step of the checkpoint."""
        own = ("t_total", "warmup_steps", "warmup_multiplier", "cycles", "end_lr", "base_lrs")
        super().load_state_dict({**state_dict, **{key: getattr(self, key) for key in own}})
