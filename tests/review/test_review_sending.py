"""Signed films are sent to archives; what an archive does not confirm is kept, and never called sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
import pydicom
from pynetdicom import AE, AllStoragePresentationContexts, evt
from review_server import Serve, draft, ids, send
from servers import wait_until
from typer.testing import CliRunner

from monai_ceph.archives.urls import senders_of
from monai_ceph.cli import app
from monai_ceph.review.audit import AUDIT, entries, faults
from monai_ceph.review.films import ResultFilms
from monai_ceph.review.models import Sign
from monai_ceph.review.outbox import Outbox
from monai_ceph.review.service import ReviewService
from monai_ceph.review.store import RevisionStore

SECONDS = 30


class Archive:
    """A real archive in this process that says yes or no to what it gets."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.status = 0x0000
        self.held: list[pydicom.Dataset] = []
        self.url = f"dicom://PACS@127.0.0.1:{self.port}"
        self._server: Any = None

    def start(self) -> None:
        entity = AE("PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: Any) -> int:
        if self.status == 0:
            self.held.append(event.dataset)
        return self.status

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None


@pytest.fixture
def archive() -> Iterator[Archive]:
    found = Archive()
    yield found
    found.stop()


def to(archive: Archive) -> dict[str, Any]:
    return {"senders": senders_of([archive.url])}


def sign(address: str, film: str, reviewer: str = "Dr. Example", **moved: Any) -> None:
    body = draft(address, film, reviewer, **moved)
    saved = send(f"{address}/api/films/{film}/review", "PUT", body).json
    signed = send(f"{address}/api/films/{film}/sign", "POST", {"based_on": saved["revision"], "reviewer": reviewer})
    assert signed.status == 200, signed.body


def delivery(address: str, film: str) -> dict[str, Any]:
    return send(f"{address}/api/films/{film}/delivery").json


def until(address: str, film: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    wait_until(lambda: done(delivery(address, film)), SECONDS, f"{delivery(address, film)}")
    return delivery(address, film)


def events(results: Path) -> list[tuple[str, str | None, str | None]]:
    found = entries(results / "reviews" / AUDIT)
    return [(each["event"], each.get("kind"), each.get("answer")) for each in found]


def test_a_signed_film_arrives_and_the_reviewer_sees_the_answer(
    serve: Serve, results: Path, films: Path, archive: Archive
) -> None:
    archive.start()
    address = serve(results, [films], **to(archive))
    film = ids(address)["a.dcm"]
    assert send(f"{address}/api/session").json["targets"] == [archive.url]
    assert delivery(address, film) == {"revision": None, "state": "none", "notes": [], "objects": []}
    sign(address, film, N=(40.0, 62.5))
    found = until(address, film, lambda each: each["state"] == "sent")
    assert (found["revision"], found["notes"]) == (2, [])
    shown = [
        (each["target"], each["kind"], each["state"], each["answer"], each["attempts"]) for each in found["objects"]
    ]
    assert shown == [(archive.url, kind, "sent", "status 0000", 1) for kind in ("sr", "gsps")]
    report, state = archive.held
    assert (report.VerificationFlag, state.Modality) == ("VERIFIED", "PR")
    assert [each["uid"] for each in found["objects"]] == [report.SOPInstanceUID, state.SOPInstanceUID]
    rows = {row["film"]: row["delivery"] for row in send(f"{address}/api/films").json}
    assert rows == {"a.dcm": "sent", "b.png": None}
    assert send(f"{address}/api/films/{film}").json["delivery"] == found
    assert events(results)[2:] == [("sent", "sr", "status 0000"), ("sent", "gsps", "status 0000")]
    table = send(f"{address}/api/audit.csv").body.decode().splitlines()
    assert table[0].endswith("target,kind,uid,answer")
    assert table[-1].endswith(f"{archive.url},gsps,{state.SOPInstanceUID},status 0000")
    assert faults(results / "reviews") == []
    # nothing is kept that an archive has
    assert not [path for path in (results / "reviews" / ".outbox").rglob("*.dcm") if path.is_file()]


def test_a_later_version_is_a_new_report_that_names_the_old_one(
    serve: Serve, results: Path, films: Path, archive: Archive
) -> None:
    archive.start()
    address = serve(results, [films], **to(archive))
    film = ids(address)["a.dcm"]
    for number, place in ((2, (40.0, 62.5)), (4, (50.0, 62.5))):
        sign(address, film, N=place)
        until(address, film, lambda each, number=number: (each["revision"], each["state"]) == (number, "sent"))
    first, second = (each for each in archive.held if each.Modality == "SR")
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID != second.SOPInstanceUID


def test_an_archive_that_cannot_be_reached_is_tried_again_by_itself(
    serve: Serve, results: Path, films: Path, archive: Archive
) -> None:
    address = serve(results, [films], **to(archive))
    film = ids(address)["a.dcm"]
    sign(address, film)
    found = until(address, film, lambda each: [one["attempts"] > 0 for one in each["objects"]] == [True, True])
    assert found["state"] == "failed"
    assert {each["state"] for each in found["objects"]} == {"waiting"}
    assert all("no association" in each["answer"] for each in found["objects"])
    assert {row["film"]: row["delivery"] for row in send(f"{address}/api/films").json}["a.dcm"] == "failed"
    assert [event for event, *_ in events(results)] == ["saved", "signed", "not_sent", "not_sent"]
    archive.start()
    until(address, film, lambda each: each["state"] == "sent")
    assert len(archive.held) == 2


def test_a_refused_film_is_kept_until_a_person_sends_it_again(
    serve: Serve, results: Path, films: Path, archive: Archive
) -> None:
    archive.start()
    archive.status = 0xC000
    address = serve(results, [films], **to(archive))
    film = ids(address)["a.dcm"]
    sign(address, film)
    found = until(address, film, lambda each: [one["state"] for one in each["objects"]] == ["refused", "refused"])
    assert found["state"] == "failed"
    assert {each["answer"] for each in found["objects"]} == {"status C000"}
    assert archive.held == []
    kept = sorted(path.name for path in (results / "reviews" / ".outbox").rglob("0*.dcm"))
    assert kept == ["0002.gsps.dcm", "0002.sr.dcm"]
    archive.status = 0
    answer = send(f"{address}/api/films/{film}/send", "POST")
    assert answer.status == 200
    found = until(address, film, lambda each: each["state"] == "sent")
    assert [each["attempts"] for each in found["objects"]] == [2, 2]
    assert [event for event, *_ in events(results)][2:] == ["not_sent", "not_sent", "sent", "sent"]


def test_an_object_that_somebody_removed_is_made_again(
    serve: Serve, results: Path, films: Path, archive: Archive
) -> None:
    archive.start()
    archive.status = 0xC000
    address = serve(results, [films], **to(archive))
    film = ids(address)["a.dcm"]
    sign(address, film)
    until(address, film, lambda each: [one["state"] for one in each["objects"]] == ["refused", "refused"])
    for path in (results / "reviews" / ".outbox").rglob("0*.dcm"):
        path.unlink()
    archive.status = 0
    send(f"{address}/api/films/{film}/send", "POST")
    found = until(address, film, lambda each: each["state"] == "sent")
    assert [each["uid"] for each in found["objects"]] == [each.SOPInstanceUID for each in archive.held]


def test_a_damaged_review_costs_only_its_own_film(results: Path, films: Path, archive: Archive) -> None:
    archive.start()
    service = ReviewService(results, [films])
    outbox = Outbox(results / "reviews" / ".outbox")
    (results / "reviews" / "b.png").mkdir()
    (results / "reviews" / "b.png" / "0001.json").write_text("{")
    outbox.promise("b.png", 1, [archive.url])
    outbox.close()
    film = next(each for each in service.films.all() if each.detection.file == "a.dcm")
    service.sign(film, Sign(based_on=0, reviewer="Dr. Example"))
    code, said = command(results, "--films", films, "--to", archive.url)
    assert (code, "b.png/0001.json: not a revision of a review" in said) == (1, True), said
    assert "1 of 1 signed films are confirmed" in said
    assert len(archive.held) == 2


def test_what_was_not_sent_survives_the_end_of_the_server(
    results: Path, films: Path, archive: Archive, serve: Serve
) -> None:
    service = ReviewService(results, [films], **to(archive))
    film = next(each for each in service.films.all() if each.detection.file == "a.dcm")
    service.sign(film, Sign(based_on=0, reviewer="Dr. Example"))
    service.close()
    archive.start()
    address = serve(results, [films], **to(archive))
    until(address, ids(address)["a.dcm"], lambda each: each["state"] == "sent")
    assert len(archive.held) == 2


def test_a_kill_around_the_signature_forgets_no_film(results: Path, films: Path, archive: Archive) -> None:
    """The promise is written before the signature; without the signature, nothing is sent."""
    folder = results / "reviews" / ".outbox"
    for number, stem in ((1, "a.dcm"), (7, "b.png")):
        outbox = Outbox(folder)
        outbox.promise(stem, number, [archive.url])
        outbox.close()
    plain = ReviewService(results, [films])
    film = next(each for each in plain.films.all() if each.detection.file == "a.dcm")
    plain.sign(film, Sign(based_on=0, reviewer="Dr. Example"))
    archive.start()
    service = ReviewService(results, [films], **to(archive))
    try:
        wait_until(lambda: len(archive.held) == 2, SECONDS, "both objects arrive")
        assert service.sending is not None
        # it may be of a server that is signing right now
        assert [each.revision for each in service.sending.outbox.promises(archive.url)] == [7]
    finally:
        service.close()


def test_a_signature_that_fails_promises_nothing(serve: Serve, results: Path, films: Path, archive: Archive) -> None:
    address = serve(results, [films], **to(archive))
    film = ids(address)["b.png"]
    assert send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 0, "reviewer": "One"}).status == 422
    assert send(f"{address}/api/films/{film}/sign", "POST", {"based_on": 3, "reviewer": "One"}).status == 409
    assert delivery(address, film)["state"] == "none"
    refused = send(f"{address}/api/films/{film}/send", "POST")
    assert (refused.status, refused.json["detail"]) == (422, "b.png: nobody signed this film")


def test_a_film_that_is_not_dicom_says_so(serve: Serve, results: Path, films: Path, archive: Archive) -> None:
    archive.start()
    address = serve(results, [films], **to(archive))
    film = ids(address)["b.png"]
    sign(address, film, S=(100, 50), Go=None)
    found = until(address, film, lambda each: each["state"] == "impossible")
    assert found["notes"] == ["b.png: not a DICOM film, so nothing can be sent"]
    assert archive.held == []


def test_without_a_target_nothing_is_sent(serve: Serve, results: Path, films: Path) -> None:
    address = serve(results, [films])
    film = ids(address)["a.dcm"]
    sign(address, film)
    assert delivery(address, film) == {"revision": 2, "state": "off", "notes": [], "objects": []}
    assert send(f"{address}/api/films/{film}/send", "POST").status == 422
    assert send(f"{address}/api/session").json["targets"] == []


def test_a_blind_reading_is_not_sent(serve: Serve, results: Path, films: Path, archive: Archive) -> None:
    address = serve(results, [films], reviewer="One", blind=True)
    assert send(f"{address}/api/films/{ids(address)['a.dcm']}/delivery").status == 403
    done = CliRunner().invoke(
        app, ["review", str(results), "--blind", "--reviewer", "One", "--to", archive.url, "--port", "0"]
    )
    assert (done.exit_code, "not sent anywhere" in done.output) == (2, True), done.output


@contextmanager
def one_film(results: Path, films: Path) -> Iterator[None]:
    service = ReviewService(results, [films])
    film = next(each for each in service.films.all() if each.detection.file == "a.dcm")
    service.sign(film, Sign(based_on=0, reviewer="Dr. Example"))
    yield
    service.close()


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["review", "send", *map(str, arguments)])
    return done.exit_code, done.output


def test_the_command_sends_what_is_signed(results: Path, films: Path, archive: Archive) -> None:
    arguments = (results, "--films", films, "--to", archive.url)
    assert command(*arguments) == (2, "monai-ceph: nothing to send: no film is signed\n")
    with one_film(results, films):
        code, said = command(*arguments)
        assert (code, said.count("no association")) == (1, 2)
        assert "0 of 1 signed films are confirmed" in said
        archive.start()
        assert command(*arguments) == (0, "1 of 1 signed films are confirmed\n")
        assert command(*arguments)[0] == 0
    assert len(archive.held) == 2
    assert [event for event, *_ in events(results)] == ["signed", "not_sent", "not_sent", "sent", "sent"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "https://pacs"), "not the URL of an archive"),
        (("--to", "dicom://PACS@127.0.0.1:104", "--objects", "sr,film"), "use some of sr, gsps, pdf, sc"),
    ],
)
def test_a_target_that_cannot_be_used_is_named(results: Path, options: tuple[str, ...], said: str) -> None:
    code, output = command(results, *options)
    assert (code, said in output) == (2, True), output


def test_the_targets_of_a_node_are_taken_from_its_configuration(
    results: Path, films: Path, archive: Archive, tmp_path: Path
) -> None:
    archive.start()
    target = {"name": "clinic", "ae_title": "PACS", "host": "127.0.0.1", "port": archive.port, "objects": ["sr"]}
    values = {"folder": "node", "accept": {"calling_ae_titles": "any"}, "targets": {"dicom": [target]}}
    # the file is JSON, which is YAML as well
    (tmp_path / "node.yaml").write_text(json.dumps(values))
    with one_film(results, films):
        code, said = command(results, "--films", films, "--to", tmp_path / "node.yaml")
    assert (code, said) == (0, "1 of 1 signed films are confirmed\n")
    assert [each.Modality for each in archive.held] == ["SR"]
    (sent,) = (each for each in entries(results / "reviews" / AUDIT) if each["event"] == "sent")
    assert sent["target"] == "clinic"
    (tmp_path / "node.yaml").write_text("targets: []")
    assert command(results, "--to", tmp_path / "node.yaml")[0] == 2


def test_all_kinds_of_objects_are_sent(results: Path, films: Path, archive: Archive) -> None:
    pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
    archive.start()
    with one_film(results, films):
        code, said = command(results, "--films", films, "--to", archive.url, "--objects", "sr,gsps,pdf,sc")
    assert (code, said) == (0, "1 of 1 signed films are confirmed\n")
    found = {each.Modality: each for each in archive.held}
    assert found.keys() == {"SR", "PR", "DOC", "OT"}
    assert (found["DOC"].VerificationFlag, found["DOC"].DocumentTitle) == (
        *("VERIFIED", "Cephalometric report, reviewed and signed"),
    )
    assert found["OT"].DerivationDescription.endswith("Reviewed and signed.")
    assert len({each.SeriesInstanceUID for each in archive.held}) == 4
    revision = json.loads((results / "reviews" / "a.dcm" / "0001.json").read_text(encoding="utf-8"))
    stamp = "".join(sign for sign in revision["saved_at"][:19] if sign.isdigit())
    assert {each.InstanceCreationDate + each.InstanceCreationTime[:6] for each in archive.held} == {stamp}


def test_several_servers_send_each_object_once(results: Path, films: Path, archive: Archive) -> None:
    archive.start()
    services = [ReviewService(results, [films], **to(archive)) for _ in range(3)]
    try:
        film = next(each for each in services[0].films.all() if each.detection.file == "a.dcm")
        services[0].sign(film, Sign(based_on=0, reviewer="Dr. Example"))
        assert services[1].sending is not None
        wait_until(lambda: services[1].delivery(film)["state"] == "sent", SECONDS, "the film is sent")
    finally:
        for service in services:
            service.close()
    assert len(archive.held) == 2
    assert [event for event, *_ in events(results)] == ["signed", "sent", "sent"]
    assert ResultFilms(results, [films]).all()
    assert RevisionStore(results / "reviews").final("a.dcm")
