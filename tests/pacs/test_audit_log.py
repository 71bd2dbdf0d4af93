"""The audit by syslog over TLS: a real TLS server that goes away, refuses and comes back, and a real node."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from audit_schema import check
from nodes import film, free_port, running, running_loop, send, settings, wait_until
from syslog_receiver import SyslogReceiver, event_of, receiving
from test_receiver import client
from web_archive import Archive, serving

from monai_ceph.pacs import audit_log
from monai_ceph.pacs.audit_log import AuditLog
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.logs import log


def config(folder: Path, certificates: Path, port: int, **changes: Any) -> NodeConfig:
    (folder / "node").mkdir(exist_ok=True)
    tls = {"ca": str(certificates / "node.pem")}
    server = {"host": "localhost", "port": port, "tls": tls, "max_waiting": 100, **changes}
    return NodeConfig.model_validate(settings(folder, audit_syslog=server))


@contextmanager
def auditing(folder: Path, certificates: Path, port: int, **changes: Any) -> Iterator[AuditLog]:
    made = config(folder, certificates, port, **changes)
    assert made.audit_syslog is not None
    audit = AuditLog(made.audit_syslog, made)
    try:
        with running_loop(audit):
            yield audit
    finally:
        audit.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "_SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(audit_log, "_LONGEST_PAUSE", 0.2)


def saved(folder: Path, number: int = 1) -> Path:
    path = folder / f"film-{number}.dcm"
    film(number, PatientID="4711", PatientName="Doe^Jane", AccessionNumber="A1").save_as(path, enforce_file_format=True)
    return path


def received(path: Path, number: int = 1) -> None:
    log("received", about=path, uid=f"1.2.3.{number}.3", sender="UNIT", address="192.0.2.1", bytes=1)


@pytest.mark.parametrize(
    ("level", "told"), [("id", [b"4711", b"A1"]), ("name", [b"4711", b"A1", b"Doe^Jane"]), ("none", [])]
)
def test_what_is_told_of_a_patient(
    level: str, told: list[bytes], tmp_path: Path, certificates: Path, quick: None
) -> None:
    with receiving(certificates) as server, auditing(tmp_path, certificates, server.port, patient=level):
        received(saved(tmp_path))
        wait_until(lambda: server.messages)
    (message,) = server.messages
    check(server.parsed()[0])
    assert [each for each in (b"4711", b"A1", b"Doe^Jane") if each in message] == told
    assert b'ParticipantObjectID="1.2.3.1.1"' in message
    assert b'Instance UID="1.2.3.1.3"' in message


def test_a_server_that_is_down_loses_nothing(tmp_path: Path, certificates: Path, quick: None) -> None:
    server, path = SyslogReceiver(certificates), saved(tmp_path)
    server.start()
    with auditing(tmp_path, certificates, server.port) as audit:
        received(path)
        wait_until(lambda: audit._queue.waiting == 0)
        server.stop()
        for _ in range(3):
            received(path)
        wait_until(lambda: audit.failures)
        assert list(audit.warnings()) == ["the audit's syslog server fails"]
        assert "messages wait" in audit.warnings()["the audit's syslog server fails"]
        server.start()
        wait_until(lambda: audit._queue.waiting == 0)
        wait_until(lambda: not audit.warnings())
    server.stop()
    # each arrived; the one in flight when the server went may have come twice
    assert len(server.messages) >= 4
    assert len(set(server.messages)) == 4


def test_messages_survive_the_end_of_the_node(tmp_path: Path, certificates: Path, quick: None) -> None:
    with receiving(certificates) as server:
        server.stop()
        with auditing(tmp_path, certificates, server.port):
            received(saved(tmp_path))
            log("login refused", user="jane", address="192.0.2.9")
        server.start()
        with auditing(tmp_path, certificates, server.port):
            wait_until(lambda: len(server.messages) == 2)
    assert server.events() == ["110104", "110114 110122"]
    assert server.priorities == [85, 84]


@pytest.mark.parametrize("broken", ["another CA", "no client certificate", "plain text"])
def test_broken_tls_is_a_warning_and_no_loss(
    broken: str, tmp_path: Path, certificates: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    if broken == "plain text":
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        def speak() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.sendall(b"220 hello\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
    else:
        name = "stranger" if broken == "another CA" else "node"
        server = SyslogReceiver(certificates, "sender" if broken == "no client certificate" else None, name)
        server.start()
        port = server.port
    try:
        with auditing(tmp_path, certificates, port) as audit:
            received(saved(tmp_path))
            wait_until(lambda: audit.failures >= 2)
            assert audit._queue.waiting == 1
        events = [each for each in caplog.records if each.getMessage() == "audit server failed"]
        assert events[0].details["cause"]  # type: ignore[attr-defined]
    finally:
        if broken == "plain text":
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()
        else:
            assert server.messages == []
            server.stop()


def test_with_a_client_certificate(tmp_path: Path, certificates: Path, quick: None) -> None:
    names = {name: str(certificates / file) for name, file in (("certificate", "sender.pem"), ("key", "sender.key"))}
    tls = {"ca": str(certificates / "node.pem"), **names}
    with receiving(certificates, "sender") as server, auditing(tmp_path, certificates, server.port, tls=tls):
        received(saved(tmp_path))
        wait_until(lambda: server.messages)


def test_a_full_queue_counts_and_tells_what_it_loses(tmp_path: Path, certificates: Path, quick: None) -> None:
    server, path = SyslogReceiver(certificates), saved(tmp_path)
    server.start()
    server.stop()
    with auditing(tmp_path, certificates, server.port) as audit:
        # alerts get half of the places, whatever address they come from
        for number in range(60):
            log("TLS refused", warning=True, address=f"192.0.2.{number}", cause="x")
        assert audit._queue.waiting == 50
        for _ in range(53):
            received(path)
        assert (audit._queue.waiting, audit._queue.lost()) == (100, 13)
        assert audit.warnings()["audit messages were lost"].startswith("13: ")
        samples = {metric.name: metric.samples[0].value for metric in audit.metrics()}
        assert samples["monai_ceph_audit_waiting"] == 100
        assert samples["monai_ceph_audit_lost"] == 13
        server.start()
        wait_until(lambda: server.events()[-1:] == ["110113 110133"])
        wait_until(lambda: not audit.warnings())
        # the count stays
        assert audit._queue.lost() == 13
    server.stop()
    last = server.parsed()[-1]
    detail = last.find(".//ParticipantObjectDetail")
    assert detail is not None
    assert base64.b64decode(detail.attrib["value"]) == b"13 audit messages were lost: the queue was full"


def test_a_flood_from_one_address_is_summed_up(
    tmp_path: Path, certificates: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(certificates) as server, auditing(tmp_path, certificates, server.port, max_waiting=1000) as audit:
        for _ in range(100):
            log("TLS refused", warning=True, address="192.0.2.1", cause="x")
        monkeypatch.setattr(audit_log, "_WINDOW_SECONDS", 0.0)
        wait_until(lambda: len(server.messages) == 31)
        assert audit._queue.lost() == 0
    details = [base64.b64decode(each.attrib["value"]) for each in server.parsed()[-1].iter("ParticipantObjectDetail")]
    assert details == [b"70 more of the kind 110126 within a minute are not logged one by one"]


def test_a_server_that_reads_nothing_holds_up_nobody(tmp_path: Path, certificates: Path, quick: None) -> None:
    with receiving(certificates) as server, auditing(tmp_path, certificates, server.port):
        server.hold.set()
        begun = time.monotonic()
        for _ in range(50):
            received(saved(tmp_path))
        assert time.monotonic() - begun < 30
        server.hold.clear()
        wait_until(lambda: len(server.messages) >= 50)


def test_a_queue_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path, certificates: Path, quick: None) -> None:
    server, path = SyslogReceiver(certificates), saved(tmp_path)
    server.start()
    with auditing(tmp_path, certificates, server.port) as audit:
        put, audit._queue.put = audit._queue.put, None  # type: ignore[method-assign, assignment]
        received(path)
        assert audit.trouble is not None
        audit._queue.put = put  # type: ignore[method-assign]
        received(path)
        assert audit.trouble is None
        assert audit._queue.lost() == 1
    server.stop()


def test_every_audited_event_is_one_that_the_node_logs(tmp_path: Path, certificates: Path, quick: None) -> None:
    """So that a renamed event cannot fall silent."""
    made = config(tmp_path, certificates, 1)
    assert made.audit_syslog is not None
    audit = AuditLog(made.audit_syslog, made)
    sources = "".join(
        path.read_text() for path in Path(audit_log.__file__).parent.glob("*.py") if "audit" not in path.name
    )
    try:
        assert {event for event in audit.events if f'"{event}"' not in sources} == set()
    finally:
        audit.close()


def test_a_node_tells_its_whole_day(tmp_path: Path, certificates: Path) -> None:
    """Start, films, answers, strangers, a failed login, end: one real node, one real TLS syslog server."""
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    token = "secret-token"
    with receiving(certificates) as server, serving(Archive()) as archive:
        values = settings(
            tmp_path,
            accept={"calling_ae_titles": ["SENDER"], "timeout_s": 5, "tls": tls},
            http={"port": free_port(), "token": token, "tls": tls},
            targets={"dicomweb": [{"name": "web", "url": archive.url, "objects": ["sr"]}]},
            audit_syslog={"host": "localhost", "port": server.port, "tls": {"ca": str(certificates / "node.pem")}},
        )
        with running(tmp_path, values) as node:
            trust = ssl.create_default_context(cafile=str(certificates / "node.pem"))
            assert send(node.port, film(1), tls_args=client(certificates, None)) == [0]
            assert send(node.port, film(2)) == [None]
            assert send(node.port, film(3), calling="STRANGER", tls_args=client(certificates, None)) == [None]
            wrong = base64.b64encode(b"jane:wrong").decode()
            page = Request(f"https://localhost:{node.http_port}/status", headers={"Authorization": f"Basic {wrong}"})
            with pytest.raises(HTTPError, match="401"):
                urlopen(page, context=trust, timeout=20)
            page.add_header("Authorization", f"Bearer {token}")
            assert urlopen(page, context=trust, timeout=20).status == 200
            node.wait_for("sent")
            wait_until(lambda: len(server.messages) >= 6)
            assert node.stop() == 0
        assert "4711" not in node.log.read_text()
    for message in server.parsed():
        check(message)
    found = server.events()
    assert (found[0], found[-1]) == ("110100 110120", "110100 110121")
    # whoever asks whether the port is open is refused, too: it says nothing of TLS
    counts = Counter(found[1:-1])
    assert counts["110113 110126"] >= 2
    assert counts - Counter({"110113 110126": 99}) == Counter({"110104": 2, "110114 110122": 1})
    stranger = [each for each in server.parsed() if event_of(each) == "110113 110126"][-1]
    assert stranger.findall("ActiveParticipant")[1].attrib["AlternativeUserID"] == "AETITLES=STRANGER"
    sent = [each for each in server.parsed() if event_of(each) == "110104"][-1]
    assert sent.findall("ActiveParticipant")[1].attrib["UserID"] == archive.url
