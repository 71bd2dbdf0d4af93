"""Which study dates an archive is asked for, from the first start on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")

from monai_ceph.archives.config import DicomWebSource, SelectionConfig
from monai_ceph.archives.query import Found, Query
from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.polling_loop import PollingLoop

TODAY = date.today()


class Asked:
    """An archive that has nothing, and knows what it was asked for. It ends the loop."""

    name = "pacs"

    def __init__(self, *, fails: bool = False) -> None:
        self.dates: list[str] = []
        self.fails = fails
        self.ended = threading.Event()

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        self.dates.append(query.date)
        self.ended.set()
        if self.fails:
            raise CephError("no answer")
        return iter(())

    def fetch(self, found: Found, deliver: Callable[[Dataset], None]) -> None:
        raise AssertionError("nothing was found")


def ask(ledger: NodeLedger, *, fails: bool = False, **options: object) -> str:
    """Return the dates of one round."""
    source = Asked(fails=fails)
    config = DicomWebSource.model_validate({"name": "pacs", "url": "http://127.0.0.1", "every_s": 1, **options})
    loop = PollingLoop(source, config, ledger, Selection(SelectionConfig()), lambda film: None, lambda: None)
    loop.wake.set()
    loop.run(source.ended)
    (asked,) = source.dates
    return asked


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[NodeLedger]:
    with closing(NodeLedger(tmp_path / "node.sqlite")) as ledger:
        yield ledger


def dicom(day: date) -> str:
    return f"{day:%Y%m%d}-"


def test_nothing_before_the_first_start(ledger: NodeLedger) -> None:
    assert [ask(ledger) for _ in range(3)] == [dicom(TODAY)] * 3


def test_late_films_of_later_days(ledger: NodeLedger) -> None:
    ask(ledger)
    ledger.set_cursor("pacs first", "2026-01-01")
    assert ask(ledger, look_back_days=5) == dicom(TODAY - timedelta(5))


def test_since_is_the_first_date_for_ever(ledger: NodeLedger) -> None:
    since = TODAY - timedelta(2)
    assert [ask(ledger, since=since, look_back_days=10) for _ in range(2)] == [dicom(since)] * 2
    assert ask(ledger, since=since, look_back_days=1) == dicom(TODAY - timedelta(1))


def test_a_first_round_that_failed(ledger: NodeLedger) -> None:
    """It was the first start all the same: films of the days without an answer are asked for afterwards."""
    ask(ledger, fails=True)
    ledger.set_cursor("pacs first", (TODAY - timedelta(4)).isoformat())
    assert ask(ledger) == dicom(TODAY - timedelta(4))


def test_a_ledger_of_an_older_version_knows_no_first_start(ledger: NodeLedger) -> None:
    ledger.set_cursor("pacs", TODAY.isoformat())
    assert ask(ledger, look_back_days=3) == dicom(TODAY - timedelta(3))


def test_the_longest_times_that_can_be_set(ledger: NodeLedger) -> None:
    ledger.set_cursor("pacs", TODAY.isoformat())
    assert ask(ledger, look_back_days=36500, every_s=604800) == dicom(TODAY - timedelta(36500))


FUTURE = TODAY + timedelta(600)
START = TODAY - timedelta(30)


@pytest.mark.parametrize(
    ("first", "cursor", "options", "asked"),
    [
        (START, FUTURE, {}, START),
        (FUTURE, FUTURE, {"look_back_days": 3}, TODAY - timedelta(3)),
        (FUTURE, None, {"look_back_days": 3}, TODAY - timedelta(3)),
        (FUTURE, FUTURE, {"since": START}, START),
        (START, TODAY + timedelta(1), {}, START),
    ],
)
def test_a_clock_that_ran_ahead(
    ledger: NodeLedger, first: date, cursor: date | None, options: dict[str, object], asked: date
) -> None:
    """The node would ask for nothing until that day. The days in between were asked with the wrong clock."""
    ledger.set_cursor("pacs first", first.isoformat())
    if cursor is not None:
        ledger.set_cursor("pacs", cursor.isoformat())
    assert ask(ledger, **options) == dicom(asked)
    assert ledger.cursor("pacs") == TODAY.isoformat()
    # from then on as ever
    assert ask(ledger, **{"look_back_days": 1, **options}) == dicom(
        max(asked, TODAY - timedelta(int(str(options.get("look_back_days", 1)))))
    )


def test_a_first_date_in_the_future_is_the_users(ledger: NodeLedger) -> None:
    assert ask(ledger, since=FUTURE) == dicom(FUTURE)


@pytest.mark.parametrize("method", ["cursor", "set_cursor"])
def test_a_ledger_that_cannot_be_written_ends_no_loop(
    ledger: NodeLedger, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*args: str) -> None:
        source.ended.set()
        raise StoppedError("database or disk is full")

    source = Asked()
    config = DicomWebSource.model_validate({"name": "pacs", "url": "http://127.0.0.1", "every_s": 1})
    loop = PollingLoop(source, config, ledger, Selection(SelectionConfig()), lambda film: None, lambda: None)
    loop.wake.set()
    monkeypatch.setattr(ledger, method, fail)
    loop.run(source.ended)
    assert (loop.failures, loop.cause) == (1, "database or disk is full")
    monkeypatch.undo()
    assert ask(ledger) == dicom(TODAY)
