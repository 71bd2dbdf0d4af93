"""Reports as PDF: of one film, and of two films of one patient."""

from __future__ import annotations

from monai_ceph.reports.comparison import Comparison
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.pdf_page import SOFT, STRONG, VERDICT_COLOURS, WARN, PdfPage, TableLine
from monai_ceph.reports.report_content import CLASSES_TITLE, FilmReport, MeasurementRow, signed_number
from monai_ceph.reports.report_figure import Figure

__all__ = ["pdf_comparison", "pdf_report"]

_DOUBT = "#7a0000"


def pdf_report(report: FilmReport, figure: Figure) -> bytes:
    """Return the report of one film as a PDF, on one page unless there is much to say.

    Args:
        report: what it says.
        figure: the film and its tracing.

    Raises:
        CephError: ReportLab is not installed.
    """
    title = f"Cephalometric report: {report.film}"
    page = PdfPage(title, report.standing)
    page.heading(title)
    if report.image_uid and report.image_uid != report.film:
        page.text(f"Image UID {report.image_uid}", colour=SOFT)
    page.badge(report.standing, signed=report.signed)
    if report.uncertain:
        page.text("The film as a whole is uncertain. Look at every point before you use a figure.", STRONG, _DOUBT)
    page.text(NOTICE, STRONG)
    for warning in report.warnings:
        page.text(f"Warning: {warning}", colour=WARN)
    facts = [f"{name}: {value}" for name, value in report.facts]
    norms = [] if report.chart else ["No measurement of this film has a norm."]
    page.beside(page.figures([figure]), report.chart, [*norms, *(facts if report.facts_beside else [])])
    page.text(f"{report.landmarks} {figure.note}")
    if report.chart:
        page.text("Chart: deviation from the norm in SD. Dot: value; bar: 95 % interval.", colour=SOFT)
    titles = ["measurement", "value, 95 % interval", *(["norm", "SD"] if report.norms else [])]
    shares = [0.24, 0.38, 0.18, 0.2] if report.norms else [0.3, 0.7]
    lines: list[TableLine] = []
    for group in report.groups:
        lines.append(TableLine((group.title,)))
        lines += [_line(row, bool(report.norms)) for row in group.rows]
    page.table(lines, titles, shares)
    if not lines:
        page.text("Nothing could be measured.", STRONG)
    if report.classes:
        # a sentence takes half the room of a table, and the report should stay on one sheet
        classes = "; ".join(f"{row.symbol} {row.text}" for row in report.classes)
        page.text(f"{CLASSES_TITLE}: {classes}.")
    if report.absent:
        page.text("Not measured: " + "; ".join(f"{symbols} ({reason})" for reason, symbols in report.absent) + ".")
    page.text(" ".join(report.explanations), colour=SOFT)
    if not report.facts_beside:
        page.text("; ".join(facts), colour=SOFT)
    return page.finish()


def _line(row: MeasurementRow, normed: bool) -> TableLine:
    unsure = f" ({row.uncertain} uncertain)" if row.uncertain else ""
    value = row.value + (f" ({row.interval})" if row.interval else "") + unsure
    if not normed:
        return TableLine((row.symbol, value))
    deviation = "" if row.deviation is None else signed_number(row.deviation)
    return TableLine(
        (row.symbol, value, row.norm, f"{deviation} {row.verdict}".strip()), VERDICT_COLOURS.get(row.verdict)
    )


def pdf_comparison(compared: Comparison) -> bytes:
    """Return the comparison of two films as a PDF.

    Raises:
        CephError: ReportLab is not installed.
    """
    page = PdfPage(compared.title, compared.standing)
    page.heading(compared.title)
    page.badge(compared.standing, signed=False)
    page.text(NOTICE, STRONG)
    for film in compared.films:
        uid = f", image UID {film.image_uid}" if film.image_uid and film.image_uid != film.name else ""
        page.text(f"{film.role}: {film.name}{uid}. {film.facts}", colour=film.colour)
    for warning in compared.warnings:
        page.text(f"Warning: {warning}", colour=WARN)
    if compared.overlays:
        page.figures(compared.overlays)
    lines: list[TableLine] = []
    for group in compared.groups:
        lines.append(TableLine((group.title,)))
        for row in group.rows:
            interval = f" ({row.interval})" if row.interval else ""
            cells = (row.symbol, f"{row.first}, {row.second}", row.change + interval, row.verdict)
            lines.append(TableLine(cells, WARN if row.verdict == "exceeded" else None))
    titles = ("measurement", "first, second", "change, 95 % interval", "method's error")
    page.table(lines, titles, (0.22, 0.26, 0.31, 0.21))
    if not lines:
        page.text("No measurement can be compared.", STRONG)
    if compared.absent:
        page.text("Not compared: " + "; ".join(f"{symbols} ({reason})" for reason, symbols in compared.absent) + ".")
    page.text(" ".join(compared.explanations), colour=SOFT)
    return page.finish()
