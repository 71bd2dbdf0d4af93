from __future__ import annotations

import os
import socket
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.errors import CephError
from monai_ceph.labelling.server import ServerOptions, serve
from monai_ceph.web.loopback import is_loopback


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server sets variables for the processes that it starts."""
    before = dict(os.environ)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Namespace]:
    """The arguments with which MONAI Label would be started; it is not started."""
    pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")
    from monai_ceph.labelling import shims  # noqa: F401

    # isort: split
    from monailabel.main import Main

    seen: list[Namespace] = []
    monkeypatch.setattr(Main, "action_start_server", lambda self, arguments: seen.append(arguments))
    return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.4", "pacs.example", "localhost.example")),
    ],
)
def test_loopback_addresses_are_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_on_loopback_there_is_no_warning(started: list[Namespace], tmp_path: Path) -> None:
    said: list[str] = []
    serve(ServerOptions(str(tmp_path), port=free_port(), work=tmp_path / "w"), said.append)
    assert (said, started[0].host) == ([], "127.0.0.1")
    assert started[0].uvicorn_app == "monai_ceph.labelling.web:app"
    assert (tmp_path / "w").stat().st_mode & 0o077 == 0
    assert os.environ["MONAI_CEPH_LABEL_HOSTS"].split(",") == ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize("authentication", [False, True])
def test_on_other_addresses_it_warns_without_authentication(
    started: list[Namespace], tmp_path: Path, authentication: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monailabel.config import settings

    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", authentication)
    said: list[str] = []
    # the port is only checked, nothing listens on it
    serve(ServerOptions(str(tmp_path), host="0.0.0.0", port=free_port(), work=tmp_path / "w"), said.append)
    assert ["authentication is off" in text for text in said] == ([] if authentication else [True])
    assert os.environ["MONAI_CEPH_LABEL_HOSTS"] == ""


def test_leftover_uploads_are_removed(started: list[Namespace], tmp_path: Path) -> None:
    options = ServerOptions(str(tmp_path), port=free_port(), work=tmp_path / "w")
    serve(options, print)
    left = tmp_path / "w" / "tmp" / "upload.dcm"
    left.write_text("a patient")
    serve(options, print)
    assert not left.exists()


@pytest.mark.parametrize("name", ["main.py", "tmp/film.dcm"])
def test_a_working_folder_with_foreign_files_is_refused(started: list[Namespace], tmp_path: Path, name: str) -> None:
    mine = tmp_path / "w" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("print('mine')")
    with pytest.raises(CephError, match=r"w/(main\.py: not written|tmp: contains files).* another folder with --work"):
        serve(ServerOptions(str(tmp_path), port=free_port(), work=tmp_path / "w"), print)
    assert mine.read_text() == "print('mine')"
    assert not started


def test_options_reach_the_app(started: list[Namespace], tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.json"
    options = ServerOptions(
        "https://pacs.example/dicom-web",
        port=free_port(),
        work=tmp_path / "w",
        modalities=("DX", "OT"),
        device="cpu",
        overlays=(overlay,),
        origins=("http://localhost:3000",),
        review_url="https://review.clinic.example/",
    )
    serve(options, print)
    assert dict(started[0].conf) == {
        "device": "cpu",
        "modalities": "DX,OT",
        "overlays": str(overlay),
        "review_url": "https://review.clinic.example/",
    }
    assert os.environ["MONAI_CEPH_LABEL_ORIGINS"] == "http://localhost:3000"


def test_each_store_has_its_own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = {ServerOptions(name).working_folder() for name in ("a", "b", "http://p/dicom-web", "http://p/dicom-web/")}
    assert len(folders) == 3
    assert all(folder.is_relative_to(tmp_path / "monai-ceph" / "label") for folder in folders)


class TestBadOptions:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

    def test_a_folder_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match=r"--studies .*nothing: neither a folder"):
            serve(ServerOptions(str(tmp_path / "nothing"), work=tmp_path), print)

    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(CephError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
                serve(ServerOptions(str(tmp_path), port=port, work=tmp_path), print)

    def test_an_address_that_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match="--review-url javascript:1: not an address"):
            serve(ServerOptions(str(tmp_path), work=tmp_path, review_url="javascript:1"), print)

    def test_a_certificate_without_a_key(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match="go together"):
            serve(ServerOptions(str(tmp_path), work=tmp_path, key=tmp_path / "key.pem"), print)


def test_without_monai_label_the_command_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_ceph.labelling.server.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["label", "--studies", str(tmp_path)])
    assert result.exit_code == 2
    assert "MONAI Label is not installed. Run `make label`" in result.output


def test_the_command_line_does_not_import_monai_label() -> None:
    import subprocess

    code = "import sys, monai_ceph.cli; print('monailabel' in sys.modules, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
