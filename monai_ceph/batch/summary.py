"""How a run ended, in counts, and the tables that say so film by film."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from monai_ceph.batch.ledger import ENDED_WELL, Ledger
from monai_ceph.batch.results import Results
from monai_ceph.batch.sending import Sent
from monai_ceph.errors import StoppedError
from monai_ceph.reports.measurement_table import (
    MEASUREMENT_COLUMNS,
    FilmMeasurements,
    measurement_rows,
    write_measurements_parquet,
)
from monai_ceph.reports.parquet import write_parquet
from monai_ceph.reports.tables import DUPLICATE_COLUMNS, ERROR_COLUMNS, landmark_columns, landmark_rows, write_table
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import written_beside
from monai_ceph.work.film import State
from monai_ceph.work.options import DUPLICATES, ERRORS, TABLES, Options, tables_of

__all__ = ["Summary", "save_tables", "summarise"]


@dataclass
class Summary:
    """How the films of a run ended, whichever run ended them.

    Attributes:
        states: films by state.
        duplicates: how many of them are the same image as another one.
        clashes: how many of them share their SOP Instance UID with another image; each has a row in ``errors.csv``.
        before: how many of them an earlier run had ended with the same settings.
        left_behind: films of earlier runs, not of this one, that never ended.
        seconds: from the first film to the last; for the films of this run alone.
        parts: seconds per part of the work, over all workers.
        not_listed: a sentence for each URL below which not all was found, such as of an archive that answers oddly.
        skipped: a sentence for each file in a folder that was left out though it may hold films, such as an archive.
        sending: what became of the objects that were to be sent; None if nobody was to get any.
    """

    states: dict[State, int] = field(default_factory=dict)
    duplicates: int = 0
    clashes: int = 0
    before: int = 0
    left_behind: int = 0
    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    not_listed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    sending: Sent | None = None

    @property
    def films(self) -> int:
        """Of the run, all states."""
        return sum(self.states.values())

    @property
    def with_landmarks(self) -> int:
        """Films that are done or uncertain."""
        return sum(self.states.get(state, 0) for state in ENDED_WELL)

    @property
    def in_errors(self) -> int:
        """Films that are rejected or failed."""
        return self.films - self.with_landmarks

    @property
    def not_sent(self) -> list[str]:
        """A sentence for each object that a target did not take."""
        return [] if self.sending is None else self.sending.causes

    @property
    def films_per_second(self) -> float:
        """Of the films that this run worked on."""
        return (self.films - self.before) / self.seconds if self.seconds > 0 else 0.0


def summarise(ledger: Ledger, seconds: float, parts: dict[str, float]) -> Summary:
    """Return the counts of the ledger's present run."""
    counts = ledger.counts()
    return Summary(
        states={state: films for state, films, _, _ in counts},
        duplicates=sum(duplicates for _, _, duplicates, _ in counts),
        clashes=ledger.clashes(),
        before=sum(before for _, _, _, before in counts),
        left_behind=ledger.left_behind(),
        seconds=seconds,
        parts=parts,
    )


def save_tables(ledger: Ledger, results: Results, options: Options) -> None:
    """Write the tables of all films in the ledger, one film in memory at a time.

    Raises:
        StoppedError: if one cannot be written; then all tables of before stay.
    """
    target = out = results.unfinished
    # films of earlier runs may have had one
    with_profile = any('"profile":{' in text for text in ledger.detections())
    try:
        with ExitStack() as parts:
            target = out / ERRORS
            write_table(parts.enter_context(written_beside(target)), ERROR_COLUMNS, ledger.errors())
            target = out / DUPLICATES
            write_table(parts.enter_context(written_beside(target)), DUPLICATE_COLUMNS, ledger.duplicates())
            if "csv" in options.formats:
                target, measurements = (out / name for name in TABLES["csv"])
                rows = (row for each in _detections(ledger) for row in landmark_rows(each, with_profile))
                write_table(parts.enter_context(written_beside(target)), landmark_columns(with_profile), rows)
                target = measurements
                write_table(parts.enter_context(written_beside(target)), MEASUREMENT_COLUMNS, _measurements(ledger))
            if "parquet" in options.formats:
                target, measurements = (out / name for name in TABLES["parquet"])
                write_parquet(parts.enter_context(written_beside(target)), _detections(ledger), with_profile)
                target = measurements
                films = map(FilmMeasurements.of, _detections(ledger))
                write_measurements_parquet(parts.enter_context(written_beside(target)), films)
    except OSError as error:
        raise StoppedError(f"{target}: {error.strerror or error}") from error
    results.publish(tables_of(options.formats))


def _measurements(ledger: Ledger) -> Iterator[list[str]]:
    for detection in _detections(ledger):
        yield from measurement_rows(FilmMeasurements.of(detection))


def _detections(ledger: Ledger) -> Iterator[Detection]:
    return map(Detection.model_validate_json, ledger.detections())
