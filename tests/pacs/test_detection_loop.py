"""What becomes of films before and while workers have them."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from fakes import FakeDetector
from nodes import film, running_loop, settings, wait_until

from monai_ceph.archives.selection import Selection
from monai_ceph.archives.targets import Sender, make_senders
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.detection_loop import DetectionLoop, Workers
from monai_ceph.pacs.inbox import put_into_inbox
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.receiver import FilmIntake
from monai_ceph.pacs.spool import Spool
from monai_ceph.readers import Radiograph, read_radiograph
from monai_ceph.result import Detection, ModelIdentity
from monai_ceph.work.executors import Died
from monai_ceph.work.film import FilmJob, FilmWorker, Outcome
from monai_ceph.work.options import OBJECT_FORMATS, Options
from monai_ceph.work.processes import ProcessExecutor

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")


class FailingWorkers:
    """Workers that fail each film as soon as they have it."""

    identity = MODEL
    capacity = 1

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.jobs: list[FilmJob] = []

    def submit(self, job: FilmJob) -> None:
        self.submitted.append(job.name)
        self.jobs.append(job)

    def wait(self) -> Outcome | Died:
        return Outcome(self.jobs.pop(0).id, "failed", "failed: for the test")

    def wait_for(self, seconds: float) -> Outcome | Died | None:
        return self.wait()

    def close(self, at_once: bool) -> None:
        pass


class Held(FakeDetector):
    """Keeps films of one level until there is a file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
        if radiograph.pixels.min() == radiograph.pixels.max():
            wait_until(self._file.exists, 60)
        return super().__call__(radiograph, force=force)


def worker(folder: Path) -> FilmWorker:
    return FilmWorker(Held(folder / "go"), folder / "node" / "objects", Options(OBJECT_FORMATS), read_radiograph)


class Place:
    """The folder and the ledger of a node, and the loop."""

    def __init__(
        self, workers: Workers, ledger: NodeLedger, spool: Spool, config: NodeConfig, senders: Sequence[Sender]
    ) -> None:
        self.spool, self.ledger, self.workers = spool, ledger, workers
        self.selection = Selection(config.select)
        self.loop = DetectionLoop(
            self.workers, spool, ledger, self.selection, senders, config.detect, on_detected=lambda: None
        )
        self.intake = FilmIntake(spool, ledger, MODEL, self.loop.wake.set)

    def take(self, dataset: Dataset) -> None:
        put_into_inbox(dataset, self.spool)
        (path,) = self.spool.inbox.iterdir()
        self.intake.take(path, str(dataset.SOPInstanceUID), "SENDER")

    def dead(self) -> dict[str, str | None]:
        """Return the dead letters and why they are."""
        return {each.uid: each.reason for each in self.ledger.films("dead")}

    def running(self) -> AbstractContextManager[threading.Thread]:
        return running_loop(self.loop)


@contextmanager
def placed(folder: Path, workers: Workers, sends: bool = False, **changes: Any) -> Iterator[Place]:
    config = NodeConfig.model_validate(settings(folder, **changes))
    spool = Spool(config.folder, config.spool)
    senders = make_senders(config.targets, config.ae_title) if sends else []
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        yield Place(workers, ledger, spool, config, senders)


def test_a_header_that_nothing_was_made_for_costs_its_film_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with placed(tmp_path, workers := FailingWorkers()) as place:
        refusal = place.selection.refusal

        def odd(header: Dataset) -> str | None:
            if header.SOPInstanceUID == "1.2.3.1.3":
                raise TypeError("int is not iterable, and the name of a patient")
            return refusal(header)

        monkeypatch.setattr(place.selection, "refusal", odd)
        for number in (1, 2):
            place.take(film(number))
        with place.running() as thread:
            wait_until(lambda: not place.ledger.waiting(1) or not thread.is_alive())
        assert place.dead() == {"1.2.3.1.3": "unreadable: TypeError", "1.2.3.2.3": "failed: for the test"}
    assert workers.submitted == ["1.2.3.2.3"]


def test_a_film_that_comes_while_another_is_at_work_goes_to_an_idle_worker(tmp_path: Path) -> None:
    executor = ProcessExecutor(partial(worker, tmp_path), 2)
    try:
        with placed(tmp_path, executor) as place, place.running():
            try:
                place.take(film(1, level=5))
                wait_until(lambda: [each.attempts for each in place.ledger.waiting(1)] == [1])
                place.take(film(2))
                wait_until(lambda: "1.2.3.2.3" in place.dead())
                assert "1.2.3.1.3" not in place.dead()
            finally:
                (tmp_path / "go").touch()
            wait_until(lambda: "1.2.3.1.3" in place.dead())
    finally:
        executor.close(at_once=True)


class Sleeper:
    """Works for ever on the film with the number 1."""

    identity = MODEL

    def __call__(self, job: FilmJob) -> Outcome:
        if job.id == 1:
            time.sleep(3600)
        return Outcome(job.id, "failed", "failed: for the test")


def test_a_process_that_takes_too_long_is_ended_and_replaced(tmp_path: Path) -> None:
    executor = ProcessExecutor(Sleeper, 1, limit_s=2)  # type: ignore[arg-type]
    try:
        for number in (1, 2):
            executor.submit(FilmJob(number, tmp_path, None, "", "", None, True, True))
        assert executor.wait() == Died(1, late=True)
        assert executor.wait() == Outcome(2, "failed", "failed: for the test")
        # nothing is at work: nothing is late
        assert executor.wait_for(2.5) is None
    finally:
        executor.close(at_once=True)


def test_a_film_that_takes_too_long_is_a_dead_letter_that_says_so(tmp_path: Path) -> None:
    class Late(FailingWorkers):
        def wait(self) -> Outcome | Died:
            return Died(self.jobs.pop(0).id, late=True)

    with placed(tmp_path, workers := Late(), detect={"attempts": 2, "timeout_s": 30}) as place:
        place.take(film(1))
        with place.running():
            wait_until(lambda: bool(place.dead()))
        assert place.dead()["1.2.3.1.3"] == (
            "the process ended 2 times while working on the film; the last time, the film took longer than 30 s"
        )
    assert workers.submitted == ["1.2.3.1.3", "1.2.3.1.3"]


def test_a_film_that_the_node_ended_with_too_often_is_not_begun_again(tmp_path: Path) -> None:
    with placed(tmp_path, workers := FailingWorkers()) as place:
        place.take(film(1))
        (waiting,) = place.ledger.waiting(1)
        for _ in range(9):
            place.ledger.started(waiting)
        with place.running():
            wait_until(lambda: place.dead())
        # the tenth time is a try still
        assert place.dead() == {"1.2.3.1.3": "failed: for the test"}
        assert workers.submitted == ["1.2.3.1.3"]
        place.take(film(2))
        (waiting,) = place.ledger.waiting(1)
        for _ in range(10):
            place.ledger.started(waiting)
        with place.running():
            wait_until(lambda: len(place.dead()) == 2)
        assert place.dead()["1.2.3.2.3"] == "the node ended 10 times while working on this film"
        assert workers.submitted == ["1.2.3.1.3"]


def test_a_dead_letter_that_was_taken_away_after_it_began_anew_has_no_folder_again(tmp_path: Path) -> None:
    with placed(tmp_path, workers := FailingWorkers()) as place:
        place.take(film(1))
        with place.running():
            wait_until(lambda: place.dead())
        (letter,) = place.ledger.films("dead")
        shutil.rmtree(place.spool.dead / letter.key)
        assert place.ledger.retry(letter.id)
        with place.running():
            wait_until(lambda: place.dead())
        assert place.dead() == {"1.2.3.1.3": "its file was removed"}
        assert list(place.spool.dead.iterdir()) == []
    assert workers.submitted == ["1.2.3.1.3"]


def test_of_a_frame_that_failed_nothing_is_sent(tmp_path: Path) -> None:
    """Not what an earlier node left at its place either."""

    class FirstFrame(FakeDetector):
        def __call__(self, radiograph: Radiograph, /, *, force: bool) -> Detection:
            if radiograph.frame != 1:
                raise RuntimeError("out of memory")
            return super().__call__(radiograph, force=force)

    class InProcess(FailingWorkers):
        def wait(self) -> Outcome | Died:
            return work(self.jobs.pop(0))

    work = FilmWorker(FirstFrame(), tmp_path / "node" / "objects", Options(OBJECT_FORMATS), read_radiograph)
    two = film(1, NumberOfFrames=2)
    two.PixelData *= 2
    with placed(tmp_path, InProcess(), sends=True) as place:
        place.take(two)
        (waiting,) = place.ledger.waiting(1)
        for kind in OBJECT_FORMATS:
            film(2).save_as(place.spool.object(kind, f"{waiting.key}_2"), enforce_file_format=True)
        with place.running():
            wait_until(lambda: place.ledger.counts() != {"received": 1})
        assert [(each.kind, each.stem) for each in place.ledger.due("pacs", 9)] == [
            ("gsps", f"{waiting.key}_1"),
            ("sr", f"{waiting.key}_1"),
        ]
