"""Addresses and logins of archives and peers, and the rules for cephalograms: a part of a node's configuration."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

__all__ = [
    "AeTitle",
    "ClientTls",
    "DicomSource",
    "DicomTarget",
    "DicomWebService",
    "DicomWebSource",
    "DicomWebTarget",
    "ExistingFile",
    "FhirTarget",
    "ObjectName",
    "Peer",
    "Port",
    "Seconds",
    "Secret",
    "Section",
    "SelectionConfig",
    "SourceConfig",
    "TargetConfig",
    "WorklistConfig",
]

ObjectName = Literal["sr", "gsps", "sc", "pdf"]


def _ae_title(value: str) -> str:
    if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", value):
        raise ValueError("an AE title has 1 to 16 characters of ASCII, no backslash, no space at its ends (PS3.5 6.2)")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return path


def _url(value: str) -> str:
    parts = urlsplit(value)
    # urlsplit raises ValueError itself for a port that is not a number
    if not parts.hostname or parts.port == 0:
        raise ValueError("not a URL such as https://pacs/dicom-web: the host is missing, or the port is 0")
    return value


def _filled(value: str) -> str:
    # such as from an empty environment variable
    if not value.strip():
        raise ValueError("is empty")
    return value


def _filled_secret(value: SecretStr) -> SecretStr:
    _filled(value.get_secret_value())
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
Port = Annotated[int, Field(ge=1, le=65535)]
# code strings (CS) in headers are upper-case
Term = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1)]
Secret = Annotated[SecretStr, AfterValidator(_filled_secret)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,32}$")]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _check_names(what: str, *names: str) -> None:
    if double := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two {what} are called {min(double)}")


class Section(BaseModel):
    """A section of a configuration. It has no unknown keys and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClientTls(Section):
    """TLS of a connection to a peer: the CA of its certificate, and our own certificate if it asks for one."""

    ca: ExistingFile
    certificate: ExistingFile | None = None
    key: ExistingFile | None = None
    check_hostname: bool = True


class Peer(Section):
    """Address of another application entity."""

    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    tls: ClientTls | None = None


class SelectionConfig(Section):
    """Which images are cephalograms, judged by their headers. Empty elements never exclude an image."""

    modalities: tuple[Term, ...] = Field(default=("DX", "CR", "RG", "PX", "OT"), min_length=1)
    body_parts: tuple[Term, ...] = (
        "HEAD",
        "SKULL",
        "FACE",
        "JAW",
        "MANDIBLE",
        "MAXILLA",
        "HEADNECK",
        "TEETH",
        "DENTAL",
    )
    include: Pattern = Field(
        default=r"cephal|c[eé]phal|ceph\b|kephal|fernr[oö]ntgen|\bfrs\b|t[eé]l[eé]radio|lateral.{0,12}skull",
        description="an image whose description matches is taken, whatever exclude says",
    )
    exclude: Pattern = Field(
        default=r"panoram|pantomo|\bopg\b|\bopt\b|bite.?wing|peri.?apical|intra.?oral|\bpa\b|frontal|\bap\b|\bhand\b"
        r"|wrist|\btmj\b|chest|thorax|cbct",
        description="an image whose description matches is not taken",
    )
    only_included: bool = Field(
        default=False, description="take an image only if its description or positioner says that it is a cephalogram"
    )
    max_frames: int = Field(default=4, ge=1, description="an image with more frames is not taken")


Total = Annotated[float, Field(gt=0, le=86400, description="seconds for one answer as a whole")]


class DicomTarget(Peer):
    """A target for C-STORE."""

    name: Name
    objects: tuple[ObjectName, ...] = Field(default=("sr", "gsps"), min_length=1)
    timeout_s: Seconds = 60
    calling_ae_title: AeTitle | None = Field(
        default=None, description="AE title that the node calls with, its own by default"
    )
    commitment_s: Total | None = Field(
        default=None,
        description="seconds to wait for storage commitment of what the target took; without it, its answer counts",
    )


class DicomWebService(Section):
    """A DICOMweb service, and how to log in."""

    name: Name
    url: Annotated[str, AfterValidator(_url)] = Field(
        pattern=r"^https?://", description="such as https://pacs/dicom-web"
    )
    timeout_s: Seconds = 60
    total_s: Total = 600
    max_mb: float = Field(default=256, gt=0, le=4096, description="size of an answer once it is unpacked")
    username: Annotated[str, AfterValidator(_filled)] | None = None
    password: Secret | None = None
    token: Secret | None = Field(default=None, description="bearer token")
    ca: ExistingFile | None = None

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> DicomWebService:
        if self.token is not None and self.username is not None:
            raise ValueError("either a token, or a username with a password")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self


class DicomWebTarget(DicomWebService):
    """A target for STOW-RS."""

    objects: tuple[ObjectName, ...] = Field(default=("sr", "gsps"), min_length=1)
    verify: bool = Field(default=False, description="ask by QIDO-RS for each object that the target says it stored")


class FhirTarget(DicomWebService):
    """A FHIR server (R4) that gets a transaction for each film."""

    url: Annotated[str, AfterValidator(_url)] = Field(pattern=r"^https?://", description="base of the server")

    @property
    def objects(self) -> tuple[str, ...]:
        """What it gets."""
        return ("fhir",)


class WorklistConfig(DicomWebService):
    """A UPS-RS worklist from which a node takes work items."""

    source: Name = Field(description="name of the source under sources.dicomweb that has the films")
    station: str | None = Field(default=None, min_length=1, description="code value of the scheduled station")
    procedure: str | None = Field(default=None, min_length=1, description="code value of the scheduled work item")
    every_s: float = Field(default=30, ge=1, le=86400, description="seconds between two queries")

    @model_validator(mode="after")
    def _ours(self) -> WorklistConfig:
        if self.station is None and self.procedure is None:
            raise ValueError("station, procedure or both, so that the node takes only its own work items")
        return self


class _Polled(BaseModel):
    every_s: float | None = Field(
        default=None,
        ge=1,
        le=604800,
        description="seconds between two queries; without it, only fetch queries this source",
    )
    since: date | None = Field(
        default=None, description="first study date to query, by default the day of the first start"
    )
    look_back_days: int = Field(
        default=3, ge=0, le=36500, description="days before the last query that are queried again, for late arrivals"
    )


class DicomWebSource(DicomWebService, _Polled):
    """An archive that is queried by QIDO-RS and sends films by WADO-RS."""


class DicomSource(Peer, _Polled):
    """An archive that is queried by C-FIND, and moves films to this node. It must know the node's AE title."""

    name: Name
    timeout_s: Seconds = 60
    total_s: Total = 600
    calling_ae_title: AeTitle | None = Field(
        default=None, description="AE title that the node calls with, its own by default"
    )


class SourceConfig(Section):
    """Archives from which the node fetches films."""

    dicom: tuple[DicomSource, ...] = ()
    dicomweb: tuple[DicomWebSource, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> SourceConfig:
        _check_names("sources", *(source.name for source in self.dicom), *(source.name for source in self.dicomweb))
        return self


class TargetConfig(Section):
    """Archives to which reports are sent."""

    dicom: tuple[DicomTarget, ...] = ()
    dicomweb: tuple[DicomWebTarget, ...] = ()
    fhir: tuple[FhirTarget, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> TargetConfig:
        names = [each.name for each in self.dicom] + [each.name for each in (*self.dicomweb, *self.fhir)]
        if not names:
            raise ValueError("at least one target under dicom, dicomweb or fhir")
        _check_names("targets", *names)
        return self

    @property
    def objects(self) -> frozenset[str]:
        """The kinds of objects that any target gets."""
        kinds: list[tuple[str, ...]] = [each.objects for each in self.dicom]
        kinds += [each.objects for each in self.dicomweb] + [each.objects for each in self.fhir]
        return frozenset(kind for each in kinds for kind in each)
