"""What people corrected in the review trains the model in MONAI Label: its folder of a dataset is served as it is."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from samples import noise, save_grey

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from monai_ceph import CephalogramDetector, weights
from monai_ceph.datasets import folder
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.errors import DatasetError
from monai_ceph.labelling.detectors import Detectors
from monai_ceph.labelling.folder_store import FolderStore
from monai_ceph.labelling.markups import read_extra_landmarks
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.labelling.train import FineTune
from monai_ceph.landmarks import EXTRA_SYMBOLS, SYMBOLS
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.json_result import save_json
from monai_ceph.reports.markups import as_markups, write_markups
from monai_ceph.review.export import export_dataset
from monai_ceph.review.models import Point, Save, Sign
from monai_ceph.review.service import ReviewService


def table(root: Path, points: np.ndarray, **extra: tuple[float, float]) -> None:
    """Write a landmarks.csv of film.png; points are (row, column)."""
    places = {symbol: (column, row) for symbol, (row, column) in zip(SYMBOLS, points.tolist(), strict=True)} | extra
    with (root / "landmarks.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(("film", "symbol", "x", "y"))
        rows.writerows(("film.png", symbol, *("" if np.isnan(value) else value for value in place))
                       for symbol, place in places.items())  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, points: np.ndarray) -> Path:
    save_grey(tmp_path / "film.png", noise(240, 200))
    table(tmp_path, points)
    return tmp_path


def test_points_of_the_table_become_final_labels(root: Path, points: np.ndarray) -> None:
    table(root, points, U6=(50.0, 61.0))
    store = FolderStore(root)
    assert store.take_over_table() == 1
    assert store.get_labeled_images() == ["film.png"]
    np.testing.assert_allclose(store.points("film.png"), points, atol=1e-4)
    label, placement = Path(store.get_label_uri("film.png", "final")), placement_of(root / "film.png")
    (symbol,) = read_extra_landmarks(label, placement)
    assert symbol == "U6" in EXTRA_SYMBOLS
    # nothing to do the second time
    before = label.stat().st_mtime_ns
    assert store.take_over_table() == 0
    assert label.stat().st_mtime_ns == before


def test_a_new_export_replaces_what_was_taken_over(root: Path, points: np.ndarray) -> None:
    store = FolderStore(root)
    store.take_over_table()
    table(root, points + 1)
    assert store.take_over_table() == 1
    np.testing.assert_allclose(store.points("film.png"), points + 1, atol=1e-4)


def test_a_label_that_a_person_saved_stays(root: Path, points: np.ndarray, tmp_path: Path) -> None:
    store = FolderStore(root)
    store.take_over_table()
    write_markups(
        tmp_path / "label.mrk.json", as_markups(points + 2, placement_of(root / "film.png"), millimetres=False)
    )
    store.save_label("film.png", str(tmp_path / "label.mrk.json"), "final", {"observer": "One"})
    table(root, points + 1)
    assert store.take_over_table() == 0
    np.testing.assert_allclose(store.points("film.png"), points + 2, atol=1e-4)


def test_a_folder_without_a_table_is_as_before(tmp_path: Path) -> None:
    save_grey(tmp_path / "film.png", noise(240, 200))
    assert FolderStore(tmp_path).take_over_table() == 0
    assert not (tmp_path / "labels").exists()


def test_the_table_of_a_detection_is_left_alone(root: Path) -> None:
    (root / "landmarks.csv").write_text('film,"Symbol",x,y,Score\nfilm.png,S,1,2,0.9\n')
    assert FolderStore(root).take_over_table() == 0
    assert not (root / "labels").exists()


def test_a_wrong_table_is_named(root: Path) -> None:
    (root / "landmarks.csv").write_text("film,symbol,x,y\nfilm.png,XX,1,2\n")
    with pytest.raises(DatasetError, match=r"landmarks\.csv.*no landmark has the symbol 'XX'"):
        FolderStore(root).take_over_table()


def test_a_film_that_cannot_be_used_costs_only_itself(
    root: Path, points: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "broken.png").write_bytes(b"no picture")
    text = (root / "landmarks.csv").read_text()
    (root / "landmarks.csv").write_text(text + "broken.png,S,1,2\n")
    with caplog.at_level(logging.WARNING):
        assert FolderStore(root).take_over_table() == 1
    assert "broken.png: its points in landmarks.csv are left out" in caplog.text


def test_the_train_task_takes_the_export_of_a_review(tmp_path: Path, detector: CephalogramDetector) -> None:
    """With the real task, which runs the real bundle for one epoch."""
    paths = write_phantoms(tmp_path / "films", 2, 7, file_format="png", height=600, width=484)
    for path in paths:
        detection = detector(path, force=True).model_copy(update={"file": path.name})
        save_json(tmp_path / "results" / "json" / f"{path.name}.json", detection)
    service = ReviewService(tmp_path / "results", [tmp_path / "films"])
    for film in service.films.all():
        moved = []
        for point in service.current(film).points:
            if point.x is None or point.y is None:
                moved.append(Point(symbol=point.symbol, x=None, y=None, source="absent"))
            else:
                moved.append(Point(symbol=point.symbol, x=point.x + 2, y=point.y, source="human"))
        service.save(film, Save(based_on=0, reviewer="One", points=tuple(moved)))
        service.sign(film, Sign(based_on=1, reviewer="One"))
    service.close()
    assert export_dataset(service.films, service.store, tmp_path / "corrected").written == 2

    store = FolderStore(tmp_path / "corrected")
    assert store.take_over_table() == 2
    for each in folder(tmp_path / "corrected"):
        name = each.image.relative_to(tmp_path / "corrected").as_posix()
        np.testing.assert_allclose(store.points(name), each.landmarks, atol=1e-3)
    detectors = Detectors(tmp_path / "app" / "model" / "local.pt", "cpu", [], None)
    task = FineTune(tmp_path / "app" / "runs", detectors, ScoreBook(tmp_path / "scores.sqlite"))
    result = task({"max_epochs": 1, "device": "cpu"}, store)
    assert (result["films"], result["epochs"], result["held_out"]) == (2, 1, False)
    assert result["weights_sha256"] != weights.sha256(weights.path("local"))
