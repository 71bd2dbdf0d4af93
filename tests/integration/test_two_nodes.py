"""Two nodes on one folder, each in a process of its own: the working one is killed or paused, and nothing is lost."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from nodes import SR, free_port, listens, send, settings, wait_until
from nodes import film as made_film
from pair import Member, Pair, pair
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import GrayscaleSoftcopyPresentationStateStorage

from monai_ceph.pacs.folder import LEDGER

FILMS = 12


class Archive:
    """Keeps what it is sent: for each report its film, name and predecessor."""

    def __init__(self) -> None:
        self.port = free_port()
        self.reports: dict[str, tuple[str, str]] = {}
        self.times: Counter[str] = Counter()

    def store(self, event: evt.Event) -> int:
        report = event.dataset
        if report.Modality == "SR":
            uid = str(report.SOPInstanceUID)
            (study,) = report.CurrentRequestedProcedureEvidenceSequence
            film = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            self.reports[uid] = (str(film), str(report.PatientName))
            self.times[uid] += 1
        return 0


@contextmanager
def archive(values: dict[str, Any]) -> Iterator[Archive]:
    """Run an archive that is the target of a configuration."""
    here = Archive()
    values["targets"]["dicom"][0]["port"] = here.port
    entity = AE("PACS")
    for sop_class in (SR, GrayscaleSoftcopyPresentationStateStorage):
        entity.add_supported_context(sop_class)
    server = entity.start_server(("127.0.0.1", here.port), block=False, evt_handlers=[(evt.EVT_C_STORE, here.store)])
    try:
        yield here
    finally:
        server.shutdown()


def deliver(both: Pair, film: Dataset) -> None:
    """Send a film as a PACS with two destinations does: to whichever takes it, until one says success."""
    wait_until(lambda: any(listens(each.port) and send(each.port, film) == [0] for each in both.members), 180)


def ready(member: Member) -> tuple[int, Any]:
    wait_until(lambda: listens(member.http_port))
    try:
        with urlopen(f"http://127.0.0.1:{member.http_port}/ready", timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    return settings(tmp_path, http={"host": "127.0.0.1", "port": free_port()})


def done(both: Pair, count: int) -> bool:
    with closing(sqlite3.connect(both.folder / LEDGER, timeout=20)) as ledger:
        return bool(ledger.execute("SELECT count(*) FROM films WHERE state = 'done'").fetchone() == (count,))


def roles(both: Pair) -> bool:
    """Whether one is ready, and the other one says who works."""
    both.restart()
    answers = sorted((ready(each) for each in both.members), key=lambda answer: answer[0])
    said = [f"standby: {name(each)} works" for each in both.members]
    return answers[0] == (200, {"problems": [], "warnings": []}) and (
        answers[1][0] == 503 and answers[1][1]["problems"][0] in said
    )


def test_the_working_node_is_killed(tmp_path: Path, values: dict[str, Any]) -> None:
    """In the middle of films, and again after the other one has taken over: each film has one report, and one only."""
    with archive(values) as pacs, pair(tmp_path, values, seconds=0.1) as both:
        wait_until(lambda: roles(both), 120)
        sender = threading.Thread(target=lambda: [deliver(both, made_film(each)) for each in range(1, FILMS + 1)])
        sender.start()
        for count in (3, 6):
            wait_until(lambda count=count: len(both.events("received")) >= count, 120)
            both.kill()
            both.start()
        sender.join()
        wait_until(lambda: done(both, FILMS), 120)
        wait_until(lambda: roles(both), 120)
    assert Counter(film for film, _ in pacs.reports.values()) == {f"1.2.3.{each}.3": 1 for each in range(1, FILMS + 1)}
    # once at the start, and after each kill
    assert len(both.events("took over")) >= 3


def test_the_working_node_is_paused(tmp_path: Path, values: dict[str, Any]) -> None:
    """It wakes up when its films were answered, and one of them has been corrected: it ends, and changes nothing."""
    with archive(values) as pacs, pair(tmp_path, values, seconds=0.5) as both:
        for number in range(1, 4):
            deliver(both, made_film(number))
        first = both.working()
        second = both.other(first)
        first.stop_still()
        wait_until(second.works, 120)
        deliver(both, made_film(1, PatientName="Corrected^Anna", PatientID="C1"))
        deliver(both, made_film(4))
        wait_until(lambda: done(both, 4), 120)
        # the row says so before the files are gone
        wait_until(lambda: files(both) == [], 120)
        before = rows(both)
        first.go_on()
        assert first.process is not None
        assert first.process.wait(timeout=120) == 3
        assert first.events("stopped")[-1]["cause"] == "another node has taken over"
        assert (rows(both), files(both)) == (before, [])
        deliver(both, made_film(5))
        wait_until(lambda: done(both, 5), 120)
    counts = Counter(film for film, _ in pacs.reports.values())
    # the first report of the corrected film may have been made before the pause
    assert counts.pop("1.2.3.1.3") in (1, 2)
    assert counts == {f"1.2.3.{each}.3": 1 for each in (2, 3, 4, 5)}
    assert ("1.2.3.1.3", "Corrected^Anna") in pacs.reports.values()


def files(both: Pair) -> list[Path]:
    return [path for name in ("queue", "dead") for path in sorted((both.folder / name).rglob("*"))]


def rows(both: Pair) -> list[Any]:
    with closing(sqlite3.connect(both.folder / LEDGER, timeout=20)) as ledger:
        return [
            ledger.execute(f"SELECT * FROM {table}").fetchall() for table in ("films", "deliveries", "turns", "audit")
        ]


def name(member: Member) -> str:
    return member.config.parent.name
