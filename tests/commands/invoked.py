"""Commands that are called in this process, and what they print and write."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.folders import BUNDLES

# one patch per landmark instead of five: the same code in a fraction of the time
OVERLAYS = BUNDLES / "overlays"
QUICK = ("--device", "cpu", "--config", str(OVERLAYS / "no_expansion.json"))

STEPS = ("looking for films", "loading the model", "detecting", "evaluating", "drawing")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def one_line(result: Any, code: int = 2) -> str:
    """Check that a command ended with this exit code and one line, without a traceback; return that line."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if line not in STEPS]
    assert line.startswith("monai-ceph: ")
    return line.removeprefix("monai-ceph: ")
