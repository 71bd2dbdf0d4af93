from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from monai_ceph.commands.progress import Progress, progress_line

# every line that the parent writes is a film
PROGRAM = """
import sys
from monai_ceph.commands.console import messages
from monai_ceph.commands.progress import Progress

with Progress(messages, every=0.01) as progress:
    progress.step("drawing")
    progress.total(3)
    for _ in sys.stdin:
        progress.advance()
"""


class TestLine:
    @pytest.mark.parametrize(
        ("count", "total", "worked", "seconds", "line"),
        [
            (37, 150, 37, 60.66, "37 of 150 films, 0.61 films/s, about 3 min left"),
            (0, 150, 0, 12.0, "0 of 150 films"),
            (5, None, 5, 10.0, "5 films, 0.50 films/s"),
            (149, 150, 149, 149.0, "149 of 150 films, 1.00 films/s, about 10 s left"),
            (110, 150, 110, 110.0, "110 of 150 films, 1.00 films/s, about 40 s left"),
            (150, 150, 150, 100.0, "150 of 150 films, 1.50 films/s"),
            (1000, 10_000, 1000, 1000.0, "1000 of 10000 films, 1.00 films/s, about 2 h 30 min left"),
            # films done by an earlier run took no time and do not count for the rate
            (100, 150, 10, 20.0, "100 of 150 films, 0.50 films/s, about 2 min left"),
            (100, 150, 0, 20.0, "100 of 150 films"),
        ],
    )
    def test_the_progress_line(self, count: int, total: int | None, worked: int, seconds: float, line: str) -> None:
        assert progress_line(count, total, worked, seconds) == line


@pytest.mark.parametrize("colours", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_lines_without_control_characters(colours: dict[str, str]) -> None:
    command = [sys.executable, "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env={**os.environ, **colours}, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == "drawing\n"
        # while no film is finished
        assert process.stderr.readline() == "0 of 3 films\n"
        for film in (1, 2, 3):
            process.stdin.write("\n")
            process.stdin.flush()
            line = ""
            while not line.startswith(f"{film} of 3 films, "):
                line = process.stderr.readline()
                assert line.endswith("\n")
                assert line[:-1].isprintable()
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait() == 0


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar() -> None:
    screen = _Terminal()
    with Progress(Console(file=screen, force_terminal=True, width=100), every=0.01) as progress:
        progress.step("drawing")
        progress.total(4)
        progress.advance()
    assert "drawing" in screen.getvalue()
    assert "1/4" in screen.getvalue()
    assert "1 of 4 films" not in screen.getvalue()
