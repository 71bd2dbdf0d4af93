"""What a bundle prints of an error, and when it leaves the process as it is."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from bundle_runs import BUNDLES
from monai.bundle import ConfigWorkflow

from monai_ceph.errors import CephError, ReadError
from monai_ceph.training import one_line_errors


def raised(error: Exception, *wrapped: Exception) -> Exception:
    """Return the last of several errors, each of which was raised from the one before."""
    chain = [error, *wrapped]
    for cause, each in pairwise(chain):
        each.__cause__ = cause
    return chain[-1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (raised(CephError("film.png: no\n film"), RuntimeError("Failed to evaluate")), "error: film.png: no film\n"),
        # the outer one names the file
        (raised(OSError("bad"), ReadError("no image"), ReadError("a.png: no image")), "error: a.png: no image\n"),
        (raised(FileNotFoundError(2, "No such file", "a.pt"), RuntimeError("x")), "error: a.pt: No such file\n"),
    ],
)
def test_an_error_of_the_user_is_one_line(error: Exception, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    one_line_errors._print(type(error), error, None)
    assert capsys.readouterr().err == expected


def test_an_error_of_the_code_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    error = raised(KeyError("channels"), RuntimeError("Failed to evaluate"))
    one_line_errors._print(type(error), error, None)
    printed = capsys.readouterr().err
    assert "KeyError: 'channels'" in printed
    assert "Failed to evaluate" in printed


def test_a_program_that_reads_a_bundle_keeps_its_own_handling(tmp_path: Path) -> None:
    before = (sys.excepthook, signal.getsignal(signal.SIGINT), list(logging.getLogger().filters))
    workflow = ConfigWorkflow(
        str(BUNDLES / "inference.json"), workflow_type="infer", logging_file=False, output_dir=str(tmp_path)
    )
    workflow.initialize()
    assert (sys.excepthook, signal.getsignal(signal.SIGINT), list(logging.getLogger().filters)) == before


def test_ctrl_c_while_films_are_loaded_is_one_line(tmp_path: Path) -> None:
    """Threads of the dataset still run then."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "monai.bundle", "run", "training"),
            *("--config_file", str(BUNDLES / "local.json"), "--device", "$torch.device('cpu')", "--phantoms", "8"),
        ],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "films to train on" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.communicate(timeout=120)[0]
    finally:
        process.kill()
    assert process.returncode == 130, rest
    assert [line for line in rest.splitlines() if line] == [rest.strip()], rest
    assert "Interrupted. To run it again: python -m monai.bundle run training" in rest
