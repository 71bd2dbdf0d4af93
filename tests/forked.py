"""Run functions in child processes that have already imported torch and MONAI, which takes longer than most tests."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# one process imports them, and the others are forked from it; it runs nothing else, so no thread or lock is forked
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["monai.bundle", "monai.engines", "monai_ceph.detection"])


def printed(function: Callable[..., None], *arguments: Any, folder: Path) -> str:
    """Call a function in a child process with a folder as its working folder, and return everything it prints."""
    with tempfile.NamedTemporaryFile("r") as log:
        process = _FORKED.Process(target=_call, args=(function, arguments, folder, log.name))
        process.start()
        process.join(timeout=600)
        code = process.exitcode
        # if it hangs, it has no exit code
        process.kill()
        process.join()
        output = log.read()
    assert code == 0, output
    return output


class Started:
    """A function that runs in a child process with a folder as its working folder.

    Attributes:
        process: the child.
        log: what it prints.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any, folder: Path) -> None:
        number, name = tempfile.mkstemp(suffix=".log")
        os.close(number)
        self.log = Path(name)
        self.process = _FORKED.Process(target=_call, args=(function, arguments, folder, name))
        self.process.start()

    def end(self, seconds: float) -> int | None:
        """Wait until it ends, and return its exit code; None if it did not in time."""
        self.process.join(timeout=seconds)
        return self.process.exitcode

    def kill(self) -> None:
        """End it if it still runs, and remove its log."""
        self.process.kill()
        self.process.join()
        self.log.unlink(missing_ok=True)


def _call(function: Callable[..., None], arguments: tuple[Any, ...], folder: Path, log: str) -> None:
    with Path(log).open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    # as the interpreter does for a command
    sys.path.insert(0, "")
    function(*arguments)
