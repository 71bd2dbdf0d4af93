"""Nodes, PACSs and senders for tests: real processes on the loopback interface."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pydicom
import yaml
from pydicom import Dataset
from pynetdicom import AE

from monai_ceph.datasets.phantom.dicom import save_dicom

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
ORTHANC = shutil.which("Orthanc")
DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
SR = "1.2.840.10008.5.1.4.1.1.88.33"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: Callable[[], Any], seconds: float = 120) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := what():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def film(number: int, level: int | None = None, **changes: Any) -> Dataset:
    """Return a small DX film; equal numbers are equal films. With a level, every pixel has it."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"film-{os.getpid()}-{number}.dcm"
    pixels = np.random.default_rng(number).integers(0, 4096, (48, 40)).astype(np.uint16)
    save_dicom(path, pixels if level is None else np.full_like(pixels, level), 0.1, number)
    dataset = pydicom.dcmread(path)
    path.unlink()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{number}.1", f"1.2.3.{number}.2"
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = changes.get(
        "SOPInstanceUID", f"1.2.3.{number}.3"
    )
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return a configuration for tests: one target that nobody listens on, short pauses."""
    target = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": free_port(), "timeout_s": 10}
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": free_port(),
        "folder": str(folder / "node"),
        "accept": {"calling_ae_titles": ["SENDER", "ORTHANC"], "timeout_s": 10},
        "spool": {"min_free_mb": 0},
        "detect": {"device": "cpu"},
        "targets": {"dicom": [target]},
        "retry": {"first_s": 0.2, "longest_s": 0.5},
    }
    return {**values, **changes}


class RunningNode:
    """A node in a process of its own.

    Args:
        folder: for its configuration and log.
        values: the configuration.
        command: another program than ``stand_in.py``.
        seconds: that its detector takes for a film.
        limits: constants of modules in `monai_ceph.pacs`, such as ``receiver._EXHAUSTED_SECONDS=2``.

    Attributes:
        port: its DIMSE port.
        log: what it said, a line of JSON for each event.
    """

    def __init__(
        self, folder: Path, values: dict[str, Any], *command: str, seconds: float = 0, limits: Sequence[str] = ()
    ) -> None:
        self.port, self.folder = int(values["port"]), Path(values["folder"])
        self.http_port = int((values.get("http") or {}).get("port", 0))
        self.config, self.log = folder / "node.yaml", folder / "node.log"
        self.config.write_text(yaml.safe_dump(values))
        stand_in = (str(HERE / "stand_in.py"), str(self.config), str(seconds), *limits)
        self._command = [sys.executable, *(command or stand_in)]
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start it."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)
        return self.process

    def start(self) -> None:
        """Start it, and wait until it listens."""
        process = self.spawn()
        wait_until(lambda: listens(self.port) or process.poll() is not None, 240)
        assert process.poll() is None, self.log.read_text()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in order."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what it said of an event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def wait_for(self, name: str, count: int = 1, seconds: float = 120) -> list[dict[str, Any]]:
        """Wait until an event was said so often."""
        try:
            wait_until(lambda: len(self.events(name)) >= count, seconds)
        except AssertionError as error:
            raise AssertionError(f"{name}: {self.log.read_text()}") from error
        return self.events(name)


@contextmanager
def running(
    folder: Path, values: dict[str, Any], *command: str, seconds: float = 0, limits: Sequence[str] = ()
) -> Iterator[RunningNode]:
    """Run a node, and kill it in the end."""
    node = RunningNode(folder, values, *command, seconds=seconds, limits=limits)
    node.start()
    try:
        yield node
    finally:
        node.kill()


@contextmanager
def associated(
    port: int, *contexts: str, calling: str = "SENDER", called: str = "CEPH", **options: Any
) -> Iterator[Any]:
    """Open an association for some SOP classes, and release it."""
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for context in contexts:
        entity.add_requested_context(context)
    association = entity.associate("127.0.0.1", port, ae_title=called, **options)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(port: int, *datasets: Dataset, **options: Any) -> list[int | None]:
    """Send objects on one association; return the status of each, None if the association ended."""
    contexts = {str(dataset.SOPClassUID) for dataset in datasets}
    with associated(port, *contexts, **options) as association:
        if not association.is_established:
            return [None] * len(datasets)
        answers: list[int | None] = []
        for dataset in datasets:
            try:
                answers.append(association.send_c_store(dataset).get("Status"))
            except (RuntimeError, ValueError):
                answers.append(None)
        return answers


class SmallDisk:
    """A file system of its own for a folder, in memory, that can be filled to the last byte.

    Args:
        folder: where it is mounted.
        megabytes: how much it holds.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder, self._filler = folder, folder / "filler"
        folder.mkdir(parents=True)
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
        subprocess.run(["mount", *options], check=True, capture_output=True)

    @staticmethod
    def can_be_made() -> bool:
        """Whether this process may mount anything; root may, unless it is in a container."""
        return (
            shutil.which("unshare") is not None
            and not subprocess.run(
                ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
            ).returncode
        )

    def fill(self, leave_bytes: int = 0) -> None:
        """Leave nothing free, or so much."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            # a last write that does not fit writes what fits
            while file.write(bytes(2**16)):
                pass
        if leave_bytes:
            os.truncate(self._filler, self._filler.stat().st_size - leave_bytes)

    def empty(self) -> None:
        """Give all of it back."""
        self._filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, even if a file in it is open."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Have a small disk, and take it away in the end."""
    disk = SmallDisk(folder, megabytes)
    try:
        yield disk
    finally:
        disk.unmount()


class Orthanc:
    """Debian's Orthanc, with the configuration of the documentation but for ports and folders.

    Args:
        folder: for its database.
        node_port: where it finds the node, as the modality ``ceph``.
        forwards: it sends films to the node by itself.
    """

    def __init__(self, folder: Path, node_port: int, forwards: bool = False) -> None:
        self.port, self.http_port = free_port(), free_port()
        self._folder = folder
        folder.mkdir(exist_ok=True)
        documented = json.loads((DEPLOY / "orthanc.json").read_text())
        config = {
            **documented,
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "DicomModalities": {**documented["DicomModalities"], "ceph": ["CEPH", "127.0.0.1", node_port]},
            "SaveJobs": False,
        }
        if forwards:
            config["PythonScript"] = str(DEPLOY / "orthanc_forward.py")
        else:
            del config["PythonScript"]
            config["Plugins"] = [str(DICOM_WEB)] if DICOM_WEB.exists() else []
        (folder / "orthanc.json").write_text(json.dumps(config))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of its DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert ORTHANC is not None
        with (self._folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen([ORTHANC, str(self._folder / "orthanc.json")], stdout=log, stderr=log)
        wait_until(self._answers, 60)

    def _answers(self) -> bool:
        try:
            return bool(self.get("/system")) and listens(self.port)
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        """End it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Let it answer nothing, without closing anything."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def get(self, path: str) -> Any:
        """Return what its REST interface says."""
        with urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: Any) -> Any:
        """Send something to its REST interface."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with urlopen(Request(f"http://127.0.0.1:{self.http_port}{path}", data=data), timeout=60) as answer:
            return json.loads(answer.read())

    def instances(self) -> dict[str, list[str]]:
        """Return the SOP Instance UIDs that it holds, by modality."""
        found: dict[str, list[str]] = {}
        for series in self.get("/series?expand"):
            modality = series["MainDicomTags"].get("Modality", "")
            for instance in self.get(f"/series/{series['ID']}/instances"):
                found.setdefault(modality, []).append(instance["MainDicomTags"]["SOPInstanceUID"])
        return found


@contextmanager
def orthanc(folder: Path, node_port: int, forwards: bool = False) -> Iterator[Orthanc]:
    """Run an Orthanc, and kill it in the end."""
    pacs = Orthanc(folder, node_port, forwards)
    pacs.start()
    try:
        yield pacs
    finally:
        pacs.kill()


@contextmanager
def running_loop(loop: Any) -> Iterator[threading.Thread]:
    """Run a loop of the node in a thread, and end it."""
    ended = threading.Event()
    thread = threading.Thread(target=loop.run, args=(ended,))
    thread.start()
    try:
        yield thread
    finally:
        ended.set()
        if hasattr(loop, "wake"):
            loop.wake.set()
        thread.join()
