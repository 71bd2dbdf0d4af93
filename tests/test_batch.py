from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import noise, save_grey

from monai_ceph import batch
from monai_ceph.batch import Summary, detect_films, overlay_names
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.plausibility import check_film
from monai_ceph.readers import Radiograph
from monai_ceph.result import Detection


class StandIn:
    """Takes the detector's place: refuses what is no film by its pixels, and finds the same landmarks on the rest."""

    def __init__(self, detection: Detection) -> None:
        self.detection = detection
        self.seen: list[tuple[Radiograph, bool]] = []

    def __call__(self, radiograph: Radiograph, *, force: bool) -> Detection:
        self.seen.append((radiograph, force))
        if radiograph.path.name.startswith("explode"):
            raise RuntimeError("out of memory\nand more")
        check_film(radiograph)
        return self.detection.model_copy(update={"file": str(radiograph.path)})


@pytest.fixture
def stand_in(detection: Detection) -> Any:
    return StandIn(detection)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    root = tmp_path / "films"
    (root / "deeper").mkdir(parents=True)
    for name in ("b.png", "a.png", "deeper/a.png"):
        save_grey(root / name, noise(200, 160))
    return root


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_film_once(films: Path, tmp_path: Path, stand_in: Any) -> None:
    counts: list[int] = []
    outcomes: list[tuple[Path, Detection | CephError]] = []
    summary = detect_films(
        [films, films / "b.png"],
        tmp_path / "out",
        stand_in,
        on_start=counts.append,
        on_film=lambda film, outcome: outcomes.append((film, outcome)),
    )
    order = [films / "a.png", films / "b.png", films / "deeper" / "a.png"]
    assert summary == Summary(done=3, failed=0)
    assert counts == [3]
    assert [film for film, _ in outcomes] == order
    assert all(isinstance(outcome, Detection) for _, outcome in outcomes)
    rows = table(tmp_path / "out" / "landmarks.csv")
    assert list(rows[0]) == ["file", "landmark", "symbol", "x", "y", "score", "status"]
    assert [row["file"] for row in rows] == [str(film) for film in order for _ in range(NUM_LANDMARKS)]
    assert [row["symbol"] for row in rows] == list(SYMBOLS) * 3
    assert (tmp_path / "out" / "errors.csv").read_text() == "file,error\n"


def test_files_that_fail_cost_a_row_each(films: Path, tmp_path: Path, stand_in: Any) -> None:
    (films / "c.dcm").write_text("not a film\n")
    (films / "d.png").write_bytes((films / "b.png").read_bytes()[:300])
    save_grey(films / "e.png", np.full((200, 160), 9))
    save_grey(films / "explode.png", noise(200, 160))
    outcomes: dict[str, Any] = {}
    summary = detect_films(
        [films, tmp_path / "nowhere.png"],
        tmp_path / "out",
        stand_in,
        on_film=lambda film, outcome: outcomes.update({film.name: outcome}),
    )
    assert summary == Summary(done=3, failed=5)
    errors = {Path(row["file"]).name: row["error"] for row in table(tmp_path / "out" / "errors.csv")}
    assert list(errors) == ["c.dcm", "d.png", "e.png", "explode.png", "nowhere.png"]
    assert errors["c.dcm"] == "unreadable: not a DICOM file."
    assert errors["d.png"].startswith("unreadable: ")
    assert errors["e.png"] == "rejected: no lateral cephalogram: every pixel has the same value"
    assert errors["explode.png"] == "failed: RuntimeError: out of memory"
    assert errors["nowhere.png"] == "unreadable: no such file."
    assert not any(str(films) in error for error in errors.values())
    assert isinstance(outcomes["c.dcm"], ReadError)
    assert isinstance(outcomes["e.png"], RejectedError)
    assert str(outcomes["explode.png"]).startswith(str(films / "explode.png"))
    assert len(table(tmp_path / "out" / "landmarks.csv")) == 3 * NUM_LANDMARKS


def test_options_reach_reader_and_detector(films: Path, tmp_path: Path, stand_in: Any) -> None:
    detect_films([films / "a.png"], tmp_path / "out", stand_in, pixel_spacing=0.125, force=True)
    ((radiograph, force),) = stand_in.seen
    assert radiograph.pixel_spacing == (0.125, 0.125)
    assert force


def test_an_overlay_per_film(films: Path, tmp_path: Path, stand_in: Any) -> None:
    detect_films([films], tmp_path / "out", stand_in)
    pictures = sorted((tmp_path / "out" / "overlays").iterdir())
    assert [picture.name for picture in pictures] == ["a.png.2.png", "a.png.png", "b.png.png"]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (160, 200)


def test_no_overlays(films: Path, tmp_path: Path, stand_in: Any) -> None:
    detect_films([films], tmp_path / "out", stand_in, overlays=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["errors.csv", "landmarks.csv"]


def test_results_among_the_films_are_not_films(films: Path, stand_in: Any) -> None:
    for _ in range(2):
        assert detect_films([films], films, stand_in) == Summary(done=3, failed=0)
    # who names an overlay gets what was asked for
    named = films / "overlays" / "b.png.png"
    assert detect_films([named], films, stand_in).done == 1


def test_a_second_run_replaces_the_tables(films: Path, tmp_path: Path, stand_in: Any) -> None:
    (films / "c.dcm").write_text("not a film\n")
    detect_films([films], tmp_path / "out", stand_in)
    detect_films([films / "a.png"], tmp_path / "out", stand_in)
    assert len(table(tmp_path / "out" / "landmarks.csv")) == NUM_LANDMARKS
    assert not table(tmp_path / "out" / "errors.csv")


def test_an_interruption_keeps_finished_films(films: Path, tmp_path: Path, stand_in: Any) -> None:
    def stop(film: Path, outcome: object) -> None:
        if film.name == "b.png":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_films([films], tmp_path / "out", stand_in, on_film=stop)
    assert {Path(row["file"]).name for row in table(tmp_path / "out" / "landmarks.csv")} == {"a.png", "b.png"}
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".part")]


def test_no_film_at_all(tmp_path: Path, stand_in: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("no film")
    with pytest.raises(CephError, match=r"no film in .*empty"):
        detect_films([tmp_path / "empty"], tmp_path / "out", stand_in)
    assert not (tmp_path / "out").exists()


def test_an_out_that_cannot_be_written(films: Path, tmp_path: Path, stand_in: Any) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OSError, match="out"):
        detect_films([films], tmp_path / "out", stand_in)
    assert not stand_in.seen


def test_a_disk_that_fills_up_keeps_the_rows(
    films: Path, tmp_path: Path, stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = batch.save_overlay

    def full(target: Path, *args: Any) -> None:
        if target.name == "b.png.png":
            raise OSError(28, "No space left on device", str(target))
        save(target, *args)

    monkeypatch.setattr(batch, "save_overlay", full)
    with pytest.raises(OSError, match="No space"):
        detect_films([films], tmp_path / "out", stand_in)
    assert len(table(tmp_path / "out" / "landmarks.csv")) == NUM_LANDMARKS


class TestOverlayNames:
    @pytest.mark.parametrize(
        ("films", "names"),
        [
            (["a/x.png", "b/y.png"], ["x.png.png", "y.png.png"]),
            (["a/x.dcm", "b/x.dcm", "c/X.DCM"], ["x.dcm.png", "x.dcm.2.png", "X.DCM.3.png"]),
            # names of DICOM files are often UIDs
            (["a/1.2", "b/1.2", "b/1.2.2"], ["1.2.png", "1.2.2.png", "1.2.2.2.png"]),
            (["a/1.2.2", "a/1.2", "b/1.2"], ["1.2.2.png", "1.2.png", "1.2.3.png"]),
        ],
    )
    def test_unique_whatever_the_case(self, films: list[str], names: list[str]) -> None:
        found = overlay_names([Path(film) for film in films])
        assert found == names
        assert len({name.lower() for name in found}) == len(films)


def test_the_film_itself_may_be_moved_away(films: Path, tmp_path: Path, stand_in: Any) -> None:
    # the file vanishes between the search and the reading
    def remove(film: Path, outcome: object) -> None:
        shutil.rmtree(films / "deeper", ignore_errors=True)

    summary = detect_films([films], tmp_path / "out", stand_in, on_film=remove)
    assert summary == Summary(done=2, failed=1)
