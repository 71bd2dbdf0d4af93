"""A pytest plugin that reports at the end of a run how many tests were skipped, and why.

PYTEST_SKIPPED_FILES names a file to list the test files in which something was skipped: another run, with more
installed, can run only those.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each reason. A file that is skipped as a whole counts as one file, as its tests are unknown."""
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    reports = terminalreporter.getreports("skipped")
    if listing := os.environ.get("PYTEST_SKIPPED_FILES"):
        paths = sorted({report.nodeid.partition("::")[0] for report in reports})
        Path(listing).write_text("".join(f"{path}\n" for path in paths))
    for report in reports:
        # (path, line, "Skipped: reason")
        reason = report.longrepr[2].removeprefix("Skipped: ")
        (files if isinstance(report, pytest.CollectReport) else tests)[reason] += 1
    if not files and not tests:
        return
    terminalreporter.write_sep("=", f"skipped: {counted(sum(tests.values()), sum(files.values()))}")
    for reason in sorted({*files, *tests}, key=str.lower):
        terminalreporter.write_line(f"{counted(tests[reason], files[reason])}: {reason}")


def counted(tests: int, files: int) -> str:
    """For example "2 tests and 1 whole file"."""
    parts = [(tests, "test"), (files, "whole file")]
    return " and ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in parts if count)
