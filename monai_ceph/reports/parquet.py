"""The landmarks of all films as one Parquet file, for pandas, polars and data lakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from monai_ceph.reports.tables import square_spacing
from monai_ceph.result import Detection

__all__ = ["write_parquet"]

# films per row group: what is in memory at one time
_GROUP = 500


def _rows(detection: Detection) -> Iterator[dict[str, Any]]:
    for mark in detection.landmarks:
        yield {
            "file": detection.file,
            "landmark": mark.name,
            "symbol": mark.symbol,
            "x": mark.x,
            "y": mark.y,
            "score": mark.score,
            "status": mark.status,
            "x_mm": mark.x_mm,
            "y_mm": mark.y_mm,
            "spacing_source": str(detection.spacing_source),
            "pixel_spacing": square_spacing(detection.pixel_spacing),
            "frame": detection.frame,
            "study_uid": detection.study_uid,
            "series_uid": detection.series_uid,
            "image_uid": detection.image_uid,
        }


def write_parquet(path: Path, detections: Iterable[Detection]) -> None:
    """Write, in place, one row per film and landmark.

    The columns are those of ``landmarks.csv``, typed and not rounded, the frame, and the UIDs of study, series, image.
    What is missing or unknown is null. Coordinates: x right, y down, pixel centres at integers, source pixels;
    x_mm and y_mm in mm from the centre of the first pixel.

    Raises:
        OSError: if the file cannot be written.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = dict.fromkeys(("file", "landmark", "symbol"), text)
    kinds |= {"x": number, "y": number, "score": number, "status": text, "x_mm": number, "y_mm": number}
    kinds |= {"spacing_source": text, "pixel_spacing": number, "frame": pyarrow.int32()}
    kinds |= dict.fromkeys(("study_uid", "series_uid", "image_uid"), text)
    schema = pyarrow.schema(list(kinds.items()))
    films = iter(detections)
    with ParquetWriter(path, schema) as writer:
        while group := list(islice(films, _GROUP)):
            writer.write_table(pyarrow.Table.from_pylist([row for film in group for row in _rows(film)], schema))
