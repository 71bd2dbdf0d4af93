"""The tables of a study: what ``monai-ceph evaluate --out`` writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_ceph.analysis.agreement import Agreement
from monai_ceph.analysis.challenge import MEASURES, NO_CLASS
from monai_ceph.evaluation import error_row
from monai_ceph.landmarks import SYMBOLS, name_of
from monai_ceph.metrics import SDR_THRESHOLDS
from monai_ceph.study import Study, measurements_of_the_19

__all__ = ["StudyTable", "study_tables", "table_names"]


@dataclass(frozen=True)
class StudyTable:
    """A CSV table.

    Attributes:
        name: of the file.
        columns: header.
        rows: text or numbers; empty text where something is missing or not known.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterable[Iterable[Any]]


def study_tables(study: Study, measurements: bool = False, challenge: bool = False) -> list[StudyTable]:
    """Return the tables of a study.

    Coordinates are (x, y) in source pixels. Errors and differences are in mm, or in the unit of the measurement.

    Args:
        study: the readings.
        measurements: also the measurements and their agreement.
        challenge: also the classes of the ISBI 2015 challenge and their confusion matrices.
    """
    rates = tuple(f"sdr_{threshold:g}mm" for threshold in SDR_THRESHOLDS)
    tables = [
        StudyTable(
            "landmark_errors.csv",
            (
                *("film", "landmark", "symbol", "x", "y", "truth_x", "truth_y", "dx_mm", "dy_mm", "error_mm"),
                *("missing", "status", "score"),
            ),
            _landmark_errors(study),
        ),
        StudyTable(
            "film_errors.csv",
            ("film", "annotated", "missing", "mre_mm", "sd_mm", "largest_mm", "largest", *rates),
            _film_errors(study),
        ),
        StudyTable(
            "landmark_agreement.csv",
            ("landmark", "symbol", "compared", "axis", *_AGREEMENT),
            _landmark_agreement(study),
        ),
    ]
    if measurements:
        tables += [
            StudyTable("measurements.csv", ("film", "symbol", "unit", *study.readers), _measurements(study)),
            StudyTable(
                "measurement_agreement.csv", ("symbol", "unit", "compared", *_AGREEMENT), _measurement_agreement(study)
            ),
        ]
    if challenge:
        tables += [
            StudyTable("classes.csv", ("film", "measure", "rules", *study.readers), _classes(study)),
            StudyTable(
                "confusion.csv",
                ("measure", "rules", "compared", "row_is", "row", "column", "films", "row_total"),
                _confusion(study),
            ),
            StudyTable(
                "success_rates.csv",
                ("measure", "rules", "compared", "films", "missing", "without_class", "rate", "accuracy"),
                _success_rates(study),
            ),
        ]
    return tables


def table_names(measurements: bool = False, challenge: bool = False) -> tuple[str, ...]:
    """Return the file names of the tables of a study; arguments as for :func:`study_tables`."""
    return (
        *("landmark_errors.csv", "film_errors.csv", "landmark_agreement.csv"),
        *(("measurements.csv", "measurement_agreement.csv") if measurements else ()),
        *(("classes.csv", "confusion.csv", "success_rates.csv") if challenge else ()),
    )


_AGREEMENT = ("films", "missing", "mean_absolute", "bias", "sd", "low", "high", "dahlberg", "icc")


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def _agreement(found: Agreement) -> list[Any]:
    return [found.films, found.missing, *(_number(getattr(found, name)) for name in _AGREEMENT[2:])]


def _landmark_errors(study: Study) -> Iterator[list[Any]]:
    evaluation = study.evaluation
    errors, offsets = evaluation.errors.numpy(), evaluation.offsets.numpy()
    for film, detection in enumerate(evaluation.detections):
        for index, mark in enumerate(detection.landmarks):
            found, truth = (study.points[reader][film, index] for reader in ("model", "truth"))
            dy, dx = offsets[film, index]
            error = errors[film, index]
            yield [
                *(evaluation.names[film], mark.name, mark.symbol),
                *(_number(value, 2) for value in (*found, *truth)),
                *(_number(value) for value in (dx, dy, error)),
                *(int(np.isinf(error)), mark.status, _number(mark.score, 3)),
            ]


def _film_errors(study: Study) -> Iterator[list[Any]]:
    for name, errors in zip(study.evaluation.names, study.evaluation.errors, strict=True):
        row = error_row(name, errors[None])
        finite = np.where(np.isfinite(errors.numpy()), errors.numpy(), -1.0)
        worst = int(finite.argmax())
        largest = [_number(finite[worst]), SYMBOLS[worst]] if finite[worst] >= 0 else ["", ""]
        rates = (_number(rate, 2) for rate in row.sdr)
        yield [name, row.annotated, row.missing, _number(row.mre), _number(row.sd), *largest, *rates]


def _landmark_agreement(study: Study) -> Iterator[list[Any]]:
    for reader, reference in _comparisons(study):
        for each in study.landmark_agreement(reader, reference):
            for axis in ("x", "y"):
                compared = f"{reader} - {reference}"
                yield [name_of(each.symbol), each.symbol, compared, axis, *_agreement(getattr(each, axis))]


def _comparisons(study: Study) -> list[tuple[str, str]]:
    return [("model", "truth"), *([("junior", "senior")] if study.two_annotators else [])]


def _measurements(study: Study) -> Iterator[list[Any]]:
    found = study.measurements
    for film, name in enumerate(study.evaluation.names):
        for each in measurements_of_the_19():
            values = (_number(float(found[reader][each.symbol][film])) for reader in study.readers)
            yield [name, each.symbol, each.unit, *values]


def _measurement_agreement(study: Study) -> Iterator[list[Any]]:
    for each in study.measurement_agreement():
        start = (each.definition.symbol, each.definition.unit)
        yield [*start, "model - truth", *_agreement(each.model)]
        if each.doctors is not None:
            yield [*start, "junior - senior", *_agreement(each.doctors)]


_RULES = ((True, "challenge"), (False, "corrected"))


def _classes(study: Study) -> Iterator[list[Any]]:
    for exact, rules in _RULES:
        found = study.classes(exact)
        for film, name in enumerate(study.evaluation.names):
            for index, measure in enumerate(MEASURES):
                classes = (int(found[reader][film, index]) for reader in study.readers)
                yield [name, measure.symbol, rules, *("" if each == NO_CLASS else each for each in classes)]


def _success_rates(study: Study) -> Iterator[list[Any]]:
    for exact, rules in _RULES:
        compared = study.class_agreement(exact)
        for pair, results in (("model - truth", compared.model), ("junior - senior", compared.doctors or ())):
            for each in results:
                figures = (_number(each.rate, 2), _number(each.accuracy, 2))
                yield [each.symbol, rules, pair, each.films, each.missing, each.unclassed, *figures]


def _confusion(study: Study) -> Iterator[list[Any]]:
    for exact, rules in _RULES:
        compared = study.class_agreement(exact)
        for pair, results in (("model - truth", compared.model), ("junior - senior", compared.doctors or ())):
            for each in results:
                of_row = pair.split(" - ")[0 if each.exchanged else 1]
                for row, total, counts in zip(each.classes, each.row_totals, each.matrix, strict=True):
                    for column, films in zip(each.classes, counts, strict=True):
                        yield [each.symbol, rules, pair, of_row, row, column, int(films), total]
