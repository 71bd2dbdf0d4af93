"""Capture what C and C++ libraries write to standard output, which bypasses Python's `sys.stdout`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

__all__ = ["captured_lines"]

_STDOUT = 1


@contextmanager
def captured_lines(prefixes: tuple[str, ...], lines: list[str]) -> Iterator[None]:
    """Append to ``lines`` what is written to standard output with one of these prefixes, instead of printing it.

    The file descriptor is redirected during the block, for all threads. All other output is printed at the end.
    """
    try:
        before = os.dup(_STDOUT)
    except OSError:  # there is no standard output
        yield
        return
    with TemporaryFile() as file:
        os.dup2(file.fileno(), _STDOUT)
        try:
            yield
        finally:
            os.dup2(before, _STDOUT)
            os.close(before)
            file.seek(0)
            for line in file:
                text = line.decode(errors="replace").strip()
                if text.startswith(prefixes):
                    lines.append(text)
                else:
                    os.write(_STDOUT, line)
