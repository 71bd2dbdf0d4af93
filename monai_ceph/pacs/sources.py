"""Archives that films are fetched from: by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4), or C-FIND and C-MOVE (PS3.4 C).

Both are asked for studies, then for the series of each, then for the images of those series that may be cephalograms:
what the answers say is looked at before any pixel moves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Protocol

import requests
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from monai_ceph.errors import CephError
from monai_ceph.pacs.client_tls import client_tls
from monai_ceph.pacs.config import DicomSource, DicomWebService, SourceConfig
from monai_ceph.pacs.dicomweb import dicomweb
from monai_ceph.pacs.selection import Selection
from monai_ceph.readers._pydicom import quiet

__all__ = ["DicomArchive", "DicomWebArchive", "Found", "Query", "Source", "SourceError", "make_sources"]

_STUDY = ("StudyInstanceUID", "StudyDescription", "StudyDate")
_SERIES = ("SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined", "ProtocolName")
_INSTANCE = ("SOPInstanceUID", "SOPClassUID", "NumberOfFrames")
# PS3.18 10.6.1.2 has a service say when it has more; one that gives no more than this at once says so
_MOST = 1000


class SourceError(CephError):
    """An archive does not answer, or refuses."""


@dataclass(frozen=True)
class Query:
    """What is looked for. Every condition may be left out.

    Attributes:
        study: Study Instance UID.
        patient: Patient ID.
        date: study date, ``20260131``, or a range such as ``20260101-20260131`` or ``20260101-``.
        modality: of the series.

    Raises:
        CephError: a value that no archive could understand.
    """

    study: str | None = None
    patient: str | None = None
    date: str | None = None
    modality: str | None = None

    def __post_init__(self) -> None:
        if self.study is not None and not re.fullmatch(r"[0-9.]{1,64}", self.study):
            raise CephError("the study is no UID")
        if self.date is not None and not re.fullmatch(r"\d{8}|\d{8}-(\d{8})?|-\d{8}", self.date):
            raise CephError(f"{self.date} is no date such as 20260131, and no range such as 20260101-20260131")
        if any(mark in (self.patient or "") for mark in "*?\\"):
            raise CephError("the patient is a single ID, without *, ? or \\")

    @property
    def empty(self) -> bool:
        """Whether everything would be found."""
        return all(getattr(self, each.name) is None for each in fields(self))

    def of_studies(self) -> dict[str, str]:
        """Return the conditions on studies."""
        names = {"StudyInstanceUID": self.study, "PatientID": self.patient, "StudyDate": self.date}
        return {name: value for name, value in names.items() if value is not None}

    def of_series(self) -> dict[str, str]:
        """Return the conditions on series."""
        return {} if self.modality is None else {"Modality": self.modality}


@dataclass(frozen=True)
class Found:
    """An image that may be a cephalogram."""

    study: str
    series: str
    uid: str


Deliver = Callable[[Dataset], None]
"""Takes an image that was retrieved."""


class Source(Protocol):
    """One archive."""

    name: str

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Yield the images that match and may be cephalograms; raises a :class:`SourceError`."""

    def fetch(self, found: Found, deliver: Deliver) -> None:
        """Have an image delivered, here or to the DIMSE port of the node; raises a :class:`SourceError`."""


class DicomWebArchive:
    """An archive by DICOMweb.

    Args:
        config: of the service.
    """

    def __init__(self, config: DicomWebService) -> None:
        self.name, self._config = config.name, config

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Ask by QIDO-RS."""
        with _web_errors(self.name), dicomweb(self._config) as client:
            for study in self._all(client.search_for_studies, query.of_studies(), _STUDY):
                uid = str(study.StudyInstanceUID)
                for series in self._all(client.search_for_series, query.of_series(), _SERIES, study_instance_uid=uid):
                    if selection.refusal(_merged(study, series)) is not None:
                        continue
                    place = {"study_instance_uid": uid, "series_instance_uid": str(series.SeriesInstanceUID)}
                    for image in self._all(client.search_for_instances, {}, _INSTANCE, **place):
                        if selection.refusal(_merged(study, series, image)) is None:
                            yield Found(uid, place["series_instance_uid"], str(image.SOPInstanceUID))

    @staticmethod
    def _all(search: Any, filters: dict[str, str], names: tuple[str, ...], **place: str) -> Iterator[Dataset]:
        """Yield all answers, a page at a time."""
        offset = 0
        while True:
            page = search(search_filters=filters, fields=names, limit=_MOST, offset=offset, **place)
            for item in page:
                with quiet():
                    yield Dataset.from_json(item)
            offset += len(page)
            if len(page) < _MOST:
                return

    def fetch(self, found: Found, deliver: Deliver) -> None:
        """Retrieve by WADO-RS, as it is stored."""
        with _web_errors(self.name), dicomweb(self._config) as client:
            with quiet():
                dataset = client.retrieve_instance(
                    found.study, found.series, found.uid, media_types=(("application/dicom", "*"),)
                )
            if str(dataset.get("SOPInstanceUID")) != found.uid:
                raise SourceError(f"{self.name}: sent another object than the one that was asked for")
        deliver(dataset)


class DicomArchive:
    """An archive by DIMSE, which sends to the node itself.

    Args:
        config: of the archive.
        ae_title: of the node, which asks and receives.
    """

    def __init__(self, config: DicomSource, ae_title: str) -> None:
        self.name, self._config, self._ae_title = config.name, config, ae_title

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Ask by C-FIND."""
        with self._associated(StudyRootQueryRetrieveInformationModelFind) as association:

            def ask(level: str, keys: dict[str, str], names: tuple[str, ...]) -> list[Dataset]:
                return self._answers(association, level, keys, names)

            for study in ask("STUDY", query.of_studies(), _STUDY):
                in_study = {"StudyInstanceUID": str(study.StudyInstanceUID)}
                for series in ask("SERIES", {**in_study, **query.of_series()}, _SERIES):
                    if selection.refusal(_merged(study, series)) is not None:
                        continue
                    in_series = {**in_study, "SeriesInstanceUID": str(series.SeriesInstanceUID)}
                    for image in ask("IMAGE", in_series, _INSTANCE):
                        if selection.refusal(_merged(study, series, image)) is None:
                            yield Found(
                                in_series["StudyInstanceUID"], in_series["SeriesInstanceUID"], str(image.SOPInstanceUID)
                            )

    def fetch(self, found: Found, deliver: Deliver) -> None:
        """Have it sent to the node by C-MOVE; ``deliver`` is not called, since it comes in at the DIMSE port."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.StudyInstanceUID, identifier.SeriesInstanceUID = found.study, found.series
        identifier.SOPInstanceUID = found.uid
        model = StudyRootQueryRetrieveInformationModelMove
        with self._associated(model) as association:
            last = Dataset()
            for status, _ in association.send_c_move(identifier, self._ae_title, model):
                last = status
        if last.get("Status") != 0 or last.get("NumberOfFailedSuboperations"):
            answer = f"status {last.Status:04X}" if "Status" in last else "no answer"
            raise SourceError(f"{self.name}: did not move the film to {self._ae_title}: {answer}")

    @contextmanager
    def _associated(self, model: str) -> Iterator[Any]:
        config = self._config
        entity = AE(self._ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = config.timeout_s
        entity.connection_timeout = config.timeout_s
        entity.add_requested_context(model)
        try:
            association = entity.associate(
                config.host, config.port, ae_title=config.ae_title, tls_args=client_tls(config.tls, config.host)
            )
            if not association.is_established:
                raise SourceError(f"{self.name}: no association with {config.ae_title}")
            try:
                yield association
            finally:
                if association.is_established:
                    association.release()
        except (OSError, RuntimeError, ValueError) as error:
            raise SourceError(f"{self.name}: {type(error).__name__}: {error}") from error

    def _answers(self, association: Any, level: str, keys: dict[str, str], names: tuple[str, ...]) -> list[Dataset]:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for name in names:
            setattr(identifier, name, None if name == "NumberOfFrames" else "")
        for name, value in keys.items():
            setattr(identifier, name, value)
        found = []
        with quiet():
            for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
                if "Status" not in status:
                    raise SourceError(f"{self.name}: the association ended amid a query")
                if status.Status in (0xFF00, 0xFF01) and answer is not None:
                    found.append(answer)
                elif status.Status != 0:
                    raise SourceError(f"{self.name}: refused a query, status {status.Status:04X}")
        return found


def make_sources(config: SourceConfig, ae_title: str) -> list[Source]:
    """Return the archives of a node with this AE title."""
    return [*(DicomArchive(each, ae_title) for each in config.dicom), *map(DicomWebArchive, config.dicomweb)]


def _merged(*headers: Dataset) -> Dataset:
    """Return one header of the answers on all levels; what is empty says nothing."""
    result = Dataset()
    for header in headers:
        result.update({element.tag: element for element in header if not element.is_empty})
    return result


@contextmanager
def _web_errors(name: str) -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "error"
        raise SourceError(f"{name}: HTTP {code}") from error
    except requests.exceptions.SSLError as error:
        cause = "no TLS, or a certificate that nobody vouches for"
        raise SourceError(f"{name}: {cause}; without TLS the URL begins with http:// or dicomweb+http://") from error
    except (requests.RequestException, OSError) as error:
        raise SourceError(f"{name}: no answer ({type(error).__name__})") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise SourceError(f"{name}: no answer of a DICOMweb service ({type(error).__name__})") from error
