"""Tables: one row per film and landmark, and one per file that failed."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from monai_ceph.landmarks import LANDMARKS
from monai_ceph.reports.atomic import written_beside

if TYPE_CHECKING:
    from monai_ceph.result import Detection

__all__ = ["ERROR_COLUMNS", "LANDMARK_COLUMNS", "TableWriter", "landmark_rows", "save_landmarks"]

LANDMARK_COLUMNS = ("file", "landmark", "symbol", "x", "y", "score", "status")
ERROR_COLUMNS = ("file", "error")


def _row(file: str, name: str, symbol: str, x: float | None, y: float | None, score: float, status: str) -> list[str]:
    place = ("", "") if x is None or y is None else (f"{x:.2f}", f"{y:.2f}")
    return [file, name, symbol, *place, f"{score:.3f}", status]


def landmark_rows(detection: Detection) -> list[list[str]]:
    """Return the rows of :data:`LANDMARK_COLUMNS` for one film; x and y in source pixels, empty if missing."""
    return [
        _row(detection.file, mark.name, mark.symbol, mark.x, mark.y, mark.score, mark.status)
        for mark in detection.landmarks
    ]


class TableWriter:
    """A CSV file that grows row by row beside its place and takes it on closing.

    A run that is interrupted keeps the rows so far; a process that is killed leaves the table of before.

    Raises:
        OSError: if the folder cannot be written.
    """

    def __init__(self, target: Path, columns: Iterable[str]) -> None:
        self._columns = list(columns)
        self._context = written_beside(target)
        self._part = self._context.__enter__()
        # a file name that is not UTF-8 becomes readable text, not the end of the run
        self._stream: TextIO = self._part.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(self._columns)

    def write(self, rows: Iterable[Iterable[Any]]) -> None:
        """Append rows and hand them to the operating system."""
        self._writer.writerows(rows)
        self._stream.flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what was computed before an interruption is worth keeping: the table always takes its place
        try:
            self._stream.close()
        finally:
            self._context.__exit__(None, None, None)


def save_landmarks(target: Path, file: str, points: np.ndarray) -> None:
    """Write one film's (19, 2) landmarks, (row, column) in source pixels, as columns file, landmark, symbol, x, y."""
    with written_beside(target) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(LANDMARK_COLUMNS[:5])
        for landmark, (row, column) in zip(LANDMARKS, points.tolist(), strict=True):
            place = ["", ""] if np.isnan([row, column]).any() else [f"{column:.2f}", f"{row:.2f}"]
            writer.writerow([file, landmark.name, landmark.symbol, *place])
