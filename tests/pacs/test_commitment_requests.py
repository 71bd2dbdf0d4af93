"""Storage commitment that the node asks for: only a report of the archive makes a film done."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import SR, RunningNode, associated, film, free_port, running, send, settings, wait_until
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    GrayscaleSoftcopyPresentationStateStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from monai_ceph.pacs.check import unheard_reports
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.folder import LEDGER

UID = "1.2.3.1.3"


class Archive:
    """Takes reports and presentation states, and commits itself to them as it is told.

    Attributes:
        answer: of the N-ACTION.
        asked: the requests.
        stored: how often each object came.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.port, self.answer, self._at_once = free_port(), 0x0000, at_once
        self.asked: list[Dataset] = []
        self.stored: Counter[str] = Counter()

    def store(self, event: evt.Event) -> int:
        self.stored[str(event.dataset.SOPInstanceUID)] += 1
        return 0

    def action(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        self.asked.append(request)
        if self._at_once:
            # on the association of the request, as soon as it was answered
            threading.Timer(0.2, self._report_on, (event.assoc, report_of(request))).start()
        return self.answer, None

    @staticmethod
    def _report_on(association: Any, report: Dataset) -> None:
        if association.is_established:
            association.send_n_event_report(report, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)


def report_of(request: Dataset, failed: tuple[str, ...] = (), reason: int | None = 0x0112) -> Dataset:
    """Return a report that commits to everything but some objects."""
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    items = list(request.ReferencedSOPSequence)
    safe = [each for each in items if each.ReferencedSOPInstanceUID not in failed]
    lost = [each for each in items if each.ReferencedSOPInstanceUID in failed]
    for each in lost:
        if reason is not None:
            each.FailureReason = reason
    if safe:
        report.ReferencedSOPSequence = safe
    if lost:
        report.FailedSOPSequence = lost
    return report


def send_report(port: int, report: Dataset, role: bool = True, calling: str = "ORTHANC") -> int:
    """Send a report on an association of its own, and return the answer."""
    options: dict[str, Any] = {"ext_neg": [build_role(StorageCommitmentPushModel, scp_role=True)]} if role else {}
    with associated(port, StorageCommitmentPushModel, calling=calling, **options) as association:
        status, _ = association.send_n_event_report(
            report,
            2 if "FailedSOPSequence" in report else 1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
    return int(status.Status)


@contextmanager
def archive(commits: bool = True, **options: Any) -> Iterator[Archive]:
    here = Archive(**options)
    entity = AE("PACS")
    for sop_class in (SR, GrayscaleSoftcopyPresentationStateStorage):
        entity.add_supported_context(sop_class)
    if commits:
        entity.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, here.store), (evt.EVT_N_ACTION, here.action)]
    server = entity.start_server(("127.0.0.1", here.port), block=False, evt_handlers=handlers)
    try:
        yield here
    finally:
        server.shutdown()


@contextmanager
def node_for(folder: Path, pacs: Archive, seconds: float = 60, hours: float = 168) -> Iterator[RunningNode]:
    values = settings(folder)
    values["targets"]["dicom"][0].update(port=pacs.port, commitment_s=seconds)
    values["retry"]["give_up_after_h"] = hours
    with running(folder, values) as node:
        assert send(node.port, film(1)) == [0]
        yield node


def state(node: RunningNode) -> str:
    with closing(sqlite3.connect(node.folder / LEDGER, timeout=20)) as ledger:
        return str(ledger.execute("SELECT state FROM films").fetchone()[0])


def test_a_film_is_done_once_its_objects_are_committed(tmp_path: Path) -> None:
    """Strange reports change nothing, a failure repeats one object, and a restart forgets no request."""
    with archive() as pacs, node_for(tmp_path, pacs) as node:
        wait_until(lambda: sum(len(each.ReferencedSOPSequence) for each in pacs.asked) == 2)
        node.wait_for("commitment requested")
        assert state(node) == "detected"
        assert node.events("sent") == []
        objects = {str(item.ReferencedSOPInstanceUID) for each in pacs.asked for item in each.ReferencedSOPSequence}
        assert objects == set(pacs.stored)
        assert {str(item.ReferencedSOPClassUID) for each in pacs.asked for item in each.ReferencedSOPSequence} == {
            SR,
            str(GrayscaleSoftcopyPresentationStateStorage),
        }
        unknown = report_of(pacs.asked[0])
        unknown.TransactionUID = "1.2.3.4"
        assert send_report(node.port, unknown) == 0x0000
        empty = Dataset()
        empty.TransactionUID = pacs.asked[0].TransactionUID
        assert send_report(node.port, empty) == 0x0115
        nameless = report_of(pacs.asked[0])
        del nameless.TransactionUID
        assert send_report(node.port, nameless) == 0x0115
        assert state(node) == "detected"
        # one is not there, whatever the other list says
        lost = str(pacs.asked[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        asked = list(pacs.asked)
        for each in asked:
            both = report_of(each, (lost,))
            both.ReferencedSOPSequence = list(each.ReferencedSOPSequence)
            assert send_report(node.port, both, role=False) == 0x0000
        (event,) = node.wait_for("not committed")
        assert (event["uid"], event["cause"]) == (lost, "no storage commitment: failure reason 0112")
        wait_until(lambda: len(pacs.asked) > len(asked))
        assert pacs.stored[lost] == 2
        again = pacs.asked[-1]
        assert [str(item.ReferencedSOPInstanceUID) for item in again.ReferencedSOPSequence] == [lost]
        node.kill()
        node.start()
        assert send_report(node.port, report_of(again)) == 0x0000
        wait_until(lambda: state(node) == "done")
        # again, as an archive that got no answer does
        assert send_report(node.port, report_of(again)) == 0x0000
        assert set(pacs.stored.values()) == {1, 2}
        rows = [row for row in audit(node) if row["event"] == "sent"]
    assert {row["answer"] for row in rows} == {"status 0000, committed"}
    assert len(rows) == 2
    assert list((node.folder / "queue").iterdir()) == []


def audit(node: RunningNode) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(node.folder / LEDGER, timeout=20)) as ledger:
        rows = ledger.execute("SELECT event, details FROM audit ORDER BY id").fetchall()
    return [{"event": event, **json.loads(details)} for event, details in rows]


def test_a_report_on_the_association_of_the_request(tmp_path: Path) -> None:
    with archive(at_once=True) as pacs, node_for(tmp_path, pacs) as node:
        # some archives try this first; if the node has left, they come by themselves
        wait_until(lambda: pacs.asked)
        time.sleep(0.5)
        for each in list(pacs.asked):
            assert send_report(node.port, report_of(each)) == 0x0000
        wait_until(lambda: state(node) == "done")


def test_a_report_that_never_comes(tmp_path: Path) -> None:
    """The objects are sent and asked about again, in a new transaction; a report on the old one comes too late."""
    with archive() as pacs, node_for(tmp_path, pacs, seconds=0.5) as node:
        wait_until(lambda: len(pacs.stored) == 2 and min(pacs.stored.values()) >= 2)
        assert node.events("not committed")[0]["cause"] == "no storage commitment within 0.5 s"
        assert send_report(node.port, report_of(pacs.asked[0])) == 0x0000
        assert state(node) == "detected"


def test_a_report_that_does_not_come_in_the_end(tmp_path: Path) -> None:
    with archive() as pacs, node_for(tmp_path, pacs, seconds=0.5, hours=1 / 3600) as node:
        assert node.wait_for("given up", 2)[0]["cause"] == "no storage commitment within 0.5 s"
        wait_until(lambda: state(node) == "dead")


@pytest.mark.parametrize(
    ("commits", "answer", "cause"),
    [
        (True, 0x0110, "PACS: refused the request for storage commitment, status 0110"),
        (False, 0x0000, "PACS: does not accept Storage Commitment"),
    ],
)
def test_an_archive_that_cannot_be_asked(tmp_path: Path, commits: bool, answer: int, cause: str) -> None:
    with archive(commits) as pacs:
        pacs.answer = answer
        with node_for(tmp_path, pacs) as node:
            assert node.wait_for("target failed", 2)[-1]["cause"] == cause
            assert state(node) == "detected"
            wait_until(lambda: max(pacs.stored.values()) >= 2)


def test_a_report_that_would_be_rejected_is_said_before(tmp_path: Path) -> None:
    values = settings(tmp_path)
    values["targets"]["dicom"][0]["commitment_s"] = 60
    (warning,) = unheard_reports(NodeConfig.model_validate(values))
    assert "such as PACS, is in accept.calling_ae_titles" in warning
    values["accept"]["calling_ae_titles"].append("PACS")
    assert unheard_reports(NodeConfig.model_validate(values)) == []
