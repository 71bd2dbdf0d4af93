"""A node's FHIR target: a real HTTP server that takes transactions as strictly as R4 says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicom_films import detection_on
from dicom_films import film as header

pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from fhir_server import FhirServer, fhir_serving
from nodes import film, running, send, settings, wait_until

from monai_ceph.archives.config import FhirTarget
from monai_ceph.archives.fhir import FhirSender
from monai_ceph.archives.stow import Answer, TargetError
from monai_ceph.reports.fhir_bundle import save_fhir


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with fhir_serving(FhirServer()) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fhir") / "a.json"
    save_fhir(path, detection_on(), header())
    return path


def post(server: FhirServer, bundle: Path, **changes: Any) -> Answer:
    with FhirSender(FhirTarget.model_validate({"name": "fhir", "url": server.url, **changes})).open() as send_one:
        answer = send_one(bundle)
        assert isinstance(answer, Answer)
        return answer


def test_twice_is_once(server: FhirServer, bundle: Path) -> None:
    count = len(json.loads(bundle.read_text())["entry"])
    assert post(server, bundle) == Answer(True, f"{count} of {count} resources created, the others were there")
    assert post(server, bundle) == Answer(True, f"0 of {count} resources created, the others were there")
    assert len(server.resources) == count


def test_a_login(server: FhirServer, bundle: Path) -> None:
    assert post(server, bundle, token="t").taken
    assert post(server, bundle, username="u", password="p").taken
    assert server.logins == ["Bearer t", "Basic dTpw"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda answer: {}, "the answer is not one to a transaction"),
        (lambda answer: {**answer, "type": "batch-response"}, "the answer is not one to a transaction"),
        (lambda answer: {**answer, "entry": answer["entry"][1:]}, "the answer is about "),
        (lambda answer: {**answer, "entry": [*answer["entry"][1:], {"response": {"status": "422"}}]}, "status 422"),
        (lambda answer: {**answer, "entry": [*answer["entry"][1:], {}]}, "a resource has the status none"),
    ],
    ids=["empty", "batch", "too few", "refused", "no status"],
)
def test_only_the_whole_answer_counts(server: FhirServer, bundle: Path, change: Any, said: str) -> None:
    server.change = change
    answer = post(server, bundle)
    assert not answer.taken
    assert said in answer.text


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_quotes_no_text(server: FhirServer, bundle: Path, status: int) -> None:
    server.status = status
    assert post(server, bundle) == Answer(False, f"HTTP {status} (business-rule)")


@pytest.mark.parametrize("status", [202, 302, 401, 404, 500, 503])
def test_a_server_that_takes_nothing(server: FhirServer, bundle: Path, status: int) -> None:
    server.status = status
    with pytest.raises(TargetError, match=f"HTTP {status}"):
        post(server, bundle)


def test_a_server_that_is_not_there(bundle: Path) -> None:
    gone = FhirServer()
    with fhir_serving(gone):
        pass
    with pytest.raises(TargetError, match="no answer: ConnectionError"):
        post(gone, bundle)


def test_a_node_sends_its_measurements(server: FhirServer, tmp_path: Path) -> None:
    """Refused first, then taken; the node was killed in between."""
    pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
    server.status = 503
    values = settings(tmp_path, targets={"fhir": [{"name": "fhir", "url": server.url}]})
    with running(tmp_path, values) as node:
        assert send(node.port, film(1, PatientID="4711")) == [0]
        node.wait_for("target failed")
        (waiting,) = (node.folder / "objects" / "fhir").iterdir()
        node.kill()
        server.status = None
        node.start()
        node.wait_for("sent")
        wait_until(lambda: not waiting.exists())
    (report,) = server.of_kind("DiagnosticReport")
    assert (report["status"], report["subject"]["identifier"]) == ("preliminary", {"value": "4711"})


def test_a_dead_letter_keeps_its_bundle(server: FhirServer, tmp_path: Path) -> None:
    from monai_ceph.pacs.config import NodeConfig
    from monai_ceph.pacs.folder import open_folder
    from monai_ceph.pacs.ledger_rows import Film
    from monai_ceph.pacs.spool import reference_of

    config = NodeConfig.model_validate(settings(tmp_path, targets={"fhir": [{"name": "fhir", "url": server.url}]}))
    spool, ledger = open_folder(config)
    save_fhir(spool.object("fhir", "key"), detection_on(), header())
    reference = reference_of(spool.object("fhir", "key"))
    letter = spool.dead / "key"
    spool._move_to_dead(Film(1, "1.2", "key", 0, "dead", 0, "x", None, None, None), letter)
    assert sorted(path.name for path in letter.iterdir()) == ["fhir.json", "reason.json"]
    assert spool.has_letter("key")
    assert reference_of(letter / "fhir.json") == reference
    assert spool._path_from_letter("fhir.json", "key") == spool.object("fhir", "key")
    ledger.close()
