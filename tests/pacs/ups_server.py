"""A UPS-RS service on the loopback interface with the state machine of PS3.4 CC.1.1, as strict as PS3.18 11 allows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import Dataset
from pydicom.tag import Tag
from web_archive import dataset

JSON = "application/dicom+json"


UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
FINAL = ("COMPLETED", "CANCELED")
INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."


class Refused(Exception):
    """A status of PS3.18 tables 11.5.3-1, 11.6.3-1 and 11.7.3-1, with the text of its Warning header."""

    def __init__(self, status: int, warning: str = "") -> None:
        self.status, self.warning = status, warning


def step(uid: str, *films: int, station: str = "CEPH1") -> Dataset:
    """A scheduled step for films of these numbers."""
    inputs = [
        dataset(
            TypeOfInstances="DICOM",
            StudyInstanceUID=f"1.2.3.{number}.1",
            SeriesInstanceUID=f"1.2.3.{number}.2",
            ReferencedSOPSequence=[
                dataset(
                    ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.1.1", ReferencedSOPInstanceUID=f"1.2.3.{number}.3"
                )
            ],
        )
        for number in films
    ]
    code = dataset(CodeValue=station, CodingSchemeDesignator="99TEST", CodeMeaning="A station")
    work = dataset(CodeValue="CEPHALO", CodingSchemeDesignator="99TEST", CodeMeaning="Cephalometry")
    return dataset(
        SOPClassUID=UPS_PUSH,
        SOPInstanceUID=uid,
        ProcedureStepState="SCHEDULED",
        ScheduledStationNameCodeSequence=[code],
        ScheduledWorkitemCodeSequence=[work],
        InputInformationSequence=inputs,
    )


class UpsServer:
    """The service.

    Attributes:
        steps: by UID.
        owners: Transaction UIDs, by UID of the step; a client is never told of them (PS3.4 CC.2.7).
        log: each request that changed something, with its step and state.
        gone: UIDs of steps that are not kept any more, as is allowed once they have ended (PS3.18 11.5.2).
        forgets: steps that have ended are gone at once.
        warnings: the text of each Warning header.
        mute: says whether the answer to a request is lost after it was carried out.
    """

    def __init__(self, *steps: Dataset) -> None:
        self.steps = {str(each.SOPInstanceUID): each for each in steps}
        self.owners: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self.gone: set[str] = set()
        self.forgets = False
        self.warnings: list[str] = []
        self.mute: Callable[[str, str], bool] = lambda method, path: False
        self.lock = threading.Lock()
        self.url = ""

    def states(self) -> dict[str, str]:
        return {uid: str(each.ProcedureStepState) for uid, each in self.steps.items()}

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[list[Any], str]:
        """Return what is found, and a warning of a request that succeeded."""
        parts = path.removeprefix("/rs/").split("/")
        if parts[0] != "workitems":
            raise Refused(404)
        with self.lock:
            if (method, len(parts)) == ("GET", 1):
                return [each.to_json_dict() for each in self._found(parse_qs(query, strict_parsing=True))], ""
            if parts[1] in self.gone:
                raise Refused(410)
            if parts[1] not in self.steps:
                raise Refused(404)
            one = self.steps[parts[1]]
            if (method, len(parts)) == ("GET", 2):
                assert "TransactionUID" not in one
                return [one.to_json_dict()], ""
            (values,) = json.loads(body)
            change = Dataset.from_json(values)
            transaction = str(change.get("TransactionUID") or "")
            if (method, parts[2:]) == ("PUT", ["state"]):
                if set(change.keys()) != {Tag("TransactionUID"), Tag("ProcedureStepState")}:
                    raise Refused(400, "The Transaction UID is missing.")
                return [], self._change_state(one, transaction, str(change.ProcedureStepState))
            if (method, len(parts)) == ("POST", 2):
                self._update(one, change, query)
                return [], ""
            raise Refused(405)

    def _found(self, conditions: dict[str, list[str]]) -> list[Dataset]:
        del conditions["limit"]
        state = conditions.pop("ProcedureStepState")
        found = [each for each in self.steps.values() if [str(each.ProcedureStepState)] == state]
        for name, code in conditions.items():
            sequence, _, keyword = name.partition(".")
            assert keyword == "CodeValue"
            found = [each for each in found if code == [str(each[sequence].value[0].CodeValue)]]
        return found

    def _change_state(self, one: Dataset, transaction: str, state: str) -> str:
        """Follow PS3.4 table CC.1.1-2. Return the warning if there is nothing left to do."""
        uid, now = str(one.SOPInstanceUID), str(one.ProcedureStepState)
        if not transaction:
            raise Refused(400, "The Transaction UID is missing.")
        # it cannot become SCHEDULED again (C303)
        if state not in ("IN PROGRESS", *FINAL):
            raise Refused(409, INCONSISTENT)
        if state == "IN PROGRESS":
            # C302 or C300, also for the one who has claimed it
            if now != "SCHEDULED":
                raise Refused(409, INCONSISTENT)
            self.owners[uid] = transaction
        else:
            # a step that nobody has claimed has no right one (C310)
            if uid not in self.owners:
                raise Refused(409, INCONSISTENT)
            if self.owners[uid] != transaction:
                raise Refused(400, "The Transaction UID is incorrect.")
            if now == state:
                return f"The UPS is already in the requested state of {state}."
            if now in FINAL:
                raise Refused(409, INCONSISTENT)
            self._check_final(one, state)
        one.ProcedureStepState = state
        self.log.append((uid, state))
        if self.forgets and state in FINAL:
            self.gone.add(uid)
        return ""

    @staticmethod
    def _check_final(one: Dataset, state: str) -> None:
        """PS3.4 table CC.2.5-3, the column of final states."""
        performed = one.get("UnifiedProcedureStepPerformedProcedureSequence")
        if not performed:
            raise Refused(409, INCONSISTENT)
        for name in ("PerformedStationNameCodeSequence", "PerformedWorkitemCodeSequence", "OutputInformationSequence"):
            if name not in performed[0]:
                raise Refused(409, INCONSISTENT)
        if not (performed[0].PerformedProcedureStepStartDateTime and performed[0].PerformedProcedureStepEndDateTime):
            raise Refused(409, INCONSISTENT)
        if state == "CANCELED":
            (progress,) = one.ProcedureStepProgressInformationSequence
            if not (
                progress.ProcedureStepCancellationDateTime and progress.ProcedureStepDiscontinuationReasonCodeSequence
            ):
                raise Refused(409, INCONSISTENT)

    def _update(self, one: Dataset, change: Dataset, query: str) -> None:
        """Follow PS3.4 CC.2.6 and PS3.18 11.6.2: whoever may change a step depends on its state."""
        uid, state, transaction = str(one.SOPInstanceUID), str(one.ProcedureStepState), str(change.TransactionUID)
        if state in FINAL:
            raise Refused(400, "The submitted request is inconsistent with the current state of the Workitem.")
        if state == "SCHEDULED":
            raise Refused(409, "The target URI did not reference a claimed Workitem.")
        # servers read it there, or in the data set
        assert query == transaction
        if self.owners[uid] != transaction:
            raise Refused(400, "The target URI did not reference a claimed Workitem.")
        del change.TransactionUID
        # table CC.2.5-3 does not allow them in N-SET
        if {"SOPClassUID", "SOPInstanceUID", "ProcedureStepState"} & set(change.dir()):
            raise Refused(400, INCONSISTENT)
        one.update(change)
        self.log.append((uid, "updated"))


@contextmanager
def ups_serving(server: UpsServer) -> Iterator[UpsServer]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content: list[Any] = []
            try:
                if self.headers["Accept"] != JSON:
                    raise Refused(406)
                if body and self.headers["Content-Type"] != JSON:
                    raise Refused(415)
                content, warning = server.answer(self.command, url.path, url.query, body)
                # a search without a match has no payload (PS3.18 11.9.3)
                status = 204 if self.command == "GET" and not content else 200
            except Refused as error:
                status, warning = error.status, error.warning
            if server.mute(self.command, url.path):
                self.close_connection = True
                return
            data = json.dumps(content).encode() if content else b""
            self.send_response(status)
            if warning:
                server.warnings.append(warning)
                self.send_header("Warning", f"299 {server.url}: {warning}")
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            if data:
                self.send_header("Content-Type", JSON)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = _serve

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/rs"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
