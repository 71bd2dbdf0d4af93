"""What libraries in C++ write to standard output, past Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

__all__ = ["captured_lines"]

_STDOUT = 1


@contextmanager
def captured_lines(prefixes: tuple[str, ...], remarks: list[str]) -> Iterator[None]:
    """Keep the lines with one of these beginnings from standard output, and append them to ``remarks``.

    The descriptor itself leads elsewhere meanwhile, for all threads: whatever else is written to it follows at the end.
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
                    remarks.append(text)
                else:
                    os.write(_STDOUT, line)
