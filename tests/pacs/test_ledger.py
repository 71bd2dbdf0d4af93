from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from monai_ceph.errors import CephError
from monai_ceph.pacs.config import SpoolConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import Film, MadeObject
from monai_ceph.pacs.spool import Spool, film_key
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")
OTHER = MODEL.model_copy(update={"weights_sha256": "ef"})
SR, GSPS = MadeObject("sr", "key", "2.25.1"), MadeObject("gsps", "key", "2.25.2")
BOTH = [("a", SR), ("a", GSPS), ("b", SR)]


@pytest.fixture
def ledger(tmp_path: Path) -> NodeLedger:
    return NodeLedger(tmp_path / "node.sqlite")


def received(ledger: NodeLedger, uid: str = "1.2", key: str = "key", model: ModelIdentity = MODEL) -> Film:
    ledger.receive(uid, key, "SENDER", 10, model)
    film = ledger.film_of(key)
    assert film is not None
    return film


def events(ledger: NodeLedger) -> list[object]:
    return [row["event"] for row in ledger.audit_rows()]


def test_the_way_of_a_film(ledger: NodeLedger) -> None:
    film = received(ledger)
    assert ledger.waiting(5) == [film]
    assert ledger.waiting(5, (film.id,)) == []
    assert ledger.detected(film, "done", BOTH, MODEL, ["a warning"])
    assert ledger.waiting(5) == []
    for delivery in [*ledger.due("a", 9), *ledger.due("b", 9)]:
        assert ledger.counts() == {"detected": 1}
        ledger.sent(delivery, "status 0000")
    assert ledger.counts() == {"done": 1}
    assert ledger.due("a", 9) == []
    assert events(ledger) == ["received", "detected", "sent", "sent", "sent", "done"]
    detected = list(ledger.audit_rows())[1]
    assert (detected["weights_sha256"], detected["notes"]) == ("ab", ["a warning"])


def test_the_audit_has_everything_of_a_film(ledger: NodeLedger) -> None:
    begun = datetime.now(timezone.utc)
    film = received(ledger)
    ledger.detected(film, "done", [("a", SR)], MODEL, ["a warning"])
    (delivery,) = ledger.due("a", 9)
    ledger.postpone(delivery, "out of resources", 0)
    (delivery,) = ledger.due("a", 9)
    ledger.sent(delivery, "status 0000")
    ended = datetime.now(timezone.utc)
    rows = list(ledger.audit_rows())
    times = [datetime.fromisoformat(row.pop("time")) for row in rows]
    about = {"kind": "sr", "object": "2.25.1", "target": "a"}
    hashes = {"weights_sha256": "ab", "recipe_sha256": "cd"}
    assert rows == [
        {"id": 1, "event": "received", "uid": "1.2", "sender": "SENDER", "bytes": 10, "key": "key"},
        {
            **{"id": 2, "event": "detected", "uid": "1.2", "outcome": "done", "objects": ["2.25.1"]},
            **{"notes": ["a warning"], "model": "test 1", "software": "test 1", **hashes},
        },
        {"id": 3, "event": "sent", "uid": "1.2", "answer": "status 0000", **about},
        {"id": 4, "event": "done", "uid": "1.2"},
    ]
    # to the millisecond
    assert begun - timedelta(milliseconds=1) <= times[0] <= times[-1] <= ended
    assert {time.utcoffset() for time in times} == {timedelta(0)}


def test_the_film_that_has_waited_longest_is_next(ledger: NodeLedger) -> None:
    for uid in ("1.2", "1.3", "1.4"):
        received(ledger, uid, uid)
    # it waits since its other bytes came
    received(ledger, "1.2", "new")
    assert [film.key for film in ledger.waiting(9)] == ["1.3", "1.4", "new"]
    assert [film.key for film in ledger.waiting(1)] == ["1.3"]


def test_a_start_counts_until_the_film_is_detected(ledger: NodeLedger) -> None:
    film = received(ledger)
    for _ in range(2):
        ledger.started(film)
    assert [each.attempts for each in ledger.waiting(9)] == [2]
    ledger.detected(film, "done", BOTH, MODEL, [])
    assert [each.attempts for each in ledger.films("detected")] == [0]


def test_a_clock_that_is_set_back_delays_no_try(ledger: NodeLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.detected(received(ledger), "done", BOTH, MODEL, [])
    (delivery,) = ledger.due("b", 9, 900)
    ledger.postpone(delivery, "busy", 900)
    assert ledger.due("b", 9, 900) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400)
    assert [each.id for each in ledger.due("b", 9, 900)] == [delivery.id]


def test_what_the_sender_was_told_survives_a_power_cut(ledger: NodeLedger) -> None:
    """SQLite syncs a commit to the disk with ``synchronous`` FULL, which is 2; see tests/storage/test_database.py."""
    film = received(ledger)
    assert ledger.database.number("PRAGMA synchronous") == 2
    ledger.started(film)
    ledger.detected(film, "done", BOTH, MODEL, [])
    assert ledger.database.number("PRAGMA synchronous") == 2
    (delivery,) = ledger.due("b", 9)
    # sending it a second time does no harm
    ledger.sent(delivery, "ok")
    assert ledger.database.number("PRAGMA synchronous") == 1


def test_one_target_that_fails_makes_a_dead_letter_and_a_retry_sends_only_there(ledger: NodeLedger) -> None:
    film = received(ledger)
    ledger.detected(film, "done", BOTH, MODEL, [])
    (to_b,) = ledger.due("b", 9)
    ledger.give_up(to_b, "status C000")
    assert ledger.counts() == {"detected": 1}
    for delivery in ledger.due("a", 9):
        ledger.sent(delivery, "ok")
    assert [(each.state, each.reason) for each in ledger.films("dead")] == [("dead", "b: status C000")]
    assert ledger.retry(film.id)
    assert not ledger.retry(film.id)
    assert (len(ledger.due("a", 9)), len(ledger.due("b", 9))) == (0, 1)
    # what was said of the time before the retry no longer counts
    ledger.give_up(to_b, "late")
    assert len(ledger.due("b", 9)) == 1
    ledger.sent(ledger.due("b", 9)[0], "ok")
    assert ledger.counts() == {"done": 1}


def test_the_same_bytes_again(ledger: NodeLedger) -> None:
    film = received(ledger)
    assert not ledger.receive("1.2", "key", "SENDER", 10, MODEL).new
    ledger.detected(film, "done", [("a", SR)], MODEL, [])
    assert not ledger.receive("1.2", "key", "SENDER", 10, MODEL).new
    ledger.sent(ledger.due("a", 9)[0], "ok")
    assert not ledger.receive("1.2", "key", "SENDER", 10, MODEL).new
    assert ledger.counts() == {"done": 1}
    # another model has another result
    assert ledger.receive("1.2", "key", "SENDER", 10, OTHER).new
    assert ledger.counts() == {"received": 1}


@pytest.mark.parametrize("state", ["dead", "skipped"])
def test_who_sends_again_what_failed_wants_another_try(ledger: NodeLedger, state: str) -> None:
    film = received(ledger)
    assert ledger.end(film, "dead" if state == "dead" else "skipped", "why")
    assert ledger.receive("1.2", "key", "SENDER", 10, MODEL).new
    assert ledger.counts() == {"received": 1}


def test_other_bytes_take_the_place_of_the_old_ones(ledger: NodeLedger) -> None:
    old = received(ledger)
    receipt = ledger.receive("1.2", "new", "SENDER", 11, MODEL)
    assert (receipt.new, receipt.replaced) == (True, "key")
    # the result of the old bytes comes too late
    assert not ledger.detected(old, "done", BOTH, MODEL, [])
    assert not ledger.end(old, "dead", "why")
    assert [film.key for film in ledger.waiting(9)] == ["new"]
    assert ledger.due("a", 9) == []


def test_a_target_that_left_the_configuration(ledger: NodeLedger) -> None:
    film = received(ledger)
    ledger.detected(film, "done", BOTH, MODEL, [])
    ledger.give_up_targets(["a"])
    for delivery in ledger.due("a", 9):
        ledger.sent(delivery, "ok")
    (dead,) = ledger.films("dead")
    assert dead.reason == "b: the target is no longer in the configuration"


def test_nobody_changes_the_audit(ledger: NodeLedger, tmp_path: Path) -> None:
    received(ledger)
    with sqlite3.connect(tmp_path / "node.sqlite") as other:
        for statement in ("DELETE FROM audit", "UPDATE audit SET event = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="the audit is only added to"):
                other.execute(statement)
    assert events(ledger) == ["received"]


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "node.sqlite").write_text("nothing of the kind, at all")
    with pytest.raises(CephError, match="not a ledger; move it away and start the node"):
        NodeLedger(tmp_path / "node.sqlite")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "node", SpoolConfig(min_free_mb=0, max_films=2))


def placed(spool: Spool, ledger: NodeLedger, uid: str, content: bytes = b"film") -> Film:
    part = spool.incoming / "part"
    part.write_bytes(content)
    key = film_key(uid, part)
    spool.keep(part, key)
    return received(ledger, uid, key)


def test_a_dead_letter_and_back(spool: Spool, ledger: NodeLedger) -> None:
    film = placed(spool, ledger, "1.2")
    spool.object("sr", film.key).write_bytes(b"sr")
    spool.object("gsps", f"{film.key}_2").write_bytes(b"gsps")
    ledger.end(film, "dead", "why")
    for _ in range(2):
        spool.settle(ledger, film.id)
        dead_letter = spool.dead / film.key
        assert {path.name for path in dead_letter.iterdir()} == {"film.dcm", "sr.dcm", "gsps_2.dcm", "reason.json"}
        assert '"reason": "why"' in (dead_letter / "reason.json").read_text()
        assert list(spool.queue.iterdir()) == []
    ledger.retry(film.id)
    spool.settle(ledger, film.id)
    assert spool.film(film.key).read_bytes() == b"film"
    assert spool.object("sr", film.key).read_bytes() == b"sr"
    assert spool.object("gsps", f"{film.key}_2").read_bytes() == b"gsps"
    assert not dead_letter.exists()


def test_a_dead_letter_that_was_taken_away_does_not_come_back(spool: Spool, ledger: NodeLedger) -> None:
    taken, left, half = (placed(spool, ledger, uid) for uid in ("1.2", "1.3", "1.4"))
    for film in (taken, left, half):
        ledger.end(film, "dead", "why")
    for film in (taken, left):
        spool.settle(ledger, film.id)
    shutil.rmtree(spool.dead / taken.key)
    # the third as after a crash while it became a dead letter
    (spool.dead / half.key).mkdir()
    spool.recover(ledger)
    assert {path.name for path in spool.dead.iterdir()} == {left.key, half.key}
    # as the loop of a second target does, which learns late that the film is dead
    spool.settle(ledger, taken.id)
    assert {path.name for path in spool.dead.iterdir()} == {left.key, half.key}
    assert [spool.has_letter(film.key) for film in (taken, left, half)] == [False, True, True]
    assert {path.name for path in (spool.dead / half.key).iterdir()} == {"film.dcm", "reason.json"}


def test_a_dead_letter_that_is_taken_away_while_it_begins_anew(spool: Spool, ledger: NodeLedger) -> None:
    for number in range(100):
        film = placed(spool, ledger, f"1.2.{number}")
        spool.object("sr", film.key).write_bytes(b"sr")
        ledger.end(film, "dead", "why")
        spool.settle(ledger, film.id)
        ledger.retry(film.id)
        start = threading.Barrier(2)

        def take_away(dead_letter: Path = spool.dead / film.key, start: threading.Barrier = start) -> None:
            start.wait()
            shutil.rmtree(dead_letter, ignore_errors=True)

        thread = threading.Thread(target=take_away)
        thread.start()
        start.wait()
        spool.settle(ledger, film.id)
        thread.join()
        spool.settle(ledger, film.id)
        assert not (spool.dead / film.key).exists()


def test_what_was_half_written_goes(spool: Spool, ledger: NodeLedger) -> None:
    (spool.object("sr", "key").parent / ".key.dcm.123.part").write_bytes(b"...")
    (spool.object("gsps", "key").parent / ".key.dcm.123.part").write_bytes(b"...")
    (spool.dead / "key").mkdir()
    (spool.dead / "key" / ".reason.json.123.part").write_bytes(b"...")
    old, new = spool.inbox / ".1.dcm.123.part", spool.inbox / ".2.dcm.124.part"
    for path in (old, new):
        path.write_bytes(b"...")
    os.utime(old, (0, 0))
    spool.recover(ledger)
    # of what a command may be fetching just now
    assert list(spool.folder.rglob("*.part")) == [new]


def test_what_is_done_leaves_no_file(spool: Spool, ledger: NodeLedger) -> None:
    film = placed(spool, ledger, "1.2")
    spool.object("sr", film.key).write_bytes(b"sr")
    ledger.detected(film, "done", [("a", SR)], MODEL, [])
    ledger.sent(ledger.due("a", 1)[0], "ok")
    # as after a crash before the files were removed
    (spool.incoming / "half").write_bytes(b"...")
    assert spool.recover(ledger) == []
    assert [path for path in spool.folder.rglob("*") if path.is_file()] == []


def test_films_that_the_ledger_does_not_know(spool: Spool, ledger: NodeLedger) -> None:
    part = spool.incoming / "part"
    part.write_bytes(b"film")
    spool.keep(part, "unknown")
    known = placed(spool, ledger, "1.2")
    assert spool.recover(ledger) == [spool.film("unknown")]
    assert spool.film(known.key).exists()


def test_a_full_spool(spool: Spool) -> None:
    assert spool.full(1) is None
    assert spool.full(2) == "2 films wait"
    assert "MB are free" in str(Spool(spool.folder, SpoolConfig(min_free_mb=10**9)).full(0))
