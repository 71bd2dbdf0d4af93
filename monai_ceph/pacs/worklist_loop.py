"""Takes work items from a worklist (IHE AIW-I, UPS-RS): claim, fetch the films, wait for their results, and report.

The claim with its transaction UID is in the ledger before the server is asked, so that after a kill the node knows what
it has, and never claims twice. The films go through the same inbox and ledger as all others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pydicom.uid import generate_uid

from monai_ceph.archives.config import WorklistConfig
from monai_ceph.archives.query import Source, cause_of
from monai_ceph.archives.worklist import GoneError, RefusedError, StepState, Worklist
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.workitem_report import finished_step, started_step
from monai_ceph.pacs.workitems import Claim, Claims
from monai_ceph.readers.dicom_elements import is_uid, value

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from monai_ceph.archives.config import TargetConfig

__all__ = ["WorklistLoop"]

_MOST_FILMS = 100


class WorklistLoop:
    """Works on one worklist.

    Args:
        config: the worklist.
        source: has the films.
        ledger: the claims and the films.
        targets: have the results.
        deliver: takes a fetched film.
        full: returns why no further film can be received, or None.
    """

    def __init__(
        self,
        config: WorklistConfig,
        source: Source,
        ledger: NodeLedger,
        targets: TargetConfig,
        deliver: Callable[[Dataset], None],
        full: Callable[[], str | None],
    ) -> None:
        self._config, self._source, self._ledger, self._targets = config, source, ledger, targets
        self._worklist, self._claims = Worklist(config), Claims(ledger, config.name)
        self._deliver, self._full = deliver, full
        self.wake = threading.Event()
        self.failures = 0
        """Rounds that failed since the last good one."""
        self.cause: str | None = None
        """Why the last round failed."""

    def run(self, ended: threading.Event) -> None:
        """Work until the node ends."""
        while not ended.is_set():
            start = time.monotonic()
            try:
                self.round(ended)
            except (StoppedError, OSError) as error:  # such as a full disk
                self._failed(str(error))
            self.wake.wait(max(0.0, self._config.every_s - (time.monotonic() - start)))

    def round(self, ended: threading.Event) -> None:
        """Continue what was claimed, then claim what waits."""
        causes: list[str] = []
        refusals: list[str] = []
        for claim in self._claims.open():
            self._guarded(lambda claim=claim: self._continue(claim), causes, refusals)  # type: ignore[misc]
        # not while the server fails; but one work item that it refuses must not keep the others waiting
        if not causes and self._full() is None:
            self._guarded(lambda: self._claim_scheduled(ended), causes, refusals)
        if causes or refusals:
            self._failed((causes or refusals)[-1])
        else:
            self.failures, self.cause = 0, None

    def warnings(self) -> Mapping[str, str]:
        """Return what somebody should look at, and its cause."""
        return {f"worklist {self._config.name} fails": f"{self.cause} ({self.failures} times)"} if self.failures else {}

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics."""
        from prometheus_client.core import GaugeMetricFamily

        name = self._config.name
        for metric, text, number in (
            ("monai_ceph_worklist_failures", "Rounds that failed since the last good one", self.failures),
            ("monai_ceph_worklist_claims", "Work items that the node has claimed", len(self._claims.open())),
        ):
            family = GaugeMetricFamily(metric, text, labels=["worklist"])
            family.add_metric([name], number)
            yield family

    def _failed(self, cause: str) -> None:
        self.failures, self.cause = self.failures + 1, cause
        log("worklist failed", warning=True, worklist=self._config.name, cause=cause)

    @staticmethod
    def _guarded(work: Callable[[], None], causes: list[str], refusals: list[str]) -> None:
        try:
            work()
        except (StoppedError, OSError):
            raise
        except RefusedError as error:
            refusals.append(cause_of(error))
        except Exception as error:  # a server can send anything
            causes.append(cause_of(error))

    def _claim_scheduled(self, ended: threading.Event) -> None:
        for uid in self._worklist.scheduled():
            if ended.is_set() or self._full() is not None:
                return
            if self._claims.get(uid) is not None:
                continue
            claim = self._claims.put(Claim(uid, generate_uid(prefix=None), begun=_now()))
            try:
                self._worklist.change_state(uid, claim.transaction, "IN PROGRESS")
            except RefusedError as error:
                self._claims.put(claim, stage="ended")
                log("work item taken by another", workitem=uid, worklist=self._config.name, answer=str(error))
                continue
            self._claimed(claim)

    def _claimed(self, claim: Claim) -> None:
        claim = self._claims.put(claim, stage="claimed")
        self._ledger.audit("work item claimed", workitem=claim.uid, worklist=self._config.name)
        log("work item claimed", workitem=claim.uid, worklist=self._config.name)
        self._continue(claim)

    def _continue(self, claim: Claim) -> None:
        try:
            self._next_step(claim)
        except GoneError as error:
            # such as one that ended, although the answer was lost, and that the server keeps no longer
            self._end(claim, "unknown", [str(error)])

    def _next_step(self, claim: Claim) -> None:
        if claim.stage == "claiming":
            self._ask_whose(claim)
        elif claim.stage == "claimed":
            self._fetch(claim)
        elif claim.stage == "working":
            self._look(claim)
        else:
            self._finish(claim)

    def _ask_whose(self, claim: Claim) -> None:
        """Find out whether a claim without an answer counts: only its owner may change a step in progress."""
        try:
            self._worklist.change_state(claim.uid, claim.transaction, "IN PROGRESS")
        except RefusedError:
            try:
                self._worklist.update(claim.uid, claim.transaction, started_step())
            except RefusedError as error:
                self._claims.put(claim, stage="ended")
                log("work item taken by another", workitem=claim.uid, worklist=self._config.name, answer=str(error))
                return
        self._claimed(claim)

    def _fetch(self, claim: Claim) -> None:
        """Fetch the films that the work item names."""
        if not claim.films:
            films = _inputs(self._worklist.retrieve(claim.uid))
            claim = self._claims.put(claim, films=films)
        if not 0 < len(claim.films) <= _MOST_FILMS:
            # the report says why
            self._finish(self._claims.put(claim, stage="finishing", films=()))
            return
        for found in claim.images:
            if not self._ledger.has(found.uid):
                if (cause := self._full()) is not None:
                    raise CephError(f"stopped early: {cause}")
                self._source.fetch(found, self._deliver)
        self._look(self._claims.put(claim, stage="working"))

    def _look(self, claim: Claim) -> None:
        states = [self._claims.outcome(found.uid)[0] for found in claim.images]
        if all(state in ("done", "dead", "skipped") for state in states):
            self._finish(self._claims.put(claim, stage="finishing"))

    def _finish(self, claim: Claim) -> None:
        """Report, as completed if every film has its results in the targets."""
        reasons = [
            f"{found.uid}: {reason or state}"
            for found in claim.images
            for state, reason in [self._claims.outcome(found.uid)]
            if state != "done"
        ]
        if not claim.films:
            reasons = [f"the work item names no images, or more than {_MOST_FILMS}"]
        made = [each for found in claim.images for each in self._claims.products(found.uid)]
        scheduled = self._worklist.retrieve(claim.uid)
        step = finished_step(scheduled, self._targets, claim.begun, _now(), made, reasons)
        final: StepState = "CANCELED" if reasons else "COMPLETED"
        state: str = final
        try:
            self._worklist.update(claim.uid, claim.transaction, step)
            self._worklist.change_state(claim.uid, claim.transaction, final)
        except RefusedError as error:
            # the answer to an earlier report may have been lost
            state = str(value(self._worklist.retrieve(claim.uid), "ProcedureStepState"))
            if state == "IN PROGRESS":
                raise
            log("work item was ended already", workitem=claim.uid, state=state, answer=str(error))
        self._end(claim, state, reasons)

    def _end(self, claim: Claim, state: str, reasons: list[str]) -> None:
        """Record that a work item needs nothing more here."""
        self._claims.put(claim, stage="ended")
        outcome: dict[str, Any] = {"workitem": claim.uid, "worklist": self._config.name}
        outcome |= {"state": state, "reasons": reasons}
        self._ledger.audit("work item ended", **outcome)
        log("work item ended", warning=state == "unknown", **outcome)


def _inputs(step: Dataset) -> tuple[tuple[str, str, str], ...]:
    """Return study, series and image UIDs of the input of a step (PS3.3 table 10-3b)."""
    found = []
    for item in value(step, "InputInformationSequence") or ():
        for image in value(item, "ReferencedSOPSequence") or ():
            holders = (item, item, image)
            names = ("StudyInstanceUID", "SeriesInstanceUID", "ReferencedSOPInstanceUID")
            uids = [str(value(holder, name) or "") for holder, name in zip(holders, names, strict=True)]
            if all(map(is_uid, uids)):
                found.append((uids[0], uids[1], uids[2]))
    return tuple(dict.fromkeys(found))


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y%m%d%H%M%S.%f+0000")
