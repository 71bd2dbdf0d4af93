"""Signed films go to a FHIR server as final reports; what it does not confirm is kept, and no old one comes late."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicom_films import detection_on

pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
from fhir_server import FhirServer, fhir_serving
from review_server import Serve, ids, send
from servers import wait_until
from typer.testing import CliRunner

from monai_ceph.archives.urls import senders_of
from monai_ceph.cli import app
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.fhir_bundle import save_fhir
from monai_ceph.review.audit import AUDIT, entries
from monai_ceph.review.models import Point, Save, Sign
from monai_ceph.review.outbox import Outbox
from monai_ceph.review.service import ReviewService


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with fhir_serving(FhirServer()) as running:
        yield running


def url(server: FhirServer) -> str:
    return server.url.replace("http://", "fhir+http://")


@pytest.fixture
def service(results: Path, films: Path) -> ReviewService:
    """A review without targets: signatures wait for the command."""
    return ReviewService(results, [films])


def sign(service: ReviewService, reviewer: str = "Dr. Example", **moved: tuple[float, float] | None) -> None:
    film = next(each for each in service.films.all() if each.detection.file == "a.dcm")
    before = service.current(film)
    points = {point.symbol: point for point in before.points}
    for symbol, place in moved.items():
        x, y = place or (None, None)
        points[symbol] = Point(symbol=symbol, x=x, y=y, source="absent" if place is None else "human")
    saved = service.save(film, Save(based_on=before.revision, reviewer=reviewer, points=tuple(points.values())))
    service.sign(film, Sign(based_on=saved.revision, reviewer=reviewer))


def command(service: ReviewService, films: Path, *to: object) -> tuple[int, str]:
    targets = [word for target in to for word in ("--to", str(target))]
    done = CliRunner().invoke(app, ["review", "send", str(service.results), "--films", str(films), *targets])
    return done.exit_code, done.output


def by_code(server: FhirServer) -> dict[str, dict[str, Any]]:
    return {each["code"]["coding"][0]["code"]: each for each in server.of_kind("Observation")}


def events(service: ReviewService) -> list[tuple[str, str]]:
    found = entries(service.results / "reviews" / AUDIT)
    return [(each["event"], each["kind"]) for each in found if "kind" in each]


def kept(service: ReviewService) -> list[str]:
    return sorted(path.name for path in (service.results / "reviews" / ".outbox").rglob("0???.*.*"))


def test_a_signed_film_takes_the_place_of_the_preliminary_report(
    serve: Serve, service: ReviewService, results: Path, films: Path, server: FhirServer, tmp_path: Path
) -> None:
    """With the page: it says what became of the bundle."""
    save_fhir(tmp_path / "a.json", detection_on(file="a.dcm"), source_header(films / "a.dcm"))
    (sender,) = senders_of([url(server)]).values()
    with sender.open() as post:
        assert post(tmp_path / "a.json").taken
    (before,) = server.of_kind("DiagnosticReport")
    sign(service, N=(40.0, 62.5))
    address = serve(results, [films], senders=senders_of([url(server)]))
    film = f"{address}/api/films/{ids(address)['a.dcm']}"
    assert send(f"{film}/send", "POST").status == 200
    wait_until(lambda: send(f"{film}/delivery").json["state"] == "sent", 30, "the bundle is sent")
    (report,) = server.of_kind("DiagnosticReport")
    assert (before["status"], report["status"]) == ("preliminary", "final")
    assert report["identifier"][:1] == before["identifier"]
    assert report["resultsInterpreter"] == [{"display": "Dr. Example"}]
    observations = server.of_kind("Observation")
    assert {each["status"] for each in observations} == {"final"}
    assert {each["issued"] for each in observations} == {report["issued"]}
    assert all(each["performer"] == [{"display": "Dr. Example"}] for each in observations)
    (shown,) = send(f"{film}/delivery").json["objects"]
    assert (shown["kind"], shown["state"], shown["attempts"]) == ("fhir", "sent", 1)
    assert report["identifier"][0]["value"] == f"urn:oid:{shown['uid']}"
    assert (events(service), kept(service)) == ([("sent", "fhir")], [])


def test_a_server_that_is_down_gets_it_later(service: ReviewService, films: Path, server: FhirServer) -> None:
    server.status = 503
    sign(service)
    code, said = command(service, films, url(server))
    assert (code, "(fhir) to" in said, "HTTP 503" in said) == (1, True, True), said
    assert kept(service) == ["0002.fhir.json"]
    server.status = None
    assert command(service, films, url(server)) == (0, "1 of 1 signed films are confirmed\n")
    assert events(service) == [("not_sent", "fhir"), ("sent", "fhir")]
    count = len(server.logins)
    assert command(service, films, url(server))[0] == 0
    assert len(server.logins) == count


def test_an_answer_that_proves_nothing_is_no_confirmation(
    service: ReviewService, films: Path, server: FhirServer
) -> None:
    server.change = lambda answer: {**answer, "entry": answer["entry"][1:]}
    sign(service)
    code, said = command(service, films, url(server))
    assert (code, "the answer is about" in said) == (1, True), said
    assert kept(service) == ["0002.fhir.json"]


def test_an_old_version_never_comes_after_a_new_one(service: ReviewService, films: Path, server: FhirServer) -> None:
    server.status = 503
    sign(service, "Dr. First")
    assert command(service, films, url(server))[0] == 1
    sign(service, "Dr. Second", N=(40.0, 62.5))
    assert command(service, films, url(server))[0] == 1
    assert kept(service) == ["0004.fhir.json"]
    outbox = Outbox(service.results / "reviews" / ".outbox")
    assert [(each.revision, each.state) for each in outbox.parcels()] == [(2, "replaced"), (4, "waiting")]
    # as a restored outbox may have it: the promise of the old version is still there, and its turn comes last
    outbox.promise("a.dcm", 2, [url(server)])
    outbox.close()
    server.status = None
    assert command(service, films, url(server)) == (0, "1 of 1 signed films are confirmed\n")
    (report,) = server.of_kind("DiagnosticReport")
    assert report["resultsInterpreter"] == [{"display": "Dr. Second"}]
    assert report["status"] == "amended"
    assert kept(service) == []


def test_what_is_not_measured_any_more_is_withdrawn(service: ReviewService, films: Path, server: FhirServer) -> None:
    sign(service, A=None)
    assert command(service, films, url(server))[0] == 0
    first = by_code(server)
    assert (first["SNA"]["status"], "valueQuantity" in first["SNA"]) == ("cancelled", False)
    assert first["SNA"]["dataAbsentReason"] == {"text": "missing: A"}
    assert (first["SNB"]["status"], first["ANSMe"]["status"]) == ("final", "final")
    # what nobody ever measured is not there
    assert "IMPA" not in first
    sign(service, B=None)
    assert command(service, films, url(server))[0] == 0
    second = by_code(server)
    # its interval follows from the size of the head, and that from all landmarks
    assert [second[name]["status"] for name in ("SNA", "SNB", "ANSMe")] == ["cancelled", "entered-in-error", "amended"]
    (report,) = server.of_kind("DiagnosticReport")
    there = [each for each in second.values() if each["status"] in ("final", "amended")]
    assert len(report["result"]) == len(there) < len(second)


def test_a_later_version_is_amended_and_names_the_one_before(
    service: ReviewService, films: Path, server: FhirServer
) -> None:
    sign(service, "Dr. First")
    assert command(service, films, url(server))[0] == 0
    (first,) = server.of_kind("DiagnosticReport")
    before = by_code(server)
    sign(service, "Dr. Second", N=(40.0, 62.5))
    assert command(service, films, url(server))[0] == 0
    (second,) = server.of_kind("DiagnosticReport")
    assert (first["status"], second["status"]) == ("final", "amended")
    # the same report, but another version of it
    assert first["identifier"][0] == second["identifier"][0]
    assert first["identifier"][1] != second["identifier"][1]
    (replaced,) = (each["valueReference"] for each in second["extension"])
    assert replaced["identifier"] == first["identifier"][1]
    assert replaced["display"] == f"the version that Dr. First signed on {first['issued']}"
    after = by_code(server)
    said = {name: [each.get(key) for key in ("valueQuantity", "component")] for name, each in before.items()}
    changed = {
        name for name, each in after.items() if [each.get(key) for key in ("valueQuantity", "component")] != said[name]
    }
    assert {"SNA", "SNB"} <= changed < set(after)
    assert {name: each["status"] for name, each in after.items()} == {
        name: "amended" if name in changed else "final" for name in after
    }


def test_the_fhir_target_of_a_node(service: ReviewService, films: Path, server: FhirServer, tmp_path: Path) -> None:
    values = {"folder": "node", "accept": {"calling_ae_titles": "any"}}
    values["targets"] = {"fhir": [{"name": "records", "url": server.url, "token": "t"}]}  # type: ignore[assignment]
    # the file is JSON, which is YAML as well
    (tmp_path / "node.yaml").write_text(json.dumps(values))
    sign(service)
    assert command(service, films, tmp_path / "node.yaml") == (0, "1 of 1 signed films are confirmed\n")
    assert server.logins == ["Bearer t"]
    (sent,) = (each for each in entries(service.results / "reviews" / AUDIT) if each["event"] == "sent")
    assert (sent["target"], sent["kind"]) == ("records", "fhir")


def test_it_needs_the_extra(service: ReviewService, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "fhir" else find(name, *more))
    code, said = command(service, films, "fhir://records.example/fhir")
    assert (code, "pip install 'monai-ceph[fhir]'" in said.replace("\n", " ")) == (2, True), said
