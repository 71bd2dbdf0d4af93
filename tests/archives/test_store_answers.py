"""Which answers to STOW-RS and C-STORE count as stored: real servers on the loopback interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from pydicom import Dataset
from typer.testing import CliRunner

pytest.importorskip("pynetdicom", reason="pip install 'monai-ceph[pacs]'")
from nodes import DICOM_WEB, ORTHANC, SR, film, orthanc, running_loop, settings, wait_until
from pynetdicom import AE, evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from web_archive import Archive, as_json, dataset, serving, store_response

from monai_ceph.archives.config import TargetConfig
from monai_ceph.archives.targets import Answer, TargetError, make_senders
from monai_ceph.archives.urls import senders_of
from monai_ceph.cli import app
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.ledger_rows import MadeObject
from monai_ceph.pacs.spool import Spool
from monai_ceph.result import ModelIdentity

MODEL = ModelIdentity(name="test", version="1", weights_sha256="ab", recipe_sha256="cd", software="test 1")
JSON = "application/dicom+json"
UNTOLD = "the answer does not say that the object is stored"
UNCONFIRMED = f"{UNTOLD}, and QIDO-RS does not find it"

Stowed = Callable[[Dataset], Any]


def failed(sent: Dataset, reason: int) -> Dataset:
    item = dataset(
        ReferencedSOPClassUID=sent.SOPClassUID, ReferencedSOPInstanceUID=sent.SOPInstanceUID, FailureReason=reason
    )
    return dataset(FailedSOPSequence=[item])


def both(sent: Dataset) -> Dataset:
    answer = store_response(sent)
    answer.FailedSOPSequence = failed(sent, 0xC000).FailedSOPSequence
    return answer


def as_xml(sent: Dataset, uid: str | None = None) -> Any:
    """A response in the Native DICOM Model (PS3.19 A.1), as Orthanc writes it."""
    item = "".join(
        f'<DicomAttribute tag="{tag}" vr="UI" keyword="{keyword}"><Value number="1">{value}</Value></DicomAttribute>'
        for tag, keyword, value in (
            ("00081150", "ReferencedSOPClassUID", sent.SOPClassUID),
            ("00081155", "ReferencedSOPInstanceUID", uid or sent.SOPInstanceUID),
        )
    )
    body = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
        '<DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence" />'
        '<DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence">'
        f'<Item number="1">{item}</Item></DicomAttribute></NativeDicomModel>'
    )
    return 200, {"Content-Type": "application/dicom+xml; charset=utf-8"}, body.encode()


STORED: dict[str, tuple[Stowed, str]] = {
    "JSON": (lambda sent: as_json(store_response(sent)), "stored"),
    "JSON with a character set": (
        lambda sent: as_json(store_response(sent), kind="application/dicom+json;charset=UTF-8"),
        "stored",
    ),
    "plain JSON": (lambda sent: as_json(store_response(sent), kind="application/json"), "stored"),
    "XML": (as_xml, "stored"),
    "202 with a warning": (
        lambda sent: as_json(store_response(sent, WarningReason=0xB000), 202),
        "stored with warning B000 (coercion of data elements)",
    ),
    "202 with a warning of its own": (
        lambda sent: as_json(store_response(sent, WarningReason=0xB0FF), 202),
        "stored with warning B0FF",
    ),
}
NOT_STORED: dict[str, tuple[Stowed, str]] = {
    "200 and nothing": (lambda sent: (200, {}, b""), UNCONFIRMED),
    "200 and {}": (lambda sent: (200, {"Content-Type": JSON}, b"{}"), UNCONFIRMED),
    "204": (lambda sent: (204, {}, b""), UNCONFIRMED),
    "an empty sequence": (lambda sent: as_json(dataset(ReferencedSOPSequence=[])), UNCONFIRMED),
    "another object": (
        lambda sent: as_json(store_response(sent, ReferencedSOPInstanceUID="1.2.3.4")),
        UNCONFIRMED,
    ),
    "another object in XML": (lambda sent: as_xml(sent, "1.2.3.4"), UNCONFIRMED),
    "stored and failed": (lambda sent: as_json(both(sent), 202), "failure reason C000"),
    "409 with a reason": (lambda sent: as_json(failed(sent, 0x0122), 409), "HTTP 409, failure reason 0122"),
    "409 and a page": (lambda sent: (409, {"Content-Type": "text/html"}, b"<p>no</p>"), "HTTP 409"),
    "a login page": (lambda sent: (200, {"Content-Type": "text/html"}, b"<p>Log in</p>"), UNCONFIRMED),
}
NO_ANSWER: dict[str, tuple[Stowed, str]] = {
    "a list": (lambda sent: (200, {"Content-Type": JSON}, b"[1]"), "the answer is not DICOMweb: AttributeError"),
    "no JSON": (lambda sent: (200, {"Content-Type": JSON}, b"stored"), "no answer: JSONDecodeError"),
    "503 with a reason": (lambda sent: as_json(failed(sent, 0xA700), 503), "HTTP 503, failure reason A700"),
}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.dcm"
    film(1, SOPClassUID=SR, SOPInstanceUID="1.2.3.1.9").save_as(path, enforce_file_format=True)
    return path


def stow(report: Path, stowed: Stowed) -> Answer:
    with serving(Archive()) as archive:
        archive.stowed = stowed
        (sender,) = senders_of([archive.url.replace("http://", "dicomweb+http://")]).values()
        with sender.open() as send:
            return send(report)


@pytest.mark.parametrize(("stowed", "text"), STORED.values(), ids=STORED)
def test_an_object_that_the_answer_names_counts_as_stored(report: Path, stowed: Stowed, text: str) -> None:
    assert stow(report, stowed) == Answer(True, text)


@pytest.mark.parametrize(("stowed", "text"), NOT_STORED.values(), ids=NOT_STORED)
def test_an_object_that_the_answer_does_not_name_is_not_stored(report: Path, stowed: Stowed, text: str) -> None:
    assert stow(report, stowed) == Answer(False, text)


HAS_IT = as_json(dataset(SOPInstanceUID="1.2.3.1.9"))[2]
QIDO: dict[str, tuple[Any, str, bool, Answer]] = {
    "untold, and it is there": (
        ({}, b"[" + HAS_IT + b"]"),
        "204",
        False,
        Answer(True, f"{UNTOLD}, but QIDO-RS finds it"),
    ),
    "untold, and an empty list": (({}, b"[]"), "204", False, Answer(False, UNCONFIRMED)),
    "untold, and a login page": (
        *(({"Content-Type": "text/html"}, b"<p>Log in</p>"), "a login page", False),
        Answer(False, f"{UNTOLD}, and QIDO-RS does not answer: JSONDecodeError"),
    ),
    "told, and not asked": (({}, b"[]"), "JSON", False, Answer(True, "stored")),
    "told, and it is there": (({}, b"[" + HAS_IT + b"]"), "JSON", True, Answer(True, "stored, and QIDO-RS finds it")),
    "a lie": (({}, b"[]"), "JSON", True, Answer(False, "stored, but QIDO-RS does not find it")),
}


@pytest.mark.parametrize(("found", "stowed", "verify", "answer"), QIDO.values(), ids=QIDO)
def test_the_truth_is_asked_by_qido(report: Path, found: Any, stowed: str, verify: bool, answer: Answer) -> None:
    with serving(Archive()) as archive:
        archive.stowed, _ = {**STORED, **NOT_STORED}[stowed]
        archive.raw["/studies/1.2.3.1.1/series/1.2.3.1.2/instances"] = found
        config = {"dicomweb": [{"name": "web", "url": archive.url, "verify": verify}]}
        (sender,) = make_senders(TargetConfig.model_validate(config), "CEPH")
        with sender.open() as send:
            assert send(report) == answer


@pytest.mark.skipif(ORTHANC is None or not DICOM_WEB.exists(), reason="Orthanc is not installed")
def test_a_real_archive_behind_a_proxy_that_swallows_its_answers(report: Path, tmp_path: Path) -> None:
    """Orthanc stores the object, and what comes back says nothing; or nothing gets through to it at all."""
    with orthanc(tmp_path / "orthanc", 1) as pacs, serving(Archive()) as proxy:
        passes = [True]

        def swallow(sent: Dataset) -> Any:
            if passes[0]:
                pacs.post("/instances", report.read_bytes())
            return 200, {}, b""

        def ask(path: str, options: Any) -> tuple[int, str, bytes]:
            with urlopen(f"{pacs.url}{path}?SOPInstanceUID={options['SOPInstanceUID'][0]}", timeout=20) as answer:
                return 200, JSON, answer.read()

        proxy.stowed, proxy.answer = swallow, ask  # type: ignore[method-assign]
        (sender,) = senders_of([proxy.url.replace("http://", "dicomweb+http://")]).values()
        for passes[0], expected in (
            (False, Answer(False, UNCONFIRMED)),
            (True, Answer(True, f"{UNTOLD}, but QIDO-RS finds it")),
        ):
            with sender.open() as send:
                assert send(report) == expected


@pytest.mark.parametrize(("stowed", "text"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_an_unusable_answer_is_a_failure(report: Path, stowed: Stowed, text: str) -> None:
    with pytest.raises(TargetError, match=f"^{text}$"):
        stow(report, stowed)


@contextmanager
def delivering(folder: Path, url: str, hours: float) -> Iterator[NodeLedger]:
    """The sending part of a node, with one report for a DICOMweb service."""
    values = settings(folder, retry={"first_s": 0.05, "longest_s": 0.05, "give_up_after_h": hours})
    values["targets"] = {"dicomweb": [{"name": "web", "url": url}]}
    config = NodeConfig.model_validate(values)
    config.folder.mkdir()
    with closing(NodeLedger(config.folder / "node.sqlite")) as ledger:
        spool = Spool(config.folder, config.spool)
        (sender,) = make_senders(config.targets, config.ae_title)
        film(1, SOPClassUID=SR, SOPInstanceUID="1.2.3.1.9").save_as(spool.object("sr", "key"), enforce_file_format=True)
        spool.film("key").write_bytes(b"film")
        ledger.receive("1.2.3.1.3", "key", "SENDER", 10, MODEL)
        known = ledger.film_of("key")
        assert known is not None
        ledger.detected(known, "done", [("web", MadeObject("sr", "key", "1.2.3.1.9"))], MODEL, [])
        with running_loop(DeliveryLoop(sender, spool, ledger, config.retry, lambda: None)):
            yield ledger


@pytest.mark.parametrize(("stowed", "text"), NOT_STORED.values(), ids=NOT_STORED)
def test_the_node_tries_again_and_then_keeps_a_dead_letter(tmp_path: Path, stowed: Stowed, text: str) -> None:
    with serving(Archive()) as archive:
        archive.stowed = stowed
        # 2 s
        with delivering(tmp_path, archive.url, 2 / 3600) as ledger:
            wait_until(lambda: ledger.counts() == {"dead": 1})
            (dead,) = ledger.films("dead")
    assert dead.reason == f"web: {text}"
    assert len(archive.stored) >= 2
    assert set(archive.stored) == {"1.2.3.1.9"}
    letter = tmp_path / "node" / "dead" / "key"
    assert {path.name for path in letter.iterdir()} == {"film.dcm", "sr.dcm", "reason.json"}
    assert json.loads((letter / "reason.json").read_text())["reason"] == f"web: {text}"


def test_the_node_sends_until_the_object_is_named(tmp_path: Path) -> None:
    with serving(Archive()) as archive:
        archive.stowed = lambda sent: STORED["XML"][0](sent) if len(archive.stored) == 3 else (200, {}, b"")
        with delivering(tmp_path, archive.url, 168) as ledger:
            wait_until(lambda: ledger.counts() == {"done": 1})
            answers = [row["answer"] for row in ledger.audit_rows() if row["event"] == "sent"]
    assert answers == ["stored"]
    assert len(archive.stored) == 3


def test_a_warning_is_in_the_audit(tmp_path: Path) -> None:
    with serving(Archive()) as archive:
        archive.stowed, text = STORED["202 with a warning"]
        with delivering(tmp_path, archive.url, 168) as ledger:
            wait_until(lambda: ledger.counts() == {"done": 1})
            assert [row["answer"] for row in ledger.audit_rows() if row["event"] == "sent"] == [text]


def test_detect_lists_objects_that_were_not_stored(dicom: Path, tmp_path: Path) -> None:
    """Exit code 1 until the archive names both objects; then each is sent once."""
    with serving(Archive()) as archive:
        url = archive.url.replace("http://", "dicomweb+http://")
        command = ["detect", str(dicom), "--out", str(tmp_path), "--device", "cpu", "--to", url]
        for name in ("200 and nothing", "200 and {}", "204", "another object"):
            archive.stowed, text = NOT_STORED[name]
            done = CliRunner().invoke(app, command)
            assert (done.exit_code, done.exception.__class__) == (1, SystemExit), done.output
            assert "0 sent, 0 sent before, 2 not sent" in done.output
            assert done.output.count(text) == 2
        archive.stowed, _ = STORED["JSON"]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "2 sent, 0 sent before, 0 not sent" in done.output
        sent = len(archive.stored)
        assert CliRunner().invoke(app, command).exit_code == 0
        assert len(archive.stored) == sent


@pytest.mark.parametrize(
    ("uid", "text"),
    [(None, None), ("1.2.3.1.9", None), ("1.2.3.4", "the answer is about another object")],
    ids=["no UID", "its UID", "another UID"],
)
def test_a_c_store_answer_must_name_the_object(
    report: Path, uid: str | None, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_msg = DIMSEServiceProvider.send_msg

    def rename(self: Any, primitive: Any, context: int) -> None:
        if isinstance(primitive, C_STORE) and primitive.Status is not None:
            primitive.AffectedSOPInstanceUID = uid
        send_msg(self, primitive, context)

    # pynetdicom's own server always repeats the UID of the request
    monkeypatch.setattr(DIMSEServiceProvider, "send_msg", rename)
    entity = AE("PACS")
    entity.add_supported_context(SR)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0)])
    try:
        (sender,) = senders_of([f"dicom://PACS@127.0.0.1:{server.server_address[1]}"]).values()
        with sender.open() as send:
            if text is None:
                assert send(report) == Answer(True, "status 0000")
            else:
                with pytest.raises(TargetError, match=text):
                    send(report)
    finally:
        server.shutdown()
