"""The landmarks of all films as one Parquet file, for pandas, polars and data lakes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from monai_ceph.result import Detection

__all__ = ["write_parquet"]

# films per row group, which are in memory together
_GROUP = 500


def write_parquet(path: Path, detections: Iterable[Detection], with_profile: bool = False) -> None:
    """Write one row per film and landmark, in place.

    The columns are those of ``landmarks.csv``, typed and not rounded, the frame, the UIDs of study and series, the
    radii for 90 and 95 %, and ``profile``, a name, if the run has one. What is missing or unknown is null. Coordinates:
    x right, y down, pixel centres at integers, source pixels; x_mm and y_mm in mm from the centre of the first pixel.

    Raises:
        OSError: if the file cannot be written.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = dict.fromkeys(("film", "landmark", "symbol"), text)
    kinds |= {"x": number, "y": number, "score": number, "status": text, "x_mm": number, "y_mm": number}
    kinds |= {"spacing_source": text, "pixel_spacing": number, "image_uid": text}
    kinds |= {"radius_90_px": number, "radius_90_mm": number}
    kinds |= {"frame": pyarrow.int32(), "study_uid": text, "series_uid": text}
    kinds |= {"radius_95_px": number, "radius_95_mm": number}
    if with_profile:
        kinds["profile"] = text
    schema = pyarrow.schema(list(kinds.items()))
    films = iter(detections)
    with ParquetWriter(path, schema) as writer:
        while group := list(islice(films, _GROUP)):
            writer.write_table(pyarrow.Table.from_pylist([row for film in group for row in film.records()], schema))
