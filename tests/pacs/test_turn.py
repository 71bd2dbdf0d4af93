"""Whose turn it is on a shared folder: one node's at a time, and the one whose turn is over can change nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import film, settings, wait_until

from monai_ceph.errors import CephError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.folder import LEDGER, locked_folder, retry_all
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_file import NotOurTurnError
from monai_ceph.pacs.receiver import FilmIntake
from monai_ceph.pacs.spool import Spool
from monai_ceph.pacs.turn import BEAT, Turn, wait_for_turn
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")
LEASE = 1.0


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    values = settings(tmp_path, standby={"lease_s": LEASE, "name": "a"})
    (tmp_path / "node").mkdir()
    return NodeConfig.model_validate(values)


def take(config: NodeConfig) -> Turn:
    turn = wait_for_turn(config, lambda: False, lambda reason: None)
    assert turn is not None
    return turn


class Working:
    """What a node has open during its turn."""

    def __init__(self, config: NodeConfig, turn: Turn) -> None:
        self.lost: list[int] = []
        self.spool = Spool(config.folder, config.spool)
        self.ledger = NodeLedger(config.folder / LEDGER, shared=True, patience_s=2)
        self.ledger.turn, self.ledger.on_lost_turn = turn.number, lambda: self.lost.append(turn.number)
        self.intake = FilmIntake(self.spool, self.ledger, MODEL, lambda: None)

    def part(self, number: int) -> Path:
        path = self.spool.incoming / f"{number}"
        film(number).save_as(path, enforce_file_format=True)
        return path


@pytest.fixture
def working(config: NodeConfig) -> Iterator[Callable[[Turn], Working]]:
    opened: list[Working] = []

    def work(turn: Turn) -> Working:
        opened.append(Working(config, turn))
        return opened[-1]

    yield work
    for each in opened:
        each.ledger.close()


def test_a_turn_lasts_while_it_beats_and_is_free_at_its_end(config: NodeConfig) -> None:
    first = take(config)
    waits: list[str] = []
    ended = threading.Event()
    found: list[Any] = []
    second = threading.Thread(target=lambda: found.append(wait_for_turn(config, ended.is_set, waits.append)))
    with first.beating(lambda: None):
        second.start()
        time.sleep(2.5 * LEASE)
        assert found == []
        assert set(waits) == {"standby: a works"}
    begun = time.monotonic()
    second.join()
    # at once, without waiting for the beats to stop
    assert time.monotonic() - begun < LEASE
    assert (first.number, found[0].number) == (1, 2)
    with closing(NodeLedger(config.folder / LEDGER, shared=True)) as ledger:
        rows = [row for row in ledger.audit_rows() if row["event"] == "took over"]
    assert [(row["node"], row["turn"]) for row in rows] == [("a", 1), ("a", 2)]


def test_a_node_that_stands_still_is_replaced(config: NodeConfig) -> None:
    first = take(config)
    assert first.beat()
    begun = time.monotonic()
    second = take(config)
    assert time.monotonic() - begun > LEASE
    assert second.beat()
    # and learns it when it continues
    assert not first.beat()
    lost = threading.Event()
    with first.beating(lost.set):
        assert lost.wait(10)
    assert (config.folder / BEAT).read_text().startswith("free 1")
    # which frees nothing: the turn is the second one's
    stopped = threading.Event()
    waiting = threading.Timer(0.6 * LEASE, stopped.set)
    waiting.start()
    assert wait_for_turn(config, stopped.is_set, lambda reason: None) is None
    assert second.beat()


def test_of_two_that_wait_one_gets_the_turn(config: NodeConfig) -> None:
    ledgers = [NodeLedger(config.folder / LEDGER, shared=True) for _ in range(2)]
    assert [each.take_turn(0, name) for each, name in zip(ledgers, "ab", strict=True)] == [1, None]
    for each in ledgers:
        each.close()


def test_a_turn_that_has_not_beaten_yet_is_not_free(config: NodeConfig) -> None:
    take(config)
    begun = time.monotonic()
    assert take(config).number == 2
    assert time.monotonic() - begun > LEASE


def test_whose_turn_is_over_can_take_no_film(config: NodeConfig, working: Callable[[Turn], Working]) -> None:
    """The file of a film that was refused must not be there: its sender was told so."""
    old = working(take(config))
    assert old.intake.take(old.part(1), "1.2.3.1.3", "SENDER")
    (config.folder / BEAT).write_text("free 1")
    new = working(take(config))
    part = old.part(2)
    with pytest.raises(NotOurTurnError, match="another node has taken over"):
        old.intake.take(part, "1.2.3.2.3", "SENDER")
    assert old.lost == [1]
    assert len(list(new.spool.queue.iterdir())) == 1
    assert new.ledger.counts() == {"received": 1}
    assert new.intake.take(new.part(2), "1.2.3.2.3", "SENDER")


def test_whose_turn_is_over_can_remove_no_film(config: NodeConfig, working: Callable[[Turn], Working]) -> None:
    """It read that the film is done; meanwhile the other one received it again, and told its sender that it is safe."""
    old = working(take(config))
    old.intake.take(old.part(1), "1.2.3.1.3", "SENDER")
    (waiting,) = old.ledger.waiting(1)
    assert old.ledger.end(waiting, "skipped", "for the test")
    (config.folder / BEAT).write_text("free 1")
    new = working(take(config))
    new.intake.take(new.part(1), "1.2.3.1.3", "SENDER")
    (path,) = new.spool.queue.iterdir()
    for harm in (
        lambda: old.spool.settle(old.ledger, waiting.id),
        lambda: old.spool.recover(old.ledger),
        lambda: old.ledger.end(waiting, "dead", "for the test"),
        lambda: old.ledger.set_cursor("source", "2026-01-01"),
    ):
        with pytest.raises(NotOurTurnError):
            harm()
    assert path.exists()
    assert new.ledger.counts() == {"received": 1}


def test_who_stands_still_amid_a_change_is_not_replaced(
    config: NodeConfig, working: Callable[[Turn], Working], caplog: pytest.LogCaptureFixture
) -> None:
    """A rename and its row belong together: nobody can begin a turn between them, and the log says why."""
    old = working(take(config))
    waits: list[str] = []
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(wait_for_turn(config, lambda: False, waits.append)))
    with old.ledger.holding():
        waiting.start()
        wait_until(lambda: any("cannot take over" in each and "locked" in each for each in waits))
        assert found == []
    waiting.join()
    assert found[0].number == 2
    assert any("cannot take over" in str(record.__dict__.get("details")) for record in caplog.records)


def test_a_node_that_was_killed_amid_a_change_left_none(config: NodeConfig) -> None:
    """The journal that it left is undone by whoever takes over."""
    import subprocess
    import sys

    take(config)
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1'); c.execute('BEGIN IMMEDIATE')\n"
        "for i in range(2000): c.execute('INSERT INTO cursors VALUES (?, ?)', (str(i), 'x' * 500))\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(config.folder / LEDGER)], check=False)
    assert (config.folder / f"{LEDGER}-journal").stat().st_size > 0
    assert take(config).number == 2
    with closing(sqlite3.connect(config.folder / LEDGER)) as ledger:
        assert ledger.execute("SELECT count(*) FROM cursors").fetchone() == (0,)
        assert ledger.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_folder_for_one_and_a_folder_for_several(config: NodeConfig) -> None:
    folder = config.folder
    with locked_folder(folder, shared=True), locked_folder(folder, shared=True):
        with pytest.raises(CephError, match="another node works there"), locked_folder(folder):
            pass
        take(config)
        with pytest.raises(CephError, match="another node works there"):
            retry_all(config)
    with (
        locked_folder(folder),
        pytest.raises(CephError, match="a node without standby works there"),
        locked_folder(folder, shared=True),
    ):
        pass
