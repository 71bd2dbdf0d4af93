"""Archives that answer oddly: real servers on the loopback interface, which say what no archive should."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import Dataset

pytest.importorskip("pynetdicom", reason="pip install 'monai-ceph[pacs]'")
from nodes import RunningNode, film, free_port, settings
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.pacs import sources
from monai_ceph.pacs.config import DicomSource, DicomWebService, DicomWebSource, SelectionConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.polling_loop import PollingLoop
from monai_ceph.pacs.selection import Selection
from monai_ceph.pacs.sources import DicomArchive, DicomWebArchive, Found, Query, SourceError

SELECTION = Selection(SelectionConfig())
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def dataset(**values: Any) -> Dataset:
    result = Dataset()
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Archive:
    """A DICOMweb service whose studies have one series of one image each.

    Attributes:
        studies: what it says of them, as JSON.
        broken: study UIDs whose series are answered with HTTP 500.
        body: the multipart body of every image.
        page: how many answers it gives at most.
        knows_offset: whether it goes on where the last page ended.
        asked: paths of the requests.
        logins: their ``Authorization``.
    """

    def __init__(self, *numbers: int) -> None:
        self.studies: list[Any] = [self.study(number) for number in numbers]
        self.broken: set[str] = set()
        self.body = b""
        self.page = 1000
        self.knows_offset = True
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.url = ""

    @staticmethod
    def study(number: int) -> dict[str, Any]:
        return dataset(StudyInstanceUID=f"1.2.3.{number}.1").to_json_dict()

    def answer(self, path: str, options: dict[str, list[str]]) -> tuple[int, str, bytes]:
        self.asked.append(path)
        parts = path.strip("/").split("/")
        if len(parts) == 6:
            return 200, 'multipart/related; type="application/dicom"; boundary=B', self.body
        number = path.split(".")[3] if "." in path else "0"
        if any(uid in parts for uid in self.broken):
            return 500, "text/plain", b""
        everything = {
            1: self.studies,
            3: [dataset(SeriesInstanceUID=f"1.2.3.{number}.2", Modality="DX").to_json_dict()],
            5: [dataset(SOPInstanceUID=f"1.2.3.{number}.3", SOPClassUID=DX).to_json_dict()],
        }[len(parts)]
        start = int(options.get("offset", ["0"])[0]) if self.knows_offset else 0
        page = everything[start : start + min(self.page, int(options["limit"][0]))]
        return 200, "application/dicom+json", json.dumps(page).encode()

    def find(self) -> Iterator[Found]:
        service = DicomWebService.model_validate({"name": "pacs", "url": self.url, "timeout_s": 10})
        return DicomWebArchive(service).find(Query(date="20260101"), SELECTION)


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"


@contextmanager
def serving(archive: Archive, certificates: Path | None = None) -> Iterator[Archive]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            archive.logins.append(self.headers.get("Authorization"))
            status, kind, body = archive.answer(url.path, parse_qs(url.query))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificates is not None:
        context, scheme = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "https"
        context.load_cert_chain(certificates / "node.pem", certificates / "node.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    archive.url = f"{scheme}://localhost:{server.server_address[1]}"
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def found_before_the_error(images: Iterator[Found]) -> tuple[list[str], str]:
    """Return the UIDs that come, and what is said in the end."""
    uids: list[str] = []
    try:
        for image in images:
            uids.append(image.uid)
    except SourceError as error:
        return uids, str(error)
    return uids, ""


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text",
        {},
        {"0020000D": {"vr": "UI", "Value": 7}},
        {"0020000D": {"vr": "UI", "Value": ["no uid"]}},
        {"0020000D": None},
    ],
    ids=["null", "text", "nothing", "no list", "no UID", "null element"],
)
def test_an_odd_study_costs_no_other(odd: Any) -> None:
    with serving(Archive(1, 2)) as archive:
        archive.studies.insert(1, odd)
        uids, said = found_before_the_error(archive.find())
    assert uids == ["1.2.3.1.3", "1.2.3.2.3"]
    assert said.startswith("pacs: ")
    assert said.endswith("(of its answers, 1 could not be used)")


def test_a_study_that_the_archive_fails_at_costs_no_other() -> None:
    with serving(Archive(1, 2, 3)) as archive:
        archive.broken = {"1.2.3.1.1", "1.2.3.2.1"}
        answer = found_before_the_error(archive.find())
    assert answer == (["1.2.3.3.3"], "pacs: HTTP 500 (of its answers, 2 could not be used)")


def test_who_does_not_answer_any_more_is_not_asked_for_every_study() -> None:
    with serving(Archive(1, 2, 3)) as archive:
        images = archive.find()
        assert next(images).uid == "1.2.3.1.3"
        archive.answer = lambda path, options: (503, "text/plain", b"")  # type: ignore[method-assign]
        with pytest.raises(SourceError, match=r"^pacs: HTTP 503$"):
            list(images)


def test_a_service_that_gives_less_at_once_than_it_is_asked_for() -> None:
    with serving(Archive(1, 2, 3, 4, 5)) as archive:
        archive.page = 2
        assert [image.uid for image in archive.find()] == [f"1.2.3.{number}.3" for number in range(1, 6)]


def test_a_service_that_ignores_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked for ever, and what it does not give is no secret."""
    with serving(Archive(1, 2, 3)) as archive:
        archive.knows_offset = False
        assert [image.uid for image in archive.find()] == ["1.2.3.1.3", "1.2.3.2.3", "1.2.3.3.3"]
        monkeypatch.setattr(sources, "_MOST", 2)
        uids, said = found_before_the_error(image for image, _ in zip(archive.find(), range(9), strict=False))
    assert (uids, said) == (["1.2.3.1.3", "1.2.3.2.3"], "pacs: gives the same 2 answers again, and may have more")


@pytest.mark.parametrize(
    "body", [multipart(b"no DICOM at all" * 20), multipart(), b""], ids=["no DICOM", "no part", "nothing"]
)
def test_an_image_that_is_none_is_an_error_of_the_source(body: bytes) -> None:
    with serving(Archive(1)) as archive:
        archive.body = body
        (image,) = archive.find()
        service = DicomWebService.model_validate({"name": "pacs", "url": archive.url})
        with pytest.raises(SourceError, match=r"^pacs: no answer of a DICOMweb service"):
            DicomWebArchive(service).fetch(image, lambda film: None)


@pytest.mark.parametrize(
    ("login", "shown"),
    [
        ({"token": "hush"}, "Bearer hush"),
        ({"username": "a", "password": "b"}, "Basic YTpi"),
        ({}, "Basic bmV0OnJj"),
    ],
    ids=["token", "password", "netrc"],
)
def test_the_login_of_the_configuration_goes_before_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: dict[str, str], shown: str
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login net password rc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(Archive()) as archive:
        service = DicomWebService.model_validate({"name": "pacs", "url": archive.url, **login})
        assert list(DicomWebArchive(service).find(Query(patient="P1"), SELECTION)) == []
    assert archive.logins == [shown]


@pytest.mark.parametrize(
    ("ca", "in_environment", "trusted"),
    [("node", "stranger", True), ("stranger", "node", False), (None, "node", True), (None, "stranger", False)],
)
def test_the_ca_of_the_configuration_goes_before_the_environment(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, ca: str | None, in_environment: str, trusted: bool
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / f"{in_environment}.pem"))
    with serving(Archive(1), certificates) as archive:
        file = None if ca is None else str(certificates / f"{ca}.pem")
        service = DicomWebService.model_validate({"name": "pacs", "url": archive.url, "ca": file})
        uids, said = found_before_the_error(DicomWebArchive(service).find(Query(patient="P1"), SELECTION))
    assert (uids == ["1.2.3.1.3"], "a certificate that nobody vouches for" in said) == (trusted, not trusted)


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Archive(1)) as proxy:
        for name in ("http_proxy", "no_proxy"):
            monkeypatch.delenv(name.upper(), raising=False)
            monkeypatch.setenv(name, proxy.url if name == "http_proxy" else "")
        service = DicomWebService.model_validate({"name": "pacs", "url": "http://pacs.example"})
        assert [each.uid for each in DicomWebArchive(service).find(Query(patient="P1"), SELECTION)] == ["1.2.3.1.3"]
    assert {urlsplit(path).path for path in proxy.asked} == {
        "/studies",
        "/studies/1.2.3.1.1/series",
        "/studies/1.2.3.1.1/series/1.2.3.1.2/instances",
    }


def test_the_command_says_what_it_could_not_fetch(tmp_path: Path) -> None:
    with serving(Archive(1)) as archive:
        archive.body = multipart(b"no DICOM at all" * 20)
        values = settings(tmp_path, sources={"dicomweb": [{"name": "web", "url": archive.url}]})
        node = RunningNode(tmp_path, values)
        options = ["fetch", "--config", str(node.config), "--source", "web", "--patient", "P1"]
        done = CliRunner().invoke(app, options)
        assert (done.exit_code, done.exception.__class__) == (2, SystemExit)
        assert "1.2.3.1.3: web: no answer of a DICOMweb service (InvalidDicomError)" in done.output
        assert "1 found, 0 with the node" in done.output
        buffer = BytesIO()
        film(1).save_as(buffer, enforce_file_format=True)
        archive.body = multipart(buffer.getvalue())
        archive.studies.append(None)
        done = CliRunner().invoke(app, options)
        assert done.exit_code == 1
        assert "web: an answer without StudyInstanceUID" in done.output
        assert "1 found, 1 with the node" in done.output


def test_what_is_fetched_is_for_the_owner_alone(tmp_path: Path) -> None:
    buffer = BytesIO()
    film(1).save_as(buffer, enforce_file_format=True)
    with serving(Archive(1)) as archive:
        archive.body = multipart(buffer.getvalue())
        node = RunningNode(tmp_path, settings(tmp_path, sources={"dicomweb": [{"name": "web", "url": archive.url}]}))
        node.folder.mkdir(mode=0o755)
        command = [sys.executable, "-m", "monai_ceph", "fetch", "--config", str(node.config), "--source", "web"]
        subprocess.run([*command, "--patient", "P1"], check=True, umask=0o022)
    (fetched,) = (path for path in (node.folder / "inbox").iterdir() if path.is_file())
    assert fetched.stat().st_mode & 0o777 == 0o600


def test_the_command_leaves_room_on_the_disk(tmp_path: Path) -> None:
    with serving(Archive(1, 2)) as archive:
        spool = {"min_free_mb": 10**9}
        values = settings(tmp_path, sources={"dicomweb": [{"name": "web", "url": archive.url}]}, spool=spool)
        node = RunningNode(tmp_path, values)
        options = ["fetch", "--config", str(node.config), "--source", "web", "--patient", "P1"]
        done = CliRunner().invoke(app, options)
        assert done.exit_code == 2
        assert "no room for more" in done.output
        assert "2 found, 0 with the node" in done.output
        assert not any(path.endswith(".3") for path in archive.asked)


def round_of(archive: Archive, ledger: NodeLedger, deliver: Callable[[Dataset], None]) -> PollingLoop:
    """Return the loop after it asked once."""
    config = DicomWebSource.model_validate({"name": "pacs", "url": archive.url, "every_s": 1, "timeout_s": 10})
    ended = threading.Event()
    loop = PollingLoop(DicomWebArchive(config), config, ledger, SELECTION, deliver, lambda: None)
    wait = loop.wake.wait

    def end(timeout: float | None = None) -> bool:
        ended.set()
        return wait(0)

    loop.wake.wait = end  # type: ignore[method-assign]
    loop.run(ended)
    return loop


def test_a_round_with_odd_answers_is_a_failure_and_is_asked_for_again(tmp_path: Path) -> None:
    buffer, taken = BytesIO(), []
    film(2).save_as(buffer, enforce_file_format=True)
    with serving(Archive(1, 2)) as archive, closing(NodeLedger(tmp_path / "node.sqlite")) as ledger:
        archive.studies.insert(0, None)
        # the image of the first study is another one than that which was asked for
        archive.body = multipart(buffer.getvalue())
        loop = round_of(archive, ledger, lambda dataset: taken.append(str(dataset.SOPInstanceUID)))
        assert (taken, loop.failures, ledger.cursor("pacs")) == (["1.2.3.2.3"], 1, None)
        assert loop.cause == "pacs: an answer without StudyInstanceUID (of its answers, 1 could not be used)"
        archive.studies = [archive.study(2)]
        loop = round_of(archive, ledger, lambda dataset: None)
        assert (loop.failures, ledger.cursor("pacs") is None) == (0, False)


def test_a_film_that_cannot_be_written_ends_no_round(tmp_path: Path) -> None:
    buffer = BytesIO()
    film(1).save_as(buffer, enforce_file_format=True)

    def deliver(dataset: Dataset) -> None:
        raise AttributeError("the name of a patient")

    with serving(Archive(1)) as archive, closing(NodeLedger(tmp_path / "node.sqlite")) as ledger:
        archive.body = multipart(buffer.getvalue())
        loop = round_of(archive, ledger, deliver)
    assert (loop.failures, loop.cause) == (1, "AttributeError")


def test_an_answer_to_c_find_without_uids_costs_no_other() -> None:
    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked, series = event.identifier, str(event.identifier.get("SeriesInstanceUID", ""))
        number = str(asked.get("StudyInstanceUID", "")).split(".")[3:4]
        if asked.QueryRetrieveLevel == "STUDY":
            answers = [dataset(StudyInstanceUID=f"1.2.3.{each}.1") for each in (1, 2)]
        elif asked.QueryRetrieveLevel == "SERIES":
            # that of the first study has none, and nothing
            answers = [dataset(SeriesInstanceUID="1.2.3.2.2") if number == ["2"] else dataset(Modality="DX")]
        else:
            assert series == "1.2.3.2.2"
            answers = [dataset(SOPClassUID=DX), dataset(SOPInstanceUID="1.2.3.2.3", SOPClassUID=DX)]
        for answer in answers:
            yield 0xFF00, answer
        yield 0x0000, None

    entity, port = AE("PACS"), free_port()
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        config = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_s": 10}
        archive = DicomArchive(DicomSource.model_validate(config), "CEPH")
        answer = found_before_the_error(archive.find(Query(date="20260101"), SELECTION))
    finally:
        server.shutdown()
    said = "pacs: an answer without SeriesInstanceUID (of its answers, 2 could not be used)"
    assert answer == (["1.2.3.2.3"], said)


@pytest.mark.parametrize(("calling", "seen"), [(None, "CEPH"), ("ASKS", "ASKS")])
def test_the_ae_title_that_asks_is_not_the_one_that_receives(calling: str | None, seen: str) -> None:
    callers: list[tuple[str, str]] = []

    def find(event: evt.Event) -> Iterator[tuple[int, None]]:
        callers.append(("find", str(event.assoc.requestor.ae_title)))
        yield 0x0000, None

    def move(event: evt.Event) -> Iterator[Any]:
        callers.append((str(event.move_destination), str(event.assoc.requestor.ae_title)))
        # it knows nobody
        yield None, None

    entity, port = AE("PACS"), free_port()
    handlers = {
        StudyRootQueryRetrieveInformationModelFind: (evt.EVT_C_FIND, find),
        StudyRootQueryRetrieveInformationModelMove: (evt.EVT_C_MOVE, move),
    }
    for model in handlers:
        entity.add_supported_context(model)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[*handlers.values()])
    try:
        config = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "calling_ae_title": calling}
        archive = DicomArchive(DicomSource.model_validate(config), "CEPH")
        assert list(archive.find(Query(patient="P1"), SELECTION)) == []
        with pytest.raises(SourceError, match="did not move the film to CEPH: status A801"):
            archive.fetch(Found("1.2", "1.3", "1.4"), lambda film: None)
    finally:
        server.shutdown()
    assert callers == [("find", seen), ("CEPH", seen)]
