"""The counts of a run, and its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from monai_ceph.batch.ledger import ENDED_WELL, Ledger
from monai_ceph.batch.results import Results
from monai_ceph.batch.sending import Sent
from monai_ceph.errors import StoppedError
from monai_ceph.reports.measurement_record import DEFINITIONS_FILE, definitions_json
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
    """How the films of a run ended, in this run or in an earlier one.

    Attributes:
        states: number of films by state.
        duplicates: how many of them are the same image as another film.
        clashes: how many of them share their SOP Instance UID with another image; each has a row in ``errors.csv``.
        before: how many of them an earlier run ended with the same settings.
        left_behind: films that only earlier runs found, and that never ended.
        seconds: time from the first film to the last that this run worked on.
        parts: seconds for each part of the work, summed over all workers.
        not_listed: a sentence for each URL that could not be listed completely.
        skipped: a sentence for each file in a folder that was skipped although it may contain films.
        sending: result of sending objects; None if none were to be sent.
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
        """Number of films in the run, with any state."""
        return sum(self.states.values())

    @property
    def with_landmarks(self) -> int:
        """Number of films that are done or uncertain."""
        return sum(self.states.get(state, 0) for state in ENDED_WELL)

    @property
    def in_errors(self) -> int:
        """Number of films that are rejected or failed."""
        return self.films - self.with_landmarks

    @property
    def not_sent(self) -> list[str]:
        """A sentence for each object that a target did not accept."""
        return [] if self.sending is None else self.sending.causes

    @property
    def films_per_second(self) -> float:
        """Rate for the films that this run worked on."""
        return (self.films - self.before) / self.seconds if self.seconds > 0 else 0.0


def summarise(ledger: Ledger, seconds: float, parts: dict[str, float]) -> Summary:
    """Return the counts of the current run in the ledger."""
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
        StoppedError: if one cannot be written; then all earlier tables stay.
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
            if "json" in options.formats:
                target = out / DEFINITIONS_FILE
                parts.enter_context(written_beside(target)).write_text(definitions_json(), encoding="utf-8")
    except OSError as error:
        raise StoppedError(f"{target}: {error.strerror or error}") from error
    results.publish(tables_of(options.formats))


def _measurements(ledger: Ledger) -> Iterator[list[str]]:
    for detection in _detections(ledger):
        yield from measurement_rows(FilmMeasurements.of(detection))


def _detections(ledger: Ledger) -> Iterator[Detection]:
    return map(Detection.model_validate_json, ledger.detections())
