"""Reports as HTML that works offline: of one film, of a batch, of two films. One file each, nothing from the network.

A policy in every page allows no other script than the one inside, so text from a film cannot become one even if a
template forgot to escape it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monai_ceph.reports.comparison import Comparison
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.report_content import CHART_LIMIT, CLASSES_TITLE, FilmReport, signed_number
from monai_ceph.reports.report_figure import Figure
from monai_ceph.version import __version__

__all__ = ["BatchEntry", "batch_html", "comparison_html", "report_html"]


@dataclass(frozen=True)
class BatchEntry:
    """A film on the page of a batch.

    Attributes:
        film: what it is called.
        link: address of its report, relative to the page.
        summary: what a person should know before opening it, in a few words.
        urgency: higher is looked at earlier; 0 if nothing is unusual.
        thumbnail: a small PNG; None if there is no picture.
        pdf: address of the PDF; None without one.
    """

    film: str
    link: str
    summary: str
    urgency: float
    thumbnail: bytes | None = None
    pdf: str | None = None


def report_html(report: FilmReport, figure: Figure, index: str | None = None) -> str:
    """Return the report of one film as a page.

    Args:
        report: what it says.
        figure: the film and its tracing.
        index: address of the batch's page; None without one.
    """
    svg, switches = Markup(figure.svg()), figure.switches()
    film = figure.film_png is not None
    return _render(
        "report.html", report=report, tracing=svg, switches=switches, note=figure.note, film=film, index=index
    )


def comparison_html(compared: Comparison) -> str:
    """Return the comparison of two films as a page."""
    return _render("compare.html", comparison=compared)


def batch_html(entries: Sequence[BatchEntry], failures: Sequence[tuple[str, str]]) -> str:
    """Return the page of a batch: first what needs a person, then what has no report and why, then the others.

    Args:
        entries: a film each, in any order.
        failures: film and reason.
    """
    films = f"{len(entries)} film{'' if len(entries) == 1 else 's'} with a report"
    if bare := sum(entry.thumbnail is None for entry in entries):
        films += f" ({bare} without a picture)"
    encoded = sorted(entries, key=lambda entry: (-entry.urgency, entry.film))
    shown = [
        {**vars(entry), "thumbnail": base64.b64encode(entry.thumbnail).decode() if entry.thumbnail else None}
        for entry in encoded
    ]
    return _render(
        "batch.html",
        counts=f"{films}, {len(failures)} with an error. Every report is a draft until a named person has signed it.",
        first=[entry for entry in shown if entry["urgency"] > 0],
        others=[entry for entry in shown if entry["urgency"] <= 0],
        failures=failures,
    )


def _render(template: str, **values: Any) -> str:
    environment, script = _environment()
    return environment.get_template(template).render(values, notice=NOTICE, script=script)


@cache
def _environment() -> tuple[Environment, Markup]:
    loader = PackageLoader("monai_ceph.reports", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = (Markup(loader.get_source(environment, name)[0]) for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(
        style=style,
        script_hash=f"sha256-{digest}",
        software=f"monai-ceph {__version__}",
        signed=signed_number,
        limit=CHART_LIMIT,
        classes_title=CLASSES_TITLE,
    )
    return environment, script
