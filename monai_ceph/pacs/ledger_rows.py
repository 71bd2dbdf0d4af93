"""Rows of the ledger: films, the objects made from them, and their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monai_ceph.reports.header_identity import ObjectReference

__all__ = ["Delivery", "Film", "FilmState", "MadeObject", "PastAnswer", "Receipt"]

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
        image_sha256: :func:`~monai_ceph.work.image_digest.image_digest` of each frame, with blanks between; None
            before it was read.
        pixels_sha256: the same without the PatientID; None if an older version read it.
    """

    id: int
    uid: str
    key: str
    generation: int
    state: FilmState
    attempts: int
    reason: str | None
    content: str | None
    image_sha256: str | None
    pixels_sha256: str | None


@dataclass(frozen=True)
class PastAnswer:
    """The last object of a kind that was made for an image or a frame.

    Attributes:
        kind: such as ``sr``.
        frame: frame number; 0 if the image has only one.
        answered: digest of the pixels, the patient and what else of the header the object depends on.
        reference: its UIDs.
        replaces: the object that it says it replaces.
    """

    kind: str
    frame: int
    answered: str
    reference: ObjectReference
    replaces: ObjectReference | None


@dataclass(frozen=True)
class MadeObject:
    """An object made from a film.

    Attributes:
        kind: such as ``sr``.
        stem: file name without suffix.
        uid: SOP Instance UID.
        answer: what it answers, None if that is not known.
    """

    kind: str
    stem: str
    uid: str
    answer: PastAnswer | None = None


@dataclass(frozen=True)
class Delivery:
    """One object to be sent to one target. ``waited`` is the seconds that it has waited while the node ran."""

    id: int
    film: int
    generation: int
    kind: str
    stem: str
    uid: str
    attempts: int
    waited: float
    target: str


@dataclass(frozen=True)
class Receipt:
    """The ledger's answer for a received film: whether it is new, and the key of files that it replaces."""

    new: bool
    replaced: str | None = None
