"""Archives that are given by URL on the command line, without a node's configuration.

``dicomweb://HOST/ROOT`` is a DICOMweb service (PS3.18) over HTTPS, ``dicomweb+http://HOST/ROOT`` the same without TLS,
``dicom://AE_TITLE@HOST:PORT`` an application entity for C-STORE, ``fhir://HOST/BASE`` a FHIR server over HTTPS and
``fhir+http://HOST/BASE`` the same without TLS. Passwords are read from ``~/.netrc``, and tokens from
the environment: a URL is visible to everybody in the list of processes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ValidationError

from monai_ceph.archives.config import DicomTarget, DicomWebService, DicomWebTarget, FhirTarget
from monai_ceph.archives.fhir import FhirSender
from monai_ceph.archives.query import Query
from monai_ceph.archives.targets import DicomSender, DicomWebSender, Sender
from monai_ceph.errors import CephError

__all__ = ["WEB_SCHEMES", "ArchivePlace", "place_of", "senders_of"]

WEB_SCHEMES = {"dicomweb": "https", "dicomweb+http": "http"}
"""The schemes of DICOMweb services, and the schemes that these are sent over."""

_FHIR_SCHEMES = {"fhir": "https", "fhir+http": "http"}

AE_TITLE = "CEPH"
"""AE title of the command line, and the default of the node."""

_FROM_TOKEN, _TO_TOKEN = "MONAI_CEPH_FROM_TOKEN", "MONAI_CEPH_TO_TOKEN"

_CONDITIONS = {"StudyInstanceUID": "study", "PatientID": "patient", "StudyDate": "date", "Modality": "modality"}
_Made = TypeVar("_Made", bound=BaseModel)
_LEVELS = re.compile(r"(.*?)(?:/studies/([0-9.]+)(?:/series/([0-9.]+)(?:/instances/([0-9.]+))?)?)?/?")


@dataclass(frozen=True)
class ArchivePlace:
    """A service, and the images in it that a URL names.

    Attributes:
        service: its address and login. Its name is the host and port.
        query: conditions on studies and series.
        series: Series Instance UID, if it is one series.
        image: SOP Instance UID, if it is one image.
    """

    service: DicomWebService
    query: Query
    series: str | None
    image: str | None


def place_of(url: str) -> ArchivePlace:
    """Read ``dicomweb://HOST/ROOT[/studies/UID[/series/UID[/instances/UID]]][?CONDITIONS]``.

    The conditions are ``StudyInstanceUID``, ``PatientID``, ``StudyDate`` and ``Modality``, as in QIDO-RS.

    Raises:
        CephError: it is not such a URL.
    """
    parts = _split(url)
    levels = _LEVELS.fullmatch(parts.path)
    assert levels is not None
    root, study, series, image = levels.groups()
    conditions = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := conditions.keys() - _CONDITIONS:
        known = ", ".join(_CONDITIONS)
        raise CephError(f"{_shown(parts)}: {min(unknown)} is not a condition. Use {known}")
    query = Query(**{_CONDITIONS[name]: value for name, value in conditions.items()})
    if study is not None:
        if query.study not in (None, study):
            raise CephError(f"{_shown(parts)}: names two studies")
        query = replace(query, study=study)
    service = _made(DicomWebService, parts, _service(parts, root, _FROM_TOKEN))
    return ArchivePlace(service, query, series, image)


def senders_of(urls: list[str], objects: Iterable[str] = ("sr", "gsps")) -> dict[str, Sender]:
    """Return senders by URL.

    Args:
        urls: ``dicomweb://HOST/ROOT``, ``dicom://AE_TITLE@HOST:PORT[?calling=AE_TITLE]`` or ``fhir://HOST/BASE``.
        objects: kinds of objects that each archive gets: ``sr``, ``gsps``, ``sc``, ``pdf``. A FHIR server gets bundles.

    Raises:
        CephError: one of them is not such a URL.
    """
    return {url: _sender(url, sorted(objects)) for url in urls}


def _sender(url: str, objects: Sequence[str]) -> Sender:
    parts = _split(url, "dicom", *_FHIR_SCHEMES)
    if parts.scheme in _FHIR_SCHEMES:
        if parts.query or parts.fragment:
            raise CephError(f"{_shown(parts)}: a target is the base of a FHIR server. Leave out conditions")
        return FhirSender(_made(FhirTarget, parts, _service(parts, parts.path, _TO_TOKEN)))
    if parts.scheme != "dicom":
        if parts.query or re.search(r"/studies(/|$)", parts.path):
            raise CephError(f"{_shown(parts)}: a target is a whole service. Leave out studies and conditions")
        values = {**_service(parts, parts.path, _TO_TOKEN), "objects": objects}
        return DicomWebSender(_made(DicomWebTarget, parts, values))
    conditions = dict(parse_qsl(parts.query))
    if not parts.username or parts.port is None or parts.path.strip("/") or conditions.keys() - {"calling"}:
        raise CephError(f"{url}: not an application entity such as dicom://AE_TITLE@HOST:PORT?calling=AE_TITLE")
    # urlsplit lowers the host's letters, and keeps those of the AE title
    peer: dict[str, Any] = {"ae_title": unquote(parts.username), "host": parts.hostname, "port": parts.port}
    peer |= {"calling_ae_title": conditions.get("calling"), "objects": objects}
    return DicomSender(_made(DicomTarget, parts, peer), AE_TITLE)


def _split(url: str, *others: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.scheme not in (*WEB_SCHEMES, *others):
        known = ", ".join(f"{scheme}://" for scheme in (*WEB_SCHEMES, *others))
        raise CephError(f"{url.partition('?')[0]}: not the URL of an archive. Such URLs begin with {known}")
    if parts.password is not None or (parts.username is not None and parts.scheme != "dicom"):
        raise CephError(
            f"{parts.scheme}://{parts.hostname}: a URL must not contain a user or password. Put them into ~/.netrc"
        )
    return parts


def _service(parts: SplitResult, root: str, token: str) -> dict[str, Any]:
    url = f"{({**WEB_SCHEMES, **_FHIR_SCHEMES})[parts.scheme]}://{parts.netloc}{root.rstrip('/')}"
    return {"url": url, "token": os.environ.get(token) or None}


def _made(kind: type[_Made], parts: SplitResult, values: dict[str, Any]) -> _Made:
    name = re.sub(r"[^A-Za-z0-9_.:-]", "-", parts.netloc.rpartition("@")[2])[-32:]
    try:
        return kind(name=name, **values)
    except ValidationError as error:
        raise CephError(f"{_shown(parts)}: {error.errors()[0]['msg']}") from error


def _shown(parts: SplitResult) -> str:
    """Return the URL for a message, without conditions, which may name a patient."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
