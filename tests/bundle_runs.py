"""Run the bundles in about a second each: small films, small networks, several command lines in one process."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from forked import printed

BUNDLES = Path(__file__).parents[1] / "bundles"
STAGES = ("global", "local")
# the files of each run that has no options
RUNS = {
    "local": ("local",),
    "global": ("local", "global"),
    "inference": ("inference",),
    "evaluate": ("inference", "evaluate"),
}

# films of 240 pixels and networks of two levels make a run take a second
TINY = {
    "device": "$torch.device('cpu')",
    "phantoms": 4,
    "folds": 2,
    "channels": "[4,8]",
    "crop_side": 240,
    "val_interval": 1,
    "warmup_iterations": 1,
}
TINY_STAGE: dict[str, dict[str, Any]] = {
    "global": {"scale": 0.3, "batch_size": 2, "heatmap_width": 12},
    "local": {
        "batch_size": 4,
        "patches_per_film": 8,
        "train_patch_size": 32,
        "augmentation_margin": 8,
        "max_offset": 10,
        "patch_size": 32,
    },
}
TINY_WHOLE = {
    "device": "$torch.device('cpu')",
    "phantoms": 2,
    "crop_side": 240,
    "global_scale": 0.3,
    "patch_size": 32,
    "channels": "[4,8]",
    # networks that have hardly been trained have low scores
    "missing_below": 0.0,
}


def config_file(name: str) -> Path:
    """Return the file of a config that runs without another one, or of an overlay."""
    file = BUNDLES / f"{name}.json"
    return file if file.is_file() else BUNDLES / "overlays" / file.name


def command(run: str, *names: str | Path, **options: Any) -> list[str]:
    flags = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    files = [str(name if isinstance(name, Path) else config_file(name)) for name in names]
    return ["run", run, "--config_file", files[0] if len(files) == 1 else str(files), *flags]


def execute(arguments: list[str], folder: Path) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def execute_all(commands: dict[str, list[str]], folder: Path) -> dict[str, str]:
    """Run several command lines of monai.bundle in one process; return their output by name."""
    output = printed(run_all, commands, folder=folder)
    parts = re.split(r"^=== (.+)\n", output, flags=re.MULTILINE)
    assert parts[1::2] == list(commands)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def run_all(commands: dict[str, list[str]]) -> None:
    """Run command lines exactly as written."""
    for name, arguments in commands.items():
        print(f"=== {name}", flush=True)
        sys.argv = ["monai.bundle", *arguments]
        try:
            runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
        except Exception:
            # as the interpreter does with an exception that nothing caught
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()


def error_line(log: str) -> str:
    """Return the one line in which a run says what was wrong."""
    assert "Traceback" not in log, log
    (line,) = (line for line in log.splitlines() if line.startswith("error: "))
    assert log.splitlines()[-1] == line, log
    return line
