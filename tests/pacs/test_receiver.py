"""The DIMSE port, asked by real associations: what it takes, what it refuses, and that it stays up."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import SR, associated, film, free_port, send, settings, wait_until
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from monai_ceph.errors import StoppedError
from monai_ceph.pacs import commitment, receiver
from monai_ceph.pacs.commitment import Commitments
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.places import PENDING
from monai_ceph.pacs.receiver import FilmIntake, Receiver
from monai_ceph.pacs.spool import Spool
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")


class Listening:
    def __init__(self, config: NodeConfig) -> None:
        self.port = config.port
        self.spool = Spool(config.folder, config.spool)
        self.ledger = NodeLedger(config.folder / "node.sqlite")
        self.commitments = Commitments(config, self.ledger)
        self.woken = threading.Event()
        intake = FilmIntake(self.spool, self.ledger, MODEL, self.woken.set)
        self.receiver = Receiver(config, intake, self.commitments.ask)

    def commitments_waiting(self) -> int:
        return self.ledger.database.number("SELECT count(*) FROM commitments")

    def files(self) -> list[Path]:
        return [path for folder in (self.spool.queue, self.spool.incoming) for path in folder.iterdir()]


@contextmanager
def listening(folder: Path, **changes: Any) -> Iterator[Listening]:
    import tempfile

    before = tempfile.tempdir
    here = Listening(NodeConfig.model_validate(settings(folder, **changes)))
    ended = threading.Event()
    threads = [
        threading.Thread(target=here.receiver.serve),
        threading.Thread(target=here.commitments.run, args=(ended,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield here
    finally:
        ended.set()
        here.commitments.wake.set()
        here.receiver.close()
        for thread in threads:
            thread.join()
        here.ledger.close()
        tempfile.tempdir = before


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as here:
        yield here


def test_echo(node: Listening) -> None:
    with associated(node.port, Verification) as association:
        assert association.send_c_echo().Status == 0


def test_a_film_is_on_the_disk_and_in_the_ledger_before_success_is_said(node: Listening) -> None:
    assert send(node.port, film(1)) == [0]
    (path,) = node.files()
    assert node.woken.is_set()
    known = node.ledger.film_of(path.stem)
    assert known is not None
    assert (known.uid, known.state) == ("1.2.3.1.3", "received")
    from pydicom import dcmread

    assert dcmread(path).pixel_array.tobytes() == film(1).pixel_array.tobytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"calling": "STRANGER"}, "its AE title is not in accept.calling_ae_titles"),
        ({"called": "ANOTHER"}, "it calls ANOTHER, but the node is CEPH"),
    ],
    ids=["calling AE title", "called AE title"],
)
def test_strangers(node: Listening, options: dict[str, str], said: str, caplog: pytest.LogCaptureFixture) -> None:
    assert send(node.port, film(1), **options) == [None]
    (record,) = [each for each in caplog.records if each.getMessage() == "association rejected"]
    assert (record.details["cause"], record.details["address"]) == (said, "127.0.0.1")  # type: ignore[attr-defined]
    with associated(node.port, Verification, **options) as association:
        assert association.is_rejected
    assert node.files() == []


def test_a_report_is_not_taken(node: Listening) -> None:
    # by its own class nothing is negotiated
    assert send(node.port, film(1, SOPClassUID=SR)) == [None]
    # disguised as a film it does not match the request
    report = film(1, SOPClassUID=SR)
    with associated(node.port, "1.2.840.10008.5.1.4.1.1.1.1") as association:
        request = film(1)
        assert raw_store(association, request, encoded(report)) == 0xA900
        # nor does a film of another class
        assert raw_store(association, request, encoded(film(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.1"))) == 0xA900
    assert node.files() == []
    assert node.ledger.counts() == {}


def encoded(dataset: Dataset) -> bytes:
    from pynetdicom.dsutils import encode

    stream = encode(dataset, False, True)
    assert stream is not None
    return stream


def raw_store(association: Any, names: Dataset, stream: bytes) -> int | None:
    """Send any bytes as the data set of a C-STORE; return the status."""
    from io import BytesIO

    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID = names.SOPClassUID
    request._affected_sop_instance_uid = names.SOPInstanceUID  # whatever it is
    request.DataSet = BytesIO(stream)
    context = association.accepted_contexts[0].context_id
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return None if answer is None else int(answer.Status)


DX = "1.2.840.10008.5.1.4.1.1.1.1"


@pytest.mark.parametrize(
    "stream", [b"\0", b"nothing that DICOM knows" * 40, os.urandom(3000)], ids=["a byte", "text", "noise"]
)
def test_data_sets_that_are_none(node: Listening, stream: bytes) -> None:
    with associated(node.port, DX) as association:
        assert raw_store(association, film(1), stream) in (0xC000, 0xA900)
    assert node.files() == []
    assert send(node.port, film(2)) == [0]


@pytest.mark.parametrize("uid", ["../../../../tmp/evil", "/etc/passwd", "1.2.3/../4"])
def test_uids_are_no_paths(node: Listening, tmp_path: Path, uid: str) -> None:
    import warnings

    before = set(tmp_path.rglob("*"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = film(1, SOPInstanceUID=uid)
        with associated(node.port, DX) as association:
            assert raw_store(association, bad, encoded(bad)) == 0xC000
    assert {path for path in tmp_path.rglob("*") if "sqlite" not in path.name} <= before


def test_films_without_a_study_are_refused(node: Listening) -> None:
    assert send(node.port, film(1, StudyInstanceUID="")) == [0xC000]


def test_a_deflated_data_set_is_refused_before_it_is_inflated(node: Listening, tmp_path: Path) -> None:
    """A small one may take any amount of memory in the process that listens."""
    deflated = film(1)
    deflated.add_new(0x00091001, "OB", bytes(2**26))
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    entity = AE("SENDER")
    entity.add_requested_context(DX, DeflatedExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", node.port, ae_title="CEPH")
    assert association.accepted_contexts == []
    association.abort()
    path = tmp_path / "film.dcm"
    deflated.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    try:
        assert receiver.check_object(path) == (0xC000, "the data set is deflated", ("", ""))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_out_of_resources(tmp_path: Path) -> None:
    with listening(tmp_path, spool={"max_films": 2, "min_free_mb": 0}) as here:
        assert send(here.port, film(1), film(2), film(3)) == [0, 0, 0xA700]
        assert len(here.files()) == 2
    with listening(tmp_path, spool={"min_free_mb": 10**9}) as here:
        assert send(here.port, film(4)) == [0xA700]


def test_a_disk_that_takes_nothing(node: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Spool, part: Path, key: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "keep", full)
    assert send(node.port, film(1)) == [0xA700]
    monkeypatch.undo()
    assert node.files() == []
    assert send(node.port, film(1)) == [0]


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), MemoryError()], ids=["files", "memory"]
)
def test_a_film_that_cannot_be_looked_at_now_is_to_come_again(
    node: Listening, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: Any, **options: Any) -> Dataset:
        raise error

    monkeypatch.setattr(receiver, "dcmread", fail)
    assert send(node.port, film(1)) == [0xA700]
    monkeypatch.undo()
    assert node.files() == []
    assert send(node.port, film(1)) == [0]


def test_too_many_associations_are_told_to_come_back(tmp_path: Path) -> None:
    accept = {"calling_ae_titles": ["SENDER"], "max_associations": 1, "timeout_s": 10}
    with listening(tmp_path, accept=accept) as here:
        with associated(here.port, Verification) as first, associated(here.port, Verification) as second:
            assert first.is_established
            assert second.is_rejected
            # rejected for the moment, by the presentation-related provider: local limit exceeded (PS3.8 9.3.4)
            assert second.acceptor.primitive.result == 0x02
        wait_until(lambda: send(here.port, film(1)) == [0])


def test_an_object_beyond_the_limit_ends_its_association(tmp_path: Path) -> None:
    accept = {"calling_ae_titles": ["SENDER"], "max_object_mb": 0.5, "timeout_s": 10}
    with listening(tmp_path, accept=accept) as here:
        large = film(1, Rows=1000, Columns=1000, PixelData=bytes(2 * 10**6))
        assert send(here.port, large) == [None]
        wait_until(lambda: here.files() == [])
        # films below it do not add up to it
        small = [film(number, Rows=400, Columns=400, PixelData=bytes(320000)) for number in range(2, 6)]
        assert send(here.port, *small) == [0] * 4


def test_a_connection_that_breaks_amid_a_film_leaves_nothing(node: Listening) -> None:
    with associated(node.port, DX) as association:
        from io import BytesIO

        # a command that announces a data set, and a part of it
        from pynetdicom.dimse_messages import C_STORE_RQ
        from pynetdicom.dimse_primitives import C_STORE
        from pynetdicom.pdu_primitives import P_DATA

        request = C_STORE()
        request.MessageID, request.Priority = 7, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = DX, "1.2.3.1.3"
        request.DataSet = BytesIO(bytes(50000))
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        parts: list[P_DATA] = list(message.encode_msg(association.accepted_contexts[0].context_id, 16000))
        for part in parts[:-1]:
            association.dul.send_pdu(part)
        wait_until(lambda: len(node.files()) == 1)
        association.abort()
    wait_until(lambda: node.files() == [])
    assert send(node.port, film(2)) == [0]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00" + struct.pack(">L", 2**32 - 1) + bytes(100),
        b"\x04\x00\x00\x00\x00\x04abcd",
        os.urandom(500),
        b"\x01\x00" + struct.pack(">L", 74) + b"\xff" * 74,
        b"",
    ],
    ids=["HTTP", "4 GB announced", "data before an association", "noise", "association of noise", "nothing"],
)
def test_pdus_that_are_none(node: Listening, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass
    assert send(node.port, film(1)) == [0]


def client(certificates: Path, name: str | None) -> tuple[ssl.SSLContext, str]:
    context = ssl.create_default_context(cafile=str(certificates / "node.pem"))
    if name is not None:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context, "localhost"


def test_tls_with_client_certificates(tmp_path: Path, certificates: Path) -> None:
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    tls["client_ca"] = str(certificates / "sender.pem")
    accept = {"calling_ae_titles": ["SENDER"], "timeout_s": 5, "tls": tls}
    with listening(tmp_path, accept=accept) as here:
        # who says nothing holds up nobody
        with socket.create_connection(("127.0.0.1", here.port)):
            assert send(here.port, film(1), tls_args=client(certificates, "sender")) == [0]
        assert send(here.port, film(2), tls_args=client(certificates, "stranger")) == [None]
        assert send(here.port, film(3), tls_args=client(certificates, None)) == [None]
        # plain text on the port of TLS
        assert send(here.port, film(4)) == [None]
        assert send(here.port, film(5), tls_args=client(certificates, "sender")) == [0]


def test_connections_amid_a_tls_handshake_count(
    tmp_path: Path, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = {"certificate": str(certificates / "node.pem"), "key": str(certificates / "node.key")}
    accept = {"calling_ae_titles": ["SENDER"], "max_associations": 1, "timeout_s": 60, "tls": tls}
    with listening(tmp_path, accept=accept) as here, ExitStack() as silent:
        opened = [
            silent.enter_context(socket.create_connection(("127.0.0.1", here.port), timeout=20))
            for _ in range(PENDING + 1)
        ]
        # the oldest makes room at once, and not after a handshake that nobody begins
        assert opened[0].recv(1) == b""
        closed = [each for each in caplog.records if each.getMessage() == "connection closed"]
        assert closed[0].details["cause"] == "too many connections without an association request"  # type: ignore[attr-defined]
        # a sender gets in while the others are there
        assert send(here.port, film(1), tls_args=client(certificates, None)) == [0]


def ask_for_commitment(port: int, *uids: str) -> int:
    request = Dataset()
    request.TransactionUID = "1.2.3.99"
    request.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, uid
        request.ReferencedSOPSequence.append(item)
    with associated(port, StorageCommitmentPushModel) as association:
        status, _ = association.send_n_action(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        return int(status.Status)


@contextmanager
def told(peer: dict[str, Any], *statuses: int) -> Iterator[list[tuple[int, Dataset]]]:
    """A peer that takes reports, with these statuses first; what it was told."""
    reports: list[tuple[int, Dataset]] = []

    def take(event: evt.Event) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return (*statuses, *[0x0000] * len(reports))[len(reports) - 1], None

    entity, address = AE(peer["ae_title"]), (peer["host"], peer["port"])
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = entity.start_server(address, block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    try:
        yield reports
    finally:
        server.shutdown()


def test_storage_commitment(tmp_path: Path) -> None:
    peer = {"ae_title": "SENDER", "host": "127.0.0.1", "port": free_port()}
    with listening(tmp_path, storage_commitment=[peer]) as here:
        send(here.port, film(1), film(2))
        # nobody is there to report to yet
        assert ask_for_commitment(here.port, "1.2.3.1.3", "1.2.3.2.3", "1.2.3.4.5") == 0
        with told(peer) as reports:
            wait_until(lambda: reports)
            wait_until(lambda: here.commitments_waiting() == 0)
    (kind, report) = reports[0]
    assert (kind, report.TransactionUID) == (2, "1.2.3.99")
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == ["1.2.3.1.3", "1.2.3.2.3"]
    (failed,) = report.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.3.4.5", 0x0112)


def test_a_peer_that_does_not_take_the_report_is_told_again(tmp_path: Path) -> None:
    peer = {"ae_title": "SENDER", "host": "127.0.0.1", "port": free_port()}
    with listening(tmp_path, storage_commitment=[peer]) as here, told(peer, 0x0110) as reports:
        send(here.port, film(1))
        assert ask_for_commitment(here.port, "1.2.3.1.3") == 0
        wait_until(lambda: len(reports) == 2)
        wait_until(lambda: here.commitments_waiting() == 0)
    # all of it is safe
    assert [kind for kind, _ in reports] == [1, 1]
    assert not any("FailedSOPSequence" in report for _, report in reports)


def test_a_peer_that_asks_about_other_objects_while_it_is_told_is_told_again(tmp_path: Path) -> None:
    peer = {"ae_title": "SENDER", "host": "127.0.0.1", "port": free_port()}
    named: list[str] = []

    def take(event: evt.Event) -> tuple[int, None]:
        items = [
            item
            for name in ("ReferencedSOPSequence", "FailedSOPSequence")
            for item in event.event_information.get(name, ())
        ]
        named.extend(item.ReferencedSOPInstanceUID for item in items)
        if len(named) == 1:
            assert ask_for_commitment(here.port, "1.2.3.4.5") == 0
        return 0x0000, None

    entity = AE("SENDER")
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    server = entity.start_server((peer["host"], peer["port"]), block=False, evt_handlers=handlers)
    try:
        with listening(tmp_path, storage_commitment=[peer]) as here:
            send(here.port, film(1))
            assert ask_for_commitment(here.port, "1.2.3.1.3") == 0
            wait_until(lambda: len(named) == 2)
            wait_until(lambda: here.commitments_waiting() == 0)
    finally:
        server.shutdown()
    assert named == ["1.2.3.1.3", "1.2.3.4.5"]


def test_a_peer_that_takes_no_report_for_too_long_is_told_no_more(tmp_path: Path) -> None:
    peer = {"ae_title": "SENDER", "host": "127.0.0.1", "port": free_port()}
    retry = {"first_s": 0.2, "longest_s": 0.5, "give_up_after_h": 1e-9}
    with listening(tmp_path, storage_commitment=[peer], retry=retry) as here, told(peer, 0x0110) as reports:
        assert ask_for_commitment(here.port, "1.2.3.1.3") == 0
        wait_until(lambda: here.commitments_waiting() == 0)
    assert len(reports) == 1


def test_a_ledger_that_cannot_be_written_ends_no_commitment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "_PAUSE_SECONDS", 0.05)
    peer = {"ae_title": "SENDER", "host": "127.0.0.1", "port": free_port()}
    failed = threading.Event()

    def full(*args: Any, **details: Any) -> None:
        failed.set()
        raise StoppedError("database or disk is full")

    with told(peer) as reports, listening(tmp_path, storage_commitment=[peer]) as here:
        monkeypatch.setattr(here.ledger, "audit", full)
        assert ask_for_commitment(here.port, "1.2.3.1.3") == 0
        wait_until(failed.is_set)
        monkeypatch.undo()
        assert ask_for_commitment(here.port, "1.2.3.1.3") == 0
        wait_until(lambda: len(reports) == 2)


def test_commitment_for_nobody_else(tmp_path: Path) -> None:
    peer = {"ae_title": "ANOTHER", "host": "127.0.0.1", "port": 104}
    with listening(tmp_path, storage_commitment=[peer]) as here:
        assert ask_for_commitment(here.port, "1.2.3.1.3") == 0x0124
