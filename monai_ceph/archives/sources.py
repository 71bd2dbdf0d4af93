"""Archives that films are fetched from: by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4), or C-FIND and C-MOVE (PS3.4 C).

Both are asked for studies, then for the series of each, then for the images of those series that may be cephalograms:
what the answers say is looked at before any pixel moves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
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

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.config import DicomSource, DicomWebService, SourceConfig
from monai_ceph.archives.dicomweb import dicomweb
from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError
from monai_ceph.readers._pydicom import quiet
from monai_ceph.readers.dicom_elements import is_uid

__all__ = ["DicomArchive", "DicomWebArchive", "Found", "Query", "Source", "SourceError", "cause_of", "make_sources"]

_ASKED = {
    "STUDY": ("StudyInstanceUID", "StudyDescription", "StudyDate"),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined", "ProtocolName"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "NumberOfFrames"),
}
# answers that are asked for at once
_MOST = 1000

_NO_SENSE = (ValueError, requests.exceptions.ContentDecodingError, requests.exceptions.ChunkedEncodingError)
# of a service that has too much to do, or is not there behind its proxy
_BUSY = (429, 502, 503, 504)


class SourceError(CephError):
    """An archive does not answer, or refuses."""


class _UselessAnswerError(SourceError):
    """It answers, but this is of no use; what it says of other studies may be."""


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
        if self.study is not None and not is_uid(self.study):
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
        """Yield the images that match and may be cephalograms.

        Raises:
            SourceError: if the archive does not answer; or, after all other images, if some of its answers were of no
                use.
        """

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
            searches = {
                "STUDY": client.search_for_studies,
                "SERIES": client.search_for_series,
                "IMAGE": client.search_for_instances,
            }
            names = {"StudyInstanceUID": "study_instance_uid", "SeriesInstanceUID": "series_instance_uid"}

            def ask(level: str, place: dict[str, str], conditions: dict[str, str]) -> Iterator[Dataset]:
                where = {names[name]: uid for name, uid in place.items()}
                return self._all(searches[level], conditions, _ASKED[level], where)

            yield from _images(self.name, ask, query, selection)

    def _all(
        self, search: Any, filters: dict[str, str], names: tuple[str, ...], place: dict[str, str]
    ) -> Iterator[Dataset]:
        """Yield all answers, a page at a time; a service may give less than it is asked for, or ignore offsets."""
        offset, known = 0, {""}
        while True:
            with _web_errors(self.name):
                page = search(search_filters=filters, fields=names, limit=_MOST, offset=offset, **place)
            if not isinstance(page, list):
                raise _UselessAnswerError(f"{self.name}: no answer of a DICOMweb service (no list)")
            answers = [_from_json(answer) for answer in page]
            uids = [str(answer.get(names[0]) or "") for answer in answers]
            # one without a UID is of no use, which is said once
            yield from (answer for answer, uid in zip(answers, uids, strict=True) if uid not in known or not uid)
            if known.issuperset(uids):
                if offset and len(page) >= _MOST:
                    raise _UselessAnswerError(
                        f"{self.name}: gives the same {len(page)} answers again, and may have more"
                    )
                return
            known.update(uids)
            offset += len(page)

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
        ae_title: of the node, which receives, and asks unless the archive is to see another one.
    """

    def __init__(self, config: DicomSource, ae_title: str) -> None:
        self.name, self._config, self._ae_title = config.name, config, ae_title

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Ask by C-FIND."""
        with self._associated(StudyRootQueryRetrieveInformationModelFind) as association:

            def ask(level: str, place: dict[str, str], conditions: dict[str, str]) -> list[Dataset]:
                return self._answers(association, level, {**place, **conditions})

            yield from _images(self.name, ask, query, selection)

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
        moved = [last.get(f"NumberOf{kind}Suboperations") for kind in ("Completed", "Warning")]
        if last.get("Status") != 0 or last.get("NumberOfFailedSuboperations"):
            answer = f"status {last.Status:04X}" if "Status" in last else "no answer"
            raise SourceError(f"{self.name}: did not move the film to {self._ae_title}: {answer}")
        # an archive that leaves the numbers out may have moved it
        if moved != [None, None] and not any(moved):
            raise SourceError(f"{self.name}: did not move the film to {self._ae_title}: 0 objects moved")

    @contextmanager
    def _associated(self, model: str) -> Iterator[Any]:
        config = self._config
        entity = AE(config.calling_ae_title or self._ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = config.timeout_s
        entity.connection_timeout = config.timeout_s
        entity.add_requested_context(model)
        with _dimse_errors(self.name):
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

    def _answers(self, association: Any, level: str, keys: dict[str, str]) -> list[Dataset]:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for name in _ASKED[level]:
            setattr(identifier, name, None if name == "NumberOfFrames" else "")
        for name, value in keys.items():
            setattr(identifier, name, value)
        found: list[Dataset | None] = []
        with _dimse_errors(self.name), quiet():
            for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
                if "Status" not in status:
                    raise SourceError(f"{self.name}: the association ended amid a query")
                if status.Status in (0xFF00, 0xFF01):
                    found.append(answer)
                elif status.Status != 0:
                    raise _UselessAnswerError(f"{self.name}: refused a query, status {status.Status:04X}")
        # what cannot be decoded comes as None, each twice; that it has no UID is said once, and the others count
        decoded = [answer for answer in found if answer is not None]
        return decoded if len(decoded) == len(found) else [*decoded, Dataset()]


def make_sources(config: SourceConfig, ae_title: str) -> list[Source]:
    """Return the archives of a node with this AE title."""
    return [*(DicomArchive(each, ae_title) for each in config.dicom), *map(DicomWebArchive, config.dicomweb)]


def cause_of(error: Exception) -> str:
    """Return why a film was not fetched, without a word that an exception of a parser quotes."""
    return str(error) if isinstance(error, (CephError, OSError)) else type(error).__name__


class _Ask(Protocol):
    def __call__(self, level: str, place: dict[str, str], conditions: dict[str, str]) -> Iterable[Dataset]:
        """Return what an archive says of one level, of all that is in a place."""


def _images(name: str, ask: _Ask, query: Query, selection: Selection) -> Iterator[Found]:
    """Yield what may be a cephalogram. An answer of no use costs what is below it, and is said in the end."""
    useless: list[str] = []
    for study in ask("STUDY", {}, query.of_studies()):
        with _passed_over(name, useless):
            in_study = {"StudyInstanceUID": _uid(name, study, "StudyInstanceUID")}
            for series in ask("SERIES", in_study, query.of_series()):
                with _passed_over(name, useless):
                    if selection.refusal(_merged(study, series)) is not None:
                        continue
                    in_series = {**in_study, "SeriesInstanceUID": _uid(name, series, "SeriesInstanceUID")}
                    for image in ask("IMAGE", in_series, {}):
                        with _passed_over(name, useless):
                            if selection.refusal(_merged(study, series, image)) is None:
                                places = in_series["StudyInstanceUID"], in_series["SeriesInstanceUID"]
                                yield Found(*places, _uid(name, image, "SOPInstanceUID"))
    if useless:
        raise SourceError(f"{useless[0]} (of its answers, {len(useless)} could not be used)")


@contextmanager
def _passed_over(name: str, useless: list[str]) -> Iterator[None]:
    try:
        yield
    except _UselessAnswerError as error:
        useless.append(str(error))
    except CephError:
        raise
    except Exception as error:  # whatever a data set can hold
        useless.append(f"{name}: an answer that cannot be understood ({type(error).__name__})")


def _uid(name: str, answer: Dataset, keyword: str) -> str:
    """Return a UID of an answer. An empty one would ask for everything, and any text for anything."""
    uid = str(answer.get(keyword) or "")
    if not uid:
        raise _UselessAnswerError(f"{name}: an answer without {keyword}")
    if not is_uid(uid):
        raise _UselessAnswerError(f"{name}: an answer whose {keyword} is no UID")
    return uid


def _from_json(answer: Any) -> Dataset:
    """Return an answer of QIDO-RS; one without any element if it is none."""
    try:
        with quiet():
            return Dataset.from_json(answer)
    except Exception:  # whatever JSON can hold
        return Dataset()


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
        raise (SourceError if code in _BUSY else _UselessAnswerError)(f"{name}: HTTP {code}") from error
    except requests.exceptions.SSLError as error:
        cause = "no TLS, or a certificate that nobody vouches for"
        raise SourceError(f"{name}: {cause}; without TLS the URL begins with http:// or dicomweb+http://") from error
    except CephError:
        raise
    except Exception as error:
        # what is not JSON, does not unpack or ends early is an exception of requests too, and an answer
        if isinstance(error, (requests.RequestException, OSError)) and not isinstance(error, _NO_SENSE):
            raise SourceError(f"{name}: no answer ({type(error).__name__})") from error
        # the client documents few of its exceptions
        text = f"{name}: no answer of a DICOMweb service ({type(error).__name__})"
        raise _UselessAnswerError(text) from error


@contextmanager
def _dimse_errors(name: str) -> Iterator[None]:
    try:
        yield
    except CephError:
        raise
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{name}: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise _UselessAnswerError(f"{name}: {type(error).__name__}: {error}") from error
    except Exception as error:  # whatever a data set can hold
        raise _UselessAnswerError(f"{name}: {type(error).__name__}") from error
