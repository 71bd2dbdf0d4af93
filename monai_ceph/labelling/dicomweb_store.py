"""Films in a PACS, over DICOMweb. What a person saves goes back into it as a structured report, and is found there."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import requests
from pydicom import Dataset, dcmread

from monai_ceph.archives.stow import store_answer
from monai_ceph.errors import CephError
from monai_ceph.labelling.errors import NotThereError, RefusedError
from monai_ceph.labelling.placement import placement_of
from monai_ceph.labelling.store import FINAL, FilmStore, observer, plain_tag, safe_name
from monai_ceph.reports.dicom_objects import write_object
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.reviewed_report import Review, read_points, review_series_uid, reviewed_report
from monai_ceph.storage.atomic import written_beside

__all__ = ["MODALITIES", "DicomWebStore", "PacsFilm"]

logger = logging.getLogger(__name__)

MODALITIES = ("DX", "CR")
"""What cephalograms are stored as. A PACS without them there may have them as OT, PX or RG."""

_REFRESH_SECONDS = 5.0
# neither a wildcard nor a list, which QIDO-RS would take for several
_UID = re.compile(r"[0-9.]{1,64}")
_INSTANCES_IN_SERIES = "00201209"


@dataclass(frozen=True)
class PacsFilm:
    """One image in the PACS, by its UIDs."""

    study: str
    series: str
    instance: str | None


@dataclass
class _Listing:
    """What the PACS said last, and when (monotonic seconds).

    Attributes:
        films: by name.
        reviews: the series of reports, by UID.
        labels: the path of the newest review of a film as markups, empty if it has none; filled when it is asked for.
    """

    films: dict[str, PacsFilm] = field(default_factory=dict)
    reviews: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)
    asked: float = float("-inf")


class DicomWebStore(FilmStore):
    """The DX and CR films of a DICOMweb server (PS3.18: QIDO-RS, WADO-RS, STOW-RS).

    A film is called by its Series Instance UID, which is what OHIF asks for; one of a series with several images is
    called ``series/instance``. The list is at most five seconds old. Films are fetched when they are needed, and kept
    in ``cache``. Labels of the tag ``final`` are in the PACS; those of other tags stay here.

    Args:
        client: of the server, a ``dicomweb_client.DICOMwebClient``.
        cache: a folder for films and labels. They name patients: only its owner should be able to look into it.
        modalities: of the series that are listed.
    """

    def __init__(self, client: Any, cache: Path, modalities: Sequence[str] = MODALITIES) -> None:
        super().__init__(cache / "labels")
        # a person waits, and the server answers nobody else meanwhile; statuses of a busy PACS (429, 503) are said at
        # once, since the client hides them in an error of its own when it gives up
        client.set_http_retry_params(max_attempts=2, retriable_error_codes=())
        self._client = client
        self._films, self._reviews = cache / "films", cache / "reports"
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o700)
        self._modalities = tuple(modalities)
        self._listing = _Listing()
        self._lock = threading.RLock()
        self._title = str(client.base_url)

    def list_images(self) -> list[str]:
        """Return the names of all films of the modalities."""
        return list(self._list().films)

    def canonical(self, image_id: str) -> str:
        """Return the name of a film in the PACS."""
        return self._found(image_id)[0]

    def film(self, image_id: str) -> tuple[str, Path]:
        """Return a film's name and its file in the cache, which is fetched first if it is not there."""
        name, found = self._found(image_id)
        path = self._films / f"{name}.dcm"
        with self._lock:
            if not path.is_file():
                self._fetch(found, path)
        return name, path

    def _found(self, image_id: str) -> tuple[str, PacsFilm]:
        name = safe_name(image_id)
        if name not in self._list().films:
            self._look_up(name.partition("/")[0])
        found = self._list().films.get(name)
        if found is None:
            several = [other for other in self._list().films if other.startswith(f"{name}/")]
            more = f"; the series has several images: {', '.join(several)}" if several else ""
            raise NotThereError(f"the PACS has no film {name!r} of modality {' or '.join(self._modalities)}{more}")
        return name, found

    def _look_up(self, series: str) -> None:
        """Ask for one series: a film that is newer than the list, or a name that is none, costs no new list."""
        if not _UID.fullmatch(series):
            return
        with self._lock:
            with _asking("look up a series"):
                found = {name: film for modality in self._modalities for name, film in self._search(modality, series)}
            self._listing.films = {**self._listing.films, **found}

    def _list(self, fresh: bool = False) -> _Listing:
        with self._lock:
            if fresh or time.monotonic() - self._listing.asked > _REFRESH_SECONDS:
                with _asking("list its series"):
                    films = {name: film for modality in self._modalities for name, film in self._search(modality)}
                    reports = {_uid(item, "SeriesInstanceUID") for item in self._series({"Modality": "SR"})}
                self._listing = _Listing(films, reports, {}, time.monotonic())
            return self._listing

    def _series(self, filters: dict[str, str]) -> list[Dataset]:
        found = self._client.search_for_series(
            search_filters=filters, fields=["StudyInstanceUID", "NumberOfSeriesRelatedInstances"], get_remaining=True
        )
        return [Dataset.from_json(item) for item in found]

    def _search(self, modality: str, series: str | None = None) -> Iterator[tuple[str, PacsFilm]]:
        """Yield the films of a modality, or of one series if it is of that modality."""
        for item in self._series({"Modality": modality, **({"SeriesInstanceUID": series} if series else {})}):
            study, series = _uid(item, "StudyInstanceUID"), _uid(item, "SeriesInstanceUID")
            if item.get(_INSTANCES_IN_SERIES) is not None and item[_INSTANCES_IN_SERIES].value == 1:
                yield series, PacsFilm(study, series, None)
                continue
            instances = self._instances(study, series)
            for instance in instances:
                name = series if len(instances) == 1 else f"{series}/{instance}"
                yield name, PacsFilm(study, series, instance)

    def _instances(self, study: str, series: str) -> list[str]:
        found = self._client.search_for_instances(study, series, get_remaining=True)
        return sorted(_uid(Dataset.from_json(item), "SOPInstanceUID") for item in found)

    def _fetch(self, film: PacsFilm, path: Path) -> None:
        with _asking("send a film"):
            instance = film.instance or self._instances(film.study, film.series)[0]
            # as it is stored: no transcoding by the server
            dataset = self._client.retrieve_instance(
                film.study, film.series, instance, media_types=(("application/dicom", "*"),)
            )
        with written_beside(path) as part:
            dataset.save_as(part, enforce_file_format=True)

    def _keep(self, name: str, film: Path, points: np.ndarray, info: dict[str, Any], tag: str) -> None:
        if tag != FINAL:
            super()._keep(name, film, points, info, tag)
            return
        source = self._present_header(name, film)
        rows, columns = placement_of(film).size
        review = Review(
            file=name,
            image_uid=str(source.SOPInstanceUID),
            rows=rows,
            columns=columns,
            points=points,
            observer=observer(info),
            created=datetime.now(timezone.utc),
        )
        document = reviewed_report(review, source)
        with _asking("store the report"):
            answer = self._client.store_instances([document])
        said = store_answer(answer, str(document.SOPInstanceUID))
        if not said.stored:
            raise CephError(f"the PACS did not store the report of {name}: {said.text}")
        if said.text != "stored":
            logger.warning("the report of %s: %s", name, said.text)
        # whatever fails from here on: the label is saved, and the next look into the PACS finds it
        self._listing.asked = float("-inf")
        try:
            super()._keep(name, film, points, {**info, "sop_instance_uid": str(document.SOPInstanceUID)}, tag)
            self._list(fresh=True)
        except (CephError, OSError) as error:
            logger.warning("the report of %s is in the PACS, and not yet listed here: %s", name, error)

    def _present_header(self, name: str, film: Path) -> Dataset:
        """Return the header of a film as the PACS has it now: a report with a name that was corrected since is wrong.

        Raises:
            CephError: the PACS does not answer, or has another image under this name, so that the label is of none.
        """
        placed_on = source_header(film).SOPInstanceUID
        with self._lock:
            self._list(fresh=True)
            self._fetch(self._found(name)[1], film)
        source = source_header(film)
        if source.SOPInstanceUID != placed_on:
            raise CephError(f"the PACS has another image for {name} now: open it anew, and place its landmarks there")
        return source

    def labelled(self, tag: str = FINAL) -> set[str]:
        """Return the names of the films with a label; for ``final`` those with a review in the PACS."""
        if plain_tag(tag) != FINAL:
            return super().labelled(tag)
        listing = self._list()
        reviewed = [name for name, film in listing.films.items() if review_series_uid(film.series) in listing.reviews]
        # the review of a series with several images may be of another one
        return {name for name in reviewed if "/" not in name or self.get_label_uri(name, FINAL)}

    def tags(self) -> list[str]:
        """Return the tags that may have labels."""
        return sorted({*super().tags(), FINAL})

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label's markups, empty if there is none; for ``final`` of the newest one in the PACS."""
        if plain_tag(label_tag) != FINAL:
            return super().get_label_uri(label_id, label_tag)
        name, path = self.film(label_id)
        listing = self._list()
        with self._lock:
            if name not in listing.labels:
                listing.labels[name] = self._newest_review(name, listing, path)
            return listing.labels[name]

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label that is not in the PACS.

        Raises:
            RefusedError: the label is a report in the PACS, which keeps what it has.
        """
        if plain_tag(label_tag) == FINAL:
            raise RefusedError("the label is a report in the PACS, from where this server removes nothing")
        super().remove_label(label_id, label_tag)

    def _newest_review(self, name: str, listing: _Listing, path: Path) -> str:
        film = listing.films[name]
        series = review_series_uid(film.series)
        if series not in listing.reviews:
            return ""
        image = str(source_header(path).SOPInstanceUID)
        found: dict[tuple[str, str], tuple[str, np.ndarray]] = {}
        for report in self._reports(film.study, series):
            if (points := read_points(report).get(image)) is not None:
                said = str(report.get("ContentDate", "")), str(report.get("ContentTime", ""))
                found[said] = str(report.SOPInstanceUID), points
        if not found:
            return ""
        uid, points = found[max(found)]
        target = self._file(name, FINAL)
        if not target.is_file() or self._read_info(target).get("sop_instance_uid") != uid:
            super()._keep(name, path, points, {"sop_instance_uid": uid}, FINAL)
        return str(target)

    def _reports(self, study: str, series: str) -> Iterator[Dataset]:
        """Yield the documents of a series; each is fetched once."""
        with _asking("list its reports"):
            instances = self._instances(study, series)
        for instance in instances:
            file = self._reviews / f"{safe_name(instance)}.dcm"
            if not file.is_file():
                with _asking("send a report"):
                    document = self._client.retrieve_instance(study, series, instance)
                write_object(file, document)
            yield dcmread(file)


def _uid(item: Dataset, name: str) -> str:
    return str(item[name].value)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn what the client and the network raise into one sentence. It names no patient."""
    try:
        yield
    except (CephError, MemoryError):
        raise
    except requests.RequestException as error:
        status = getattr(error.response, "status_code", None)
        reason = f"status {status}" if status else type(error).__name__
        raise CephError(f"the PACS did not {what}: {reason}") from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CephError(f"the PACS did not {what}: its answer is no DICOMweb ({type(error).__name__})") from error
