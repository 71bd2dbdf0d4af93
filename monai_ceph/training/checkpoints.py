"""How a training run goes on after a stop: its checkpoint, and a learning rate that follows."""

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
"""The file in a run's folder that holds all that the run needs to go on."""


class RunEvents(EventEnum):
    """Events of a training run that Ignite does not have: ``SAVE`` asks for a checkpoint now."""

    SAVE = "save"


class TimedCheckpointSaver:
    """Ignite handler that saves a run every few seconds and at the end of each epoch, after its validation.

    There is one file, and it is replaced as a whole. MONAI's CheckpointSaver deletes the old checkpoint before it
    writes the new one, so that a kill in between leaves none.

    Args:
        save_dir: folder of the run; made if it is not there.
        save_dict: the objects with a ``state_dict``, by the names under which MONAI's CheckpointLoader finds them.
        seconds: saves within an epoch are this far apart, or one iteration more.
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
            # a run that was killed while it saved leaves half a file
            for part in self._path.parent.glob(f".{CHECKPOINT}.*.part"):
                part.unlink(missing_ok=True)

    def _iteration_completed(self, engine: Engine) -> None:
        if time.monotonic() - self._saved_at >= self._seconds and not ends_epoch(engine):
            self.save(engine)

    def save(self, engine: Engine) -> None:
        """Save the run as it is now; of several processes, the first one does."""
        if idist.get_rank() == 0:
            with written_beside(self._path) as part:
                torch.save({name: each.state_dict() for name, each in self._save_dict.items()}, part)
        self._saved_at = time.monotonic()


def ends_epoch(engine: Engine) -> bool:
    """Tell whether the present iteration is the last of its epoch: a run saved here would go on without validating."""
    return bool(engine.state.iteration % engine.state.epoch_length == 0)


def latest_checkpoint(folder: str, max_epochs: int) -> str | None:
    """Return the checkpoint of an interrupted run, None if there is none.

    Raises:
        CephError: if the run in this folder already reached ``max_epochs``, or the file is not a checkpoint of a run.
    """
    path = Path(folder) / CHECKPOINT
    if not path.is_file():
        return None
    iteration, epoch_length = _progress(path)
    epochs, iterations = divmod(iteration, epoch_length)
    if epochs >= max_epochs:
        raise CephError(
            f"{path}: the run in this folder already has {epochs} of {max_epochs} epochs; "
            "give a larger --max_epochs or another --output_dir"
        )
    more = f" and {iterations} of {epoch_length} iterations" if iterations else ""
    logger.warning("going on after epoch %d%s: %s", epochs, more, path)
    return str(path)


def _progress(path: Path) -> tuple[int, int]:
    """Return how many iterations a saved run has done, and how many an epoch has."""
    try:
        trainer = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["trainer"]
        iteration, epoch_length = int(trainer["iteration"]), int(trainer["epoch_length"])
    except Exception as error:  # torch raises a different class for each way in which a file can be wrong
        raise CephError(f"{path}: not a checkpoint of a training run; move it away to start over") from error
    return iteration, epoch_length


class ResumableWarmupCosineSchedule(WarmupCosineSchedule):
    """MONAI's linear warm-up and cosine decay, whose length and height are those of the present run.

    A resumed run takes from its checkpoint how far it is, not how long the interrupted run was meant to be: with
    another ``max_epochs`` or ``learning_rate`` the curve follows the new values.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at the checkpoint's step."""
        own = ("t_total", "warmup_steps", "warmup_multiplier", "cycles", "end_lr", "base_lrs")
        super().load_state_dict({**state_dict, **{key: getattr(self, key) for key in own}})
