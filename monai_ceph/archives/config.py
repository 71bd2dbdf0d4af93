"""How archives and peers are reached, and what is taken from them; a part of a node's configuration."""

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
    "ObjectName",
    "Peer",
    "Port",
    "Seconds",
    "Secret",
    "Section",
    "SelectionConfig",
    "SourceConfig",
    "TargetConfig",
]

ObjectName = Literal["sr", "gsps"]


def _ae_title(value: str) -> str:
    if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", value):
        raise ValueError("an AE title has 1 to 16 characters of ASCII, no backslash, no space at its ends (PS3.5 6.2)")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return value


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return path


def _url(value: str) -> str:
    parts = urlsplit(value)
    # a port that is no number is an error of its own
    if not parts.hostname or parts.port == 0:
        raise ValueError("no URL such as https://pacs/dicom-web: it has no host, or the port 0")
    return value


def _filled(value: str) -> str:
    # such as by an environment variable that is set to nothing
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
# of a header, where code strings (CS) are upper-case
Term = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1)]
Secret = Annotated[SecretStr, AfterValidator(_filled_secret)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,32}$")]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _check_names(what: str, *names: str) -> None:
    if double := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two {what} are called {min(double)}")


class Section(BaseModel):
    """A part of a configuration: no unknown keys, and no change once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClientTls(Section):
    """TLS towards a target: who signed its certificate, and our own if it asks for one."""

    ca: ExistingFile
    certificate: ExistingFile | None = None
    key: ExistingFile | None = None
    check_hostname: bool = True


class Peer(Section):
    """Where another application entity listens."""

    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    tls: ClientTls | None = None


class SelectionConfig(Section):
    """Which images are cephalograms, by what their headers say. What says nothing is no reason to leave one out."""

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
        description="found in a description, this is one whatever the exclusion says",
    )
    exclude: Pattern = Field(
        default=r"panoram|pantomo|\bopg\b|\bopt\b|bite.?wing|peri.?apical|intra.?oral|\bpa\b|frontal|\bap\b|\bhand\b"
        r"|wrist|\btmj\b|chest|thorax|cbct",
        description="found in a description, this is none",
    )
    only_included: bool = Field(default=False, description="take only what a description or the positioner says is one")
    max_frames: int = Field(default=4, ge=1, description="an image with more is none")


class DicomTarget(Peer):
    """A target by C-STORE."""

    name: Name
    objects: tuple[ObjectName, ...] = Field(default=("sr", "gsps"), min_length=1)
    timeout_s: Seconds = 60
    calling_ae_title: AeTitle | None = Field(default=None, description="the node's own if nothing is said")


class DicomWebService(Section):
    """A DICOMweb service, and how to log in."""

    name: Name
    url: Annotated[str, AfterValidator(_url)] = Field(
        pattern=r"^https?://", description="of the DICOMweb service, such as https://pacs/dicom-web"
    )
    timeout_s: Seconds = 60
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
    """A target by STOW-RS."""

    objects: tuple[ObjectName, ...] = Field(default=("sr", "gsps"), min_length=1)


class _Polled(BaseModel):
    every_s: float | None = Field(
        default=None, ge=1, le=604800, description="how often it is asked; only by fetch without it"
    )
    since: date | None = Field(default=None, description="first study date to ask for; the day of the first start")
    look_back_days: int = Field(
        default=3, ge=0, le=36500, description="dates asked for again each time, for late arrivals"
    )


class DicomWebSource(DicomWebService, _Polled):
    """An archive that is asked by QIDO-RS, whose films come by WADO-RS."""


class DicomSource(Peer, _Polled):
    """An archive that is asked by C-FIND, and moves films to the AE title of this node, which it has to know."""

    name: Name
    timeout_s: Seconds = 60
    calling_ae_title: AeTitle | None = Field(default=None, description="the node's own if nothing is said")


class SourceConfig(Section):
    """Archives that the node fetches films from."""

    dicom: tuple[DicomSource, ...] = ()
    dicomweb: tuple[DicomWebSource, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> SourceConfig:
        _check_names("sources", *(source.name for source in self.dicom), *(source.name for source in self.dicomweb))
        return self


class TargetConfig(Section):
    """Where answers go: a DICOM peer or a DICOMweb service."""

    dicom: tuple[DicomTarget, ...] = ()
    dicomweb: tuple[DicomWebTarget, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> TargetConfig:
        names = [*(target.name for target in self.dicom), *(target.name for target in self.dicomweb)]
        if not names:
            raise ValueError("at least one target under dicom or dicomweb")
        _check_names("targets", *names)
        return self
