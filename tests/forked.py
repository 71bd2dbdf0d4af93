"""Processes of their own that have torch and MONAI already: to import them takes longer than most of what they do."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# one process imports them, and the others are forked from it. It runs nothing itself, so that no thread and no lock of
# a run is forked
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["monai.bundle", "monai.engines", "monai_ceph.detection"])


def printed(function: Callable[..., None], *arguments: Any, folder: Path) -> str:
    """Call a function in a process of its own that works in a folder, and return all that the process prints."""
    with tempfile.NamedTemporaryFile("r") as log:
        process = _FORKED.Process(target=_call, args=(function, arguments, folder, log.name))
        process.start()
        process.join(timeout=600)
        code = process.exitcode
        # it may hang, and has no exit code then
        process.kill()
        process.join()
        output = log.read()
    assert code == 0, output
    return output


def _call(function: Callable[..., None], arguments: tuple[Any, ...], folder: Path, log: str) -> None:
    with Path(log).open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    # what the interpreter puts there for a command
    sys.path.insert(0, "")
    function(*arguments)
