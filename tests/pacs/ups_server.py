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
from web_archive import dataset

JSON = "application/dicom+json"


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


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
        SOPClassUID="1.2.840.10008.5.1.4.34.6.1",
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
        mute: says whether the answer to a request is lost after it was carried out.
    """

    def __init__(self, *steps: Dataset) -> None:
        self.steps = {str(each.SOPInstanceUID): each for each in steps}
        self.owners: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self.mute: Callable[[str, str], bool] = lambda method, path: False
        self.lock = threading.Lock()
        self.url = ""

    def states(self) -> dict[str, str]:
        return {uid: str(each.ProcedureStepState) for uid, each in self.steps.items()}

    def answer(self, method: str, path: str, query: str, body: bytes) -> list[Any]:
        parts = path.removeprefix("/rs/").split("/")
        if parts[0] != "workitems":
            raise Refused(404)
        with self.lock:
            if (method, len(parts)) == ("GET", 1):
                return [each.to_json_dict() for each in self._found(parse_qs(query, strict_parsing=True))]
            if parts[1] not in self.steps:
                raise Refused(404)
            one = self.steps[parts[1]]
            if (method, len(parts)) == ("GET", 2):
                return [one.to_json_dict()]
            (values,) = json.loads(body)
            change = Dataset.from_json(values)
            if not change.get("TransactionUID"):
                raise Refused(400)
            if (method, parts[2:]) == ("PUT", ["state"]):
                self._change_state(one, str(change.TransactionUID), str(change.ProcedureStepState))
            elif (method, len(parts)) == ("POST", 2):
                self._update(one, change, query)
            else:
                raise Refused(405)
            return []

    def _found(self, conditions: dict[str, list[str]]) -> list[Dataset]:
        del conditions["limit"]
        state = conditions.pop("ProcedureStepState")
        found = [each for each in self.steps.values() if [str(each.ProcedureStepState)] == state]
        for name, code in conditions.items():
            sequence, _, keyword = name.partition(".")
            assert keyword == "CodeValue"
            found = [each for each in found if code == [str(each[sequence].value[0].CodeValue)]]
        return found

    def _owned(self, one: Dataset, transaction: str) -> None:
        if one.ProcedureStepState != "IN PROGRESS":
            raise Refused(409)
        if self.owners[str(one.SOPInstanceUID)] != transaction:
            raise Refused(400)

    def _change_state(self, one: Dataset, transaction: str, state: str) -> None:
        if state == "IN PROGRESS":
            if one.ProcedureStepState != "SCHEDULED":
                raise Refused(409)
            self.owners[str(one.SOPInstanceUID)] = transaction
        else:
            assert state in ("COMPLETED", "CANCELED")
            self._owned(one, transaction)
            self._check_final(one, state)
        one.ProcedureStepState = state
        self.log.append((str(one.SOPInstanceUID), state))

    @staticmethod
    def _check_final(one: Dataset, state: str) -> None:
        """PS3.4 table CC.2.5-3, the column of final states."""
        performed = one.get("UnifiedProcedureStepPerformedProcedureSequence")
        if not performed:
            raise Refused(409)
        for name in ("PerformedStationNameCodeSequence", "PerformedWorkitemCodeSequence", "OutputInformationSequence"):
            if name not in performed[0]:
                raise Refused(409)
        if not (performed[0].PerformedProcedureStepStartDateTime and performed[0].PerformedProcedureStepEndDateTime):
            raise Refused(409)
        if state == "CANCELED":
            (progress,) = one.ProcedureStepProgressInformationSequence
            if not (
                progress.ProcedureStepCancellationDateTime and progress.ProcedureStepDiscontinuationReasonCodeSequence
            ):
                raise Refused(409)

    def _update(self, one: Dataset, change: Dataset, query: str) -> None:
        transaction = str(change.TransactionUID)
        assert query == transaction
        self._owned(one, transaction)
        del change.TransactionUID
        assert "ProcedureStepState" not in change
        one.update(change)
        self.log.append((str(one.SOPInstanceUID), "updated"))


@contextmanager
def ups_serving(server: UpsServer) -> Iterator[UpsServer]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            assert self.headers["Accept"] == JSON
            assert not body or self.headers["Content-Type"] == JSON
            try:
                status, content = 200, server.answer(self.command, url.path, url.query, body)
            except Refused as error:
                status, content = error.status, []
            if server.mute(self.command, url.path):
                self.close_connection = True
                return
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(data)))
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
