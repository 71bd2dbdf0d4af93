"""What an archive is asked for, and how its answers become images to fetch: the same for DICOMweb and DIMSE.

Archives are asked for studies, then for the series of each study, then for the images of the series that may be
cephalograms. The answers decide before any pixel moves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal, Protocol

from pydicom import Dataset

from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError
from monai_ceph.readers.dicom_elements import is_uid

__all__ = [
    "FIELDS",
    "Deliver",
    "Found",
    "Level",
    "Query",
    "Search",
    "Source",
    "SourceError",
    "UnusableAnswerError",
    "cause_of",
    "images",
    "skipping",
    "uid_of",
]

Level = Literal["STUDY", "SERIES", "IMAGE"]

FIELDS: dict[Level, tuple[str, ...]] = {
    "STUDY": ("StudyInstanceUID", "StudyDescription", "StudyDate"),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined", "ProtocolName"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "NumberOfFrames"),
}
"""The attributes that an archive is asked for on each level, the UID first."""


class SourceError(CephError):
    """An archive does not answer, or refuses."""


class UnusableAnswerError(SourceError):
    """One answer of an archive cannot be used; its other answers may be fine."""


@dataclass(frozen=True)
class Query:
    """The conditions of a search. Each of them is optional.

    Attributes:
        study: Study Instance UID.
        patient: Patient ID.
        date: study date, ``20260131``, or a range such as ``20260101-20260131`` or ``20260101-``.
        modality: of the series.

    Raises:
        CephError: a value is not valid in a query.
    """

    study: str | None = None
    patient: str | None = None
    date: str | None = None
    modality: str | None = None

    def __post_init__(self) -> None:
        if self.study is not None and not is_uid(self.study):
            raise CephError("the study is not a UID")
        if self.date is not None and not re.fullmatch(r"\d{8}|\d{8}-(\d{8})?|-\d{8}", self.date):
            raise CephError(f"{self.date} is not a date such as 20260131 or a range such as 20260101-20260131")
        if any(mark in (self.patient or "") for mark in "*?\\"):
            raise CephError("the patient must be one ID, without *, ? or \\")

    @property
    def empty(self) -> bool:
        """Whether there is no condition, so that everything would be found."""
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
"""Takes a retrieved image."""


class Source(Protocol):
    """One archive."""

    name: str

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Yield the images that match and may be cephalograms.

        Raises:
            SourceError: the archive does not answer; or, after all other images, some of its answers could not be used.
        """

    def fetch(self, found: Found, deliver: Deliver) -> None:
        """Have an image delivered, here or to the DIMSE port of the node.

        Raises:
            SourceError: the archive does not send it.
        """


def cause_of(error: Exception) -> str:
    """Return why a film was not fetched. What a parser says is left out, since it may quote the header."""
    return str(error) if isinstance(error, (CephError, OSError)) else type(error).__name__


class Search(Protocol):
    """Asks an archive for studies, series or images."""

    def __call__(self, level: Level, place: Mapping[str, str], conditions: Mapping[str, str]) -> Iterable[Dataset]:
        """Return an answer for each match.

        Args:
            level: what is searched for.
            place: keywords and UIDs of the study and series to search in; everywhere if it is empty.
            conditions: keywords, and the values to match.

        Raises:
            SourceError: the archive does not answer.
            UnusableAnswerError: the answers cannot be read; another search may work.
        """


def images(name: str, search: Search, query: Query, selection: Selection) -> Iterator[Found]:
    """Yield the images that may be cephalograms.

    Args:
        name: of the archive, for messages.
        search: asks the archive.
        query: what to look for.
        selection: the rules for cephalograms.

    Raises:
        SourceError: the archive does not answer; or, after all other images, some of its answers could not be used.
    """
    skipped: list[str] = []
    for study in search("STUDY", {}, query.of_studies()):
        with skipping(name, skipped):
            in_study = {"StudyInstanceUID": uid_of(name, study, "StudyInstanceUID")}
            for series in search("SERIES", in_study, query.of_series()):
                with skipping(name, skipped):
                    if selection.refusal(_merged(study, series)) is not None:
                        continue
                    in_series = {**in_study, "SeriesInstanceUID": uid_of(name, series, "SeriesInstanceUID")}
                    for image in search("IMAGE", in_series, {}):
                        with skipping(name, skipped):
                            if selection.refusal(_merged(study, series, image)) is None:
                                places = in_series["StudyInstanceUID"], in_series["SeriesInstanceUID"]
                                yield Found(*places, uid_of(name, image, "SOPInstanceUID"))
    if skipped:
        raise SourceError(f"{skipped[0]} ({len(skipped)} of its answers could not be used)")


@contextmanager
def skipping(name: str, skipped: list[str]) -> Iterator[None]:
    """Pass over an answer that cannot be used, and add the reason to ``skipped``.

    An archive that does not answer at all still ends the search.
    """
    try:
        yield
    except UnusableAnswerError as error:
        skipped.append(str(error))
    except CephError:
        raise
    except Exception as error:  # pydicom converts values late, and documents few of its exceptions
        skipped.append(f"{name}: an answer that cannot be read ({type(error).__name__})")


def uid_of(name: str, answer: Dataset, keyword: str) -> str:
    """Return a UID from an answer, fit to become part of the next request.

    Raises:
        UnusableAnswerError: it is absent or not a UID. An empty one would match everything in the next request.
    """
    uid = str(answer.get(keyword) or "")
    if not uid:
        raise UnusableAnswerError(f"{name}: an answer without {keyword}")
    if not is_uid(uid):
        raise UnusableAnswerError(f"{name}: an answer whose {keyword} is not a UID")
    return uid


def _merged(*headers: Dataset) -> Dataset:
    """Return one header from the answers on all levels, without empty elements."""
    result = Dataset()
    for header in headers:
        result.update({element.tag: element for element in header if not element.is_empty})
    return result
