"""Films in a bucket of moto's S3 server on loopback, with real requests and real ETags."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from fakes import FakeDetector, save_film
from samples import noise, save_grey

from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.errors import CephError
from monai_ceph.work.remote import iter_films, url_of

PARTS = ("s3fs", "moto", "flask", "flask_cors")
pytestmark = pytest.mark.skipif(
    not all(map(find_spec, PARTS)), reason="the extra s3-tests is not installed (make optional)"
)

FORMATS = frozenset({"csv", "json", "sr", "gsps"})


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of an empty bucket named clinic, as fsspec finds it in the environment."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    files = S3FileSystem()
    files.mkdir("clinic")
    yield files
    S3FileSystem.clear_instance_cache()
    # all servers of a process share their buckets
    urlopen(Request(f"{settings['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")).close()
    server.stop()


def run(root: Path | str, out: Path, **options: Any) -> Summary:
    return detect_films([Path(root)], out, FakeDetector, Options(formats=FORMATS, **options))


def ledger(out: Path, columns: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(out / "run.sqlite")
    rows = connection.execute(f"SELECT {columns} FROM films ORDER BY name").fetchall()
    connection.close()
    return rows


def results(out: Path) -> dict[str, Any]:
    """All files of single films, by name, without the times of the work."""
    found: dict[str, Any] = {}
    for path in sorted(out.glob("*/*")):
        if path.suffix == ".json":
            found[path.name] = {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}
        else:
            found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
    return found


def test_results_are_the_same_as_from_disk(s3: Any, tmp_path: Path) -> None:
    films = tmp_path / "films"
    save_film(films / "2026" / "a film.dcm", 1)
    save_film(films / "2026" / "no-suffix", 2, frames=2)
    save_film(films / "ä" / "reject.dcm", 3)
    short = save_film(films / "short.dcm", 4)
    short.write_bytes(short.read_bytes()[:900])
    (films / "note.txt").write_text("no film")
    s3.put(f"{films}/", "clinic/films/", recursive=True)
    # a film behind a URL has no path, and is called by its UID
    local = run(films, tmp_path / "local", names="uid")
    remote = run("s3://clinic/films", tmp_path / "s3", workers=2)
    assert remote.states == local.states == {"done": 3, "rejected": 1, "failed": 1}
    columns = "frame, frames, size, uid, state"
    assert sorted(map(repr, ledger(tmp_path / "s3", columns))) == sorted(map(repr, ledger(tmp_path / "local", columns)))
    assert results(tmp_path / "s3") == results(tmp_path / "local")
    assert len(results(tmp_path / "s3")) == 9


def test_a_run_continues_by_size_and_etag(s3: Any, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        s3.put(str(save_film(tmp_path / f"{number}.dcm", number)), f"clinic/{number}.dcm")
    assert run("s3://clinic", tmp_path / "out").before == 0
    assert run("s3://clinic/", tmp_path / "out").before == 3
    # another film of the same size, and one that is gone
    s3.put(str(save_film(tmp_path / "4.dcm", 4)), "clinic/1.dcm")
    s3.rm("clinic/2.dcm")
    again = run("s3://clinic", tmp_path / "out")
    assert (again.films, again.before) == (2, 1)
    assert len(list((tmp_path / "out" / "sr").iterdir())) == 3


def test_one_film(s3: Any, tmp_path: Path) -> None:
    s3.put(str(save_grey(tmp_path / "a.png", noise(64, 48))), "clinic/a.png")
    assert run("s3://clinic/a.png", tmp_path / "out").states == {"done": 1}
    assert ledger(tmp_path / "out", "name") == [("s3://clinic/a.png",)]


def test_many_pages_of_a_listing(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # a page of S3 holds 1000, and to fill one takes long
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(25):
        s3.pipe_file(f"clinic/{number:04}.png", b"")
    page = s3.call_s3("list_objects_v2", Bucket="clinic")
    assert (len(page["Contents"]), page["IsTruncated"]) == (10, True)
    found = [url_of(path) for path in iter_films(Path("s3://clinic"))]
    assert found == [f"s3://clinic/{number:04}.png" for number in range(25)]


def test_a_bucket_that_is_not_there(s3: Any, tmp_path: Path) -> None:
    summary = run("s3://nowhere/films", tmp_path / "out")
    assert summary.states == {"failed": 1}


def test_a_server_that_does_not_answer(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    with pytest.raises(CephError, match=r"s3://clinic/films: cannot be listed"):
        run("s3://clinic/films", tmp_path / "out")
