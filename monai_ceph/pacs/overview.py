"""Figures for the status page and the metrics, read from the ledger. Films appear only by their UIDs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.proposal_loop import ProfileStanding

__all__ = [
    "LATENCY_BUCKETS",
    "FilmRow",
    "Overview",
    "SourceRow",
    "TargetRow",
    "dead_films",
    "last_films",
    "latency",
    "pending",
    "refused",
]

LATENCY_BUCKETS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
"""Upper ends, in seconds, of the histogram of the time from C-STORE to the last object in the last target."""


@dataclass(frozen=True)
class FilmRow:
    """A film in a list. ``received`` is the time in UTC, ``seconds`` the time until it was finished."""

    id: int
    uid: str
    sender: str
    received: str
    state: str
    reason: str | None
    seconds: float | None


@dataclass(frozen=True)
class TargetRow:
    """A target: how many objects wait for it, its failures since the last answer, and the cause of the last one.

    ``refused`` objects were tried and not taken, ``refusal`` is the answer to the last of them.
    """

    name: str
    pending: int
    failures: int
    cause: str | None
    refused: int = 0
    refusal: str | None = None


@dataclass(frozen=True)
class SourceRow:
    """An archive that is queried: rounds that failed since the last good one, and the cause of the last one."""

    name: str
    failures: int
    cause: str | None


@dataclass(frozen=True)
class Overview:
    """The status page: address of the review, why films are refused, what else to look at, films, targets, sources.

    ``profile`` is what signed films say of profiles, None if the node proposes none.
    """

    ae_title: str
    review_url: str | None
    problems: list[str]
    warnings: list[str]
    counts: dict[str, int]
    targets: list[TargetRow]
    sources: list[SourceRow]
    dead: list[FilmRow]
    last: list[FilmRow]
    profile: ProfileStanding | None = None


def last_films(ledger: NodeLedger, count: int) -> list[FilmRow]:
    """Return the films that arrived last."""
    return _films(ledger, "ORDER BY received DESC LIMIT ?", count)


def dead_films(ledger: NodeLedger, count: int) -> list[FilmRow]:
    """Return the last dead letters."""
    return _films(ledger, "WHERE state = 'dead' ORDER BY received DESC LIMIT ?", count)


def _films(ledger: NodeLedger, rest: str, *values: object) -> list[FilmRow]:
    query = f"SELECT id, uid, sender, received, state, reason, ended FROM films {rest}"
    with ledger.lock:
        rows = ledger.database.rows(query, *values)
    films = []
    for number, uid, sender, received, state, reason, ended in rows:
        moment = datetime.fromtimestamp(received, timezone.utc).isoformat(sep=" ", timespec="seconds")
        seconds = None if ended is None else round(max(0.0, ended - received), 1)
        films.append(FilmRow(number, uid, sender, moment, state, reason, seconds))
    return films


def pending(ledger: NodeLedger) -> dict[str, int]:
    """Return how many objects wait for each target."""
    with ledger.lock:
        return dict(
            ledger.database.rows("SELECT target, count(*) FROM deliveries WHERE state = 'pending' GROUP BY target")
        )


def refused(ledger: NodeLedger) -> dict[str, tuple[int, str]]:
    """Return how many of the objects that wait for each target were tried and not taken, and the last answer."""
    query = (
        "SELECT target, count(*), reason, max(next_try) FROM deliveries WHERE state = 'pending' AND attempts > 0 "
        "GROUP BY target"
    )
    with ledger.lock:
        return {target: (count, str(reason)) for target, count, reason, _ in ledger.database.rows(query)}


def latency(ledger: NodeLedger) -> tuple[list[int], float]:
    """Return how many films were done within each of :data:`LATENCY_BUCKETS`, in any time, and the sum of seconds."""
    within = ", ".join(f"coalesce(sum(ended - received <= {limit}), 0)" for limit in LATENCY_BUCKETS)
    with ledger.lock:
        rows = ledger.database.rows(
            f"SELECT {within}, count(*), coalesce(sum(max(ended - received, 0)), 0) FROM films WHERE state = 'done'"
        )
    return list(rows[0][:-1]), float(rows[0][-1])
