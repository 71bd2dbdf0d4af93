"""Context managers that run real servers on loopback, on free ports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def orthanc_is_there() -> bool:
    return shutil.which("Orthanc") is not None and ORTHANC_PLUGIN.is_file()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except URLError as error:
        # a status is an answer, too
        return hasattr(error, "code")
    except OSError:
        return False


def call(
    url: str, method: str, path: str, content: dict[str, Any] | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Send any request with any header, also ones that no client sends. Return status, text and headers."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=600)
    headers |= {} if content is None else {"Content-Type": "application/json"}
    connection.request(method, path, None if content is None else json.dumps(content), headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), {key.lower(): value for key, value in answer.getheaders()}


def wait_until(done: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)


@contextmanager
def _running(command: list[str], url: str, log: Path, env: dict[str, str] | None = None) -> Iterator[str]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=log.parent)
    try:
        wait_until(lambda: process.poll() is not None or answers(url), START_SECONDS, f"{command[0]} answers")
        assert process.poll() is None, f"{command} ended:\n{log.read_text()[-3000:]}"
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def label_server(studies: str, folder: Path, *options: str, **env: str) -> Iterator[str]:
    """Start ``monai-ceph label`` and yield its URL; it works in ``folder/app`` and logs to ``folder/label.log``."""
    port = free_port()
    command = [sys.executable, "-m", "monai_ceph", "label", "--studies", studies, "--work", str(folder / "app")]
    paths = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths, **env}
    arguments = [*command, "--port", str(port), "--device", "cpu", *options]
    with _running(arguments, f"http://127.0.0.1:{port}", folder / "label.log", environment) as url:
        yield url


@contextmanager
def orthanc(folder: Path) -> Iterator[str]:
    """Start Orthanc with DICOMweb and yield its URL. It cannot bind to loopback, so other machines get 403."""
    port = free_port()
    config = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(ORTHANC_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(config))
    url = f"http://127.0.0.1:{port}"
    with _running(["Orthanc", str(file)], f"{url}/system", folder / "orthanc.log"):
        yield url


def store_in_orthanc(url: str, film: Path) -> None:
    with urlopen(Request(f"{url}/instances", data=film.read_bytes(), method="POST"), timeout=30) as answer:
        assert json.load(answer)["Status"] == "Success"
