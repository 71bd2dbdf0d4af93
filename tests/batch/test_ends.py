"""Runs that are killed, interrupted and locked out, in processes of their own."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeDetector, save_film

from monai_ceph.batch import detect_films
from monai_ceph.errors import CephError
from monai_ceph.landmarks import NUM_LANDMARKS

SCRIPT = Path(__file__).with_name("long_run.py")


class Long:
    """A run that takes a while, again and again."""

    def __init__(self, root: Path) -> None:
        self.films, self.out, self.log = root / "films", root / "out", root / "log"
        self.films.mkdir()
        self.processes: list[subprocess.Popen[str]] = []

    def film(self, name: str, seed: int) -> None:
        save_film(self.films / name, seed)

    def start(self, seconds: float = 0.0, workers: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, SCRIPT, self.films, self.out, self.log, seconds, workers]
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def run(self, workers: int = 1) -> int:
        return self.start(workers=workers).wait(timeout=120)

    def ended(self) -> dict[str, str]:
        """Name and state of the films that ended, during a run or after it."""
        if not (self.out / "run.sqlite").exists():
            return {}
        connection = sqlite3.connect(f"file:{self.out}/run.sqlite?mode=ro", uri=True)
        try:
            return dict(connection.execute("SELECT name, state FROM films WHERE state IS NOT NULL"))
        except sqlite3.OperationalError:  # the tables are not made yet
            return {}
        finally:
            connection.close()

    def wait_for(self, count: int, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 120
        while len(self.ended()) < count and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be stopped"
        assert len(self.ended()) >= count

    def seen(self) -> list[str]:
        """The files that detectors began with, since the last call."""
        names = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return names

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    def found(self) -> list[str]:
        return [row["film"] for row in self.table("landmarks.csv")][::NUM_LANDMARKS]


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Long]:
    long = Long(tmp_path)
    yield long
    for process in long.processes:
        process.kill()
        process.wait()


def test_killed_at_any_moment(long: Long) -> None:
    for seed in range(14):
        long.film(f"{seed:02}.dcm", seed)
    before: dict[str, str] = {}
    for delay in (0.0, 0.03, 0.08):
        process = long.start(seconds=0.05)
        # so far that no film is worked on at two kills: that would look like its fault
        long.wait_for(len(before) + 3, process)
        time.sleep(delay)
        process.kill()
        process.wait()
        after = long.ended()
        assert before.items() <= after.items()
        seen = long.seen()
        assert len(seen) == len(set(seen)) <= len(after) - len(before) + 1
        before = after
        for file in (long.out / "json").glob("*.json"):
            assert len(json.loads(file.read_text())["landmarks"]) == NUM_LANDMARKS
    assert long.run() == 0
    assert len(long.seen()) == 14 - len(before)
    assert set(long.ended().values()) == {"done"}
    assert len(long.found()) == len(set(long.found())) == 14
    assert sorted(file.stem for file in (long.out / "json").iterdir()) == sorted(long.found())
    assert not list(long.out.rglob("*.part"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(long: Long, number: signal.Signals) -> None:
    for seed in range(6):
        long.film(f"{seed}.dcm", seed)
    process = long.start(seconds=0.3)
    long.wait_for(2, process)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    # the tables hold the finished films, and nothing else exists
    ended = long.ended()
    assert 2 <= len(ended) < 6
    assert long.found() == list(ended)
    assert {file.stem for file in (long.out / "json").iterdir()} == set(ended)
    seen = long.seen()
    assert long.run() == 0
    assert len(long.found()) == 6
    assert len(seen) + len(long.seen()) <= 7


def test_a_film_that_kills_the_process(long: Long) -> None:
    for seed, name in enumerate(("a", "b", "die", "c", "d")):
        long.film(f"{name}.dcm", seed)
    assert long.run() == -signal.SIGKILL
    assert long.run() == -signal.SIGKILL
    assert long.run() == 1
    assert sorted(long.ended().values()) == ["done"] * 4 + ["failed"]
    assert [row["error"] for row in long.table("errors.csv")] == ["failed: the process died twice while working on it"]
    assert long.seen().count("die.dcm") == 2
    assert long.run() == 1
    assert long.seen() == []


def test_a_second_run_into_the_same_results(long: Long) -> None:
    for seed in range(3):
        long.film(f"{seed}.dcm", seed)
    process = long.start(seconds=0.5)
    long.wait_for(1, process)
    with pytest.raises(CephError, match=r"out: another run writes there"):
        detect_films([long.films], long.out, FakeDetector)
    process.kill()
    process.wait()
    # the lock of a killed run does not count
    assert long.run() == 0


def test_processes(long: Long, tmp_path: Path) -> None:
    """Two workers: the results of one, a worker that dies is replaced, and its film is tried once more."""
    for seed, name in enumerate(("a", "b", "c", "reject", "once", "die", "explode", "doubt", "truncated")):
        long.film(f"{name}.dcm", seed)
    long.film("twin of b.dcm", 1)
    assert long.run(workers=2) == 1
    once = ["a", "b", "c", "reject", "explode", "doubt"]
    assert sorted(long.seen()) == sorted(f"{name}.dcm" for name in [*once, "once", "once", "die", "die"])
    states = ["done"] * 4 + ["failed"] * 3 + ["rejected", "uncertain"]
    assert sorted(long.ended().values()) == states
    several = {name: (long.out / name).read_text() for name in ("landmarks.csv", "errors.csv")}

    long.out = tmp_path / "alone"
    for code in (-signal.SIGKILL, -signal.SIGKILL, 1):
        # "once" has had its turn
        long.log.write_text("once.dcm\n")
        assert long.run() == code
    assert {name: (long.out / name).read_text() for name in several} == several


def test_memory_does_not_grow_with_the_films(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    peaks = []
    for count in (100, 1100):
        with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
            films = Path(folder) / "films"
            films.mkdir()
            for number in range(count):
                (films / f"{number}.png").touch()
            command = [sys.executable, SCRIPT, films, Path(folder) / "out", "-", "0", "1"]
            result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
            peaks.append(int(result.stdout))
            with (Path(folder) / "out" / "landmarks.csv").open() as stream:
                assert sum(1 for _ in stream) == 1 + count * NUM_LANDMARKS
    # KiB; a detection by itself takes 10 KiB, so that 1000 of them would take 10 MiB
    assert peaks[1] - peaks[0] < 4 * 1024
