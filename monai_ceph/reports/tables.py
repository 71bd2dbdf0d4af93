"""CSV tables: landmarks, errors and duplicates."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_ceph.readers.radiograph import square_spacing
from monai_ceph.storage.csv_cells import safe_cell

if TYPE_CHECKING:
    from monai_ceph.readers.radiograph import SpacingSource
    from monai_ceph.result import DetectedLandmark, Detection

__all__ = [
    "DUPLICATE_COLUMNS",
    "ERROR_COLUMNS",
    "LANDMARK_COLUMNS",
    "landmark_columns",
    "landmark_rows",
    "write_landmarks",
    "write_table",
]

LANDMARK_COLUMNS = (
    *("film", "landmark", "symbol", "x", "y", "score", "status"),
    *("x_mm", "y_mm", "spacing_source", "pixel_spacing", "image_uid", "radius_90_px", "radius_90_mm"),
)
ERROR_COLUMNS = ("film", "error")
DUPLICATE_COLUMNS = ("film", "path_sha256", "same_as", "same_as_path_sha256")


def _decimals(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def landmark_columns(with_profile: bool) -> tuple[str, ...]:
    """Return the columns of a table of detections; only one of a run with a profile has ``profile``, at its end."""
    return (*LANDMARK_COLUMNS, "profile") if with_profile else LANDMARK_COLUMNS


def landmark_rows(detection: Detection, with_profile: bool = False) -> Iterator[list[str]]:
    """Yield the rows of :func:`landmark_columns` for one film.

    x and y are source pixels, x_mm and y_mm are mm from the centre of the first pixel; empty if missing or unknown.
    pixel_spacing is mm per pixel, as a dataset's table has it; empty if unknown or if pixels are not square.
    image_uid is the SOP Instance UID of a DICOM image. radius_90_px is what the true point lies within in 90 % of
    cases, in source pixels; radius_90_mm is the same in mm. Both are empty if missing or unknown.
    """
    scale = (detection.pixel_spacing, detection.spacing_source)
    name = "" if detection.profile is None else detection.profile.name
    for row in _rows(detection.file, detection.landmarks, *scale, detection.image_uid):
        yield [*row, name] if with_profile else row


def _rows(
    file: str,
    marks: Iterable[DetectedLandmark],
    spacing: tuple[float, float] | None,
    spacing_source: SpacingSource,
    image_uid: str | None,
) -> Iterator[list[str]]:
    square = square_spacing(spacing)
    for mark in marks:
        yield [
            *(file, mark.name, mark.symbol, _decimals(mark.x, 2), _decimals(mark.y, 2)),
            *(_decimals(mark.score, 3), mark.status, _decimals(mark.x_mm, 3), _decimals(mark.y_mm, 3)),
            *(str(spacing_source), "" if square is None else f"{square:.6g}", image_uid or ""),
            *(_decimals(mark.radius_90_px, 1), _decimals(mark.radius_90_mm, 2)),
        ]


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file row by row, in place. Names that look like formulas get an apostrophe.

    Raises:
        OSError: if the file cannot be written.
    """
    # bytes of a file name that are not UTF-8 are escaped
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(safe_cell, row) for row in rows)


def write_landmarks(
    path: Path,
    file: str,
    marks: Iterable[DetectedLandmark],
    spacing: tuple[float, float] | None,
    spacing_source: SpacingSource,
    image_uid: str | None = None,
) -> None:
    """Write the table of one film in place, with the rows of :func:`landmark_rows`.

    Raises:
        OSError: if the file cannot be written.
    """
    write_table(path, LANDMARK_COLUMNS, _rows(file, marks, spacing, spacing_source, image_uid))
