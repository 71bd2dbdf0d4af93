"""How often a run fetches a film behind a URL and opens a local one, with a real web server."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
import pytest

pytest.importorskip("aiohttp", reason="fsspec needs aiohttp for http (make optional)")
from fakes import FakeDetector, save_film
from reads import Server, serving
from samples import noise, save_grey

from monai_ceph.batch import Options, Summary, detect_films

FORMATS = frozenset({"csv", "json", "sr", "gsps"})


def make_films(folder: Path) -> None:
    """Write films of every fate: plain, several frames, copies of another film, damaged, and no cephalogram."""
    save_film(folder / "a.dcm", 1)
    save_film(folder / "frames.dcm", 2, frames=3)
    save_film(folder / "reject.dcm", 3)
    save_grey(folder / "b.png", noise(64, 48))
    (folder / "copy.dcm").write_bytes((folder / "a.dcm").read_bytes())
    other_header = pydicom.dcmread(folder / "a.dcm")
    other_header.StudyDescription = "exported again"
    other_header.save_as(folder / "other-header.dcm")
    (folder / "short.dcm").write_bytes(save_film(folder / "short.dcm", 4).read_bytes()[:900])
    (folder / "text.png").write_text("no image")


def fetched(server: Server) -> Counter[str]:
    """How often each film was fetched."""
    return Counter(path for method, path in server.requests.elements() if method == "GET" and path != "/")


def run(root: str | Path, out: Path, detector: Any = FakeDetector, **options: Any) -> Summary:
    return detect_films([Path(root)], out, detector, Options(FORMATS, names="uid", **options))


def results(out: Path) -> dict[str, Any]:
    """The detections by file name, without what differs between runs."""
    found = {path.name: json.loads(path.read_text()) for path in (out / "json").iterdir()}
    for each in found.values():
        del each["seconds"], each["file"]
    return found


def test_each_film_behind_a_url_is_fetched_once(tmp_path: Path) -> None:
    films = tmp_path / "films"
    make_films(films)
    local = run(films, tmp_path / "local")
    with serving(films) as server:
        remote = run(server.url, tmp_path / "remote")
        assert fetched(server) == {f"/{path.name}": 1 for path in films.iterdir()}
        assert run(server.url, tmp_path / "remote").before == remote.films
        assert max(fetched(server).values()) == 1
    assert remote.states == local.states == {"done": 7, "rejected": 1, "failed": 2}
    assert results(tmp_path / "remote") == results(tmp_path / "local")
    for kind in ("sr", "gsps"):
        names = [sorted(path.name for path in (tmp_path / out / kind).iterdir()) for out in ("remote", "local")]
        assert names[0] == names[1]
        assert len(names[0]) == 4


def test_a_film_whose_worker_dies_is_not_fetched_again(tmp_path: Path) -> None:
    films = tmp_path / "films"
    for seed, name in enumerate(("a", "once", "die")):
        save_film(films / f"{name}.dcm", seed)
    with serving(films) as server:
        # the log tells the detector that it is the second try
        summary = run(server.url, tmp_path / "out", Logging(tmp_path / "log"), workers=2)
        assert fetched(server) == {"/a.dcm": 1, "/once.dcm": 1, "/die.dcm": 1}
    assert summary.states == {"done": 2, "failed": 1}


class Logging:
    """Makes the detector in a worker process."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __call__(self) -> FakeDetector:
        return FakeDetector(self._log)


def test_a_film_that_is_named_is_fetched_once(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    save_grey(tmp_path / "films" / "a.png", noise(64, 48))
    with serving(tmp_path / "films") as server:
        assert run(f"{server.url}/a.png", tmp_path / "out").states == {"done": 1}
        assert fetched(server) == {"/a.png": 1}


_opened: Counter[str] | None = None


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], (str, os.PathLike)):
        _opened[str(arguments[0])] += 1


@pytest.fixture(scope="module")
def audited() -> None:
    """Count openings; an audit hook cannot be removed."""
    sys.addaudithook(_count)


@pytest.mark.parametrize("formats", [frozenset({"csv"}), FORMATS])
def test_a_local_dicom_film_is_opened_for_its_head_and_for_its_pixels(
    tmp_path: Path, audited: None, monkeypatch: pytest.MonkeyPatch, formats: frozenset[str]
) -> None:
    film = save_film(tmp_path / "a.dcm", 1)
    opened: Counter[str] = Counter()
    monkeypatch.setattr(sys.modules[__name__], "_opened", opened)
    assert detect_films([film], tmp_path / "out", FakeDetector, Options(formats)).states == {"done": 1}
    monkeypatch.setattr(sys.modules[__name__], "_opened", None)
    assert opened[str(film)] == 2
