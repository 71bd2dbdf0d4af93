"""How far reviewers move points, and how well readers agree: figures from what is on the disk."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from monai_ceph.analysis.agreement import agreement
from monai_ceph.result import Detection
from monai_ceph.review.audit import AUDIT, entries
from monai_ceph.review.films import ResultFilms
from monai_ceph.review.reviewing import reviewed
from monai_ceph.review.store import RevisionStore

__all__ = ["AUDIT_COLUMNS", "READER_COLUMNS", "accuracy", "audit_csv", "paired_values", "readers", "readers_csv"]

AUDIT_COLUMNS = (
    *("sequence", "at", "event", "film", "revision", "replaces", "reviewer", "symbol", "source"),
    *("detected_x", "detected_y", "x", "y", "observer", "weights_sha256", "recipe_sha256"),
    *("target", "kind", "uid", "answer"),
)
_FIGURES = ("films", "missing", "mean_absolute", "bias", "sd", "low", "high", "dahlberg", "icc")
READER_COLUMNS = ("reader", "reference", "kind", "symbol", "axis", "unit", *_FIGURES)
MODEL = "model"


def accuracy(films: ResultFilms, store: RevisionStore) -> list[dict[str, Any]]:
    """Return per landmark how far reviewers moved points, over the last signed revision of each film.

    A point that was not moved counts as 0, because the person signed it where it was. Distances are in mm where the
    film has a scale; other films are left out, and counted.
    """
    distances: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {"moved": 0, "removed": 0, "added": 0, "without_scale": 0})
    for film in films.all():
        final = store.signed(film.stem)
        if final is None:
            continue
        detection = reviewed(film.detection, final.points, final.calibration)
        places = {mark.symbol: (mark.x, mark.y) for mark in film.detection.landmarks}
        for point in final.points:
            if point.symbol not in places:
                continue
            x, y = places[point.symbol]
            count = counts[point.symbol]
            if x is None or y is None or point.x is None or point.y is None:
                count["removed"] += x is not None and point.x is None
                count["added"] += x is None and point.x is not None
            elif (spacing := detection.pixel_spacing) is None:
                count["without_scale"] += 1
            else:
                step = math.hypot((point.x - x) * spacing[1], (point.y - y) * spacing[0])
                count["moved"] += step > 0
                distances[point.symbol].append(step)
    rows = []
    for symbol, count in counts.items():
        found = distances[symbol]
        median, most = (float(value) for value in np.percentile(found, (50, 95))) if found else (None, None)
        rows.append({"symbol": symbol, "films": len(found), "median_mm": median, "p95_mm": most, **count})
    return rows


def readers(films: ResultFilms, readings: Path) -> list[dict[str, Any]]:
    """Return the agreement of all pairs of blind readers, and of each reader with the model.

    Coordinates count in mm, along x and y of the film, and measurements in their unit. Only signed readings take part.

    Args:
        films: the results.
        readings: folder with a folder per reader.
    """
    rows = []
    for reading, reference, values, truth in _pairs(films, readings):
        ours, theirs = _values(values), _values(truth)
        stems = sorted(truth.keys() & values.keys())
        for key in sorted(theirs.keys() & ours.keys()):
            one, other = (np.array([each[key].get(stem, math.nan) for stem in stems]) for each in (ours, theirs))
            figures = agreement(one, other).as_dictionary()
            if figures["films"]:
                row = {"reader": reading, "reference": reference, **_named(key)}
                rows.append({**row, **{name: figures[name] for name in _FIGURES}})
    return rows


def paired_values(films: ResultFilms, readings: Path, reader: str, reference: str) -> list[dict[str, Any]] | None:
    """Return the values of a reader and a reference film by film, for a plot: the pairs behind :func:`readers`.

    Args:
        films: the results.
        readings: folder with a folder per reader.
        reader: as in a row of :func:`readers`.
        reference: likewise.

    Returns:
        Per coordinate and measurement ``kind``, ``symbol``, ``axis``, ``unit`` and ``values``, which have ``film``,
        ``reader`` and ``reference`` each. None if there is no such pair.
    """
    for one, other, values, truth in _pairs(films, readings):
        if (one, other) == (reader, reference):
            names = {film.stem: film.detection.file for film in films.all()}
            ours, theirs = _values(values), _values(truth)
            found = []
            for key in sorted(theirs.keys() & ours.keys()):
                stems = sorted(theirs[key].keys() & ours[key].keys())
                pairs = [
                    {"film": names[stem], "reader": ours[key][stem], "reference": theirs[key][stem]} for stem in stems
                ]
                if pairs:
                    found.append({**_named(key), "values": pairs})
            return found
    return None


_Key = tuple[str, str, str, str]
_Readings = dict[str, Detection]


def _named(key: _Key) -> dict[str, str]:
    return dict(zip(("kind", "symbol", "axis", "unit"), key, strict=True))


def _pairs(films: ResultFilms, readings: Path) -> list[tuple[str, str, _Readings, _Readings]]:
    """Return reader, reference, and the films of both by stem: all pairs of readers, then the model with each."""
    all_films = films.all()
    by_stem = {film.stem: film for film in all_films}
    read: dict[str, _Readings] = {}
    for folder in sorted(path for path in readings.glob("*") if path.is_dir()):
        store = RevisionStore(folder)
        found = {film.stem: last for film in all_films if (last := store.signed(film.stem))}
        if found:
            name = next(iter(found.values())).reviewer or folder.name
            read[name] = {
                stem: reviewed(by_stem[stem].detection, last.points, last.calibration) for stem, last in found.items()
            }
    machine = {film.stem: film.detection for film in all_films}
    pairs = [(other, one, read[other], read[one]) for one, other in combinations(read, 2)]
    return pairs + [(MODEL, name, machine, found) for name, found in read.items()]


def _values(films: dict[str, Detection]) -> dict[_Key, dict[str, float]]:
    """Return the numbers of a reader by kind, symbol, axis and unit, and then by film."""
    found: dict[_Key, dict[str, float]] = defaultdict(dict)
    for stem, detection in films.items():
        for mark in detection.landmarks:
            if mark.x_mm is not None and mark.y_mm is not None:
                found["landmark", mark.symbol, "x", "mm"][stem] = mark.x_mm
                found["landmark", mark.symbol, "y", "mm"][stem] = mark.y_mm
        for each in detection.measure():
            if each.value is not None:
                found["measurement", each.symbol, "", each.unit][stem] = each.value
    return found


def readers_csv(rows: list[dict[str, Any]]) -> str:
    """Return :func:`readers` as CSV; what is not known is empty."""
    return _csv(READER_COLUMNS, [[_number(row[column]) for column in READER_COLUMNS] for row in rows])


def audit_csv(folder: Path) -> str:
    """Return the audit as CSV: a row per landmark that a person placed, moved or took away, or one without any.

    A sending has one row.

    Raises:
        CephError: a line of the audit cannot be read.
    """
    rows = []
    for entry in entries(folder / AUDIT):
        shared = {name: entry.get(name) for name in AUDIT_COLUMNS}
        for move in entry.get("moves") or [{}]:
            before, after = move.get("from") or ("", ""), move.get("to") or ("", "")
            place = {"detected_x": before[0], "detected_y": before[1], "x": after[0], "y": after[1]}
            row = {**shared, "symbol": move.get("symbol"), "source": move.get("source"), **place}
            # who saved the revision need not be who moved the point
            row["observer"] = move.get("by")
            rows.append([_number(row[column]) for column in AUDIT_COLUMNS])
    return _csv(AUDIT_COLUMNS, rows)


def _number(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    text = str(value)
    # a spreadsheet would compute a name that begins like a formula
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _csv(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
