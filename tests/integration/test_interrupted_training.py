"""Ctrl-C and SIGTERM in a real training run: nothing is lost, and one line says how to continue."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bundle_runs import TINY, TINY_STAGE, command

# epochs that do not end by themselves before the signal comes
_LONG = {**TINY, **TINY_STAGE["local"], "patches_per_film": 4000, "max_epochs": 2}


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "monai.bundle", *command("training", "local", **_LONG)],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_is_saved_and_names_the_command(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if re.search(r"Epoch: 1/2, Iter: 20/", line):
                process.send_signal(number)
                break
        output = "".join([*lines, process.communicate(timeout=120)[0]])
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    assert "Interrupted in epoch 1 of 2, and saved. To resume: python -m monai.bundle run training " in last
    trainer = torch.load(tmp_path / "runs" / "local" / "checkpoint.pt", weights_only=True)["trainer"]
    assert 20 <= trainer["iteration"] < trainer["epoch_length"]
    assert not (tmp_path / "runs" / "local" / "final.pt").exists()
