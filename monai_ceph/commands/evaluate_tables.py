"""The tables that ``monai-ceph evaluate`` prints. 80 columns hold each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from monai_ceph.analysis.agreement import Agreement
    from monai_ceph.analysis.challenge import ClassAgreement
    from monai_ceph.evaluation import Row
    from monai_ceph.study import Compared, LandmarkAgreement, MeasurementAgreement

__all__ = ["confusion_table", "error_table", "landmark_table", "measurement_table", "rate_table"]

_NONE = "-"


def _table(title: str, caption: str, first: Sequence[str], columns: Iterable[str], width: int = 0) -> Table:
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in first:
        table.add_column(name, no_wrap=True, min_width=width or None)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else _NONE


def error_table(title: str, rows: Iterable[Row]) -> Table:
    """Return the table of radial errors: missing, MRE, SD and SDR."""
    from monai_ceph.metrics import SDR_THRESHOLDS

    caption = "missing: not found, out of annotated. MRE and SD in mm without them; SDR in % counts them as failures"
    names = ("missing", "MRE", "SD", *(f"{threshold:g} mm" for threshold in SDR_THRESHOLDS))
    table = _table(title, caption, ("",), names, 24)
    for row in rows:
        figures = (f"{row.mre:.3f}", f"{row.sd:.3f}", *(f"{rate:.2f}" for rate in row.sdr))
        table.add_row(escape(row.label), f"{row.missing}/{row.annotated}", *figures)
    return table


def landmark_table(title: str, rows: Iterable[LandmarkAgreement]) -> Table:
    """Return the table of the coordinates' agreement: bias, Dahlberg's error and ICC along both axes."""
    from monai_ceph.landmarks import index_of, name_of

    caption = "in mm, bias: mean of model minus truth, Dahl: Dahlberg's error; x right, y down"
    names = ("missing", "bias x", "bias y", "Dahl x", "Dahl y", "ICC x", "ICC y")
    table = _table(title, caption, ("",), names, 24)
    for row in rows:
        figures = [_number(getattr(axis, name), 3) for name in ("bias", "dahlberg", "icc") for axis in (row.x, row.y)]
        label = f"{index_of(row.symbol) + 1} {name_of(row.symbol)}"
        table.add_row(label, f"{row.x.missing}/{row.x.films}", *figures)
    return table


def measurement_table(title: str, rows: Iterable[MeasurementAgreement], doctors: str | None) -> Table:
    """Return the table of the measurements' agreement, beside that of two annotators if there are two."""
    caption = "MAD: mean absolute difference; bias: mean difference, model minus truth; both in the unit"
    if doctors is not None:
        caption += f". Columns with a star: {doctors}"
    names = ("missing", "MAD", "bias", "ICC", *(("MAD*", "bias*", "ICC*") if doctors is not None else ()))
    table = _table(title, caption, ("measurement", "unit"), names)
    for row in rows:
        figures = _three(row.model)
        if row.doctors is not None:
            figures += _three(row.doctors)
        missing = f"{row.model.missing}/{row.model.films}"
        table.add_row(escape(row.definition.symbol), row.definition.unit, missing, *figures)
    return table


def _three(found: Agreement) -> list[str]:
    return [_number(found.mean_absolute, 3), _number(found.bias, 3), _number(found.icc, 3)]


def rate_table(title: str, exact: Compared, corrected: Compared, doctors: str | None) -> Table:
    """Return the table of success classification rates and of the share of films with the right class."""
    caption = "SCR: mean of the diagonal in %; right: films with the right class in %; c: corrected definitions"
    if doctors is not None:
        caption += f". Columns with a star: {doctors}"
    names = ["missing", "SCR", "right", "SCR c", "right c"]
    if doctors is not None:
        names += ["SCR*", "right*", "SCR* c", "right* c"]
    table = _table(title, caption, ("",), names)
    columns = [each for pair in (exact, corrected) for each in (pair.model,)]
    if exact.doctors is not None and corrected.doctors is not None:
        columns += [exact.doctors, corrected.doctors]
    for index, measure in enumerate(exact.model):
        figures = [_number(value, 1) for column in columns for value in (column[index].rate, column[index].accuracy)]
        table.add_row(measure.symbol, f"{measure.missing}/{measure.films}", *figures)
    means = [
        _number(_mean([getattr(each, name) for each in column]), 2)
        for column in columns
        for name in ("rate", "accuracy")
    ]
    missing, films = sum(each.missing for each in exact.model), sum(each.films for each in exact.model)
    table.add_row("mean", f"{missing}/{films}", *means)
    return table


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def confusion_table(title: str, results: Iterable[ClassAgreement]) -> Table:
    """Return the confusion matrices of the eight measures, one under the other, each row in per cent."""
    from monai_ceph.analysis.challenge import MEASURES

    caption = "each row in % of its films; FHI and FMA: a row is a class that was found, as in the challenge's code"
    table = _table(title, caption, ("", "row", ""), ("films", "1", "2", "3", "4"))
    for measure, result in zip(MEASURES, results, strict=True):
        who = "found" if result.exchanged else "truth"
        for index, (row, total) in enumerate(zip(result.classes, result.row_totals, strict=True)):
            shares = dict(zip(result.classes, result.matrix[index], strict=True))
            figures = [
                _number(100 * shares[each] / total, 2) if each in shares and total else _NONE for each in (1, 2, 3, 4)
            ]
            start = (measure.symbol if index == 0 else "", f"{who} {row}", measure.classes[row - 1])
            table.add_row(*start, str(total), *figures)
    return table
