from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.pacs.config import HttpConfig
from monai_ceph.pacs.config_file import read_config
from monai_ceph.pacs.health import is_alive

DEPLOY = Path(__file__).parents[2] / "deploy"


class Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_node_that_answers(host: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # a proxy knows nothing about the node
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert is_alive(HttpConfig(host=host, port=port, token="t")) is None


def test_a_node_that_does_not(closed_port: int) -> None:
    problem = is_alive(HttpConfig(port=closed_port))
    assert problem is not None
    assert problem.startswith(f"127.0.0.1 port {closed_port}: no node answers (")


def test_another_status(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "status", 500)
    assert is_alive(HttpConfig(port=port)) == f"127.0.0.1 port {port}: the answer is 500"


def test_the_command_follows_the_configuration(tmp_path: Path, port: int, closed_port: int) -> None:
    for module in ("pynetdicom", "dicomweb_client", "fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(module, reason="the extra pacs is not installed (make optional)")
    config = yaml.safe_load((DEPLOY / "node.yaml").read_text())
    codes = []
    for http in ({"port": port}, {"port": closed_port}, None):
        (tmp_path / "node.yaml").write_text(yaml.safe_dump(config | {"http": http, "folder": str(tmp_path)}))
        done = CliRunner().invoke(app, ["node", "health", "--config", str(tmp_path / "node.yaml")])
        codes.append(done.exit_code)
    assert codes == [0, 1, 2]
    assert "node.yaml: without http, a node cannot be asked" in done.output


def test_the_composition_has_a_configuration_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composition = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    text = composition["configs"]["node"]["content"]
    # Compose makes one dollar of two
    (tmp_path / "node.yaml").write_text(text.replace("$$", "$"))
    monkeypatch.setenv("TOKEN", "secret")
    settings = read_config(tmp_path / "node.yaml")
    assert settings.http is not None
    published = composition["services"]["node"]["ports"]
    assert f"{settings.port}:{settings.port}" in published
    assert f"127.0.0.1:{settings.http.port}:{settings.http.port}" in published
    volume = composition["services"]["node"]["volumes"][0].partition(":")[2]
    assert str(settings.folder) == volume
    assert f'VOLUME ["{volume}"]' in (DEPLOY / "Containerfile").read_text()
