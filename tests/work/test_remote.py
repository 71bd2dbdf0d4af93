"""Films behind URLs; fsspec's file systems in memory and of the disk stand for those in the cloud."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fakes import FakeDetector, save_film
from samples import noise, save_grey

from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.errors import CephError, ReadError
from monai_ceph.work.remote import iter_films, local_copy, size_and_version, url_of


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def run(root: str | Path, out: Path, **options: Any) -> Summary:
    options.setdefault("formats", frozenset({"csv", "json"}))
    return detect_films([Path(root)], out, FakeDetector, Options(**options))


class TestUrls:
    @pytest.mark.parametrize(
        "url", ["s3://bucket/a folder/b.dcm", "https://host:8042/films/b.png", "memory://a/b", "file:///a/b.png"]
    )
    def test_survive_as_paths(self, url: str) -> None:
        assert url_of(Path(url)) == url
        assert not Path(url).is_absolute()

    @pytest.mark.parametrize("path", ["/films/s3:/a.png", "films/a.png", "a:b/c", "C:/films/a.png", "s3:", "."])
    def test_local_paths_are_none(self, path: str) -> None:
        assert url_of(Path(path)) is None

    def test_a_scheme_without_its_package(self) -> None:
        with pytest.raises(CephError, match=r"^nofs://a/b: Protocol not known: nofs"):
            list(iter_films(Path("nofs://a/b")))


class TestWalk:
    def test_finds_films_below_a_url(self, memory: Any) -> None:
        dicom = b"\0" * 128 + b"DICM"
        files = {"b.png": b"", "a.DCM": b"", "no-suffix": dicom, "text": b"a" * 200, "note.txt": b"", "DICOMDIR": dicom}
        files |= {".hidden.png": b"", "sub/c.png": b"", "sub/deep/d.png": b"", ".git/e.png": b"", "a-sub/f.png": b""}
        for name, content in files.items():
            memory.pipe(f"/films/{name}", content)
        found = [url_of(path) for path in iter_films(Path("memory://films"))]
        names = ("a.DCM", "b.png", "no-suffix", "a-sub/f.png", "sub/c.png", "sub/deep/d.png")
        assert found == [f"memory://films/{name}" for name in names]

    def test_what_is_named_is_a_film(self, memory: Any) -> None:
        memory.pipe("/films/note.txt", b"")
        for url in ("memory://films/note.txt", "memory://nowhere/a.png"):
            assert list(iter_films(Path(url))) == [Path(url)]

    def test_of_the_disk(self, tmp_path: Path) -> None:
        for name in ("b.png", "sub/a.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = [url_of(path) for path in iter_films(Path(f"file://{tmp_path}"))]
        assert found == [f"file://{tmp_path}/b.png", f"file://{tmp_path}/sub/a.png"]

    def test_size_and_version(self, memory: Any) -> None:
        path = Path("memory://films/a.png")
        assert size_and_version(path) == (None, None)
        memory.pipe("/films/a.png", b"123")
        size, version = size_and_version(path)
        assert size == 3
        assert size_and_version(path) == (3, version)
        memory.pipe("/films/a.png", b"456")
        assert size_and_version(path)[1] != version


class TestCopy:
    def test_has_the_content_and_the_name_and_goes(self, memory: Any, scratch: Path) -> None:
        memory.pipe("/films/a b.png", b"123")
        with local_copy(Path("memory://films/a b.png")) as copy:
            assert (copy.name, copy.read_bytes()) == ("a b.png", b"123")
        assert not list(scratch.iterdir())

    def test_of_a_local_file_is_the_file(self, tmp_path: Path) -> None:
        with local_copy(tmp_path / "a.png") as copy:
            assert copy == tmp_path / "a.png"

    def test_errors_name_the_url(self, memory: Any, scratch: Path) -> None:
        memory.pipe("/films/a.png", b"123")
        path = Path("memory://films/a.png")
        with pytest.raises(ReadError, match=rf"^{path}: truncated$"), local_copy(path) as copy:
            raise ReadError(f"{copy}: truncated")
        assert not list(scratch.iterdir())
        with pytest.raises(ReadError, match=r"b\.png: no such file"), local_copy(Path("memory://films/b.png")):
            pass


class TestRuns:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_results_are_those_of_local_films(self, tmp_path: Path, scratch: Path, workers: int) -> None:
        films = tmp_path / "films"
        save_film(films / "PATIENT" / "a.dcm", 1)
        save_grey(films / "b.png", noise(64, 48))
        (films / "text.png").write_text("no image")
        short = save_film(films / "PATIENT" / "short.dcm", 2)
        short.write_bytes(short.read_bytes()[:900])
        formats = frozenset({"csv", "json", "sr"})
        local = run(films, tmp_path / "local", formats=formats, names="uid")
        remote = run(f"file://{films}", tmp_path / "remote", formats=formats, workers=workers)
        assert remote.states == local.states == {"done": 2, "failed": 2}
        assert not list(scratch.glob("monai-ceph-*"))
        tables = {out: (tmp_path / out / "landmarks.csv").read_text() for out in ("local", "remote")}
        assert tables["remote"] == tables["local"].replace("b.png", f"file://{films}/b.png")
        errors = {}
        for out in ("local", "remote"):
            with (tmp_path / out / "errors.csv").open(newline="") as stream:
                # the name of a film whose path is hidden is made of its path
                errors[out] = sorted(row["error"] for row in csv.DictReader(stream))
        assert errors["remote"] == errors["local"]
        assert len(errors["local"]) == 2
        assert "PATIENT" not in (tmp_path / "remote" / "errors.csv").read_text()
        assert {path.name for path in (tmp_path / "local" / "sr").iterdir()} == {
            path.name for path in (tmp_path / "remote" / "sr").iterdir()
        }

    def test_what_is_done_is_left_alone_until_it_changes(self, memory: Any, tmp_path: Path) -> None:
        memory.pipe("/films/a.png", save_grey(tmp_path / "a.png", noise(64, 48)).read_bytes())
        assert run("memory://films", tmp_path / "out").before == 0
        assert run("memory://films", tmp_path / "out").before == 1
        memory.pipe("/films/a.png", save_grey(tmp_path / "a.png", noise(32, 48)).read_bytes())
        assert run("memory://films", tmp_path / "out").before == 0
        (result,) = (tmp_path / "out" / "json").iterdir()
        assert json.loads(result.read_text())["rows"] == 32
        assert json.loads(result.read_text())["file"] == "memory://films/a.png"

    def test_a_film_that_is_not_there(self, memory: Any, tmp_path: Path) -> None:
        assert run("memory://films/a.png", tmp_path / "out").states == {"failed": 1}
        assert "memory://films/a.png,unreadable: no such file." in (tmp_path / "out" / "errors.csv").read_text()

    def test_results_go_to_no_url(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        save_grey(tmp_path / "a.png", noise(64, 48))
        with pytest.raises(CephError, match=r"^memory://out: results go to a folder, not to a URL"):
            run(tmp_path / "a.png", Path("memory://out"))
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
