"""The audit by syslog over TLS with rsyslog, a server that others made: it reads each message, and is killed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from audit_schema import check
from nodes import film, free_port, listens, running, send, settings, wait_until
from syslog_receiver import event_of
from web_archive import Archive, serving

RSYSLOG = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin:/bin")
GNUTLS = next(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so"), None)
pytestmark = pytest.mark.skipif(
    RSYSLOG is None or GNUTLS is None,
    reason="rsyslog with TLS is not installed (apt-get install rsyslog rsyslog-gnutls)",
)

# what the parser of RFC 5424 made of each message, a line each
CONFIGURATION = """
global(
  workDirectory="{folder}" maxMessageSize="64k" net.enableDNS="off"
  defaultNetstreamDriverCAFile="{certificates}/sender.pem"
  defaultNetstreamDriverCertFile="{certificates}/node.pem" defaultNetstreamDriverKeyFile="{certificates}/node.key"
)
module(
  load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"
  gnutlsPriorityString="NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3"
)
template(name="parsed" type="list") {{
  property(name="pri") constant(value=" ") property(name="protocol-version") constant(value=" ")
  property(name="app-name") constant(value=" ") property(name="msgid") constant(value=" ")
  property(name="timereported" dateFormat="rfc3339") constant(value=" ")
  property(name="msg" controlCharacters="escape") constant(value="\\n")
}}
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{folder}/audit.log" template="parsed")
"""
LINE = re.compile("(\\d+) 1 monai-ceph DICOM\\+RFC3881 (\\d{4}-\\d\\d-\\d\\dT[\\d:.]+\\S*) \ufeff?(<.*)")


class Rsyslog:
    """A server that keeps what it receives in a file.

    Args:
        folder: for its files.
        certificates: its own is ``node``, and clients need that of ``sender``.
    """

    def __init__(self, folder: Path, certificates: Path) -> None:
        folder.mkdir()
        self.port, self._folder, self._file = free_port(), folder, folder / "audit.log"
        values = {"folder": folder, "certificates": certificates, "port": self.port}
        (folder / "rsyslog.conf").write_text(CONFIGURATION.format(**values))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert RSYSLOG is not None
        places = ["-f", str(self._folder / "rsyslog.conf"), "-i", str(self._folder / "pid")]
        with (self._folder / "said.log").open("ab") as said:
            self._process = subprocess.Popen([RSYSLOG, "-n", *places], stdout=said, stderr=said)
        wait_until(lambda: listens(self.port), 30)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def messages(self) -> list[tuple[int, Element]]:
        """Return priority and content of each message, as rsyslog understood them."""
        if not self._file.exists():
            return []
        found = [LINE.fullmatch(line) for line in self._file.read_text(encoding="utf-8").splitlines()]
        # the probes of `listens` say nothing, so each line is one of the node
        assert all(found), self._file.read_text(encoding="utf-8")
        return [(int(each[1]), fromstring(each[3])) for each in found if each is not None]

    def events(self) -> list[str]:
        return [event_of(message) for _, message in self.messages()]


@contextmanager
def rsyslog(folder: Path, certificates: Path) -> Iterator[Rsyslog]:
    server = Rsyslog(folder, certificates)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def test_rsyslog_gets_each_message_although_it_is_killed_meanwhile(tmp_path: Path, certificates: Path) -> None:
    """With a client certificate: films, a stranger and a wrong token; messages wait while nobody listens."""
    tls = {"ca": "node.pem", "certificate": "sender.pem", "key": "sender.key"}
    tls = {name: str(certificates / file) for name, file in tls.items()}
    port = free_port()
    with rsyslog(tmp_path / "syslog", certificates) as server, serving(Archive()) as archive:
        values = settings(
            tmp_path,
            http={"port": port, "token": "secret-token"},
            targets={"dicomweb": [{"name": "web", "url": archive.url, "objects": ["sr"]}]},
            audit_syslog={"host": "localhost", "port": server.port, "tls": tls, "patient": "name"},
        )
        with running(tmp_path, values) as node:
            assert send(node.port, film(1, PatientName="Grün^Zoë", PatientID="4711")) == [0]
            wait_until(lambda: server.events().count("110104") == 2)
            server.kill()
            assert send(node.port, film(2)) == [0]
            assert send(node.port, film(3), calling="STRANGER") == [None]
            with pytest.raises(HTTPError, match="401"):
                urlopen(f"http://127.0.0.1:{port}/status", timeout=20)
            node.wait_for("audit server failed")
            node.wait_for("sent", 2)
            server.start()
            wait_until(lambda: "110114 110122" in server.events())
            page = Request(f"http://127.0.0.1:{port}/status", headers={"Authorization": "Bearer secret-token"})
            assert urlopen(page, timeout=20).status == 200
            assert node.stop() == 0
        wait_until(lambda: "110100 110121" in server.events())
    found = server.messages()
    for _, message in found:
        check(message)
    # one that was not confirmed before the kill may have come twice, with the same text
    once = {tostring(message): (event_of(message), priority) for priority, message in found}
    assert Counter(once.values()) == {
        ("110100 110120", 85): 1,
        ("110104", 85): 4,
        ("110113 110126", 84): 1,
        ("110114 110122", 84): 1,
        ("110100 110121", 85): 1,
    }
    names = {each.text for _, message in found for each in message.iter("ParticipantObjectName")}
    assert "Grün^Zoë" in names


def test_rsyslog_refuses_a_node_without_a_certificate(tmp_path: Path, certificates: Path) -> None:
    with rsyslog(tmp_path / "syslog", certificates) as server:
        tls = {"ca": str(certificates / "node.pem")}
        values = settings(tmp_path, audit_syslog={"host": "localhost", "port": server.port, "tls": tls})
        with running(tmp_path, values) as node:
            node.wait_for("audit server failed", 2)
        assert server.messages() == []
