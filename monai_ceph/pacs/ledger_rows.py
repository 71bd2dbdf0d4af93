"""What the ledger of a node says of films, of what was made of them, and of where that goes."""

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
        generation: how often another content or a retry began it anew; what an older one says no longer counts.
        state: where it is.
        attempts: how often a process began to work on it without an orderly end.
        reason: why it is dead or skipped.
        content: hash of its PatientID and its stored pixel data; None if an older version received it.
        decoded: those of its PatientID and its pixels, one for each frame; None if it was not read yet.
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
    """An object that was made of a film: its kind (``sr`` or ``gsps``), file without its folder, SOP Instance UID."""

    kind: str
    stem: str
    uid: str


@dataclass(frozen=True)
class Delivery:
    """One object that is to go to one target."""

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
    """What the ledger says of a film that came in: whether there is work, and the files that are now of no use."""

    new: bool
    replaced: str | None = None
