"""What becomes of films before and while workers have them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import Dataset

pytest.importorskip("pynetdicom", reason="pip install 'monai-ceph[pacs]'")
from nodes import film, settings, wait_until

from monai_ceph.batch.executors import Died
from monai_ceph.batch.film import FilmJob, Outcome
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.detection_loop import DetectionLoop
from monai_ceph.pacs.inbox import put_into_inbox
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.receiver import Arrivals
from monai_ceph.pacs.selection import Selection
from monai_ceph.pacs.spool import Spool
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd")


class Workers:
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

    def close(self, at_once: bool) -> None:
        pass


class Place:
    """The folder and the ledger of a node, and the loop."""

    def __init__(self, folder: Path, ledger: NodeLedger, spool: Spool, config: NodeConfig) -> None:
        self.spool, self.ledger = spool, ledger
        self.workers = Workers()
        self.selection = Selection(config.select)
        self.loop = DetectionLoop(
            self.workers, spool, ledger, self.selection, [], config.detect, on_detected=lambda: None
        )
        self.arrivals = Arrivals(spool, ledger, MODEL, self.loop.wake.set)

    def take(self, dataset: Dataset) -> None:
        put_into_inbox(dataset, self.spool)
        (path,) = self.spool.inbox.iterdir()
        self.arrivals.take(path, str(dataset.SOPInstanceUID), "SENDER")

    def run_until_nothing_waits(self) -> dict[str, str | None]:
        """Return the dead letters and why they are."""
        ended = threading.Event()
        thread = threading.Thread(target=self.loop.run, args=(ended,))
        thread.start()
        try:
            wait_until(lambda: not self.ledger.waiting(1) or not thread.is_alive())
        finally:
            ended.set()
            thread.join()
        return {each.uid: each.reason for each in self.ledger.films("dead")}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    config = NodeConfig.model_validate(settings(tmp_path))
    spool = Spool(config.folder, config.spool)
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        yield Place(tmp_path, ledger, spool, config)


def test_a_header_that_nothing_was_made_for_costs_its_film_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = place.selection.refusal

    def odd(header: Dataset) -> str | None:
        if header.SOPInstanceUID == "1.2.3.1.3":
            raise TypeError("int is not iterable, and the name of a patient")
        return refusal(header)

    monkeypatch.setattr(place.selection, "refusal", odd)
    for number in (1, 2):
        place.take(film(number))
    assert place.run_until_nothing_waits() == {
        "1.2.3.1.3": "unreadable: TypeError",
        "1.2.3.2.3": "failed: for the test",
    }
    assert place.workers.submitted == ["1.2.3.2.3"]
