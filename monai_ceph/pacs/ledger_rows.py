"""Rows of the ledger: films, the objects made from them, and their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Delivery", "Film", "FilmState", "MadeObject", "Receipt"]

FilmState = Literal["received", "detected", "done", "dead", "skipped"]


@dataclass(frozen=True)
class Film:
    """A film that was received.

    Attributes:
        id: of its row.
        uid: SOP Instance UID.
        key: name of its files, without suffix.
        generation: how often a new content or a retry restarted it. Results for an earlier generation are ignored.
        state: its state.
        attempts: how often work on it began without an orderly end.
        reason: why it is dead or skipped.
        content: hash of its PatientID and its stored pixel data, None if an older version received it.
        decoded: hashes of its PatientID and its decoded pixels, one per frame, None before it was read.
    """

    id: int
    uid: str
    key: str
    generation: int
    state: FilmState
    attempts: int
    reason: str | None
    content: str | None
    decoded: str | None


@dataclass(frozen=True)
class MadeObject:
    """An object made from a film: its kind, such as ``sr``, file name without suffix, and SOP Instance UID."""

    kind: str
    stem: str
    uid: str


@dataclass(frozen=True)
class Delivery:
    """One object to be sent to one target."""

    id: int
    film: int
    generation: int
    kind: str
    stem: str
    uid: str
    attempts: int
    since: float
    target: str


@dataclass(frozen=True)
class Receipt:
    """The ledger's answer for a received film: whether it is new, and the key of files that it replaces."""

    new: bool
    replaced: str | None = None
