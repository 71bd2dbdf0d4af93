"""Work items by UPS-RS, against our own strict server, since no real one installs: kills and lost answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import film, free_port, running, settings, wait_until
from pydicom import Dataset
from test_receiver import MODEL
from ups_server import UpsServer, step, ups_serving
from web_archive import Archive, multipart, serving

from monai_ceph.archives.config import DicomWebSource, TargetConfig, WorklistConfig
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.worklist import RefusedError
from monai_ceph.errors import CephError
from monai_ceph.pacs.config_file import read_config
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import MadeObject, PastAnswer
from monai_ceph.pacs.workitem_report import started_step
from monai_ceph.pacs.worklist_loop import WorklistLoop
from monai_ceph.reports.header_identity import ObjectReference

SR = "1.2.840.10008.5.1.4.1.1.88.33"
NOT_ENDED = threading.Event()


def as_part(number: int) -> bytes:
    stream = BytesIO()
    film(number).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Place:
    """A worklist, an archive with films, and a ledger; the loop can be made again, as after a kill."""

    folder: Path
    server: UpsServer
    archive: Archive
    ledger: NodeLedger
    delivered: list[str] = field(default_factory=list)
    full: str | None = None

    def loop(self, **changes: Any) -> WorklistLoop:
        values = {"name": "aiw", "url": self.server.url, "source": "web", "station": "CEPH1", "timeout_s": 5, **changes}
        source = DicomWebArchive(DicomWebSource(name="web", url=self.archive.url))
        targets = TargetConfig.model_validate(
            {
                "dicom": [{"name": "pacs", "ae_title": "PACS", "host": "x", "port": 104}],
                "dicomweb": [{"name": "web", "url": "https://pacs.example/rs"}],
            }
        )
        config = WorklistConfig.model_validate(values)
        return WorklistLoop(config, source, self.ledger, targets, self.deliver, lambda: self.full)

    def deliver(self, dataset: Dataset) -> None:
        uid = str(dataset.SOPInstanceUID)
        self.delivered.append(uid)
        self.ledger.receive(uid, f"key-{uid}", "fetched", 1, MODEL)

    def finish(self, number: int) -> None:
        """Have a film detected on, and its report in the target."""
        row = self.ledger.film_of(f"key-1.2.3.{number}.3")
        assert row is not None
        reference = ObjectReference(f"1.2.3.{number}.1", f"1.2.9.{number}", SR, f"2.25.{number}")
        made = MadeObject("sr", row.key, reference.uid, PastAnswer("sr", 0, "a", reference, None))
        self.ledger.detected(row, "done", [("pacs", made)], MODEL, [])
        for delivery in self.ledger.due("pacs", 9):
            self.ledger.sent(delivery, "status 0000")

    def give_up(self, number: int) -> None:
        row = self.ledger.film_of(f"key-1.2.3.{number}.3")
        assert row is not None
        self.ledger.end(row, "dead", "rejected: no head")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    archive = Archive()
    archive.bodies = {f"1.2.3.{number}.3": multipart(as_part(number)) for number in (1, 2, 3)}
    ledger = NodeLedger(tmp_path / "node.sqlite")
    with serving(archive), ups_serving(UpsServer()) as server:
        yield Place(tmp_path, server, archive, ledger)
    ledger.close()


def add(place: Place, uid: str, *films: int, **changes: Any) -> Dataset:
    made = step(uid, *films, **changes)
    place.server.steps[uid] = made
    return made


def test_from_scheduled_to_completed(place: Place) -> None:
    item, loop = add(place, "1.2.5.1", 1, 2), place.loop()
    loop.round(NOT_ENDED)
    assert item.ProcedureStepState == "IN PROGRESS"
    assert place.delivered == ["1.2.3.1.3", "1.2.3.2.3"]
    place.finish(1)
    loop.round(NOT_ENDED)
    # the second film still waits
    assert item.ProcedureStepState == "IN PROGRESS"
    place.finish(2)
    loop.round(NOT_ENDED)
    assert item.ProcedureStepState == "COMPLETED"
    (performed,) = item.UnifiedProcedureStepPerformedProcedureSequence
    assert performed.PerformedWorkitemCodeSequence[0].CodeValue == "CEPHALO"
    first, second = performed.OutputInformationSequence
    assert (first.StudyInstanceUID, first.SeriesInstanceUID) == ("1.2.3.1.1", "1.2.9.1")
    (reference,) = second.ReferencedSOPSequence
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (SR, "2.25.2")
    assert first.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    url = "https://pacs.example/rs/studies/1.2.3.1.1/series/1.2.9.1"
    assert first.WADORSRetrievalSequence[0].RetrieveURL == url
    events = [row["event"] for row in place.ledger.audit_rows() if "workitem" in row]
    assert events == ["work item claimed", "work item ended"]
    assert loop.failures == 0
    assert place.server.log == [("1.2.5.1", "IN PROGRESS"), ("1.2.5.1", "updated"), ("1.2.5.1", "COMPLETED")]


def test_a_film_without_a_result_cancels_with_the_reason(place: Place) -> None:
    item, loop = add(place, "1.2.5.1", 1, 2), place.loop()
    loop.round(NOT_ENDED)
    place.finish(1)
    place.give_up(2)
    loop.round(NOT_ENDED)
    assert item.ProcedureStepState == "CANCELED"
    (progress,) = item.ProcedureStepProgressInformationSequence
    assert progress.ReasonForCancellation == "1.2.3.2.3: rejected: no head"
    # what there is is told nevertheless
    (performed,) = item.UnifiedProcedureStepPerformedProcedureSequence
    assert len(performed.OutputInformationSequence) == 1


def test_a_work_item_without_images_is_cancelled(place: Place) -> None:
    item = add(place, "1.2.5.1")
    place.loop().round(NOT_ENDED)
    assert item.ProcedureStepState == "CANCELED"
    (progress,) = item.ProcedureStepProgressInformationSequence
    assert progress.ReasonForCancellation == "the work item names no images, or more than 100"


def test_only_its_own_work_items(place: Place) -> None:
    other = add(place, "1.2.5.1", 1, station="OTHER")
    mine = add(place, "1.2.5.2", 2)
    place.loop().round(NOT_ENDED)
    assert (other.ProcedureStepState, mine.ProcedureStepState) == ("SCHEDULED", "IN PROGRESS")
    place.loop(station="OTHER", procedure="SOMETHING").round(NOT_ENDED)
    assert other.ProcedureStepState == "SCHEDULED"


def test_one_that_somebody_else_claims_first(place: Place) -> None:
    add(place, "1.2.5.1", 1)
    found = place.server._found

    def taken_meanwhile(conditions: dict[str, list[str]]) -> list[Dataset]:
        answers = [Dataset.from_json(each.to_json()) for each in found(conditions)]
        place.server._change_state(place.server.steps["1.2.5.1"], "1.2.99", "IN PROGRESS")
        return answers

    place.server._found = taken_meanwhile  # type: ignore[method-assign]
    loop = place.loop()
    loop.round(NOT_ENDED)
    assert place.server.owners == {"1.2.5.1": "1.2.99"}
    assert (place.delivered, loop.failures, loop._claims.open()) == ([], 0, [])


@pytest.mark.parametrize("lost", ["claim", "report", "end"])
def test_a_lost_answer_neither_claims_twice_nor_forgets(place: Place, lost: str) -> None:
    """Each time the node is killed, too: a new loop knows only the ledger."""
    item, muted = add(place, "1.2.5.1", 1), [True]

    def mute(method: str, path: str) -> bool:
        state, final = path.endswith("/state"), "UnifiedProcedureStepPerformedProcedureSequence" in item
        hit = {"claim": state and not final, "report": method == "POST", "end": state and final}[lost]
        return hit and bool(muted) and muted.pop()

    place.server.mute = mute
    first = place.loop()
    first.round(NOT_ENDED)
    owner = dict(place.server.owners)
    place.loop().round(NOT_ENDED)
    place.finish(1)
    last = place.loop()
    for _ in range(3):
        last.round(NOT_ENDED)
    assert muted == []
    assert item.ProcedureStepState == "COMPLETED"
    assert place.server.owners == owner
    assert [state for _, state in place.server.log if state != "updated"] == ["IN PROGRESS", "COMPLETED"]
    assert place.delivered == ["1.2.3.1.3"]
    assert last._claims.open() == []


def test_a_claim_whose_answer_was_lost_may_be_of_somebody_else(place: Place) -> None:
    """The request never arrived, and another node claimed the item meanwhile."""
    item = add(place, "1.2.5.1", 1)
    place.server.mute = lambda method, path: path.endswith("/state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place.server, "_change_state", lambda *_: None)
        place.loop().round(NOT_ENDED)
    place.server.mute = lambda method, path: False
    place.server._change_state(item, "1.2.99", "IN PROGRESS")
    loop = place.loop()
    loop.round(NOT_ENDED)
    assert (loop._claims.open(), place.delivered) == ([], [])
    assert place.server.log == [("1.2.5.1", "IN PROGRESS")]


def test_an_archive_that_does_not_answer_is_asked_again(place: Place) -> None:
    item, body = add(place, "1.2.5.1", 1), place.archive.bodies.pop("1.2.3.1.3")
    loop = place.loop()
    loop.round(NOT_ENDED)
    assert (loop.failures, item.ProcedureStepState) == (1, "IN PROGRESS")
    assert list(loop.warnings()) == ["worklist aiw fails"]
    place.archive.bodies["1.2.3.1.3"] = body
    loop.round(NOT_ENDED)
    assert (loop.failures, place.delivered) == (0, ["1.2.3.1.3"])


@pytest.mark.parametrize("kept", [True, False])
def test_an_item_that_ended_although_the_answer_was_lost(place: Place, kept: bool) -> None:
    """The server need not keep what has ended, and there is nobody to ask then."""
    item, loop = add(place, "1.2.5.1", 1), place.loop()
    place.server.forgets = not kept
    loop.round(NOT_ENDED)
    place.finish(1)
    lost = [True]
    place.server.mute = lambda method, path: method == "PUT" and bool(lost) and lost.pop()
    loop.round(NOT_ENDED)
    assert (item.ProcedureStepState, loop.failures, len(loop._claims.open())) == ("COMPLETED", 1, 1)
    later = add(place, "1.2.5.2", 2)
    loop.round(NOT_ENDED)
    assert (loop.failures, [each.uid for each in loop._claims.open()]) == (0, ["1.2.5.2"])
    assert later.ProcedureStepState == "IN PROGRESS"
    (end,) = (row for row in place.ledger.audit_rows() if row["event"] == "work item ended")
    assert (end["state"], end["reasons"]) == (("COMPLETED", []) if kept else ("unknown", ["aiw: HTTP 410"]))


def test_an_item_that_the_server_cancelled_itself_ends(place: Place) -> None:
    """A server may do so if it believes that the node is gone (PS3.4 CC.2.1.3)."""
    item, loop = add(place, "1.2.5.1", 1), place.loop()
    loop.round(NOT_ENDED)
    item.ProcedureStepState = "CANCELED"
    place.finish(1)
    loop.round(NOT_ENDED)
    assert (loop.failures, loop._claims.open()) == (0, [])
    (end,) = (row for row in place.ledger.audit_rows() if row["event"] == "work item ended")
    assert end["state"] == "CANCELED"


def test_an_item_that_the_server_refuses_keeps_no_other_waiting(place: Place) -> None:
    item, loop = add(place, "1.2.5.1", 1), place.loop()
    loop.round(NOT_ENDED)
    place.finish(1)
    # whatever its reasons are
    place.server.owners["1.2.5.1"] = "1.2.99"
    other = add(place, "1.2.5.2", 2)
    loop.round(NOT_ENDED)
    assert (item.ProcedureStepState, other.ProcedureStepState) == ("IN PROGRESS", "IN PROGRESS")
    assert (loop.failures, loop.cause) == (1, "aiw: HTTP 400")
    place.finish(2)
    loop.round(NOT_ENDED)
    assert (other.ProcedureStepState, loop.failures) == ("COMPLETED", 2)


OWN, OTHER = "1.2.1", "1.2.2"
CHANGES = {"claim": "IN PROGRESS", "complete": "COMPLETED", "cancel": "CANCELED", "schedule": "SCHEDULED"}


@pytest.mark.parametrize(
    ("state", "request_", "transaction", "answer"),
    [
        # PS3.4 table CC.1.1-2, with the status codes of PS3.18 11.6.3.1 and 11.7.3.1
        ("SCHEDULED", "claim", OWN, 200),
        ("SCHEDULED", "claim", "", 400),
        ("SCHEDULED", "complete", OWN, 409),
        ("SCHEDULED", "cancel", OWN, 409),
        ("SCHEDULED", "update", OWN, 409),
        ("IN PROGRESS", "claim", OWN, 409),
        ("IN PROGRESS", "claim", OTHER, 409),
        ("IN PROGRESS", "schedule", OWN, 409),
        ("IN PROGRESS", "complete", OTHER, 400),
        ("IN PROGRESS", "cancel", OTHER, 400),
        # without what the final state needs
        ("IN PROGRESS", "complete", OWN, 409),
        ("IN PROGRESS", "cancel", OWN, 409),
        ("IN PROGRESS", "update", OWN, 200),
        ("IN PROGRESS", "update", OTHER, 400),
        ("COMPLETED", "claim", OWN, 409),
        ("COMPLETED", "complete", OWN, 200),
        ("COMPLETED", "complete", OTHER, 400),
        ("COMPLETED", "cancel", OWN, 409),
        ("COMPLETED", "update", OWN, 400),
        ("CANCELED", "cancel", OWN, 200),
        ("CANCELED", "complete", OWN, 409),
        ("CANCELED", "update", OWN, 400),
    ],
)
def test_the_server_of_these_tests_is_as_strict_as_the_standard(
    place: Place, state: str, request_: str, transaction: str, answer: int
) -> None:
    item = add(place, "1.2.5.1", 1)
    item.ProcedureStepState = state
    if state != "SCHEDULED":
        place.server.owners["1.2.5.1"] = OWN
    worklist = place.loop()._worklist
    send = lambda: (  # noqa: E731
        worklist.update("1.2.5.1", transaction, started_step())
        if request_ == "update"
        else worklist.change_state("1.2.5.1", transaction, CHANGES[request_])  # type: ignore[arg-type]
    )
    if answer == 200:
        send()
        already = [f"The UPS is already in the requested state of {state}."]
        assert place.server.warnings == (already if state in ("COMPLETED", "CANCELED") else [])
    else:
        with pytest.raises(RefusedError, match=f"HTTP {answer}"):
            send()
        assert len(place.server.warnings) == 1
        assert item.ProcedureStepState == state


def test_a_full_node_claims_nothing(place: Place) -> None:
    item, loop = add(place, "1.2.5.1", 1), place.loop()
    place.full = "10 films wait"
    loop.round(NOT_ENDED)
    assert item.ProcedureStepState == "SCHEDULED"
    place.full = None
    loop.round(NOT_ENDED)
    assert item.ProcedureStepState == "IN PROGRESS"


def test_a_film_that_the_node_has_is_not_fetched(place: Place) -> None:
    place.deliver(film(1))
    place.finish(1)
    item = add(place, "1.2.5.1", 1)
    place.loop().round(NOT_ENDED)
    assert item.ProcedureStepState == "COMPLETED"
    assert place.delivered == ["1.2.3.1.3"]


@pytest.mark.parametrize(
    ("worklist", "said"),
    [
        ("{name: w, url: 'http://x/rs', source: other, station: A}", "there is no source other under sources.dicomweb"),
        ("{name: w, url: 'http://x/rs', source: web}", "station, procedure or both"),
    ],
)
def test_mistakes_in_the_configuration(worklist: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(
        "folder: node\naccept: {calling_ae_titles: [A]}\n"
        "targets: {dicom: [{name: p, ae_title: P, host: x, port: 104}]}\n"
        f"sources: {{dicomweb: [{{name: web, url: 'http://x/rs'}}]}}\nworklists: [{worklist}]\n"
    )
    with pytest.raises(CephError, match=said):
        read_config(path)


def test_a_node_that_is_killed_finishes_its_work_item(place: Place, tmp_path: Path) -> None:
    """The real node, from the worklist to the report in the archive, with a kill in between."""
    values = settings(
        tmp_path,
        http={"port": free_port()},
        sources={"dicomweb": [{"name": "web", "url": place.archive.url}]},
        targets={"dicomweb": [{"name": "out", "url": place.archive.url, "objects": ["sr"]}]},
        worklists=[{"name": "aiw", "url": place.server.url, "source": "web", "procedure": "CEPHALO", "every_s": 1}],
    )
    item = add(place, "1.2.5.1", 1)
    with running(tmp_path, values, seconds=3) as node:
        node.wait_for("work item claimed")
        node.kill()
        assert item.ProcedureStepState == "IN PROGRESS"
        node.start()
        node.wait_for("work item ended")
    assert item.ProcedureStepState == "COMPLETED"
    (performed,) = item.UnifiedProcedureStepPerformedProcedureSequence
    (output,) = performed.OutputInformationSequence
    (reference,) = output.ReferencedSOPSequence
    assert [reference.ReferencedSOPInstanceUID] == list(dict.fromkeys(place.archive.stored))
    assert reference.ReferencedSOPClassUID == SR
    wait_until(lambda: [state for _, state in place.server.log if state == "IN PROGRESS"] == ["IN PROGRESS"])
