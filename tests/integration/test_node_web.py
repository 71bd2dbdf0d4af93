"""The page and the metrics of a node, over HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest
import yaml

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
from nodes import RunningNode, film, free_port, listens, running, send, settings, wait_until
from prometheus_client.parser import text_string_to_metric_families

from monai_ceph.pacs.folder import LEDGER

TOKEN = "hush-hush"


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def ask(port: int, path: str, post: bool = False, **headers: str) -> tuple[int, str]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"http://127.0.0.1:{port}{path}", data=b"" if post else None, headers=names)
    try:
        with build_opener(NoRedirect).open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[RunningNode]:
    """A node with a dead letter, a film for a target that does not answer, and an archive that does not either."""
    sources = {"dicomweb": [{"name": "archive", "url": f"http://127.0.0.1:{free_port()}", "every_s": 1}]}
    values = settings(folder, http={"host": "127.0.0.1", "port": free_port()}, sources=sources)
    with running(folder, values) as node:
        assert send(node.port, film(1, level=1), film(2, PatientName="Zyxwv^Anna")) == [0, 0]
        node.wait_for("dead")
        node.wait_for("target failed", 2)
        node.wait_for("source failed")
        yield node


@pytest.fixture(scope="module")
def port(node: RunningNode) -> int:
    return int(yaml.safe_load(node.config.read_text())["http"]["port"])


def test_health_and_ready(port: int) -> None:
    assert ask(port, "/health") == (200, '{"status":"ok"}')
    code, text = ask(port, "/ready")
    said = json.loads(text)
    assert (code, said["problems"], said["warnings"]) == (200, [], ["target pacs fails", "source archive fails"])


def test_metrics(port: int) -> None:
    code, text = ask(port, "/metrics")
    assert code == 200
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["monai_ceph_films", "dead"] == 1
    assert values["monai_ceph_films", "detected"] == 1
    assert values["monai_ceph_pending_objects", "pacs"] == 2
    assert values["monai_ceph_target_failures", "pacs"] >= 2
    assert values["monai_ceph_source_failures", "archive"] >= 1
    assert values["monai_ceph_film_seconds_count",] == 0
    assert (values["monai_ceph_problems",], values["monai_ceph_warnings",]) == (0, 2)
    assert values["monai_ceph_associations_limit",] == 20
    assert 0 < values["monai_ceph_open_files",] < values["monai_ceph_open_files_limit",]
    assert values["monai_ceph_spool_free_bytes",] > 0


def test_the_page_shows_only_uids_of_films(port: int) -> None:
    code, page = ask(port, "/")
    assert code == 200
    causes = ("rejected: not a lateral cephalogram", "no association with PACS", "archive: no answer")
    for text in ("1.2.3.1.3", "1.2.3.2.3", "SENDER", *causes):
        assert text in page
    assert "Zyxwv" not in page + ask(port, "/status")[1]
    assert json.loads(ask(port, "/status")[1])["counts"] == {"dead": 1, "detected": 1}


def test_retry(port: int, node: RunningNode) -> None:
    assert ask(port, "/films/1/retry", post=True, sec_fetch_site="cross-site")[0] == 403
    assert ask(port, "/films/2/retry", post=True)[0] == 404
    assert ask(port, "/films/999/retry", post=True)[0] == 404
    assert ask(port, "/films/x/retry", post=True)[0] == 422
    assert ask(port, f"/films/{2**70}/retry", post=True)[0] == 422
    assert ask(port, "/films/1/retry", post=True, sec_fetch_site="same-origin")[0] == 303
    # the same film is no more a cephalogram than before
    node.wait_for("dead", 2)
    wait_until(lambda: json.loads(ask(port, "/status")[1])["counts"]["dead"] == 1)


def test_a_retry_of_a_removed_dead_letter_is_404(port: int, node: RunningNode) -> None:
    wait_until(lambda: list((node.folder / "dead").glob("*/film.dcm")))
    (letter,) = (node.folder / "dead").iterdir()
    shutil.rmtree(letter)
    message = "the files of this dead letter were removed, so it cannot be retried"
    answer = ask(port, "/films/1/retry", post=True)
    assert answer == (404, json.dumps({"detail": message}, separators=(",", ":")))
    assert json.loads(ask(port, "/status")[1])["counts"]["dead"] == 1
    assert list((node.folder / "dead").iterdir()) == []


@pytest.mark.parametrize("header", ["origin", "referer"])
def test_a_page_of_another_site_without_fetch_metadata(port: int, header: str, node: RunningNode) -> None:
    """Browsers send none to a page without TLS that is not on this machine."""
    for page in ("http://evil.example", "http://evil.example/page", "null", f"http://127.0.0.1:{port + 1}"):
        assert ask(port, "/films/999/retry", post=True, **{header: page})[0] == 403
    assert ask(port, "/films/999/retry", post=True, **{header: f"http://127.0.0.1:{port}"})[0] == 404
    assert node.events("retry refused")


def test_other_host_names_are_refused(port: int) -> None:
    assert ask(port, "/", host="evil.example")[0] == 400


def test_a_token(tmp_path: Path) -> None:
    port = free_port()
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": port, "token": TOKEN})
    values["spool"]["min_free_mb"] = 10**9
    with running(tmp_path, values) as node:
        wait_until(lambda: listens(port))
        basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
        for path in ("/", "/status", "/metrics"):
            assert ask(port, path)[0] == 401
            assert ask(port, path, authorization="Bearer wrong")[0] == 401
            assert ask(port, path, authorization="Basic ~~~")[0] == 401
            assert ask(port, path, authorization=f"Bearer {TOKEN}")[0] == 200
            assert ask(port, path, authorization=f"Basic {basic}")[0] == 200
        assert ask(port, "/films/1/retry", post=True)[0] == 401
        assert ask(port, "/health")[0] == 200
        # no room: films are refused, and the node says so
        code, text = ask(port, "/ready")
        assert code == 503
        assert "MB are free" in text
        assert TOKEN not in node.log.read_text()
        refused = node.events("login refused")
        assert {each["path"] for each in refused} == {"/", "/status", "/metrics", "/films/1/retry"}
        assert {each["address"] for each in refused} == {"127.0.0.1"}
        assert all(line.startswith("{") for line in node.log.read_text().splitlines())


def test_a_token_beyond_ascii(tmp_path: Path) -> None:
    token, port = "schlüssel-ключ-鍵", free_port()
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": port, "token": token})
    with running(tmp_path, values):
        wait_until(lambda: listens(port))
        # as curl sends it: a header is bytes
        bearer = f"Bearer {token}".encode().decode("latin-1")
        assert ask(port, "/status", authorization=bearer)[0] == 200
        basic = base64.b64encode(f"anybody:{token}".encode()).decode()
        assert ask(port, "/status", authorization=f"Basic {basic}")[0] == 200
        assert ask(port, "/status", authorization="Bearer schl\xfcssel")[0] == 401


def test_a_ledger_that_cannot_be_read(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, settings(tmp_path, http={"host": "127.0.0.1", "port": port})) as node:
        wait_until(lambda: listens(port))
        connection = sqlite3.connect(node.folder / LEDGER, timeout=20)
        connection.execute("DROP TABLE films")
        connection.close()
        message = "the ledger cannot be read or written"
        assert ask(port, "/ready") == (503, json.dumps({"problems": [message], "warnings": []}, separators=(",", ":")))
        for path in ("/", "/status", "/metrics"):
            assert ask(port, path) == (503, json.dumps({"detail": message}, separators=(",", ":")))
        assert ask(port, "/films/1/retry", post=True)[0] == 503
        assert ask(port, "/health")[0] == 200


def test_a_port_that_is_taken(tmp_path: Path, port: int) -> None:
    values = settings(tmp_path, http={"host": "127.0.0.1", "port": port})
    node = RunningNode(tmp_path, values)
    try:
        node.start()
        assert node.process is not None
        assert node.process.wait(timeout=60) == 1
    except AssertionError:  # it ended before it was seen to listen
        pass
    assert f"the port {port} of the page cannot be used" in node.log.read_text()
