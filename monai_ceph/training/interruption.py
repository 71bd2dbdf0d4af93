"""Ctrl-C and SIGTERM in a training run: save it, and print the command that resumes it."""

from __future__ import annotations

import atexit
import logging
import os
import shlex
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

import ignite.distributed as idist
from ignite.engine import Engine, Events

from monai_ceph.training.checkpoints import RunEvents, ends_epoch

__all__ = ["exit_on_interrupt", "is_bundle_command", "run_until_interrupted"]

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# exit code of a program that Ctrl-C ended
_EXIT_INTERRUPTED = 128 + signal.SIGINT


def is_bundle_command() -> bool:
    """Return whether this process is ``python -m monai.bundle``, and not a program that runs a bundle."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == "monai.bundle.__main__"


def exit_on_interrupt() -> None:
    """Make Ctrl-C and SIGTERM end this process with one line instead of a traceback."""
    _on_signal(_exit)


def _on_signal(handler: Any) -> None:
    # Python accepts signal handlers in the main thread only
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, handler)


def _default_signals() -> None:
    _on_signal(signal.SIG_DFL)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    logger.warning("Interrupted. To run it again: %s", _command())
    _end()


def _end() -> NoReturn:
    # Ignite and MONAI log a traceback of every exception in a run
    logging.disable(logging.CRITICAL)
    if is_bundle_command():
        # after all cleaning up: torch aborts an interpreter that ends while other threads still load films
        atexit.register(_leave)
    raise SystemExit(_EXIT_INTERRUPTED)


def _leave() -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_EXIT_INTERRUPTED)


def _command() -> str:
    """Return the command line of this process."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def run_until_interrupted(trainer: Engine) -> None:
    """Run a trainer. The first Ctrl-C or SIGTERM saves the run after the current step and ends the process.

    Under torchrun the signals keep their default, because the other processes would wait forever for one that stopped
    a step earlier.

    Args:
        trainer: a trainer with a :class:`~monai_ceph.training.TimedCheckpointSaver` attached.

    Raises:
        SystemExit: with code 130, if the run was interrupted.
    """
    if idist.get_world_size() > 1:
        _default_signals()
        trainer.run()
        return
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _exit(number, frame)
        asked = True
        logger.warning("Stopping after this step or the current validation. Press Ctrl-C again to stop at once.")

    def stop_at_step(engine: Engine) -> None:
        # the last step of an epoch is followed by the validation
        if asked and not ends_epoch(engine):
            engine.fire_event(RunEvents.SAVE)
            engine.terminate(skip_completed=True)

    def stop_at_epoch(engine: Engine) -> None:
        # after the last epoch the run still writes its final file
        if asked and engine.state.epoch < engine.state.max_epochs:
            engine.terminate(skip_completed=True)

    _on_signal(ask)
    try:
        with (
            trainer.add_event_handler(Events.ITERATION_COMPLETED, stop_at_step),
            trainer.add_event_handler(Events.EPOCH_COMPLETED, stop_at_epoch),
        ):
            trainer.run()
    finally:
        _default_signals()
    if asked and trainer.should_terminate:
        logger.warning(
            "Interrupted in epoch %d of %d, and saved. To resume: %s",
            *(trainer.state.epoch, trainer.state.max_epochs, _command()),
        )
        _end()
