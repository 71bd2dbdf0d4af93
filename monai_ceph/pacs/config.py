"""The configuration of a node, documented in docs/reference/node.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from monai_ceph.archives.config import (
    AeTitle,
    ClientTls,
    ExistingFile,
    Peer,
    Port,
    Seconds,
    Secret,
    Section,
    SelectionConfig,
    SourceConfig,
    TargetConfig,
    WorklistConfig,
)
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings

__all__ = [
    "AcceptConfig",
    "AuditSyslogConfig",
    "DetectConfig",
    "HttpConfig",
    "NodeConfig",
    "PageTls",
    "ProposeConfig",
    "RetryConfig",
    "ServerTls",
    "SpoolConfig",
    "StandbyConfig",
]


class ServerTls(Section):
    """TLS of the DIMSE port (PS3.15 B.9), 1.2 or later. With ``client_ca``, senders need a certificate from this CA."""

    certificate: ExistingFile
    key: ExistingFile
    client_ca: ExistingFile | None = None


class AcceptConfig(Section):
    """Who may send, and how much at once."""

    # pynetdicom reads an empty list as anybody
    calling_ae_titles: Annotated[tuple[AeTitle, ...], Field(min_length=1)] | Literal["any"] = Field(
        description="AE titles that may send, or any"
    )
    # pynetdicom waits by select, which is limited to 1024 file descriptors; an association needs two
    max_associations: int = Field(default=20, ge=1, le=400)
    max_pdu_bytes: int = Field(default=131072, ge=4096, le=1048576, description="announced to senders")
    max_object_mb: float = Field(
        default=256, gt=0, le=4096, description="an object above this size ends its association"
    )
    max_per_address: int | None = Field(
        default=None, ge=1, le=400, description="associations from one address; by default three quarters of all"
    )
    reserved: int | None = Field(
        default=None, ge=0, le=399, description="associations kept for known senders; by default a fifth of all"
    )
    request_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=10, description="time from the connection to the end of the association request"
    )
    min_kb_per_s: float = Field(default=16, gt=0, le=1024, description="a slower sender's association is ended")
    timeout_s: Seconds = 60
    tls: ServerTls | None = None

    @property
    def kept(self) -> int:
        """Associations that only known senders get."""
        return self.max_associations // 5 if self.reserved is None else self.reserved

    @property
    def per_address(self) -> int:
        """Associations at once from one address."""
        return self.max_per_address or self.max_associations - self.max_associations // 4

    @model_validator(mode="after")
    def _places_for_all(self) -> AcceptConfig:
        if (self.reserved or 0) >= self.max_associations:
            raise ValueError("reserved must be less than max_associations")
        return self


class SpoolConfig(Section):
    """Limits above which films are refused as out of resources (0xA700), so that senders try again later."""

    max_films: int = Field(default=10000, ge=1, description="films that were received and are not finished")
    min_free_mb: float = Field(default=1024, ge=0, description="space left free on the file system of the folder")

    reserve_mb: float | None = Field(
        default=None,
        ge=0,
        description="part of it that arriving objects may not use; by default a quarter, at most 64 MB",
    )

    @property
    def kept_mb(self) -> float:
        """Space that only the node's own work may use."""
        return min(64.0, self.min_free_mb / 4) if self.reserve_mb is None else self.reserve_mb

    @model_validator(mode="after")
    def _reserve_within(self) -> SpoolConfig:
        if self.kept_mb > self.min_free_mb:
            raise ValueError("reserve_mb must not be more than min_free_mb")
        return self


class DetectConfig(Section):
    """Detection on films."""

    workers: int = Field(default=1, ge=1, le=64)
    device: str | None = None
    config: tuple[ExistingFile, ...] = Field(default=(), description="bundle configs that change single keys")
    trusted_config: bool = Field(default=False, description="let these configs run Python code")
    profile: ExistingFile | None = Field(
        default=None, description="a clinic's profile, which moves the points: monai-ceph profile learn"
    )
    force: bool = Field(default=False, description="also report on images that do not look like a cephalogram")
    attempts: int = Field(
        default=2, ge=1, description="times that a film may end its worker process before it is given up"
    )
    timeout_s: Seconds = Field(default=600, description="time for a frame before its worker process is ended")


class RetryConfig(Section):
    """Pauses between attempts to send: ``first_s``, then longer by ``factor`` each time, up to ``longest_s``."""

    first_s: float = Field(default=5, gt=0)
    factor: float = Field(default=2, ge=1)
    longest_s: float = Field(default=900, gt=0)
    give_up_after_h: float = Field(default=168, gt=0, description="hours after which a film becomes a dead letter")

    def pause(self, attempts: int) -> float:
        """Return the seconds to wait after a number of attempts, at least 1."""
        # larger powers do not fit into a float
        return min(self.first_s * self.factor ** min(attempts - 1, 64), self.longest_s)


class ProposeConfig(Section):
    """A profile proposed from the reviews that people signed in ``review_folder``. The node never applies it."""

    file: Path = Field(description="where the proposal goes; never the profile in use")
    after_films: int = Field(default=10, ge=3, le=10000, description="newly signed films before the next proposal")
    name: str = Field(default="proposed", min_length=1, max_length=64, description="what results would call it")
    every_s: float = Field(default=60, ge=1, le=86400, description="seconds between checks of the reviews")


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an address such as https://review.clinic.example/")
    return value


class PageTls(Section):
    """TLS of the HTTP port, 1.2 or later."""

    certificate: ExistingFile
    key: ExistingFile


class HttpConfig(Section):
    """The status page and the metrics. They need a token unless they listen on the loopback interface."""

    host: str = "127.0.0.1"
    port: Port
    tls: PageTls | None = None
    token: Secret | None = None
    stow: bool = Field(default=False, description="take films by STOW-RS, POST /studies")
    review_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None, description="address of monai-ceph review for these films; the page links to it"
    )

    @model_validator(mode="after")
    def _token_beyond_loopback(self) -> HttpConfig:
        if self.host not in ("127.0.0.1", "::1", "localhost") and self.token is None:
            raise ValueError(f"host {self.host} can be reached from other machines. Set a token")
        return self


class AuditSyslogConfig(Section):
    """The syslog server that gets audit messages (PS3.15 A.5) over TLS."""

    host: str = Field(min_length=1)
    port: Port = 6514
    tls: ClientTls
    source_id: str | None = Field(default=None, min_length=1, description="name of the node, its AE title by default")
    site: str | None = Field(default=None, min_length=1, description="AuditEnterpriseSiteID")
    patient: Literal["id", "name", "none"] = Field(
        default="id",
        description="what messages say about a patient: PatientID and accession number, also the name, or neither",
    )
    max_waiting: int = Field(default=100000, ge=100, le=10000000, description="messages that wait for the server")


class StandbyConfig(Section):
    """Nodes on one shared folder: one works, the others wait until it ends or hangs."""

    lease_s: float = Field(
        default=15, ge=1, le=600, description="seconds without a beat after which another node takes over"
    )
    name: str | None = Field(default=None, min_length=1, max_length=60, description="by default that of the machine")


class NodeConfig(Section):
    """The whole configuration of a node."""

    ae_title: AeTitle = "CEPH"
    host: str = Field(default="0.0.0.0", min_length=1, description="interface of the DIMSE port")
    port: Port = 11112
    folder: Path = Field(description="spool, ledger and dead letters: one file system, not shared with another node")
    review_folder: Path | None = Field(
        default=None, description="keeps films and results for monai-ceph review; nothing is ever removed there"
    )
    propose: ProposeConfig | None = None
    accept: AcceptConfig
    spool: SpoolConfig = SpoolConfig()
    select: SelectionConfig = SelectionConfig()
    objects: ObjectSettings = Field(default=DEFAULT_SETTINGS, description="settings of the DICOM objects")
    detect: DetectConfig = DetectConfig()
    targets: TargetConfig
    sources: SourceConfig = SourceConfig()
    worklists: tuple[WorklistConfig, ...] = ()
    retry: RetryConfig = RetryConfig()
    storage_commitment: tuple[Peer, ...] = Field(
        default=(),
        description="peers that may request it, and where reports go; see docs/reference/node.md first",
    )
    http: HttpConfig | None = None
    audit_syslog: AuditSyslogConfig | None = None
    standby: StandbyConfig | None = Field(default=None, description="other nodes have the same folder, too")

    @model_validator(mode="after")
    def _reviews_to_propose_from(self) -> NodeConfig:
        if self.propose is not None and self.review_folder is None:
            raise ValueError("propose needs review_folder: a profile is learned from the reviews that are signed there")
        return self

    @model_validator(mode="after")
    def _worklists_have_sources(self) -> NodeConfig:
        sources, names = {each.name for each in self.sources.dicomweb}, [each.name for each in self.worklists]
        for each in self.worklists:
            if each.source not in sources:
                raise ValueError(f"worklists: {each.name}: there is no source {each.source} under sources.dicomweb")
            if names.count(each.name) > 1:
                raise ValueError(f"worklists: two are called {each.name}")
        return self
