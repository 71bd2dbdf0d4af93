"""What the configuration of a node may say. Docs: docs/reference/node.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from monai_ceph.archives.config import (
    AeTitle,
    ExistingFile,
    Peer,
    Port,
    Seconds,
    Secret,
    Section,
    SelectionConfig,
    SourceConfig,
    TargetConfig,
)

__all__ = ["AcceptConfig", "DetectConfig", "HttpConfig", "NodeConfig", "RetryConfig", "ServerTls", "SpoolConfig"]


class ServerTls(Section):
    """TLS of the DIMSE port (PS3.15 B.9), 1.2 or later. With ``client_ca``, senders must show a certificate of it."""

    certificate: ExistingFile
    key: ExistingFile
    client_ca: ExistingFile | None = None


class AcceptConfig(Section):
    """Who may send, and how much at once."""

    # pynetdicom takes an empty list for anybody
    calling_ae_titles: Annotated[tuple[AeTitle, ...], Field(min_length=1)] | Literal["any"] = Field(
        description="who may send"
    )
    # pynetdicom waits by select, which knows descriptors below 1024; an association takes two, and there are others
    max_associations: int = Field(default=20, ge=1, le=400)
    max_pdu_bytes: int = Field(default=131072, ge=4096, le=1048576, description="announced to senders")
    max_object_mb: float = Field(default=256, gt=0, le=4096, description="a larger object ends its association")
    timeout_s: Seconds = 60
    tls: ServerTls | None = None


class SpoolConfig(Section):
    """When no more is taken: senders are told that resources ran out (0xA700), and try again later."""

    max_films: int = Field(default=10000, ge=1, description="received and not ended")
    min_free_mb: float = Field(default=1024, ge=0, description="left free on the file system of the folder")


class DetectConfig(Section):
    """How films are worked on."""

    workers: int = Field(default=1, ge=1, le=64)
    device: str | None = None
    config: tuple[ExistingFile, ...] = Field(default=(), description="bundle configs that change single keys")
    force: bool = Field(default=False, description="answer also for what does not look like a cephalogram")
    attempts: int = Field(default=2, ge=1, description="starts that end with the process, before a film is given up")
    timeout_s: Seconds = Field(default=600, description="that a frame may take, before its process is ended")


class RetryConfig(Section):
    """How long a target is tried: ``first_s``, then longer by ``factor`` up to ``longest_s``, up to the end."""

    first_s: float = Field(default=5, gt=0)
    factor: float = Field(default=2, ge=1)
    longest_s: float = Field(default=900, gt=0)
    give_up_after_h: float = Field(default=168, gt=0, description="then the film is a dead letter")

    def pause(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts, 1 or more."""
        # the power of a large number is no float any more
        return min(self.first_s * self.factor ** min(attempts - 1, 64), self.longest_s)


class HttpConfig(Section):
    """The page and the metrics. Beyond the loopback interface they need a token."""

    host: str = "127.0.0.1"
    port: Port
    token: Secret | None = None

    @model_validator(mode="after")
    def _token_beyond_loopback(self) -> HttpConfig:
        if self.host not in ("127.0.0.1", "::1", "localhost") and self.token is None:
            raise ValueError(f"host {self.host} can be reached from other machines, so a token is needed")
        return self


class NodeConfig(Section):
    """All of it."""

    ae_title: AeTitle = "CEPH"
    host: str = Field(default="0.0.0.0", min_length=1, description="interface of the DIMSE port")
    port: Port = 11112
    folder: Path = Field(description="spool, ledger and dead letters; one file system, of this node alone")
    accept: AcceptConfig
    spool: SpoolConfig = SpoolConfig()
    select: SelectionConfig = SelectionConfig()
    detect: DetectConfig = DetectConfig()
    targets: TargetConfig
    sources: SourceConfig = SourceConfig()
    retry: RetryConfig = RetryConfig()
    storage_commitment: tuple[Peer, ...] = Field(
        default=(), description="who may ask for it, and where the report goes; see docs/reference/node.md first"
    )
    http: HttpConfig | None = None
