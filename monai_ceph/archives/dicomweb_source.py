"""An archive that films are fetched from by QIDO-RS and WADO-RS (PS3.18 10.6 and 10.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from pydicom import Dataset

from monai_ceph.archives.config import DicomWebService
from monai_ceph.archives.dicomweb import NO_PREFIXES, dicomweb
from monai_ceph.archives.query import (
    FIELDS,
    Deliver,
    Found,
    Level,
    Query,
    Search,
    SourceError,
    UnusableAnswerError,
    images,
)
from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError
from monai_ceph.readers.dicom_elements import value
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["DicomWebArchive"]

_PAGE = 1000
_PARAMETERS = {"StudyInstanceUID": "study_instance_uid", "SeriesInstanceUID": "series_instance_uid"}
# services count without effort, DIMSE archives may not
_MORE_FIELDS: dict[str, tuple[str, ...]] = {"SERIES": ("NumberOfSeriesRelatedInstances",)}
# these are requests' own, and yet they are answers: not JSON, not compressed as announced, or cut short
_BAD_CONTENT = (ValueError, requests.exceptions.ContentDecodingError, requests.exceptions.ChunkedEncodingError)
# the service is overloaded, or absent behind its proxy
_BUSY = (429, 502, 503, 504)


class DicomWebArchive:
    """An archive behind a DICOMweb service.

    Args:
        config: address and login of the service.
        prefixes: of its URLs, see :func:`monai_ceph.archives.dicomweb.dicomweb`.
    """

    def __init__(self, config: DicomWebService, prefixes: Mapping[str, str | None] = NO_PREFIXES) -> None:
        self.name, self._config, self._prefixes = config.name, config, prefixes

    @contextmanager
    def searching(self) -> Iterator[Search]:
        """Yield a search by QIDO-RS. All searches share one HTTP session.

        Raises:
            SourceError: the service does not answer.
        """
        with self._client() as client:
            searches = {
                "STUDY": client.search_for_studies,
                "SERIES": client.search_for_series,
                "IMAGE": client.search_for_instances,
            }

            def search(level: Level, place: Mapping[str, str], conditions: Mapping[str, str]) -> Iterator[Dataset]:
                where = {_PARAMETERS[name]: uid for name, uid in place.items()}
                names = (*FIELDS[level], *_MORE_FIELDS.get(level, ()))
                return self._all(searches[level], dict(conditions), names, where)

            yield search

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Search by QIDO-RS."""
        with self.searching() as search:
            yield from images(self.name, search, query, selection)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with _web_errors(self.name), dicomweb(self._config, self._prefixes) as client:
            yield client

    def _all(
        self, search: Any, filters: dict[str, str], names: tuple[str, ...], place: dict[str, str]
    ) -> Iterator[Dataset]:
        """Yield all answers, page by page. A service may return fewer than the limit, or ignore the offset."""
        offset, known = 0, {""}
        while True:
            with _web_errors(self.name):
                page = search(search_filters=filters, fields=names, limit=_PAGE, offset=offset, **place)
            if not isinstance(page, list):
                raise UnusableAnswerError(f"{self.name}: the answer is not DICOMweb (no list)")
            answers = [_from_json(answer) for answer in page]
            uids = [str(value(answer, names[0]) or "") for answer in answers]
            # an answer without a UID is passed on too, so that it is reported
            yield from (answer for answer, uid in zip(answers, uids, strict=True) if uid not in known or not uid)
            if known.issuperset(uids):
                if offset and len(page) >= _PAGE:
                    raise UnusableAnswerError(
                        f"{self.name}: repeats the same {len(page)} answers, so that some may be missing"
                    )
                return
            known.update(uids)
            offset += len(page)

    def fetch(self, found: Found, deliver: Deliver) -> None:
        """Retrieve by WADO-RS in the transfer syntax in which the image is stored."""
        with self._client() as client:
            with quiet():
                dataset = client.retrieve_instance(
                    found.study, found.series, found.uid, media_types=(("application/dicom", "*"),)
                )
            if str(dataset.get("SOPInstanceUID")) != found.uid:
                raise SourceError(f"{self.name}: sent another object than the requested one")
        deliver(dataset)


def _from_json(answer: Any) -> Dataset:
    """Return an answer of QIDO-RS as a data set, empty if it cannot be read."""
    try:
        with quiet():
            return Dataset.from_json(answer)
    except Exception:  # pydicom documents few of its exceptions
        return Dataset()


@contextmanager
def _web_errors(name: str) -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "error"
        raise (SourceError if code in _BUSY else UnusableAnswerError)(f"{name}: HTTP {code}") from error
    except requests.exceptions.SSLError as error:
        cause = "no TLS, or an untrusted certificate"
        raise SourceError(f"{name}: {cause}. For a service without TLS use http:// or dicomweb+http://") from error
    except CephError:
        raise
    except Exception as error:
        if isinstance(error, (requests.RequestException, OSError)) and not isinstance(error, _BAD_CONTENT):
            raise SourceError(f"{name}: no answer ({type(error).__name__})") from error
        # the client documents few of its exceptions
        text = f"{name}: the answer is not DICOMweb ({type(error).__name__})"
        raise UnusableAnswerError(text) from error
