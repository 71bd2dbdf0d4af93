"""A detection with the points that a person corrected in a table of landmarks or in a viewer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai_ceph.analysis.scale import rescaled
from monai_ceph.datasets.points import FilmPoints
from monai_ceph.errors import CephError
from monai_ceph.landmarks import landmark_of
from monai_ceph.readers.radiograph import square_spacing
from monai_ceph.reports.corrected_files import read_corrected_points
from monai_ceph.result import DetectedLandmark, Detection

__all__ = ["Corrections", "corrected"]

# tables have two or three decimals of a pixel
_SAME = 0.0051
# and six digits of the scale
_SAME_SCALE = 1e-5


class Corrections:
    """Landmarks that a person corrected, by film.

    Args:
        tables: tables and SR documents, as :func:`monai_ceph.reports.corrected_files.read_corrected_points` reads them.

    Raises:
        CephError: if a table cannot be read, or two tables have the same film.
        OSError: if there is no such file.
    """

    def __init__(self, tables: Sequence[Path]) -> None:
        self._by_name: dict[str, tuple[Path, FilmPoints]] = {}
        self._by_uid: dict[str, list[str]] = {}
        for table in tables:
            for film in read_corrected_points(table):
                if film.film in self._by_name:
                    raise CephError(f"{table}: {film.film} is also in {self._by_name[film.film][0]}; give one of them")
                self._by_name[film.film] = table, film
                if film.image_uid:
                    self._by_uid.setdefault(film.image_uid, []).append(film.film)
        self._unused = dict.fromkeys(self._by_name)

    def apply(self, detection: Detection) -> Detection:
        """Return the detection with the points of its film; the same detection if no table has the film.

        A film is found by its name. If no table has the name, it is found by its SOP Instance UID and its frame, unless
        two films of the tables share them, such as frames of one image in a table, which does not say the frame.
        """
        name: str | None = detection.file
        if name not in self._by_name:
            names = [
                name
                for name in self._by_uid.get(detection.image_uid or "", [])
                if self._by_name[name][1].frame in (None, detection.frame)
            ]
            name = names[0] if len(names) == 1 else None
        if name is None:
            return detection
        self._unused.pop(name, None)
        table, film = self._by_name[name]
        return corrected(detection, film, table.name)

    def unused(self) -> list[str]:
        """Return the films of the tables that no detection had."""
        return list(self._unused)


def corrected(detection: Detection, film: FilmPoints, source: str) -> Detection:
    """Return a detection with a person's points, for reports; a warning names them. It is not meant to be saved.

    A landmark without a place in the table is missing, unless it lies outside the film and the file is an SR document,
    which can hold no such point. A landmark that the person did not move keeps its status; one
    that was moved is ``ok``. Landmarks that only people place are added. A scale in the table replaces the film's.

    Args:
        detection: result for the film.
        film: the points of the table.
        source: name of the table, for the warning.
    """
    spacing, origin = detection.pixel_spacing, detection.spacing_source
    given = square_spacing(film.pixel_spacing)
    known = square_spacing(spacing)
    if given is not None and (known is None or not math.isclose(given, known, rel_tol=_SAME_SCALE)):
        spacing, origin = rescaled(film.places, (given, given), film.spacing_source)
    moved, removed, marks = [], [], []
    for mark in detection.landmarks:
        place = film.places.get(mark.symbol)
        if place is None and film.on_film_only and _outside(mark, detection):
            marks.append(mark)
            continue
        if place is None:
            if mark.x is not None:
                removed.append(mark.symbol)
            marks.append(mark.model_copy(update={"x": None, "y": None, "status": "missing", **_in_mm(None, None)}))
            continue
        update: dict[str, Any] = {}
        if mark.x is None or mark.y is None or not _near(place, (mark.x, mark.y)):
            moved.append(mark.symbol)
            update = {"x": place[0], "y": place[1], "status": "ok", "raw_x": None, "raw_y": None}
        if update or spacing != detection.pixel_spacing:
            update |= _in_mm(place, spacing)
        marks.append(mark.model_copy(update=update))
    symbols = {mark.symbol for mark in detection.landmarks}
    added = [symbol for symbol in film.places if symbol not in symbols]
    marks += [_extra(symbol, film.places[symbol], spacing) for symbol in added]
    said = " ".join(_sentences(moved + added, removed, source))
    update = {
        "landmarks": tuple(marks),
        "pixel_spacing": spacing,
        "spacing_source": origin,
        "warnings": (*((said,) if said else ()), *detection.warnings),
    }
    return detection.model_copy(update=update)


def _sentences(placed: list[str], removed: list[str], source: str) -> Iterator[str]:
    if placed:
        yield f"A person placed {', '.join(placed)} ({source})."
    if removed:
        yield f"A person marked {', '.join(removed)} as missing ({source})."


def _outside(mark: DetectedLandmark, detection: Detection) -> bool:
    if mark.x is None or mark.y is None:
        return False
    return not (-0.5 <= mark.x <= detection.columns - 0.5 and -0.5 <= mark.y <= detection.rows - 0.5)


def _near(one: Sequence[float], two: Sequence[float]) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(one, two, strict=True))


def _in_mm(place: Sequence[float] | None, spacing: tuple[float, float] | None) -> dict[str, float | None]:
    if place is None or spacing is None:
        return {"x_mm": None, "y_mm": None}
    return {"x_mm": place[0] * spacing[1], "y_mm": place[1] * spacing[0]}


def _extra(symbol: str, place: Sequence[float], spacing: tuple[float, float] | None) -> DetectedLandmark:
    landmark = landmark_of(symbol)
    assert landmark is not None
    in_mm = _in_mm(place, spacing)
    # no model saw it, so it has no score
    return DetectedLandmark.model_construct(
        number=landmark.number,
        name=landmark.name,
        symbol=symbol,
        x=place[0],
        y=place[1],
        status="ok",
        x_mm=in_mm["x_mm"],
        y_mm=in_mm["y_mm"],
    )
