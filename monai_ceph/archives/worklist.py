"""A worklist of unified procedure steps by DICOMweb (UPS-RS, PS3.18 11; PS3.4 CC)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import requests
from pydicom import Dataset

from monai_ceph.archives.config import WorklistConfig
from monai_ceph.archives.dicomweb import web_session
from monai_ceph.archives.query import SourceError
from monai_ceph.readers.dicom_elements import is_uid, value
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["GoneError", "RefusedError", "StepState", "Worklist"]

StepState = Literal["IN PROGRESS", "COMPLETED", "CANCELED"]

_JSON = "application/dicom+json"
_MOST = 100
# status of a request that the server understood and refused
_REFUSED = (400, 409)
# there is no such work item, or not any more (PS3.18 11.5.2 lets a server forget what has ended)
_GONE = (404, 410)


class RefusedError(SourceError):
    """The server refuses a request about a work item, such as one that somebody else has claimed."""


class GoneError(RefusedError):
    """The server does not have the work item, or not any more."""


class Worklist:
    """A UPS-RS service.

    Args:
        config: its address, its login, and the conditions on work items.
    """

    def __init__(self, config: WorklistConfig) -> None:
        self.name, self._config = config.name, config

    def scheduled(self) -> list[str]:
        """Return the UIDs of work items that wait for somebody, as far as the conditions of the configuration hold.

        Raises:
            SourceError: the server does not answer, here and in every method.
        """
        config = self._config
        conditions = {"ProcedureStepState": "SCHEDULED", "limit": str(_MOST)}
        for sequence, code in (
            ("ScheduledStationNameCodeSequence", config.station),
            ("ScheduledWorkitemCodeSequence", config.procedure),
        ):
            if code is not None:
                conditions[f"{sequence}.CodeValue"] = code
        answers = self._answer("GET", "/workitems", params=conditions)
        found = []
        for answer in answers:
            # a server may ignore a condition
            if self._matches(answer) and is_uid(uid := str(value(answer, "SOPInstanceUID") or "")):
                found.append(uid)
        return found

    def retrieve(self, uid: str) -> Dataset:
        """Return a work item.

        Raises:
            GoneError: the server does not have it, or not any more.
        """
        answers = self._answer("GET", f"/workitems/{uid}")
        if len(answers) != 1:
            raise SourceError(f"{self.name}: the answer is not one work item")
        return answers[0]

    def change_state(self, uid: str, transaction: str, state: StepState) -> None:
        """Claim, complete or cancel a work item (PS3.18 11.7).

        Raises:
            RefusedError: its state, or the transaction UID, does not allow that.
        """
        change = Dataset()
        change.TransactionUID, change.ProcedureStepState = transaction, state
        self._send("PUT", f"/workitems/{uid}/state", change)

    def update(self, uid: str, transaction: str, changes: Dataset) -> None:
        """Change a work item that this transaction has claimed (PS3.18 11.6).

        Raises:
            RefusedError: it is not claimed by this transaction.
        """
        changes.TransactionUID = transaction
        self._send("POST", f"/workitems/{uid}?{transaction}", changes)

    def _matches(self, answer: Dataset) -> bool:
        if value(answer, "ProcedureStepState") not in (None, "SCHEDULED"):
            return False
        for name, code in (
            ("ScheduledStationNameCodeSequence", self._config.station),
            ("ScheduledWorkitemCodeSequence", self._config.procedure),
        ):
            items = value(answer, name)
            if code is not None and items and code not in [str(value(item, "CodeValue")) for item in items]:
                return False
        return True

    def _send(self, method: str, path: str, dataset: Dataset) -> None:
        with quiet():
            body = json.dumps([dataset.to_json_dict()])
        self._request(method, path, data=body.encode(), headers={"Content-Type": _JSON, "Accept": _JSON})

    def _answer(self, method: str, path: str, **options: Any) -> list[Dataset]:
        answer = self._request(method, path, headers={"Accept": _JSON}, **options)
        if answer.status_code == 204:
            return []
        try:
            with quiet():
                return [Dataset.from_json(each) for each in answer.json()]
        except Exception as error:  # pydicom documents few of its exceptions
            raise SourceError(f"{self.name}: the answer is not DICOMweb ({type(error).__name__})") from error

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        config = self._config
        with _errors(self.name), web_session(config) as session:
            answer = session.request(
                *(method, config.url.rstrip("/") + path), timeout=config.timeout_s, allow_redirects=False, **options
            )
        if answer.status_code in _GONE:
            raise GoneError(f"{self.name}: HTTP {answer.status_code}")
        if answer.status_code in _REFUSED:
            raise RefusedError(f"{self.name}: HTTP {answer.status_code}")
        if answer.status_code not in (200, 204):
            raise SourceError(f"{self.name}: HTTP {answer.status_code}")
        return answer


@contextmanager
def _errors(name: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, OSError) as error:
        raise SourceError(f"{name}: no answer ({type(error).__name__})") from error
