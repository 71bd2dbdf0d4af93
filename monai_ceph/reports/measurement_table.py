"""The measurements of many films as a table: a row per film and measurement, or a row per film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_ceph.analysis import DEFINITIONS, Measurement, Norms, Sex
from monai_ceph.readers.radiograph import SpacingSource, square_spacing

if TYPE_CHECKING:
    from monai_ceph.result import Detection

__all__ = [
    "MEASUREMENT_COLUMNS",
    "WIDE_COLUMNS",
    "FilmMeasurements",
    "measurement_rows",
    "wide_row",
    "write_measurements_parquet",
]

_KINDS = {
    **dict.fromkeys(("film", "symbol", "measurement", "analyses"), str),
    **{"value": float, "unit": str, "low": float, "high": float, "reason": str, "uncertain": str, "scale": str},
    **{"norm": str, "norm_population": str, "norm_verified": bool, "norm_mean": float, "norm_sd": float},
    **{"norm_low": float, "norm_high": float, "deviation": float, "flag": str, "certain": bool, "image_uid": str},
    "profile": str,
}
MEASUREMENT_COLUMNS = tuple(_KINDS)
_SYMBOLS = tuple(definition.symbol for definition in DEFINITIONS)
WIDE_COLUMNS = ("film", *_SYMBOLS, "spacing_source", "pixel_spacing", "image_uid", "profile")

# films per row group, which are in memory together
_GROUP = 200


@dataclass(frozen=True)
class FilmMeasurements:
    """The measurements of one film.

    Attributes:
        film: what the film is called.
        measurements: in the order of :data:`~monai_ceph.analysis.DEFINITIONS`.
        pixel_spacing: (row, column) in mm; None if unknown.
        spacing_source: where it came from.
        image_uid: SOP Instance UID of a DICOM image.
        profile: name of the profile that moved the landmarks.
    """

    film: str
    measurements: Sequence[Measurement]
    pixel_spacing: tuple[float, float] | None = None
    spacing_source: SpacingSource = SpacingSource.NONE
    image_uid: str | None = None
    profile: str | None = None

    @classmethod
    def of(
        cls, detection: Detection, norms: Norms | None = None, sex: Sex | None = None, age: float | None = None
    ) -> FilmMeasurements:
        """Return the measurements of a detection; arguments as of :meth:`~monai_ceph.result.Detection.measure`."""
        return cls(
            detection.file,
            detection.measure(norms, sex, age),
            detection.pixel_spacing,
            detection.spacing_source,
            detection.image_uid,
            None if detection.profile is None else detection.profile.name,
        )


def _records(film: FilmMeasurements) -> Iterator[dict[str, Any]]:
    for each in film.measurements:
        low, high = each.interval or (None, None)
        record: dict[str, Any] = {
            "film": film.film,
            "symbol": each.symbol,
            "measurement": each.name,
            "analyses": "; ".join(each.analyses),
            "value": each.value,
            "unit": each.unit,
            "low": low,
            "high": high,
            "reason": each.reason,
            "uncertain": " ".join(each.uncertain) or None,
            "scale": None if each.scale is None else each.scale.value,
            "deviation": each.deviation,
            "flag": each.flag,
            "certain": each.certain,
            "image_uid": film.image_uid,
            "profile": film.profile,
        }
        if (norm := each.norm) is not None:
            limits = norm.limits
            record |= {"norm": norm.set, "norm_population": norm.people, "norm_verified": norm.verified}
            record |= {"norm_mean": norm.mean, "norm_sd": norm.sd, "norm_low": limits[0], "norm_high": limits[1]}
        yield record


def _text(value: Any, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    # no minus before what is rounded to zero
    return f"{round(value, digits) + 0.0:.{digits}f}" if isinstance(value, (int, float)) else str(value)


def measurement_rows(film: FilmMeasurements) -> Iterator[list[str]]:
    """Yield the rows of :data:`MEASUREMENT_COLUMNS` for one film; what is missing or unknown is empty.

    ``low`` and ``high`` are the 95 % interval, ``norm_low`` and ``norm_high`` the limits of the norm. Ratios have four
    decimals, everything else three.
    """
    for record in _records(film):
        digits = 4 if record["unit"] == "ratio" else 3
        yield [_text(record.get(column), digits) for column in MEASUREMENT_COLUMNS]


def wide_row(film: FilmMeasurements) -> list[str]:
    """Return the row of :data:`WIDE_COLUMNS` for one film: its values by the symbol of the measurement."""
    square = square_spacing(film.pixel_spacing)
    values = [_text(each.value, 4 if each.unit == "ratio" else 3) for each in film.measurements]
    scale = "" if square is None else f"{square:.6g}"
    return [film.film, *values, film.spacing_source.value, scale, film.image_uid or "", film.profile or ""]


def write_measurements_parquet(path: Path, films: Iterable[FilmMeasurements]) -> None:
    """Write one row per film and measurement, in place: the columns of ``measurements.csv``, typed and not rounded.

    Raises:
        OSError: if the file cannot be written.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds = {str: pyarrow.string(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(column, kinds[kind]) for column, kind in _KINDS.items()])
    remaining = iter(films)
    with ParquetWriter(path, schema) as writer:
        while group := list(islice(remaining, _GROUP)):
            records = [record for film in group for record in _records(film)]
            writer.write_table(pyarrow.Table.from_pylist(records, schema))
