"""Two films with one SOP Instance UID: the same image again, or another one, which is kept and replaces nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

pytest.importorskip("pynetdicom", reason="pip install 'monai-ceph[pacs]'")
from fakes import FakeDetector
from nodes import RunningNode, film, free_port, listens, running, running_loop, send, settings, wait_until
from test_detection_loop import MODEL, FailingWorkers, Place, placed
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.pacs.content import ANOTHER_IMAGE, NodeWorker, stored_content
from monai_ceph.pacs.inbox import InboxLoop, put_into_inbox
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.readers import read_radiograph
from monai_ceph.work.executors import Died
from monai_ceph.work.film import Outcome
from monai_ceph.work.options import OBJECT_FORMATS, Options

UID = "1.2.3.1.3"


class InProcess(FailingWorkers):
    """One worker that does its work here."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        objects = folder / "node" / "objects"
        self.work = NodeWorker(FakeDetector(), objects, Options(OBJECT_FORMATS), read_radiograph)

    def wait(self) -> Outcome | Died:
        return self.work(self.jobs.pop(0))


@contextmanager
def place_of(folder: Path) -> Iterator[Place]:
    with placed(folder, InProcess(folder), sends=True) as place:
        yield place


def changed(**values: Any) -> Dataset:
    """The film 1 with another header."""
    return film(1, **values)


def other_pixels(**values: Any) -> Dataset:
    dataset = film(1, **values)
    dataset.PixelData = film(2).PixelData
    return dataset


def compressed(dataset: Dataset) -> Dataset:
    dataset.compress(RLELossless, generate_instance_uid=False)
    return dataset


def work(place: Place) -> None:
    """Let the loop work until nothing waits."""
    with place.running():
        wait_until(lambda: "received" not in place.ledger.counts())


def answered(place: Place) -> None:
    """Have the target take everything."""
    for delivery in place.ledger.due("pacs", 9):
        place.ledger.sent(delivery, "status 0000")
        place.spool.settle(place.ledger, delivery.film)


def events(place: Place) -> list[object]:
    return [row["event"] for row in place.ledger.audit_rows()]


ANOTHER = {
    "other pixels": other_pixels,
    "other pixels of another patient": lambda: other_pixels(PatientID="P2"),
    "other pixels, compressed": lambda: compressed(other_pixels()),
    "one row more": lambda: changed(Rows=49, PixelData=film(1).PixelData + bytes(80)),
}
THE_SAME = {
    "another name": lambda: changed(PatientName="Corrected^Name"),
    "another patient": lambda: changed(PatientID="P2"),
    "another patient, compressed": lambda: compressed(changed(PatientID="P2")),
    "another spacing": lambda: changed(PixelSpacing=[0.2, 0.2]),
    "another study": lambda: changed(StudyInstanceUID="1.2.3.9.1"),
    "compressed": lambda: compressed(film(1)),
}


@pytest.mark.parametrize("make", ANOTHER.values(), ids=ANOTHER)
@pytest.mark.parametrize("when", ["waits", "detected", "done"])
def test_another_image_is_a_dead_letter_and_replaces_nothing(tmp_path: Path, make: Any, when: str) -> None:
    with place_of(tmp_path) as place:
        place.take(film(1))
        if when != "waits":
            work(place)
        made = {path.name: path.read_bytes() for path in place.spool.objects.rglob("*.dcm")}
        if when == "done":
            answered(place)
        second = make()
        place.take(second)
        work(place)
        state = "done" if when == "done" else "detected"
        assert place.ledger.counts() == {state: 1, "dead": 1}
        assert place.dead() == {UID: ANOTHER_IMAGE}
        (letter,) = place.ledger.films("dead")
        grave = place.spool.dead / letter.key
        assert {path.name for path in grave.iterdir()} == {"film.dcm", "reason.json"}
        assert json.loads((grave / "reason.json").read_text()) == {"uid": UID, "reason": ANOTHER_IMAGE}
        kept = dcmread(grave / "film.dcm")
        assert (kept.PixelData, kept.PatientID) == (second.PixelData, second.PatientID)
        # what was made of the first one is what is sent
        if when == "detected":
            assert {path.name: path.read_bytes() for path in place.spool.objects.rglob("*.dcm")} == made
        assert len(place.ledger.due("pacs", 9)) == (0 if when == "done" else 2)
        answered(place)
        assert events(place).count("detected") == 1
        assert place.ledger.counts() == {"done": 1, "dead": 1}


@pytest.mark.parametrize("make", THE_SAME.values(), ids=THE_SAME)
def test_another_header_of_the_same_image_takes_its_place(tmp_path: Path, make: Any) -> None:
    with place_of(tmp_path) as place:
        place.take(film(1))
        work(place)
        answered(place)
        place.take(make())
        work(place)
        assert place.ledger.counts() == {"detected": 1}
        answered(place)
        assert place.ledger.counts() == {"done": 1}
        assert events(place).count("detected") == 2
        assert list(place.spool.folder.rglob("*.dcm")) == []


def test_the_same_bytes_are_not_worked_on_again(tmp_path: Path) -> None:
    with place_of(tmp_path) as place:
        place.take(film(1))
        work(place)
        answered(place)
        place.take(film(1))
        assert place.ledger.counts() == {"done": 1}
        assert events(place)[-1] == "received again"


def test_a_clash_that_is_sent_or_begun_again_ends_the_same_way(tmp_path: Path) -> None:
    with place_of(tmp_path) as place:
        for dataset in (film(1), other_pixels(), other_pixels(), other_pixels(PatientName="Another^Name")):
            place.take(dataset)
            work(place)
        (letter,) = place.ledger.films("dead")
        assert place.ledger.retry(letter.id)
        place.spool.settle(place.ledger, letter.id)
        work(place)
        assert place.ledger.counts() == {"detected": 1, "dead": 1}
        assert place.dead() == {UID: ANOTHER_IMAGE}
        assert events(place).count("detected") == 1
        # a third image is one more
        third = film(1)
        third.PixelData = film(3).PixelData
        place.take(third)
        work(place)
        assert place.ledger.counts() == {"detected": 1, "dead": 2}


def test_a_dead_letter_goes_before_another_image_until_it_is_taken_away(tmp_path: Path) -> None:
    with place_of(tmp_path) as place:
        place.take(film(1))
        (first,) = place.ledger.waiting(1)
        work(place)
        for each in place.ledger.due("pacs", 9):
            place.ledger.give_up(each, "status C000")
        place.spool.settle(place.ledger, first.id)
        place.take(other_pixels())
        work(place)
        assert [each.reason for each in place.ledger.films("dead")] == ["pacs: status C000", ANOTHER_IMAGE]
        shutil.rmtree(place.spool.dead / first.key)
        (_, second) = place.ledger.films("dead")
        assert place.ledger.retry(second.id)
        place.spool.settle(place.ledger, second.id)
        work(place)
        assert place.ledger.counts() == {"dead": 1, "detected": 1}


def test_a_film_that_came_damaged_does_not_go_before_the_whole_one(tmp_path: Path) -> None:
    with place_of(tmp_path) as place:
        place.take(film(1, PixelData=film(1).PixelData[:-100]))
        work(place)
        ((uid, reason),) = place.dead().items()
        assert (uid, str(reason).partition(":")[0]) == (UID, "unreadable")
        place.take(film(1))
        work(place)
        assert place.ledger.counts() == {"dead": 1, "detected": 1}


def test_two_that_come_at_once_from_archives(tmp_path: Path) -> None:
    """Of both polling and ``fetch``: they leave what they fetched in the same folder."""
    with place_of(tmp_path) as place:
        for dataset in (film(1), other_pixels()):
            put_into_inbox(dataset, place.spool)
        with running_loop(InboxLoop(place.spool, place.intake, timeout=60)):
            wait_until(lambda: list(place.spool.inbox.iterdir()) == [])
        work(place)
        assert place.ledger.counts() == {"detected": 1, "dead": 1}
        assert place.dead() == {UID: ANOTHER_IMAGE}


def test_another_image_that_a_crash_left_in_the_queue_is_not_thrown_away(tmp_path: Path) -> None:
    """A node that ended after it moved the file, and before it wrote the ledger. An archive does not send it again."""
    values = settings(tmp_path)
    with running(tmp_path, values) as node:
        assert send(node.port, film(1)) == [0]
        node.wait_for("detected")
    other_pixels().save_as(node.folder / "queue" / "left.dcm", enforce_file_format=True)
    changed(PatientName="Older^Name").save_as(node.folder / "queue" / "older.dcm", enforce_file_format=True)
    with running(tmp_path, values) as node:
        (dead,) = node.wait_for("dead")
    assert (dead["uid"], dead["cause"]) == (UID, ANOTHER_IMAGE)
    # the other bytes of the same image were replaced, or never answered with success
    assert [path.name for path in (node.folder / "queue").iterdir() if path.stem in ("left", "older")] == []
    with closing(NodeLedger(node.folder / "node.sqlite")) as ledger:
        assert ledger.counts() == {"detected": 1, "dead": 1}


@pytest.fixture(scope="module")
def clashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, dict[str, Any]]]:
    """A node with a page that was sent two images with one UID."""
    folder = tmp_path_factory.mktemp("clashed")
    values = settings(folder, http={"host": "127.0.0.1", "port": free_port()})
    with running(folder, values) as node:
        assert send(node.port, film(1), other_pixels(), film(1), film(2)) == [0, 0, 0, 0]
        node.wait_for("dead")
        node.wait_for("detected", 2)
        wait_until(lambda: listens(values["http"]["port"]))
        yield node, values


def test_what_the_page_the_metrics_and_the_log_say(clashed: tuple[RunningNode, dict[str, Any]]) -> None:
    import urllib.request

    node, values = clashed

    def ask(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{values['http']['port']}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    status = json.loads(ask("/status"))
    assert status["counts"] == {"detected": 2, "dead": 1}
    (dead,) = status["dead"]
    assert (dead["uid"], dead["reason"]) == (UID, ANOTHER_IMAGE)
    assert sorted((row["uid"], row["state"]) for row in status["last"]) == [
        (UID, "dead"),
        (UID, "detected"),
        ("1.2.3.2.3", "detected"),
    ]
    assert ANOTHER_IMAGE in ask("/")
    assert 'monai_ceph_films{state="dead"} 1.0' in ask("/metrics")
    (event,) = node.events("dead")
    assert (event["uid"], event["cause"]) == (UID, ANOTHER_IMAGE)


def test_retry_of_the_command(clashed: tuple[RunningNode, dict[str, Any]], tmp_path: Path) -> None:
    node, values = clashed
    place = shutil.copytree(node.folder, tmp_path / "node")
    (place / ".node.lock").unlink()
    values = {**values, "folder": str(place), "http": None}
    copy = RunningNode(tmp_path, values)
    done = CliRunner().invoke(app, ["node", "retry", "--config", str(copy.config)])
    assert done.output.splitlines() == ["1 dead letters will be tried again"]
    with closing(NodeLedger(place / "node.sqlite")) as ledger:
        assert ledger.counts() == {"detected": 2, "received": 1}


def test_a_ledger_of_before_is_taken_over(tmp_path: Path) -> None:
    """Its films keep their rows, deliveries and audit; their pixels are not known, so other bytes take their place."""
    path = tmp_path / "node.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            """
            CREATE TABLE films (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE,
              generation INTEGER NOT NULL DEFAULT 0, sender TEXT NOT NULL, size INTEGER NOT NULL,
              received REAL NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, outcome TEXT,
              model TEXT, reason TEXT, ended REAL);
            CREATE INDEX films_state ON films (state, received);
            CREATE TABLE deliveries (id INTEGER PRIMARY KEY, film INTEGER NOT NULL REFERENCES films (id),
              target TEXT NOT NULL, kind TEXT NOT NULL, stem TEXT NOT NULL, uid TEXT NOT NULL,
              state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL,
              next_try REAL NOT NULL, reason TEXT, UNIQUE (film, target, stem, kind));
            CREATE TABLE audit (id INTEGER PRIMARY KEY, time REAL NOT NULL, event TEXT NOT NULL, uid TEXT,
              details TEXT NOT NULL);
            CREATE TABLE commitments (id INTEGER PRIMARY KEY, transaction_uid TEXT NOT NULL, peer TEXT NOT NULL,
              objects TEXT NOT NULL, since REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
              next_try REAL NOT NULL DEFAULT 0, UNIQUE (peer, transaction_uid));
            CREATE TABLE cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL);
            INSERT INTO films (id, uid, key, sender, size, received, state) VALUES
              (7, '1.2', 'one', 'SENDER', 10, 5.0, 'done'), (9, '1.3', 'two', 'SENDER', 10, 6.0, 'detected');
            INSERT INTO deliveries (film, target, kind, stem, uid, since, next_try)
              VALUES (9, 'a', 'sr', 'two', '2.25.1', 6.0, 0);
            INSERT INTO audit (time, event, uid, details) VALUES (5.0, 'received', '1.2', '{}');
            PRAGMA user_version = 1;
            """
        )
    for _ in range(2):
        with closing(NodeLedger(path)) as ledger:
            assert ledger.counts() == {"done": 1, "detected": 1}
            assert [(each.film, each.uid) for each in ledger.due("a", 9)] == [(9, "2.25.1")]
            assert [row["event"] for row in ledger.audit_rows()] == ["received"]
    with closing(NodeLedger(path)) as ledger:
        receipt = ledger.receive("1.2", "new", "SENDER", 11, MODEL, "content")
        assert (receipt.new, receipt.replaced) == (True, "one")
        assert ledger.receive("1.2", "newer", "SENDER", 11, MODEL, "other content").replaced is None
        assert ledger.counts() == {"received": 2, "detected": 1}


def test_digests_of_version_2_are_still_valid(tmp_path: Path) -> None:
    """A node that was upgraded knows an image again that another program compressed since."""
    with place_of(tmp_path) as place:
        place.take(film(1))
        work(place)
        answered(place)
        path = place.ledger.database.path
    with closing(sqlite3.connect(path)) as old:
        old.execute("ALTER TABLE films RENAME COLUMN image_sha256 TO decoded")
        old.execute("ALTER TABLE films DROP COLUMN pixels_sha256")
        for name in ("delivery_is_deleted", "delivery_ends"):
            old.execute(f"DROP TRIGGER {name}")
        for name in ("answers", "asked_commitments", "turns"):
            old.execute(f"DROP TABLE {name}")
        for name in ("deliveries", "commitments"):
            old.execute(f"ALTER TABLE {name} DROP COLUMN waited")
        old.execute("PRAGMA user_version = 2")
        old.commit()
        ((digest,),) = old.execute("SELECT decoded FROM films").fetchall()
    saved = tmp_path / "film.dcm"
    film(1).save_as(saved, enforce_file_format=True)
    pixels = read_radiograph(saved).pixels
    # as version 2 computed it
    stated = f"{film(1).PatientID}\0{pixels.shape!r}".encode() + pixels.astype("<f4").tobytes()
    assert digest == sha256(stated).hexdigest()
    with place_of(tmp_path) as place:
        (done,) = place.ledger.films("done")
        assert done.image_sha256 == digest
        place.take(compressed(film(1)))
        work(place)
        assert place.ledger.counts() == {"detected": 1}
        place.take(other_pixels())
        work(place)
        assert place.dead() == {UID: ANOTHER_IMAGE}


def test_the_hash_of_what_is_stored(tmp_path: Path) -> None:
    def content(dataset: Dataset) -> str:
        path = tmp_path / "film.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return stored_content(path)

    plain = content(film(1))
    implicit = film(1)
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert content(implicit) == plain
    assert content(changed(PatientName="B", PatientID=f"{film(1).PatientID} ")) == plain
    one, two = compressed(film(1)), compressed(film(1, PatientName="B"))
    assert content(one) == content(two) != plain
    last = film(1)
    pixels = last.pixel_array.copy()
    pixels[-1, -1] ^= np.uint16(1)
    last.PixelData = pixels.tobytes()
    assert content(last) != plain
    assert content(changed(PatientID="P2")) != plain
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(b"no film")
    assert len(stored_content(damaged)) == 64
