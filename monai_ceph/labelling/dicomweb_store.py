"""Films in a PACS, over DICOMweb. A person's landmarks are stored there as structured reports, and read from them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread

from monai_ceph.analysis import measure
from monai_ceph.analysis.scale import rescaled
from monai_ceph.archives.config import DicomWebService
from monai_ceph.archives.dicomweb import NO_PREFIXES, dicomweb
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.query import Found, Search, UnusableAnswerError, skipping, uid_of
from monai_ceph.archives.stow import TargetError, stow
from monai_ceph.errors import CephError
from monai_ceph.labelling.errors import NotThereError, RefusedError
from monai_ceph.labelling.store import FINAL, FilmStore, observer, plain_tag, safe_name
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.dicom_elements import first_value, is_uid
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.dicom_objects import write_object
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.reports.reviewed_report import Review, review_series_uid, reviewed_report
from monai_ceph.reports.sr_points import read_points
from monai_ceph.storage.atomic import written_beside

__all__ = ["MODALITIES", "DicomWebStore", "PacsFilm"]

logger = logging.getLogger(__name__)

MODALITIES = ("DX", "CR")
"""The usual modalities of cephalograms. Some archives store them as OT, PX or RG."""

_REFRESH_SECONDS = 5.0


@dataclass(frozen=True)
class PacsFilm:
    """The UIDs of an image in the PACS.

    Attributes:
        study: Study Instance UID.
        series: Series Instance UID.
        instance: SOP Instance UID, or None if the series has only one image.
    """

    study: str
    series: str
    instance: str | None


@dataclass
class _PacsList:
    """What the PACS listed last.

    Attributes:
        films: each film by its name.
        report_series: UIDs of all series of reports.
        labels: for each film, the path of its newest review as markups, or "" if it has none. Filled when needed.
        time: when the PACS was asked, in monotonic seconds.
    """

    films: dict[str, PacsFilm] = field(default_factory=dict)
    report_series: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)
    time: float = float("-inf")


class DicomWebStore(FilmStore):
    """The DX and CR films of a DICOMweb server (PS3.18: QIDO-RS, WADO-RS, STOW-RS).

    A film's name is its Series Instance UID, because OHIF asks for films by series. In a series with several images,
    the name is ``series/instance``. The list of films is at most five seconds old. If an answer about a study or series
    cannot be used, that study or series is left out and the log has a warning. Films are fetched when needed and kept
    in ``cache``. Labels with the tag ``final`` are stored in the PACS, all others in ``cache``.

    Args:
        service: address and login of the server. Error messages start with its name.
        cache: folder for films and labels. It contains patients' names, so only its owner gets access.
        modalities: which series to list.
        prefixes: path prefixes of the server's URLs, see :func:`monai_ceph.archives.dicomweb.dicomweb`.
        objects: settings of the reports.
    """

    def __init__(
        self,
        service: DicomWebService,
        cache: Path,
        modalities: Sequence[str] = MODALITIES,
        prefixes: Mapping[str, str | None] = NO_PREFIXES,
        objects: ObjectSettings = DEFAULT_SETTINGS,
    ) -> None:
        super().__init__(cache / "labels")
        self._service, self._prefixes = service, prefixes
        self._archive = DicomWebArchive(service, prefixes)
        self._films, self._reports = cache / "films", cache / "reports"
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o700)
        self._modalities = tuple(modalities)
        self._objects = objects
        self._last_list = _PacsList()
        self._skipped: list[str] = []
        self._lock = threading.RLock()
        self._title = service.url

    def list_images(self) -> list[str]:
        """Return the names of all films with these modalities."""
        return list(self._list().films)

    def canonical(self, image_id: str) -> str:
        """Return the name of a film in the PACS."""
        return self._found(image_id)[0]

    def film(self, image_id: str) -> tuple[str, Path]:
        """Return a film's name and its file in the cache. The film is fetched if it is not in the cache yet."""
        name, found = self._found(image_id)
        path = self._films / f"{name}.dcm"
        with self._lock:
            if not path.is_file():
                self._fetch(found, path)
        return name, path

    def _found(self, image_id: str) -> tuple[str, PacsFilm]:
        name = safe_name(image_id)
        if name not in self._list().films:
            self._find_series(name.partition("/")[0])
        found = self._list().films.get(name)
        if found is None:
            images = [other for other in self._list().films if other.startswith(f"{name}/")]
            hint = f"; the series has several images: {', '.join(images)}" if images else ""
            raise NotThereError(f"the PACS has no film {name!r} of modality {' or '.join(self._modalities)}{hint}")
        return name, found

    def _find_series(self, series: str) -> None:
        """Search for one series, which may have arrived since the PACS was last asked."""
        if not is_uid(series):
            return
        with self._lock:
            skipped: list[str] = []
            with self._archive.searching() as search:
                found = self._search(search, skipped, series)
            if skipped and not found:
                raise CephError(skipped[0])
            self._last_list.films = {**self._last_list.films, **found}

    def _list(self, fresh: bool = False) -> _PacsList:
        with self._lock:
            if fresh or time.monotonic() - self._last_list.time > _REFRESH_SECONDS:
                skipped: list[str] = []
                with self._archive.searching() as search:
                    films = self._search(search, skipped)
                    report_series = set()
                    for item in search("SERIES", {}, {"Modality": "SR"}):
                        with skipping(self._archive.name, skipped):
                            report_series.add(uid_of(self._archive.name, item, "SeriesInstanceUID"))
                # warn once, not every five seconds
                for text in sorted(set(skipped) - set(self._skipped)):
                    logger.warning("not listed: %s", text)
                self._skipped = skipped
                self._last_list = _PacsList(films, report_series, {}, time.monotonic())
            return self._last_list

    def _search(self, search: Search, skipped: list[str], series: str | None = None) -> dict[str, PacsFilm]:
        """Return the films with these modalities, from all series or from one."""
        films: dict[str, PacsFilm] = {}
        only = {"SeriesInstanceUID": series} if series else {}
        for modality in self._modalities:
            for item in search("SERIES", {}, {"Modality": modality, **only}):
                with skipping(self._archive.name, skipped):
                    films.update(self._in_series(search, item, skipped))
        return films

    def _in_series(self, search: Search, item: Dataset, skipped: list[str]) -> dict[str, PacsFilm]:
        series, study = (uid_of(self._archive.name, item, f"{level}InstanceUID") for level in ("Series", "Study"))
        if first_value(item, "NumberOfSeriesRelatedInstances") == 1:
            return {series: PacsFilm(study, series, None)}
        reasons: list[str] = []
        instances = self._instances(search, study, series, reasons)
        skipped.extend(f"{reason} (series {series})" for reason in reasons)
        # images for which the PACS gave an unusable answer are in the series, too
        single = len(instances) == 1 and not reasons
        return {series if single else f"{series}/{each}": PacsFilm(study, series, each) for each in instances}

    def _instances(self, search: Search, study: str, series: str, skipped: list[str]) -> list[str]:
        uids = []
        with skipping(self._archive.name, skipped):
            for item in search("IMAGE", {"StudyInstanceUID": study, "SeriesInstanceUID": series}, {}):
                with skipping(self._archive.name, skipped):
                    uids.append(uid_of(self._archive.name, item, "SOPInstanceUID"))
        return sorted(uids)

    def _fetch(self, film: PacsFilm, path: Path) -> None:
        instance = film.instance or self._only_instance(film)

        def save(dataset: Dataset) -> None:
            with written_beside(path) as part:
                dataset.save_as(part, enforce_file_format=True)

        self._archive.fetch(Found(film.study, film.series, instance), save)

    def _only_instance(self, film: PacsFilm) -> str:
        instances = self._all_instances(film.study, film.series)
        if len(instances) != 1:
            raise CephError(f"the series {film.series} had one image, and now has {len(instances)}. Open it again")
        return instances[0]

    def _all_instances(self, study: str, series: str) -> list[str]:
        skipped: list[str] = []
        with self._archive.searching() as search:
            instances = self._instances(search, study, series, skipped)
        if skipped:
            raise UnusableAnswerError(f"{skipped[0]} (series {series})")
        return instances

    def _save_points(
        self,
        name: str,
        film: Path,
        points: np.ndarray,
        info: dict[str, Any],
        tag: str,
        extra: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if tag != FINAL:
            super()._save_points(name, film, points, info, tag, extra)
            return
        if extra:
            logger.warning("%s: the report has no place for %s; only the label here keeps them", name, " ".join(extra))
        source = self._current_header(name, film)
        rows, columns = placement_of(film).size
        review = Review(
            file=name,
            image_uid=str(source.SOPInstanceUID),
            rows=rows,
            columns=columns,
            points=points,
            observer=observer(info),
            created=datetime.now(timezone.utc),
            **_scale_and_measurements(film, points),
        )
        report = reviewed_report(review, source, self._objects)
        self._store(name, report)
        # the report is in the PACS now. If anything below fails, the next list shows it
        self._last_list.time = float("-inf")
        try:
            super()._save_points(
                name, film, points, {**info, "sop_instance_uid": str(report.SOPInstanceUID)}, tag, extra
            )
            self._list(fresh=True)
        except (CephError, OSError) as error:
            logger.warning("the report of %s is in the PACS, but not listed here yet: %s", name, error)

    def _store(self, name: str, report: Dataset) -> None:
        try:
            with dicomweb(self._service, self._prefixes) as client:
                answer = stow(client, report)
        except TargetError as error:
            raise CephError(f"the PACS did not store the report of {name}: {error}") from error
        if not answer.taken:
            raise CephError(f"the PACS did not store the report of {name}: {answer.text}")
        if answer.text != "stored":
            logger.warning("the report of %s: %s", name, answer.text)

    def _current_header(self, name: str, film: Path) -> Dataset:
        """Fetch a film again and return its header: the patient's name may have been corrected meanwhile.

        Raises:
            CephError: the PACS does not answer, or now has another image under this name.
        """
        labelled_image = source_header(film).SOPInstanceUID
        with self._lock:
            self._list(fresh=True)
            self._fetch(self._found(name)[1], film)
        source = source_header(film)
        if source.SOPInstanceUID != labelled_image:
            raise CephError(f"the PACS now has another image for {name}. Open it again and place its landmarks there")
        return source

    def labelled(self, tag: str = FINAL) -> set[str]:
        """Return the names of the films with a label. With the tag ``final``, these have a review in the PACS."""
        if plain_tag(tag) != FINAL:
            return super().labelled(tag)
        listed = self._list()
        candidates = [
            name for name, film in listed.films.items() if review_series_uid(film.series) in listed.report_series
        ]
        return {name for name in candidates if self._has_review(name)}

    def _has_review(self, name: str) -> bool:
        """Return whether a film has a review, given that its series has one: it may be of another image."""
        try:
            return "/" not in name or bool(self.get_label_uri(name, FINAL))
        except UnusableAnswerError as error:
            logger.warning("not listed as labelled: %s: %s", name, error)
            return False

    def tags(self) -> list[str]:
        """Return the tags under which labels are saved, and ``final``."""
        return sorted({*super().tags(), FINAL})

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label's markups, or "" without one. With the tag ``final``, it is the newest review."""
        if plain_tag(label_tag) != FINAL:
            return super().get_label_uri(label_id, label_tag)
        name, path = self.film(label_id)
        listed = self._list()
        with self._lock:
            if name not in listed.labels:
                listed.labels[name] = self._newest_review(name, listed, path)
            return listed.labels[name]

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label with another tag than ``final``.

        Raises:
            RefusedError: the label is a report in the PACS.
        """
        if plain_tag(label_tag) == FINAL:
            raise RefusedError("the label is a report in the PACS, and this server removes nothing there")
        super().remove_label(label_id, label_tag)

    def _newest_review(self, name: str, listed: _PacsList, path: Path) -> str:
        film = listed.films[name]
        series = review_series_uid(film.series)
        if series not in listed.report_series:
            return ""
        image = str(source_header(path).SOPInstanceUID)
        reviews: dict[tuple[str, str], tuple[str, np.ndarray]] = {}
        for report in self._reports_in(film.study, series):
            if (points := read_points(report).get(image)) is not None:
                content_time = str(report.get("ContentDate", "")), str(report.get("ContentTime", ""))
                reviews[content_time] = str(report.SOPInstanceUID), points
        if not reviews:
            return ""
        uid, points = reviews[max(reviews)]
        target = self._file(name, FINAL)
        if not target.is_file() or self._read_info(target).get("sop_instance_uid") != uid:
            super()._save_points(name, path, points, {"sop_instance_uid": uid}, FINAL)
        return str(target)

    def _reports_in(self, study: str, series: str) -> Iterator[Dataset]:
        """Yield the reports of a series. A report that is in the cache is not fetched again."""
        for instance in self._all_instances(study, series):
            file = self._reports / f"{instance}.dcm"
            if not file.is_file():
                self._archive.fetch(Found(study, series, instance), partial(write_object, file))
            yield dcmread(file)


def _scale_and_measurements(film: Path, points: np.ndarray) -> dict[str, Any]:
    """Return what the report says of the scale, and the measurements of a person's points."""
    places = {
        mark.symbol: (float(x), float(y))
        for mark, (y, x) in zip(LANDMARKS, points[: len(LANDMARKS)], strict=True)
        if np.isfinite([x, y]).all()
    }
    try:
        radiograph = read_radiograph(film)
    except CephError as error:
        logger.warning("the report has no lengths: %s", error)
        return {"measurements": measure(places)}
    spacing, source = radiograph.pixel_spacing, radiograph.spacing_source
    if spacing is not None:
        spacing, source = rescaled(places, spacing, source)
    found = measure(places, spacing, spacing_source=source)
    return {"pixel_spacing": spacing, "spacing_source": source, "measurements": found}
