"""Ctrl-C and SIGTERM in a real training run: nothing is lost, and one line says how to continue."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from bundle_runs import TINY, TINY_STAGE, command

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
    whole.mkdir()
    parts.mkdir()
    uninterrupted = start(whole, _SHORT)
    try:
        process = start(parts, _SHORT)
        output = interrupted(process, signal.SIGTERM)
        assert process.returncode == 130, output
        checkpoint = torch.load(parts / "runs" / "local" / "checkpoint.pt", weights_only=True)["trainer"]
        assert 20 <= checkpoint["iteration"] < checkpoint["epoch_length"]
        resumed = start(parts, _SHORT)
        for each in (resumed, uninterrupted):
            output = each.communicate(timeout=300)[0]
            assert each.returncode == 0, output
    finally:
        uninterrupted.kill()
    expected, found = (
        torch.load(folder / "runs" / "local" / "final.pt", weights_only=True) for folder in (whole, parts)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
