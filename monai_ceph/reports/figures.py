"""The figures of a study: box plots, cumulative error, detection rates, Bland-Altman plots. They need matplotlib.

A run on the same readings draws the same SVG, byte for byte: it has no date, and its identifiers are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_ceph.analysis import Definition
from monai_ceph.analysis.agreement import agreement
from monai_ceph.errors import CephError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.metrics import SDR_THRESHOLDS, successful_detection_rate
from monai_ceph.study import Study, measurements_of_the_19

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "StudyFigure", "figure_files", "save_figure", "study_figures"]

FORMATS = ("png", "svg")

# from Okabe and Ito's palette, which people with colour blindness can tell apart
_MODEL, _DOCTORS, _LINE = "#0072B2", "#D55E00", "#555555"
_DPI = 150
_ON_A_PAGE = 12
# mm; what is beyond it is in the tables
_LONGEST = 10.0


@dataclass(frozen=True)
class StudyFigure:
    """A figure that can be drawn.

    Attributes:
        name: of the files, without suffix.
        draw: draws and returns it.
    """

    name: str
    draw: Callable[[], Figure]


def study_figures(study: Study, title: str, doctors: str) -> list[StudyFigure]:
    """Return the figures of a study.

    Args:
        study: the readings.
        title: of the study, such as ``test1, mean``, for the head of each figure.
        doctors: what to call the agreement of two annotators, such as ``junior against senior``.
    """
    errors: dict[str, np.ndarray] = {"model": study.evaluation.errors.numpy()}
    if study.doctor_errors is not None:
        errors[doctors] = study.doctor_errors.numpy()
    figures = [
        StudyFigure("box_plots", partial(_box_plots, errors["model"], title)),
        StudyFigure("cumulative_error", partial(_cumulative_error, errors, title)),
        StudyFigure("detection_rates", partial(_detection_rates, errors, title)),
    ]
    pages = _pages()
    for number, page in enumerate(pages, start=1):
        head = f"{title}: model minus truth, page {number} of {len(pages)}"
        panels = {
            _label(each): (
                study.measurements["model"][each.symbol],
                study.measurements["truth"][each.symbol],
            )
            for each in page
        }
        figures.append(StudyFigure(f"bland_altman_{number}", partial(_bland_altman, panels, head)))
    return figures


def _label(definition: Definition) -> str:
    """Return the symbol with the unit, unless the symbol ends with it, such as ``U1-NA (mm)``."""
    return definition.symbol if definition.symbol.endswith("(mm)") else f"{definition.symbol}, {definition.unit}"


def _pages() -> list[tuple[Definition, ...]]:
    """Return the measurements on each page of Bland-Altman plots."""
    found = measurements_of_the_19()
    return [found[start : start + _ON_A_PAGE] for start in range(0, len(found), _ON_A_PAGE)]


def figure_files() -> tuple[str, ...]:
    """Return the names of all files that the figures of a study have."""
    names = ("box_plots", "cumulative_error", "detection_rates")
    pages = (f"bland_altman_{number}" for number in range(1, len(_pages()) + 1))
    return tuple(f"{name}.{suffix}" for name in (*names, *pages) for suffix in FORMATS)


def save_figure(figure: StudyFigure, save: Callable[[str], Any]) -> None:
    """Draw a figure and write it in every one of :data:`FORMATS`.

    Args:
        figure: what to draw.
        save: takes a file name and returns a context that yields the path to write to.

    Raises:
        CephError: if matplotlib is not installed, or a file must not be replaced.
        OSError: if a file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise CephError("figures need matplotlib: pip install 'monai-ceph[figures]'") from error
    with mpl.rc_context(
        {"svg.hashsalt": "monai-ceph", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        drawn = figure.draw()
        for suffix in FORMATS:
            with save(f"{figure.name}.{suffix}") as path:
                drawn.savefig(Path(path), format=suffix, dpi=_DPI, metadata={"Date": None} if suffix == "svg" else {})
            # the parts were arranged for the first format, which takes longer than drawing them
            drawn.set_layout_engine("none")


def _figure(width: float, height: float, title: str, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, list(np.ravel(figure.subplots(rows, columns)))


def _box_plots(errors: np.ndarray, title: str) -> Figure:
    figure, (axes,) = _figure(10, 4.5, f"{title}: radial error of each landmark, {len(errors)} films")
    found = [column[np.isfinite(column)] for column in errors.T]
    missing = [int(np.isinf(column).sum()) for column in errors.T]
    axes.boxplot(
        found,
        widths=0.6,
        patch_artist=True,
        boxprops={"facecolor": "#9ecae1", "edgecolor": _MODEL},
        medianprops={"color": "black"},
        flierprops={"marker": ".", "markersize": 4, "markeredgecolor": _LINE},
    )
    axes.set_xticks(range(1, len(SYMBOLS) + 1))
    axes.set_xticklabels(
        [f"{symbol}\n{count} missing" if count else symbol for symbol, count in zip(SYMBOLS, missing, strict=True)],
        fontsize=8,
    )
    axes.axhline(SDR_THRESHOLDS[0], color=_LINE, linewidth=0.8, linestyle="--")
    axes.set_ylabel("radial error, mm")
    axes.set_ylim(bottom=0)
    note = f"box: quartiles; whiskers: at most 1.5 times its height; dashed: {SDR_THRESHOLDS[0]:g} mm"
    axes.set_xlabel(f"{note}; missing landmarks have no error", fontsize=8)
    return figure


def _cumulative_error(errors: Mapping[str, np.ndarray], title: str) -> Figure:
    figure, (axes,) = _figure(6, 4.5, f"{title}: cumulative error")
    for (label, each), colour in zip(errors.items(), (_MODEL, _DOCTORS), strict=False):
        known = np.sort(each[~np.isnan(each)])
        if not len(known):
            continue
        missing = int(np.isinf(known).sum())
        share = 100 * np.arange(1, len(known) + 1) / len(known)
        shown = known <= _LONGEST
        axes.step(
            [0.0, *known[shown], _LONGEST],
            [0.0, *share[shown], 100 * shown.mean()],
            where="post",
            color=colour,
            label=f"{label}: {len(known)} landmarks" + (f", {missing} missing" if missing else ""),
        )
    for threshold in SDR_THRESHOLDS:
        axes.axvline(threshold, color=_LINE, linewidth=0.6, linestyle=":")
    axes.set_xlim(0, _LONGEST)
    axes.set_ylim(0, 100)
    axes.set_xlabel("radial error, mm")
    axes.set_ylabel("annotated landmarks within it, %")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _detection_rates(errors: Mapping[str, np.ndarray], title: str) -> Figure:
    figure, (axes,) = _figure(6, 4.5, f"{title}: successful detection rates")
    width = 0.8 / len(errors)
    for number, ((label, each), colour) in enumerate(zip(errors.items(), (_MODEL, _DOCTORS), strict=False)):
        rates = [successful_detection_rate(torch.from_numpy(each), threshold) for threshold in SDR_THRESHOLDS]
        places = np.arange(len(SDR_THRESHOLDS)) + (number - (len(errors) - 1) / 2) * width
        bars = axes.bar(places, rates, width * 0.95, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(range(len(SDR_THRESHOLDS)))
    axes.set_xticklabels([f"{threshold:g} mm" for threshold in SDR_THRESHOLDS])
    axes.set_ylim(0, 105)
    axes.set_ylabel("annotated landmarks within the distance, %")
    axes.set_xlabel("missing landmarks count as failures", fontsize=8)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _bland_altman(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    rows = math.ceil(len(panels) / 3)
    figure, grid = _figure(10, 0.6 + 2.6 * rows, title, rows, 3)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, (label, (found, truth)) in zip(grid, panels.items(), strict=False):
        _panel(axes, label, found, truth)
    figure.supxlabel("mean of model and truth; lines: mean difference and 95 % limits of agreement", fontsize=8)
    return figure


def _panel(axes: Axes, label: str, found: np.ndarray, truth: np.ndarray) -> None:
    result = agreement(found, truth)
    missing = f", {result.missing} missing" if result.missing else ""
    axes.set_title(f"{label} (n = {result.films - result.missing}{missing})", fontsize=9)
    axes.plot((found + truth) / 2, found - truth, ".", color=_MODEL, markersize=4, alpha=0.7)
    axes.axhline(0, color=_LINE, linewidth=0.5)
    lines: Sequence[tuple[float, str]] = ((result.bias, "-"), (result.low, "--"), (result.high, "--"))
    for value, style in lines:
        if math.isfinite(value):
            axes.axhline(value, color=_DOCTORS, linewidth=1, linestyle=style)
            axes.annotate(
                f"{value:.3g}", (1, value), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="bottom"
            )
    axes.tick_params(labelsize=7)
