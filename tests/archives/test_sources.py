"""Archives with unusable answers. They are real servers on the loopback interface."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydicom import Dataset

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import RunningNode, film, free_port, settings
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)
from typer.testing import CliRunner
from web_archive import DX, Archive, dataset, multipart, serving

from monai_ceph.archives import dicomweb_source
from monai_ceph.archives.config import DicomSource, DicomWebService, DicomWebSource, SelectionConfig
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.dimse_source import DicomArchive
from monai_ceph.archives.query import Found, Query, SourceError
from monai_ceph.archives.selection import Selection
from monai_ceph.cli import app
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.polling_loop import PollingLoop

SELECTION = Selection(SelectionConfig())


def find(archive: Archive) -> Iterator[Found]:
    service = DicomWebService.model_validate({"name": "pacs", "url": archive.url, "timeout_s": 10})
    return DicomWebArchive(service).find(Query(date="20260101"), SELECTION)


def found_before_the_error(images: Iterator[Found]) -> tuple[list[str], str]:
    """Return the UIDs that are found, and the message of the error at the end."""
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
        {"0020000D": {"vr": "UI", "Value": ["1.2.3.9.1", "1.2.3.8.1"]}},
        {"0020000D": {"vr": "UI", "Value": ["../1.2"]}},
        {"0020000D": {"vr": "UI", "Value": [f"1.2.3.{'9' * 60}"]}},
        {"0020000D": None},
    ],
    ids=["null", "text", "nothing", "no list", "no UID", "two", "path", "long", "null element"],
)
def test_other_studies_are_fetched_if_one_answer_is_unusable(odd: Any) -> None:
    with serving(Archive(1, 2)) as archive:
        archive.studies.insert(1, odd)
        uids, message = found_before_the_error(find(archive))
    assert uids == ["1.2.3.1.3", "1.2.3.2.3"]
    assert message.startswith("pacs: ")
    assert message.endswith("(1 of its answers could not be used)")


@pytest.mark.parametrize("uid", ["no uid", "", "..", "1.2/../1", "1.2?x=1", "1" * 65, "*", ["1.2", "1.3"]], ids=str)
@pytest.mark.parametrize("level", ["series", "instances"])
def test_other_films_are_fetched_if_one_uid_is_invalid(level: str, uid: Any) -> None:
    """An invalid UID never becomes part of a request."""
    with serving(Archive(1, 2)) as archive:
        answer, tag = archive.answer, {"series": "0020000E", "instances": "00080018"}[level]

        def odd(path: str, options: dict[str, list[str]]) -> tuple[int, str, bytes]:
            status, kind, body = answer(path, options)
            if path.endswith(f"/{level}") and "1.2.3.1.1" in path and body != b"[]":
                values = uid if isinstance(uid, list) else [uid]
                body = json.dumps([{tag: {"vr": "UI", "Value": values}}, *json.loads(body)]).encode()
            return status, kind, body

        archive.answer = odd  # type: ignore[method-assign]
        uids, message = found_before_the_error(find(archive))
        assert all(re.fullmatch(r"/studies(/[0-9.]+/series(/[0-9.]+/instances)?)?", path) for path in archive.asked)
    assert uids == ["1.2.3.1.3", "1.2.3.2.3"]
    what = {"series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[level]
    what = f"whose {what} is not a UID" if uid else f"without {what}"
    assert message == f"pacs: an answer {what} (1 of its answers could not be used)"


@pytest.mark.parametrize(
    ("headers", "body", "cause"),
    [
        ({}, b"<html>Sorry</html>", "JSONDecodeError"),
        ({}, b"[" * 100000, "RecursionError"),
        ({}, b"null", "no list"),
        ({}, b'"text"', "no list"),
        ({"Content-Encoding": "gzip"}, b"[]", "ContentDecodingError"),
        ({"Transfer-Encoding": "chunked"}, b"9\r\n[", "ChunkedEncodingError"),
    ],
    ids=["HTML", "deep", "null", "text", "no gzip", "cut off"],
)
def test_other_studies_are_fetched_if_an_answer_is_not_a_list_of_data_sets(
    headers: dict[str, str], body: bytes, cause: str
) -> None:
    with serving(Archive(1, 2)) as archive:
        archive.raw["/studies/1.2.3.1.1/series"] = headers, body
        uids, message = found_before_the_error(find(archive))
        assert uids == ["1.2.3.2.3"]
        what = f"pacs: the answer is not DICOMweb ({cause})"
        assert message == f"{what} (1 of its answers could not be used)"
        archive.raw["/studies"] = headers, body
        assert found_before_the_error(find(archive)) == ([], what)


def test_other_studies_are_fetched_if_the_archive_fails_for_one() -> None:
    with serving(Archive(1, 2, 3)) as archive:
        archive.broken = {"1.2.3.1.1", "1.2.3.2.1"}
        answer = found_before_the_error(find(archive))
    assert answer == (["1.2.3.3.3"], "pacs: HTTP 500 (2 of its answers could not be used)")


def test_a_search_ends_once_the_archive_stops_answering() -> None:
    with serving(Archive(1, 2, 3)) as archive:
        images = find(archive)
        assert next(images).uid == "1.2.3.1.3"
        archive.answer = lambda path, options: (503, "text/plain", b"")  # type: ignore[method-assign]
        with pytest.raises(SourceError, match=r"^pacs: HTTP 503$"):
            list(images)


def test_smaller_pages_than_requested_are_all_read() -> None:
    with serving(Archive(1, 2, 3, 4, 5)) as archive:
        archive.page = 2
        assert [image.uid for image in find(archive)] == [f"1.2.3.{number}.3" for number in range(1, 6)]


def test_an_archive_that_repeats_its_answers_is_not_read_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search ends, and the error says that films may be missing."""
    with serving(Archive(1, 2, 3)) as archive:
        archive.knows_offset = False
        assert [image.uid for image in find(archive)] == ["1.2.3.1.3", "1.2.3.2.3", "1.2.3.3.3"]
        monkeypatch.setattr(dicomweb_source, "_PAGE", 2)
        uids, message = found_before_the_error(image for image, _ in zip(find(archive), range(9), strict=False))
    assert (uids, message) == (
        ["1.2.3.1.3", "1.2.3.2.3"],
        "pacs: repeats the same 2 answers, so that some may be missing",
    )


@pytest.mark.parametrize(
    "body", [multipart(b"no DICOM at all" * 20), multipart(), b""], ids=["no DICOM", "no part", "nothing"]
)
def test_a_fetched_file_that_is_not_an_image_is_an_error(body: bytes) -> None:
    with serving(Archive(1)) as archive:
        archive.body = body
        (image,) = find(archive)
        service = DicomWebService.model_validate({"name": "pacs", "url": archive.url})
        with pytest.raises(SourceError, match=r"^pacs: the answer is not DICOMweb"):
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
def test_the_login_in_the_configuration_overrides_netrc(
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
def test_the_ca_in_the_configuration_overrides_the_environment(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, ca: str | None, in_environment: str, trusted: bool
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / f"{in_environment}.pem"))
    with serving(Archive(1), certificates) as archive:
        file = None if ca is None else str(certificates / f"{ca}.pem")
        service = DicomWebService.model_validate({"name": "pacs", "url": archive.url, "ca": file})
        uids, message = found_before_the_error(DicomWebArchive(service).find(Query(patient="P1"), SELECTION))
    assert (uids == ["1.2.3.1.3"], "an untrusted certificate" in message) == (trusted, not trusted)


def test_the_proxy_variables_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_command_lists_what_it_could_not_fetch(tmp_path: Path) -> None:
    with serving(Archive(1)) as archive:
        archive.body = multipart(b"no DICOM at all" * 20)
        values = settings(tmp_path, sources={"dicomweb": [{"name": "web", "url": archive.url}]})
        node = RunningNode(tmp_path, values)
        options = ["fetch", "--config", str(node.config), "--source", "web", "--patient", "P1"]
        done = CliRunner().invoke(app, options)
        assert (done.exit_code, done.exception.__class__) == (2, SystemExit)
        assert "1.2.3.1.3: web: the answer is not DICOMweb (InvalidDicomError)" in done.output
        assert "1 found, 0 with the node" in done.output
        buffer = BytesIO()
        film(1).save_as(buffer, enforce_file_format=True)
        archive.body = multipart(buffer.getvalue())
        archive.studies.append(None)
        done = CliRunner().invoke(app, options)
        assert done.exit_code == 1
        assert "web: an answer without StudyInstanceUID" in done.output
        assert "1 found, 1 with the node" in done.output


def test_only_the_owner_can_read_fetched_films(tmp_path: Path) -> None:
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


def test_the_command_stops_before_the_disk_is_full(tmp_path: Path) -> None:
    with serving(Archive(1, 2)) as archive:
        spool = {"min_free_mb": 10**9}
        values = settings(tmp_path, sources={"dicomweb": [{"name": "web", "url": archive.url}]}, spool=spool)
        node = RunningNode(tmp_path, values)
        options = ["fetch", "--config", str(node.config), "--source", "web", "--patient", "P1"]
        done = CliRunner().invoke(app, options)
        assert done.exit_code == 2
        assert "stopped early" in done.output
        assert "2 found, 0 with the node" in done.output
        assert not any(path.endswith(".3") for path in archive.asked)


def round_of(archive: Archive, ledger: NodeLedger, deliver: Callable[[Dataset], None]) -> PollingLoop:
    """Return the loop after one query."""
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


def test_a_query_with_unusable_answers_fails_and_is_repeated(tmp_path: Path) -> None:
    buffer, taken = BytesIO(), []
    film(2).save_as(buffer, enforce_file_format=True)
    with serving(Archive(1, 2)) as archive, closing(NodeLedger(tmp_path / "node.sqlite")) as ledger:
        archive.studies.insert(0, None)
        # for the image of the first study, the archive sends another one
        archive.body = multipart(buffer.getvalue())
        loop = round_of(archive, ledger, lambda dataset: taken.append(str(dataset.SOPInstanceUID)))
        assert (taken, loop.failures, ledger.cursor("pacs")) == (["1.2.3.2.3"], 1, None)
        assert loop.cause == "pacs: an answer without StudyInstanceUID (1 of its answers could not be used)"
        archive.studies = [archive.study(2)]
        loop = round_of(archive, ledger, lambda dataset: None)
        assert (loop.failures, ledger.cursor("pacs") is None) == (0, False)


def test_a_query_goes_on_after_a_film_that_cannot_be_written(tmp_path: Path) -> None:
    buffer = BytesIO()
    film(1).save_as(buffer, enforce_file_format=True)

    def deliver(dataset: Dataset) -> None:
        raise AttributeError("the name of a patient")

    with serving(Archive(1)) as archive, closing(NodeLedger(tmp_path / "node.sqlite")) as ledger:
        archive.body = multipart(buffer.getvalue())
        loop = round_of(archive, ledger, deliver)
    assert (loop.failures, loop.cause) == (1, "AttributeError")


@contextmanager
def answering(
    find: Callable[[evt.Event], Iterator[Any]], move: Callable[[evt.Event], Iterator[Any]] | None = None, **options: Any
) -> Iterator[DicomArchive]:
    """Run an application entity with these answers to C-FIND and C-MOVE, and yield a client for it."""
    entity, port = AE("PACS"), free_port()
    for model in (StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove):
        entity.add_supported_context(model)
    handlers = [(evt.EVT_C_FIND, find), *([(evt.EVT_C_MOVE, move)] if move else [])]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        config = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_s": 10, **options}
        yield DicomArchive(DicomSource.model_validate(config), "CEPH")
    finally:
        server.shutdown()


def test_other_films_are_moved_if_a_c_find_answer_has_no_uids() -> None:
    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked, series = event.identifier, str(event.identifier.get("SeriesInstanceUID", ""))
        number = str(asked.get("StudyInstanceUID", "")).split(".")[3:4]
        if asked.QueryRetrieveLevel == "STUDY":
            answers = [dataset(StudyInstanceUID=f"1.2.3.{each}.1") for each in (1, 2)]
        elif asked.QueryRetrieveLevel == "SERIES":
            # the answer about the first study has no UID
            answers = [dataset(SeriesInstanceUID="1.2.3.2.2") if number == ["2"] else dataset(Modality="DX")]
        else:
            assert series == "1.2.3.2.2"
            answers = [dataset(SOPClassUID=DX), dataset(SOPInstanceUID="1.2.3.2.3", SOPClassUID=DX)]
        for answer in answers:
            yield 0xFF00, answer
        yield 0x0000, None

    with answering(find) as archive:
        answer = found_before_the_error(archive.find(Query(date="20260101"), SELECTION))
    message = "pacs: an answer without SeriesInstanceUID (2 of its answers could not be used)"
    assert answer == (["1.2.3.2.3"], message)


def test_other_films_are_moved_if_a_c_find_answer_cannot_be_decoded() -> None:
    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        level, number = event.identifier.QueryRetrieveLevel, str(event.identifier.get("StudyInstanceUID", ""))[6:7]
        broken = C_FIND()
        broken.MessageIDBeingRespondedTo = event.request.MessageID
        broken.AffectedSOPClassUID, broken.Status = event.request.AffectedSOPClassUID, 0xFF00
        # a sequence within nothing, whose length is that of another file
        broken.Identifier = BytesIO(b"\x08\x00\x15\x11\xff\xff\xff\xff\x01")
        event.assoc.dimse.send_msg(broken, event.context.context_id)
        if level == "STUDY":
            answers = [dataset(StudyInstanceUID=f"1.2.3.{each}.1") for each in (1, 2)]
        elif level == "SERIES":
            answers = [dataset(SeriesInstanceUID=f"1.2.3.{number}.2", Modality="DX")]
        else:
            answers = [dataset(SOPInstanceUID=f"1.2.3.{number}.3", SOPClassUID=DX)]
        for answer in answers:
            yield 0xFF00, answer
        yield 0x0000, None

    with answering(find) as archive:
        answer = found_before_the_error(archive.find(Query(date="20260101"), SELECTION))
    message = "pacs: an answer without SOPInstanceUID (5 of its answers could not be used)"
    assert answer == (["1.2.3.1.3", "1.2.3.2.3"], message)


@pytest.mark.parametrize(("calling", "seen"), [(None, "CEPH"), ("ASKS", "ASKS")])
def test_the_calling_ae_title_can_differ_from_the_receiving_one(calling: str | None, seen: str) -> None:
    callers: list[tuple[str, str]] = []

    def find(event: evt.Event) -> Iterator[tuple[int, None]]:
        callers.append(("find", str(event.assoc.requestor.ae_title)))
        yield 0x0000, None

    def move(event: evt.Event) -> Iterator[Any]:
        callers.append((str(event.move_destination), str(event.assoc.requestor.ae_title)))
        # it does not know the receiver
        yield None, None

    with answering(find, move, calling_ae_title=calling) as archive:
        assert list(archive.find(Query(patient="P1"), SELECTION)) == []
        with pytest.raises(SourceError, match="did not move the film to CEPH: status A801"):
            archive.fetch(Found("1.2", "1.3", "1.4"), lambda film: None)
    assert callers == [("find", seen), ("CEPH", seen)]


def test_a_c_move_that_sent_nothing_is_an_error() -> None:
    """Status 0, and no sub-operation that was completed (PS3.4 C.4.2.1.5)."""

    def find(event: evt.Event) -> Iterator[tuple[int, None]]:
        yield 0x0000, None

    def move(event: evt.Event) -> Iterator[Any]:
        yield "127.0.0.1", free_port(), {"contexts": []}
        yield 0

    message = "did not move the film to CEPH: 0 objects moved"
    with answering(find, move) as archive, pytest.raises(SourceError, match=message):
        archive.fetch(Found("1.2", "1.3", "1.4"), lambda film: None)
