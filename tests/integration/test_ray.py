"""Runs on a local Ray cluster whose actors are killed."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fakes import FakeDetector, save_film
from samples import noise, save_grey

from monai_ceph.batch import Options, Outcome, Summary, detect_films
from monai_ceph.detection import CephalogramDetector
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.work.film import FilmJob, Reading
from monai_ceph.work.ray_cluster import RayExecutor, _read
from monai_ceph.work.ray_connection import connect

FAKES = str(Path(__file__).parents[1] / "batch")

# not imported here: the executor tells Ray before how it may listen
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (make optional)")

FORMATS = frozenset({"csv", "json"})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """The cluster that a run without an address starts, for all runs of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", FAKES)
        # on a small machine Ray ends every process as soon as it is idle, and each new one imports everything again
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 8}')
        ray, own = connect(None)
        assert own
        yield ray
        ray.shutdown()


def ledger(out: Path, columns: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(out / "run.sqlite")
    rows = connection.execute(f"SELECT {columns} FROM films ORDER BY id").fetchall()
    connection.close()
    return rows


def run(paths: list[Path], out: Path, detector: Any, *, on_ray: bool, **options: Any) -> Summary:
    make = partial(RayExecutor, workers=options.pop("actors", 2), cpus=1, gpu=False) if on_ray else None
    on_film = options.pop("on_film", lambda name, outcome: None)
    settings = Options(formats=FORMATS, **options)
    return detect_films(paths, out, detector, settings, make_executor=make, on_film=on_film)


def result(path: Path) -> dict[str, Any]:
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}


def test_the_cluster_listens_on_the_loopback_interface_with_a_token(cluster: Any) -> None:
    assert {node["NodeManagerAddress"] for node in cluster.nodes()} == {"127.0.0.1"}
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_results_are_the_same_as_on_this_machine(cluster: Any, tmp_path: Path) -> None:
    """Also those that kill their worker, once or always, and those behind a URL."""
    films, cloud = tmp_path / "films", tmp_path / "cloud"
    for seed, name in enumerate(("a", "doubt", "reject", "explode", "once", "die"), start=1):
        save_film(films / f"{name}.dcm", seed)
    (films / "short.dcm").write_bytes((films / "a.dcm").read_bytes()[:900])
    save_film(cloud / "b.dcm", 9)
    # under the UID of a: the same image with another header, and another image
    uid = pydicom.dcmread(films / "a.dcm").SOPInstanceUID
    for name, seed in (("copy", 1), ("other", 10)):
        dataset = pydicom.dcmread(save_film(cloud / f"{name}.dcm", seed))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.StudyDescription = "exported twice"
        dataset.save_as(cloud / f"{name}.dcm")
    paths = [films, Path(f"file://{cloud}"), films / "nowhere.dcm"]
    for engine in ("local", "ray"):
        make = partial(FakeDetector, tmp_path / f"{engine}.log")
        run(paths, tmp_path / engine, make, on_ray=engine == "ray", workers=2)
    columns = "name, frame, uid, stem, state, cause, attempts"
    rows = ledger(tmp_path / "ray", columns)
    assert rows == ledger(tmp_path / "local", columns)
    states = {Path(row[0]).stem: row[4:] for row in rows}
    assert states["once"] == ("done", None, 2)
    assert states["die"] == ("failed", "failed: the process died twice while working on it", 2)
    assert states["explode"] == ("failed", "failed: RuntimeError: out of memory", 1)
    assert [row[4] for row in rows] == [
        "done",
        "failed",
        "uncertain",
        "failed",
        "done",
        "rejected",
        "failed",
        *["done"] * 3,
        "failed",
    ]
    errors = (tmp_path / "ray" / "errors.csv").read_text()
    assert errors.count(",clash: other pixels or another patient under the SOP Instance UID of ") == 2
    assert len((tmp_path / "ray" / "duplicates.csv").read_text().splitlines()) == 2
    for table in ("landmarks.csv", "errors.csv", "duplicates.csv"):
        assert (tmp_path / "ray" / table).read_text() == (tmp_path / "local" / table).read_text()
    files = sorted((tmp_path / "local" / "json").iterdir())
    assert [path.name for path in files] == sorted(path.name for path in (tmp_path / "ray" / "json").iterdir())
    for path in files:
        assert result(path) == result(tmp_path / "ray" / "json" / path.name)
    assert {path.name for path in (tmp_path / "ray").iterdir()} == {
        path.name for path in (tmp_path / "local").iterdir()
    }


def at_work() -> list[int]:
    """The processes that detect."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if path.read_bytes().startswith(b"ray::_Actor.finish"):
                found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
def test_no_film_is_lost_if_an_actor_is_killed(cluster: Any, tmp_path: Path) -> None:
    films = tmp_path / "films"
    for index in range(8):
        save_film(films / f"{index}.dcm", index)
    killed: list[int] = []

    def kill_one(name: str, outcome: Outcome | None) -> None:
        if not killed and (found := at_work()):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)

    make = partial(FakeDetector, tmp_path / "log", 0.3)
    summary = run([films], tmp_path / "out", make, on_ray=True, on_film=kill_one)
    assert summary.states == {"done": 8}
    assert len(killed) == 1
    assert sorted(row[0] for row in ledger(tmp_path / "out", "attempts")) == [1] * 7 + [2]
    assert set((tmp_path / "log").read_text().split()) == {f"{index}.dcm" for index in range(8)}
    # the ledger is that of any engine
    assert run([films], tmp_path / "out", make, on_ray=False).before == 8


def make_nothing() -> FakeDetector:
    """Return no detector: the workers cannot import this file."""
    raise AssertionError


def test_a_model_that_cannot_be_loaded(cluster: Any, tmp_path: Path) -> None:
    film, missing = save_grey(tmp_path / "a.png", noise(64, 48)), str(tmp_path / "missing.pt")
    detector = partial(CephalogramDetector, "cpu", overrides={"local_weights": missing})
    for make, message in ((detector, missing), (make_nothing, "No module named 'test_ray'")):
        with pytest.raises(CephError, match=re.escape(message)) as caught:
            # one actor: each imports torch
            run([film], tmp_path / "out", make, on_ray=True, actors=1)
        assert not isinstance(caught.value, StoppedError)


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    """In a process of its own: this one may be connected."""
    code = "from monai_ceph.work.ray_connection import connect; connect('127.0.0.1:1')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "CephError: no Ray cluster at 127.0.0.1:1: Connection refused" in result.stderr


def test_only_the_driver_writes_results(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node need not see their folder: a disk that is full is the driver's."""
    film = save_film(tmp_path / "a.dcm", 1)

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoppedError, match=r"json/.*\.json: No space left on device"):
        run([film], tmp_path / "out", FakeDetector, on_ray=True)
    assert not list((tmp_path / "out").glob("json/*"))
    monkeypatch.undo()
    assert run([film], tmp_path / "out", FakeDetector, on_ray=True).states == {"done": 1}


def test_a_node_that_does_not_see_a_film_stops_the_run(tmp_path: Path) -> None:
    def not_reached(job: FilmJob) -> Reading:
        raise AssertionError

    job = FilmJob(1, tmp_path / "PATIENT.dcm", None, "1.2.3", "1.2.3", "1.2.3", dicom=True, anonymous=True)
    reading = _read(not_reached, job, there=True)
    assert isinstance(reading.result, StoppedError)
    assert "PATIENT" not in str(reading.result)
