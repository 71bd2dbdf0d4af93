"""The films of a folder of results, as a worklist."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_ceph.analysis.challenge import MEASURES, film_classes, measurement_of
from monai_ceph.errors import CephError
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.reports.json_result import read_detection
from monai_ceph.reports.measurement_record import MeasurementRecord
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.result import Detection
from monai_ceph.work.result_films import Films, is_results, radiograph_of

__all__ = ["ResultFilms", "ReviewFilm"]

_SEARCH_SECONDS = 2.0
# MW takes its interval from overjet and overbite
_CLASSED = {*map(measurement_of, MEASURES), "Overjet", "Overbite"}


@dataclass(frozen=True)
class ReviewFilm:
    """One film of the worklist.

    Attributes:
        id: opaque, for URLs; the same as long as the results are there.
        stem: name of its files in the results.
        detection: what the model found.
        open_classes: symbols of the measurements whose class is not certain, as the results have them.
    """

    id: str
    stem: str
    detection: Detection
    open_classes: tuple[str, ...] = ()

    def attention(self, decided: Collection[str] = ()) -> list[dict[str, str]]:
        """Return why a person should look, the most urgent first.

        Args:
            decided: symbols of the landmarks that a person placed or called absent since.
        """
        detection = self.detection
        found = []
        if detection.state == "uncertain":
            found.append({"code": "film", "text": "the film as a whole is uncertain"})
        for status in ("missing", "uncertain"):
            if symbols := self.symbols(status, decided):
                found.append({"code": status, "text": f"{status}: {', '.join(symbols)}"})
        if detection.spacing_source is SpacingSource.IMPLAUSIBLE:
            found.append({"code": "scale", "text": "the stated scale is implausible"})
        found += [{"code": "warning", "text": warning} for warning in detection.warnings]
        if self.open_classes and not decided:
            found.append({"code": "class", "text": f"class not certain: {', '.join(self.open_classes)}"})
        return found

    def symbols(self, status: str, decided: Collection[str] = ()) -> list[str]:
        """Return the symbols of the landmarks with this status, without those that a person decided."""
        marks = self.detection.landmarks
        return [mark.symbol for mark in marks if mark.status == status and mark.symbol not in decided]

    def urgency(self, decided: Collection[str] = ()) -> tuple[float, ...]:
        """Return how much the film needs a person, for a comparison: the larger, the more.

        In this order: the film as a whole, landmarks without a place or with a radius that is too long, warnings and
        an implausible scale, classes that are not certain, and the longest radius, as a share of the film's width.
        """
        detection = self.detection
        implausible = detection.spacing_source is SpacingSource.IMPLAUSIBLE
        radii = [mark.radius_90_px for mark in detection.landmarks if mark.symbol not in decided and mark.radius_90_px]
        return (
            detection.state == "uncertain",
            10 * len(self.symbols("missing", decided)) + len(self.symbols("uncertain", decided)) + 5 * implausible,
            len(detection.warnings),
            0 if decided else len(self.open_classes),
            max(radii, default=0.0) / detection.columns,
        )


class ResultFilms:
    """Reads the JSON files of a folder of results, each once as long as it does not change.

    Args:
        results: folder that ``monai-ceph detect`` wrote.
        films: files and folders with the films.
        objects: settings of the DICOM objects that are made of reviews.

    Raises:
        CephError: the folder holds no JSON results.
    """

    def __init__(self, results: Path, films: list[Path], objects: ObjectSettings = DEFAULT_SETTINGS) -> None:
        if not is_results(results):
            raise CephError(f"{results}: no results as JSON. Detect with json among --formats first")
        self.objects = objects
        self._folder, self._roots = results / "json", films
        self._films, self._next_search = Films(films), time.monotonic() + _SEARCH_SECONDS
        self._known: dict[str, tuple[tuple[int, int], ReviewFilm | None]] = {}
        self._by_id: dict[str, ReviewFilm] = {}
        self._patients: dict[tuple[str, int, int], dict[str, str] | None] = {}
        self._lock = threading.Lock()

    def all(self) -> list[ReviewFilm]:
        """Return the films in the order of their names; a file that is no result is left out."""
        with self._lock:
            seen: dict[str, tuple[tuple[int, int], ReviewFilm | None]] = {}
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".json") and not entry.name.startswith(".") and entry.is_file():
                        status = entry.stat()
                        version = (status.st_mtime_ns, status.st_size)
                        known = self._known.get(entry.name)
                        seen[entry.name] = (
                            known if known and known[0] == version else (version, self._read(Path(entry.path)))
                        )
            self._known = seen
            found = [film for _, film in seen.values() if film is not None]
            self._by_id = {film.id: film for film in found}
        return sorted(found, key=lambda film: film.detection.file)

    def get(self, film_id: str) -> ReviewFilm | None:
        """Return a film by its id, None if there is none. If its file has not changed, no other file is read."""
        with self._lock:
            film = self.unchanged(film_id)
        if film is None:
            self.all()
            film = self._by_id.get(film_id)
        return film

    def unchanged(self, film_id: str) -> ReviewFilm | None:
        """Return a film whose file is as it was read, otherwise None. It reads no file and waits for nobody."""
        film = self._by_id.get(film_id)
        if film is None:
            return None
        name = f"{film.stem}.json"
        try:
            status = (self._folder / name).stat()
        except OSError:
            return None
        # by its name again: another thread may be reading the folder
        known = self._known.get(name)
        return known[1] if known is not None and known[0] == (status.st_mtime_ns, status.st_size) else None

    def faulty(self) -> list[str]:
        """Return the names of files that are no results."""
        self.all()
        return sorted(name for name, (_, film) in self._known.items() if film is None)

    @staticmethod
    def _read(file: Path) -> ReviewFilm | None:
        try:
            detection = read_detection(file)
        except CephError:
            return None
        stem = file.name.removesuffix(".json")
        return ReviewFilm(hashlib.sha256(os.fsencode(stem)).hexdigest()[:32], stem, detection, _open_classes(file))

    def path(self, film: ReviewFilm) -> Path | None:
        """Return the file of a film, None if it is not at hand. Films that come later, such as to a node, are found."""
        found = self._films.find(film.detection)
        if found is None:
            with self._lock:
                if time.monotonic() >= self._next_search:
                    start = time.monotonic()
                    self._films = Films(self._roots)
                    # a large folder is searched for a small part of the time
                    self._next_search = time.monotonic() + max(_SEARCH_SECONDS, 20 * (time.monotonic() - start))
                found = self._films.find(film.detection)
        return found

    def key(self, film: ReviewFilm) -> str:
        """Return a text that changes with the film's file.

        Raises:
            CephError: the film is not at hand.
        """
        path = self.path(film)
        if path is None:
            raise CephError(f"{film.detection.file}: the film is not at hand. Start the review with --films FOLDER")
        try:
            status = path.stat()
        except OSError as error:
            raise CephError(f"{film.detection.file}: {error.strerror}") from error
        return f"{film.stem}\n{path.absolute()}\n{status.st_mtime_ns}\n{status.st_size}"

    def read(self, film: ReviewFilm) -> Radiograph:
        """Read a film.

        Raises:
            CephError: it is not at hand, cannot be read, or is another image than that of the result.
        """
        radiograph, why = radiograph_of(self._films, film.detection)
        if radiograph is None:
            raise CephError(why or f"{film.detection.file}: the film is not at hand. Start with --films FOLDER")
        return radiograph

    def patient(self, film: ReviewFilm) -> dict[str, Any] | None:
        """Return name, id, birth date and sex from a DICOM film; None without one."""
        path = self.path(film) if film.detection.image_uid else None
        if path is None:
            return None
        try:
            status = path.stat()
            key = (str(path), status.st_mtime_ns, status.st_size)
            if key not in self._patients:
                self._patients[key] = _patient(path)
        except OSError:
            return None
        return self._patients[key]


def _open_classes(file: Path) -> tuple[str, ...]:
    """Return a film's measurements whose class is not certain, from its JSON: measuring again takes longer."""
    try:
        written = json.loads(file.read_bytes()).get("measurements", ())
        records = [MeasurementRecord.model_validate(each) for each in written if each["symbol"] in _CLASSED]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ()  # an earlier version had other measurements
    return tuple(each.symbol for each in film_classes(records) if len(each.classes) > 1)


def _patient(path: Path) -> dict[str, str] | None:
    from pydicom import dcmread

    names = {"name": "PatientName", "id": "PatientID", "birth_date": "PatientBirthDate", "sex": "PatientSex"}
    try:
        with quiet():
            head = dcmread(path, stop_before_pixels=True, specific_tags=list(names.values()))
            return {key: str(head.get(name) or "") for key, name in names.items()}
    except Exception:  # decoders document few of their exceptions; without a header there is no name to show
        return None
