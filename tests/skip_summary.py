"""A pytest plugin that reports at the end of a run how many tests were skipped, and why."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each reason. A file that is skipped as a whole counts as one file, as its tests are unknown."""
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
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
