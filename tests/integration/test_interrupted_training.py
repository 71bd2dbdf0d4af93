"""Ctrl-C and SIGTERM in a real training run: nothing is lost, and one line says how to continue."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from bundle_runs import TINY, TINY_STAGE, command, run_all
from forked import Started

# epochs that do not end by themselves before the signal comes
_LONG = {**TINY, **TINY_STAGE["local"], "patches_per_film": 4000, "max_epochs": 2}
_SHORT = {**_LONG, "patches_per_film": 120}


def start(folder: Path, options: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "monai.bundle", *command("training", "local", **options)],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def interrupted(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal after 20 iterations; return what the process printed."""
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if re.search(r"Epoch: 1/2, Iter: 20/", line):
                process.send_signal(number)
                break
        return "".join([*lines, process.communicate(timeout=120)[0]])
    finally:
        process.kill()


def test_an_interrupted_run_is_saved_and_names_the_command(tmp_path: Path) -> None:
    process = start(tmp_path, _LONG)
    output = interrupted(process, signal.SIGINT)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    assert "Interrupted in epoch 1 of 2, and saved. To resume: python -m monai.bundle run training " in last
    trainer = torch.load(tmp_path / "runs" / "local" / "checkpoint.pt", weights_only=True)["trainer"]
    assert 20 <= trainer["iteration"] < trainer["epoch_length"]
    assert not (tmp_path / "runs" / "local" / "final.pt").exists()


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """It draws the same films, patches and augmentation."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with ExitStack() as stack:

        def forked(folder: Path) -> Started:
            folder.mkdir(exist_ok=True)
            started = Started(run_all, {"training": command("training", "local", **_SHORT)}, folder=folder)
            stack.callback(started.kill)
            return started

        uninterrupted, first = forked(whole), forked(parts)
        while not re.search(r"Epoch: 1/2, Iter: 20/", first.log.read_text()):
            assert first.process.is_alive(), first.log.read_text()
            first.process.join(timeout=0.01)
        os.kill(int(first.process.pid or 0), signal.SIGTERM)
        assert first.end(120) == 130, first.log.read_text()
        checkpoint = torch.load(parts / "runs" / "local" / "checkpoint.pt", weights_only=True)["trainer"]
        assert 20 <= checkpoint["iteration"] < checkpoint["epoch_length"]
        for each in (forked(parts), uninterrupted):
            assert each.end(300) == 0, each.log.read_text()
    expected, found = (
        torch.load(folder / "runs" / "local" / "final.pt", weights_only=True) for folder in (whole, parts)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
