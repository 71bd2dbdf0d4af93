"""Tells a syslog server what the node does (IHE ATNA): events become audit messages, which a thread sends."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydicom import dcmread

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.audit_messages import (
    WITHHELD,
    Alert,
    AuditSource,
    Instance,
    Party,
    activity,
    alert,
    login_failed,
    this_process,
    transferred,
)
from monai_ceph.pacs.audit_queue import AuditQueue
from monai_ceph.pacs.config import AuditSyslogConfig, NodeConfig
from monai_ceph.pacs.logs import listen, log
from monai_ceph.pacs.syslog import SyslogConnection, syslog_line
from monai_ceph.readers.dicom_elements import value
from monai_ceph.readers.quiet_pydicom import quiet

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["QUEUE", "AuditLog"]

QUEUE = "audit.sqlite"
"""The file with waiting messages in the folder of a node."""

_BATCH = 1000
_IDLE_SECONDS, _LONGEST_PAUSE = 1.0, 60.0
_SETTLE_SECONDS = 1.0
_END_SECONDS = 5.0
# alerts with one cause from one address in a minute; the rest are counted in one
_MOST_ALERTS, _WINDOW_SECONDS = 30, 60.0
_HEADER = ("StudyInstanceUID", "SOPClassUID", "SOPInstanceUID", "PatientID", "PatientName", "AccessionNumber")


class AuditLog:
    """The audit of a running node.

    Args:
        settings: the server.
        config: of the node.

    Raises:
        CephError: the queue is something else.
        StoppedError: the queue cannot be written.
    """

    def __init__(self, settings: AuditSyslogConfig, config: NodeConfig) -> None:
        self._settings, self._title = settings, config.ae_title
        self._source = AuditSource(settings.source_id or config.ae_title, settings.site)
        self._peers = dict(_peers(config))
        self._queue = AuditQueue(config.folder / QUEUE, settings.max_waiting)
        self._alerts: Counter[tuple[str, str]] = Counter()
        self._window, self._lock = time.monotonic(), threading.Lock()
        # lost because the disk was full; counted there once that is possible
        self._unwritten = 0
        self.wake = threading.Event()
        self.trouble: str | None = None
        """Why the queue cannot be written at the moment."""
        self.failures = 0
        """Attempts to send that failed since the last good one."""
        self.cause: str | None = None
        """Why the last attempt failed."""
        self._told: dict[str, Callable[[Path | None, dict[str, Any], datetime], None]] = {
            "started": lambda about, details, moment: self._put(moment, self._activity(moment, True)),
            "ended": lambda about, details, moment: self._put(moment, self._activity(moment, False)),
            "received": lambda about, details, moment: self._received(about, details, moment, "C"),
            "received again": lambda about, details, moment: self._received(about, details, moment, "R"),
            "sent": self._sent,
            "login refused": self._login_refused,
            "TLS refused": self._node_refused,
            "association rejected": self._rejected,
            "commitment refused": self._node_refused,
            "retry refused": self._function_refused,
        }
        self._stop_listening = listen(self.hear)

    @property
    def events(self) -> frozenset[str]:
        """The names of the events that are told."""
        return frozenset(self._told)

    def hear(self, event: str, about: Path | None, details: dict[str, Any]) -> None:
        """Keep the message about an event, if there is one. Nothing is raised, so the node keeps working."""
        if (tell := self._told.get(event)) is None:
            return
        try:
            if self._unwritten:
                self._queue.count_lost(self._unwritten)
                self._unwritten = 0
            tell(about, details, datetime.now(timezone.utc))
            self.trouble = None
        except Exception as error:  # this thread has other work to do, such as to answer a sender
            self._unwritten += 1
            self.trouble = f"audit messages are lost: {error}"
        self.wake.set()

    def run(self, ended: threading.Event) -> None:
        """Send until the node ends."""
        while not ended.is_set():
            self.wake.clear()
            try:
                self._summarize()
                self._tell_lost()
                if self._queue.waiting:
                    self._session(ended)
                self.failures, self.cause = 0, None
                self.wake.wait(_IDLE_SECONDS)
            except (OSError, StoppedError) as error:
                self._failed(error)
                ended.wait(min(_LONGEST_PAUSE, 2.0 ** min(self.failures, 6) / 2))

    def close(self) -> None:
        """Send what still waits, for a few seconds, and stop. The rest is sent after the next start."""
        self._stop_listening()
        ended = threading.Event()
        ended.set()
        try:
            self._summarize()
            if self._queue.waiting:
                self._session(ended)
        except (OSError, StoppedError) as error:
            self._failed(error)
        self._queue.close()

    def warnings(self) -> Mapping[str, str]:
        """Return what somebody should look at, and its cause."""
        found = {}
        if self.failures:
            found["the audit's syslog server fails"] = f"{self.cause} ({self._queue.waiting} messages wait)"
        if (lost := self._queue.untold()) > 0:
            found["audit messages were lost"] = f"{lost}: the queue was full, or the disk"
        return found

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield GaugeMetricFamily("monai_ceph_audit_waiting", "Audit messages that wait", value=self._queue.waiting)
        yield GaugeMetricFamily("monai_ceph_audit_failures", "Failures since the last good one", value=self.failures)
        yield CounterMetricFamily("monai_ceph_audit_lost", "Audit messages that were lost", value=self._queue.lost())

    def _session(self, ended: threading.Event) -> None:
        """Connect, and send until the node ends and nothing waits.

        Raises:
            OSError: the connection broke. What was not confirmed stays in the queue.
        """
        sent = confirmed = 0
        late = time.monotonic() + _END_SECONDS if ended.is_set() else math.inf
        with SyslogConnection(self._settings.host, self._settings.port, self._settings.tls) as connection:
            try:
                while time.monotonic() < late:
                    for number, line in self._queue.next(sent, _BATCH):
                        connection.send(line)
                        sent = number
                    connection.wait(_SETTLE_SECONDS)
                    if sent > confirmed and connection.unconfirmed() == 0:
                        self._queue.remove(sent)
                        confirmed = sent
                        self.failures, self.cause = 0, None
                    if ended.is_set():
                        late = min(late, time.monotonic() + _END_SECONDS)
                        if not self._queue.waiting:
                            return
                    self._summarize()
                    self._tell_lost()
            except OSError:
                # a server may close a connection that is idle
                if sent > confirmed or not confirmed:
                    raise

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.cause = getattr(error, "verify_message", None) or str(error) or type(error).__name__
        log("audit server failed", warning=True, cause=self.cause, waiting=self._queue.waiting)

    def _put(self, moment: datetime, message: bytes, warning: bool = False) -> None:
        if not self._queue.put(syslog_line(moment, message, warning), warning):
            log("audit message lost", warning=True, cause=f"{self._settings.max_waiting} wait already")

    def _activity(self, moment: datetime, starts: bool) -> bytes:
        return activity(moment, self._source, this_process(self._title), starts)

    def _received(self, about: Path | None, details: dict[str, Any], moment: datetime, action: str) -> None:
        sender, address = str(details.get("sender", "")), str(details.get("address") or "")
        # a sender without an address is no application entity, such as the inbox
        party = Party(sender, (sender,) if address else (), address, requests=bool(address))
        instance = self._instance(about, str(details.get("uid", "")))
        self._put(moment, transferred(moment, self._source, party, this_process(self._title), instance, action))

    def _sent(self, about: Path | None, details: dict[str, Any], moment: datetime) -> None:
        if details.get("kind") == "fhir":
            # no DICOM object: the node's own audit has it
            return
        receiver = self._peers.get(str(details.get("target")), Party(str(details.get("target"))))
        instance = self._instance(about, str(details.get("uid", "")))
        node = this_process(self._title, requests=True)
        # whether the archive had it before is not known
        self._put(moment, transferred(moment, self._source, node, receiver, instance, "R"))

    def _login_refused(self, about: Path | None, details: dict[str, Any], moment: datetime) -> None:
        user = Party(str(details.get("user") or "unknown"), (), str(details.get("address", "")), requests=True)
        if self._may_alert("login refused", user.address):
            self._put(moment, login_failed(moment, self._source, user, this_process(self._title)), warning=True)

    def _node_refused(self, about: Path | None, details: dict[str, Any], moment: datetime) -> None:
        self._alert("110126", details, moment)

    def _rejected(self, about: Path | None, details: dict[str, Any], moment: datetime) -> None:
        # refused for lack of room, which has nothing to do with the sender
        if "called" in details:
            self._alert("110126", details, moment)

    def _function_refused(self, about: Path | None, details: dict[str, Any], moment: datetime) -> None:
        self._alert("110132", details, moment)

    def _alert(self, code: str, details: dict[str, Any], moment: datetime) -> None:
        address, sender = str(details.get("address") or ""), str(details.get("sender") or "")
        if not self._may_alert(code, address):
            return
        others = [Party(sender or "unknown", (sender,) if sender else (), address)] if sender or address else []
        what = Alert(code, address, str(details.get("cause", "")))
        self._put(moment, alert(moment, self._source, this_process(self._title), others, what), warning=True)

    def _may_alert(self, kind: str, address: str) -> bool:
        self._summarize()
        with self._lock:
            self._alerts[kind, address] += 1
            return self._alerts[kind, address] <= _MOST_ALERTS

    def _summarize(self) -> None:
        """Tell how many alerts were left out in the last minute."""
        with self._lock:
            if time.monotonic() - self._window < _WINDOW_SECONDS:
                return
            over, self._alerts, self._window = self._alerts, Counter(), time.monotonic()
        for (kind, address), count in over.items():
            if count > _MOST_ALERTS:
                moment, left = datetime.now(timezone.utc), count - _MOST_ALERTS
                code = "110126" if kind == "login refused" else kind
                text = f"{left} more of the kind {kind} within a minute are not logged one by one"
                node = this_process(self._title)
                message = alert(moment, self._source, node, [Party("unknown", (), address)], Alert(code, address, text))
                self._put(moment, message, warning=True)

    def _tell_lost(self) -> None:
        """Tell the server itself that messages were lost, once there is a place for that."""
        lost = self._queue.untold()
        if lost and self._queue.waiting < self._settings.max_waiting // 2:
            moment, node = datetime.now(timezone.utc), this_process(self._title)
            what = Alert("110133", "", f"{lost} audit messages were lost: the queue was full", outcome="8")
            if self._queue.put(syslog_line(moment, alert(moment, self._source, node, [], what), True)):
                self._queue.told(lost)

    def _instance(self, path: Path | None, uid: str) -> Instance:
        """Return what a message says about an object: patient ID and name only as far as the configuration wants it."""
        found = dict.fromkeys(_HEADER, "")
        try:
            if path is not None:
                with quiet():
                    header = dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER))
                    found = {name: str(value(header, name) or "") for name in _HEADER}
        except Exception:  # parsers document few of their exceptions; the UID is known anyway
            pass
        level = self._settings.patient
        return Instance(
            found["StudyInstanceUID"] or "unknown",
            found["SOPClassUID"] or "unknown",
            found["SOPInstanceUID"] or uid,
            (found["PatientID"] or "unknown") if level != "none" else WITHHELD,
            (found["PatientName"] or "unknown") if level == "name" else WITHHELD,
            found["AccessionNumber"] if level != "none" else "",
        )


def _peers(config: NodeConfig) -> Iterator[tuple[str, Party]]:
    for target in config.targets.dicom:
        yield target.name, Party(target.ae_title, (target.ae_title,), target.host)
    for service in config.targets.dicomweb:
        yield service.name, Party(service.url, (), urlsplit(service.url).hostname or "")
