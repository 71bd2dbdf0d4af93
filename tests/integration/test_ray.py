"""Runs on a Ray cluster of this machine, with actors that are killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from samples import noise, save_grey

from monai_ceph.batch import Options, Outcome, Summary, detect_films
from monai_ceph.batch.film import FilmJob, Reading
from monai_ceph.batch.ray_cluster import RayExecutor, _Actor, _connect, _read
from monai_ceph.errors import CephError, StoppedError

sys.path.append(str(Path(__file__).parents[1] / "batch"))
from fakes import FakeDetector, save_film

pytest.importorskip("ray", reason="Ray is not installed")

FORMATS = frozenset({"csv", "json"})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """The cluster that a run without an address starts, for all runs of this file."""
    ray, own = _connect(None)
    assert own
    yield ray
    ray.shutdown()


def ledger(out: Path, columns: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(out / "run.sqlite")
    rows = connection.execute(f"SELECT {columns} FROM films ORDER BY id").fetchall()
    connection.close()
    return rows


def run(paths: list[Path], out: Path, detector: Any, *, on_ray: bool, **options: Any) -> Summary:
    make = partial(RayExecutor, workers=2, cpus=1, gpu=False) if on_ray else None
    on_film = options.pop("on_film", lambda name, outcome: None)
    settings = Options(formats=FORMATS, workers=2, **options)
    return detect_films(paths, out, detector, settings, make_executor=make, on_film=on_film)


def result(path: Path) -> dict[str, Any]:
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}


def test_the_cluster_listens_on_the_loopback_interface_with_a_token(cluster: Any) -> None:
    assert {node["NodeManagerAddress"] for node in cluster.nodes()} == {"127.0.0.1"}
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_films_end_as_on_this_machine(cluster: Any, tmp_path: Path) -> None:
    """Also those that kill their worker, once or always, and those behind a URL."""
    films, cloud = tmp_path / "films", tmp_path / "cloud"
    films.mkdir()
    for name in ("a", "doubt", "reject", "explode", "once", "die"):
        save_grey(films / f"{name}.png", noise(64, 48))
    (films / "text.png").write_text("no image")
    save_film(films / "folder" / "b.dcm", 1)
    save_film(cloud / "c.dcm", 2)
    paths = [films, Path(f"file://{cloud}"), films / "nowhere.png"]
    for engine in ("local", "ray"):
        make = partial(FakeDetector, tmp_path / f"{engine}.log")
        run(paths, tmp_path / engine, make, on_ray=engine == "ray")
    columns = "name, frame, uid, stem, state, cause, attempts"
    rows = ledger(tmp_path / "ray", columns)
    assert rows == ledger(tmp_path / "local", columns)
    states = {Path(row[0]).name.removesuffix(".png"): row[4:] for row in rows}
    assert states["once"] == ("done", None, 2)
    assert states["die"] == ("failed", "failed: the process died twice while working on it", 2)
    assert states["explode"] == ("failed", "failed: RuntimeError: out of memory", 1)
    assert [row[4] for row in rows].count("done") == 4
    for table in ("landmarks.csv", "errors.csv"):
        assert (tmp_path / "ray" / table).read_text() == (tmp_path / "local" / table).read_text()
    files = sorted((tmp_path / "local" / "json").iterdir())
    assert [path.name for path in files] == sorted(path.name for path in (tmp_path / "ray" / "json").iterdir())
    for path in files:
        assert result(path) == result(tmp_path / "ray" / "json" / path.name)
    assert not list((tmp_path / "ray").glob(".ray-*"))


def actors() -> list[int]:
    """The processes that hold a model."""
    titles = {
        int(path.parent.name): path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    }
    return [process for process, title in titles.items() if title.startswith(b"ray::_Actor")]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
def test_a_killed_actor_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for index in range(8):
        save_grey(films / f"{index}.png", noise(64, 48))
    killed: list[int] = []

    def kill_one(name: str, outcome: Outcome | None) -> None:
        if not killed:
            killed.append(actors()[0])
            os.kill(killed[0], signal.SIGKILL)

    make = partial(FakeDetector, tmp_path / "log", 0.3)
    summary = run([films], tmp_path / "out", make, on_ray=True, on_film=kill_one)
    assert summary.states == {"done": 8}
    assert len(killed) == 1
    assert sorted(row[0] for row in ledger(tmp_path / "out", "attempts")) == [1] * 7 + [2]
    assert set((tmp_path / "log").read_text().split()) == {f"{index}.png" for index in range(8)}
    assert run([films], tmp_path / "out", make, on_ray=True).before == 8


def no_detector() -> FakeDetector:
    raise CephError("weights.pt: no such file")


def test_a_model_that_cannot_be_loaded(cluster: Any, tmp_path: Path) -> None:
    save_grey(tmp_path / "a.png", noise(64, 48))
    with pytest.raises(CephError, match=r"^weights\.pt: no such file$") as caught:
        run([tmp_path / "a.png"], tmp_path / "out", no_detector, on_ray=True)
    assert not isinstance(caught.value, StoppedError)


def test_a_node_that_does_not_share_the_storage_stops_the_run(tmp_path: Path) -> None:
    def not_reached(job: FilmJob) -> Reading:
        raise AssertionError

    message = _Actor().load(not_reached, 1, tmp_path / "mark", tmp_path)  # type: ignore[arg-type]
    assert "does not see a file in the results" in str(message)
    job = FilmJob(1, tmp_path / "PATIENT.dcm", None, "1.2.3", "1.2.3", "1.2.3", dicom=True, anonymous=True)
    reading = _read(not_reached, job, there=True)
    assert isinstance(reading.result, StoppedError)
    assert "PATIENT" not in str(reading.result)
