"""What goes out to a target that fails, to the last object: a real application entity on the loopback interface."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import SR, film, running_loop, settings, wait_until
from pynetdicom import AE, evt

from monai_ceph.archives import targets
from monai_ceph.archives.targets import make_senders
from monai_ceph.pacs import delivery_loop
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.delivery_loop import DeliveryLoop, TargetState
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import MadeObject
from monai_ceph.pacs.spool import Spool
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")


class Place:
    """A node's folder and ledger, with films that were detected."""

    def __init__(self, config: NodeConfig, ledger: NodeLedger) -> None:
        self.ledger = ledger
        self.spool = Spool(config.folder, config.spool)
        (sender,) = make_senders(config.targets, config.ae_title)
        self.loop = DeliveryLoop(sender, self.spool, ledger, config.retry, lambda: None)

    def detected(self, number: int) -> None:
        """Put a film there whose report is to be sent."""
        uid, key = f"1.2.3.{number}.9", f"key{number}"
        report = film(number, SOPClassUID=SR, SOPInstanceUID=uid)
        report.save_as(self.spool.object("sr", key), enforce_file_format=True)
        self.spool.film(key).write_bytes(b"film")
        self.ledger.receive(f"1.2.3.{number}.3", key, "SENDER", 10, MODEL)
        known = self.ledger.film_of(key)
        assert known is not None
        self.ledger.detected(known, "done", [(self.loop.name, MadeObject("sr", key, uid))], MODEL, [])

    def delivering(self) -> AbstractContextManager[threading.Thread]:
        return running_loop(self.loop)


@contextmanager
def target(config: NodeConfig, store: Callable[[evt.Event], int]) -> Iterator[None]:
    entity, (peer,) = AE("PACS"), config.targets.dicom
    entity.add_supported_context(SR)
    server = entity.start_server((peer.host, peer.port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield
    finally:
        server.shutdown()


@contextmanager
def placed(folder: Path, **changes: Any) -> Iterator[tuple[NodeConfig, Place]]:
    config = NodeConfig.model_validate(settings(folder, **changes))
    config.folder.mkdir()
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        yield config, Place(config, ledger)


@pytest.mark.parametrize("answer", [None, 0xA700], ids=["hangs up", "out of resources"])
@pytest.mark.parametrize("hours", [168, 1e-9], ids=["in time", "too late"])
def test_an_object_that_the_target_fails_at_does_not_hold_up_the_others(
    tmp_path: Path, answer: int | None, hours: float
) -> None:
    """Nor are the others given up with it, which nobody tried."""

    def store(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID != "1.2.3.1.9":
            return 0
        if answer is None:
            event.assoc.abort()
        return answer or 0

    retry = {"first_s": 0.05, "longest_s": 0.05, "give_up_after_h": hours}
    with placed(tmp_path, retry=retry) as (config, place):
        for number in (1, 2, 3):
            place.detected(number)
        with target(config, store), place.delivering():
            wait_until(lambda: place.ledger.counts().get("done") == 2 or place.ledger.counts().get("dead", 0) > 1)
            assert place.ledger.counts()["done"] == 2
            if hours < 1:
                wait_until(lambda: place.ledger.counts() == {"done": 2, "dead": 1})
            else:
                assert place.ledger.counts() == {"done": 2, "detected": 1}


def test_every_refusal_of_an_object_lengthens_its_own_pause(tmp_path: Path) -> None:
    """The target answers, so it is not paused itself: without its own pause the object would be sent again at once."""
    tries: list[float] = []

    def store(event: evt.Event) -> int:
        tries.append(time.time())
        return 0xC000

    with placed(tmp_path, retry={"first_s": 30, "factor": 3, "longest_s": 1000}) as (config, place):

        def next_try(attempts: int) -> float:
            query = "SELECT next_try FROM deliveries WHERE attempts = ?"
            return float(wait_until(lambda: place.ledger.database.rows(query, attempts))[0][0])

        place.detected(1)
        with target(config, store), place.delivering():
            for attempts, pause in ((1, 30), (2, 90), (3, 270)):
                due = next_try(attempts)
                assert len(tries) == attempts
                assert tries[-1] + pause <= due <= time.time() + pause
                assert place.loop.state == TargetState()
                with place.ledger.lock, place.ledger.database.writing():
                    place.ledger.database.execute("UPDATE deliveries SET next_try = 0")
                place.loop.try_now()
        assert place.ledger.counts() == {"detected": 1}


def test_an_answer_ends_the_failures_of_a_target(tmp_path: Path) -> None:
    failures: list[int] = []

    def store(event: evt.Event) -> int:
        failures.append(place.loop.state.failures)
        if len(failures) == 1:
            event.assoc.abort()
        return 0

    with placed(tmp_path, retry={"first_s": 0.05, "longest_s": 0.05}) as (config, place):
        place.detected(1)
        with target(config, store), place.delivering():
            wait_until(lambda: place.ledger.counts() == {"done": 1})
        assert failures == [0, 1]
        assert place.loop.state == TargetState()


@pytest.fixture
def failing_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Exception], list[int]]:
    """Returns what makes a method fail once; the list that it gives has an entry for each call."""

    def fail(owner: Any, name: str, error: Exception) -> list[int]:
        method, calls = getattr(owner, name), []

        def once(*args: Any, **options: Any) -> Any:
            calls.append(len(calls))
            if len(calls) == 1:
                raise error
            return method(*args, **options)

        monkeypatch.setattr(owner, name, once)
        return calls

    return fail


def test_a_full_disk_ends_no_delivery(
    tmp_path: Path, failing_once: Callable[[Any, str, Exception], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_loop, "_IDLE_SECONDS", 0.05)
    with placed(tmp_path) as (config, place):
        place.detected(1)
        calls = failing_once(place.spool, "settle", OSError(errno.ENOSPC, "No space left on device"))
        with target(config, lambda event: 0), place.delivering() as thread:
            wait_until(lambda: calls)
            place.detected(2)
            wait_until(lambda: place.ledger.counts() == {"done": 2} or not thread.is_alive())
            assert thread.is_alive()


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "No such file"), OSError(errno.EIO, "Input/output error")]
)
def test_an_object_that_cannot_be_read_at_this_moment(
    tmp_path: Path, failing_once: Callable[[Any, str, Exception], list[int]], error: OSError
) -> None:
    """Such as one of a film that is replaced just now. It is sent a little later."""
    with placed(tmp_path) as (config, place):
        place.detected(1)
        failing_once(targets, "dcmread", error)
        with target(config, lambda event: 0), place.delivering() as thread:
            wait_until(lambda: place.ledger.counts() == {"done": 1} or not thread.is_alive())
            assert thread.is_alive()
        assert place.loop.state.failures == 0
