from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from PIL import Image

from monai_ceph import weights
from monai_ceph.errors import CephError, DatasetError
from monai_ceph.training import (
    TimedCheckpointSaver,
    films,
    films_per_batch,
    latest_checkpoint,
    mean_shape,
    record_run,
    training_films,
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "dataset"
    root.mkdir()
    rows = ["file,symbol,x,y,pixel_spacing"]
    for number in range(6):
        Image.fromarray(np.zeros((40, 50), dtype=np.uint8)).save(root / f"{number}.png")
        rows += [f"{number}.png,S,{number},1,0.1", f"{number}.png,N,{number},2,0.1"]
    (root / "landmarks.csv").write_text("\n".join(rows) + "\n")
    return root


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def run(dataset: Path, fold: int | None) -> dict[str, list[dict[str, Any]]]:
    return training_films(str(dataset), "unused", "mean", fold, folds=3, seed=0, phantoms=0)


def test_a_fold_trains_and_validates_on_different_films(dataset: Path) -> None:
    seen = []
    for fold in range(3):
        split = run(dataset, fold)
        assert len(split["train"]) == 4
        assert len(split["validate"]) == 2
        assert not set(names(split["train"])) & set(names(split["validate"]))
        seen += names(split["validate"])
    assert sorted(seen) == [f"{number}.png" for number in range(6)]


def test_all_films_train_without_a_fold(dataset: Path) -> None:
    split = run(dataset, None)
    assert names(split["train"]) == [f"{number}.png" for number in range(6)]
    item = split["train"][3]
    assert item["image"] == str(dataset / "3.png")
    assert item["landmarks"][0].tolist() == [1, 3]
    assert item["pixel_spacing"] == 0.1


def test_a_folder_that_is_not_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        run(tmp_path, 0)


@pytest.mark.parametrize(
    ("scaled", "message"),
    [
        (range(6), ""),
        ((), "no validation film has a pixel_spacing"),
        (range(5), "1 of 2 validation films have no pixel_spacing"),
    ],
)
def test_films_without_a_scale_to_validate_on(
    dataset: Path, caplog: pytest.LogCaptureFixture, scaled: Iterable[int], message: str
) -> None:
    rows = ["file,symbol,x,y,pixel_spacing"]
    for number in range(6):
        spacing = "0.1" if number in scaled else ""
        rows += [f"{number}.png,S,{number},1,{spacing}", f"{number}.png,N,{number},2,{spacing}"]
    (dataset / "landmarks.csv").write_text("\n".join(rows) + "\n")
    with caplog.at_level(logging.WARNING):
        found = [run(dataset, fold) for fold in range(3)]
    assert all(len(each["validate"]) == 2 for each in found)
    if message:
        assert message in caplog.text
    else:
        assert "pixel_spacing" not in caplog.text


def test_films_to_evaluate_on(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = films(str(dataset), "unused", "test1", "mean", doubles=True, phantoms=0)
    assert names(found) == [f"{number}.png" for number in range(6)]
    assert "pixel_spacing" not in caplog.text


def test_films_without_a_scale_are_counted_before_an_evaluation(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = dataset / "landmarks.csv"
    table.write_text(
        table.read_text().replace("3.png,S,3,1,0.1", "3.png,S,3,1,").replace("3.png,N,3,2,0.1", "3.png,N,3,2,")
    )
    with caplog.at_level(logging.WARNING):
        assert len(films(str(dataset), "unused", "test1", "mean", doubles=True, phantoms=0)) == 6
    assert "1 of 6 films have no pixel_spacing and do not count in the errors" in caplog.text


class TestFilmsThatShowNothing:
    """The table has rows for these films, but they are still empty."""

    def empty(self, dataset: Path, *numbers: int) -> None:
        table = dataset / "landmarks.csv"
        text = table.read_text()
        for number in numbers:
            text = text.replace(f"{number}.png,N,{number},2,", f"{number}.png,N,,,")
        table.write_text(text)

    def test_are_left_out_and_named(self, dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.empty(dataset, 2, 5)
        with caplog.at_level(logging.WARNING):
            found = run(dataset, None)["train"]
        assert names(found) == ["0.png", "1.png", "3.png", "4.png"]
        assert "2 films with fewer than two landmarks are left out: 2.png, 5.png" in caplog.text

    def test_but_for_sets_of_one_landmark(self, dataset: Path) -> None:
        self.empty(dataset, 2, 5)
        found = training_films(str(dataset), "unused", "mean", None, 3, 0, phantoms=0, landmarks=["S"])
        assert len(found["train"]) == 6
        found = training_films(str(dataset), "unused", "mean", None, 3, 0, phantoms=0, landmarks=["N"])
        assert names(found["train"]) == ["0.png", "1.png", "3.png", "4.png"]

    def test_all_of_them(self, dataset: Path) -> None:
        self.empty(dataset, *range(6))
        with pytest.raises(DatasetError, match="no training film has landmarks"):
            run(dataset, None)


def test_a_landmark_that_is_named_twice(dataset: Path) -> None:
    with pytest.raises(CephError, match="landmarks: S is listed twice"):
        training_films(str(dataset), "unused", "mean", 0, 3, 0, phantoms=0, landmarks=["S", "N", "S"])


@pytest.mark.parametrize(("batch_size", "loads", "films"), [(16, 4, 4), (8, 8, 1), (3, 1, 3)])
def test_films_per_batch(batch_size: int, loads: int, films: int) -> None:
    assert films_per_batch(batch_size, loads) == films


@pytest.mark.parametrize(("batch_size", "loads"), [(10, 4), (2, 4), (0, 4), (4, 0)])
def test_a_batch_of_another_size_than_asked_for(batch_size: int, loads: int) -> None:
    with pytest.raises(
        CephError, match=rf"batch_size \({batch_size}\) must be a multiple of patches_per_load \({loads}\)"
    ):
        films_per_batch(batch_size, loads)


def save_checkpoint(folder: Path, iteration: int, epoch_length: int = 12) -> Path:
    """Write the part of a checkpoint that contains the progress of the run."""
    folder.mkdir(exist_ok=True)
    torch.save({"trainer": {"iteration": iteration, "epoch_length": epoch_length}}, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def test_no_checkpoint(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path / "nowhere"), 5) is None
    for name in ("final.pt", "best_key_metric=0.5.pt", ".checkpoint.pt.71.part", "checkpoint.pt.old"):
        (tmp_path / name).touch()
    assert latest_checkpoint(str(tmp_path), 5) is None


@pytest.mark.parametrize(
    ("iteration", "message"), [(120, "after epoch 10: "), (125, "after epoch 10 and 5 of 12 iterations: ")]
)
def test_a_resumed_run_logs_how_far_its_checkpoint_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, iteration: int, message: str
) -> None:
    path = save_checkpoint(tmp_path, iteration)
    with caplog.at_level(logging.WARNING):
        assert latest_checkpoint(str(tmp_path), 11) == str(path)
    assert message + str(path) in caplog.text


@pytest.mark.parametrize("max_epochs", [9, 10])
def test_a_finished_run_is_not_trained_again(tmp_path: Path, max_epochs: int) -> None:
    save_checkpoint(tmp_path, 120)
    with pytest.raises(CephError, match=r"checkpoint\.pt.*10 of .*larger --max_epochs"):
        latest_checkpoint(str(tmp_path), max_epochs)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(CephError, match=r"checkpoint\.pt: not a checkpoint of a training run"):
        latest_checkpoint(str(tmp_path), 9)


class TestTimedCheckpointSaver:
    """Iterations of a real engine, with a clock that the test moves."""

    def saved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_per_iteration: float) -> list[int]:
        """Return the iterations after which a run of two epochs of five iterations was saved."""
        now, saved = 0.0, []
        monkeypatch.setattr(time, "monotonic", lambda: now)

        def step(engine: Engine, batch: object) -> None:
            nonlocal now
            now += seconds_per_iteration

        engine = Engine(step)
        save = TimedCheckpointSaver.save

        def note(saver: TimedCheckpointSaver, engine: Engine) -> None:
            save(saver, engine)
            saved.append(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["trainer"]["iteration"])

        monkeypatch.setattr(TimedCheckpointSaver, "save", note)
        TimedCheckpointSaver(str(tmp_path), {"trainer": engine}, 60).attach(engine)
        engine.run([None] * 5, max_epochs=2)
        return saved

    def test_short_epochs_are_saved_at_their_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.saved(tmp_path, monkeypatch, 1) == [5, 10]

    def test_long_epochs_are_saved_within(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.saved(tmp_path, monkeypatch, 35) == [2, 4, 5, 7, 9, 10]

    def test_the_last_iteration_of_an_epoch_is_saved_once_after_the_validation(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.saved(tmp_path, monkeypatch, 600) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

    def test_the_partial_file_of_a_killed_run_is_removed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / ".checkpoint.pt.71.part").write_bytes(b"half")
        self.saved(tmp_path, monkeypatch, 1)
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]

    @pytest.mark.parametrize("seconds", [0, -1, math.nan, "60", True])
    def test_seconds(self, seconds: Any) -> None:
        with pytest.raises(CephError, match="checkpoint_seconds must be a positive number"):
            TimedCheckpointSaver("run", {}, seconds)


class TestRecord:
    """A run records its films and landmarks, and resumes only its own checkpoint."""

    @pytest.fixture
    def film_names(self) -> list[str]:
        return ["1.png", "2.png", "3.png"]

    def record(
        self,
        folder: Path,
        train: list[str],
        *,
        symbols: tuple[str, ...] = ("S", "N"),
        column: float = 5,
        spread: float = 0,
        resume: bool,
        epoch_length: int = 12,
    ) -> None:
        films = [{"name": name, "landmarks": np.array([[1.0, 2], [3, 5]])} for name in train]
        validate = [
            {"name": "9.png", "landmarks": np.array([[1, 2], [3, column]]), "spread": np.array([[0, 0], [0, spread]])}
        ]
        record_run(str(folder), symbols, films, validate, None, resume, epoch_length)

    def test_files(self, tmp_path: Path, film_names: list[str]) -> None:
        self.record(tmp_path / "run", film_names, resume=True)
        record = json.loads((tmp_path / "run" / "films.json").read_text())
        digests = [record.pop(f"{key}_sha256") for key in ("annotations", "spreads")]
        assert [len(digest) for digest in digests] == [64, 64]
        assert record == {"landmarks": ["S", "N"], "train": film_names, "validate": ["9.png"], "epoch_length": 12}
        overlay = json.loads((tmp_path / "run" / "landmarks.json").read_text())
        assert overlay["landmarks"] == ["S", "N"]
        assert np.allclose(overlay["mean_shape"], [[-0.5547, -0.8321], [0.5547, 0.8321]], atol=1e-4)

    def test_the_shape_of_the_pose(self, tmp_path: Path) -> None:
        shape = [[-1.0, 0.0], [1.0, 0.0]]
        record_run(str(tmp_path), ("S", "N"), [{"name": "1", "landmarks": np.eye(2)}], [], shape, True, 1)
        assert json.loads((tmp_path / "landmarks.json").read_text())["mean_shape"] == shape

    def test_a_run_on_the_same_films_is_resumed(self, tmp_path: Path, film_names: list[str]) -> None:
        self.record(tmp_path, film_names, resume=True)
        save_checkpoint(tmp_path, 24)
        self.record(tmp_path, film_names, resume=True)
        assert latest_checkpoint(str(tmp_path), 5) == str(tmp_path / "checkpoint.pt")

    @pytest.mark.parametrize(
        ("train", "symbols", "message"),
        [
            (["1.png", "2.png"], ("S", "N"), r"other films \(3 then, 2 now; '3\.png' then and not now\)"),
            (["1.png", "2.png", "3.png", "4.png"], ("S", "N"), r"other films \(3 then, 4 now; '4\.png' now"),
            (["2.png", "1.png", "3.png"], ("S", "N"), r"other films \(in another order\)"),
            (["1.png", "2.png", "3.png"], ("S", "Po"), r"other landmarks \(2 then, 2 now; 'N' then and not now\)"),
        ],
    )
    def test_a_run_on_other_films_is_not_resumed(
        self, tmp_path: Path, film_names: list[str], train: list[str], symbols: tuple[str, ...], message: str
    ) -> None:
        self.record(tmp_path, film_names, resume=True)
        save_checkpoint(tmp_path, 24)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(CephError, match=message + ".*--output_dir.*--resume False"):
            self.record(tmp_path, train, symbols=symbols, resume=True)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"column": 6}, "films of the same names with other annotations"),
            ({"spread": 0.5}, r"films of the same names with other spreads of the annotators \(spread_x, spread_y\)"),
            ({"epoch_length": 24}, "epochs of 12 iterations, not 24, as with another batch_size"),
        ],
    )
    def test_a_run_on_films_with_the_same_names_but_other_points_is_not_resumed(
        self, tmp_path: Path, film_names: list[str], change: dict[str, Any], message: str
    ) -> None:
        self.record(tmp_path, film_names, resume=True)
        save_checkpoint(tmp_path, 24)
        with pytest.raises(CephError, match=message + ".*--output_dir.*--resume False"):
            self.record(tmp_path, film_names, resume=True, **change)

    def test_a_record_of_the_first_version_has_less_to_compare(self, tmp_path: Path, film_names: list[str]) -> None:
        save_checkpoint(tmp_path, 24)
        old = {"landmarks": ["S", "N"], "train": film_names, "validate": ["9.png"]}
        (tmp_path / "films.json").write_text(json.dumps(old))
        self.record(tmp_path, film_names, resume=True)
        assert json.loads((tmp_path / "films.json").read_text())["epoch_length"] == 12

    def test_resume_as_a_text(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match="resume must be True or False, got 'false'"):
            self.record(tmp_path, ["1.png"], resume="false")  # type: ignore[arg-type]

    def test_a_run_without_a_checkpoint_does_not_block_a_new_one(self, tmp_path: Path, film_names: list[str]) -> None:
        self.record(tmp_path, film_names, resume=True)
        self.record(tmp_path, film_names[1:], resume=True)
        assert json.loads((tmp_path / "films.json").read_text())["train"] == film_names[1:]

    def test_a_checkpoint_without_a_record_is_of_an_older_version(self, tmp_path: Path, film_names: list[str]) -> None:
        save_checkpoint(tmp_path, 24)
        self.record(tmp_path, film_names, resume=True)
        assert latest_checkpoint(str(tmp_path), 5) is not None

    def test_starting_over_renames_the_old_checkpoint(self, tmp_path: Path, film_names: list[str]) -> None:
        self.record(tmp_path, film_names, resume=True)
        (tmp_path / "checkpoint.pt").write_bytes(b"seven")
        self.record(tmp_path, film_names[1:], resume=False)
        assert latest_checkpoint(str(tmp_path), 9) is None
        assert (tmp_path / "checkpoint.pt.old").read_bytes() == b"seven"

    @pytest.mark.parametrize("content", ["{", "[]", '{"train": 3}'])
    def test_a_damaged_record_is_an_error(self, tmp_path: Path, film_names: list[str], content: str) -> None:
        (tmp_path / "films.json").write_text(content)
        save_checkpoint(tmp_path, 84)
        with pytest.raises(CephError, match=r"films\.json: not the record of a training run"):
            self.record(tmp_path, film_names, resume=True)


SHAPE = np.array([[-3.0, 1], [0, 4], [2, -5], [1, 7], [-2, -2]])


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def normalised(points: np.ndarray) -> np.ndarray:
    centred = points - points.mean(axis=0)
    return centred / np.sqrt(np.square(centred).sum(axis=1).mean())


def heads(*shapes: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [{"landmarks": shape} for shape in shapes]


class TestMeanShape:
    def test_of_one_shape_in_many_places(self) -> None:
        """Sizes from 1 to 1000; the turns' mean is 4 degrees."""
        copies = heads(
            *(
                10 ** (index / 2) * turned(SHAPE, 4 + angle) + (100 * index, -7)
                for index, angle in enumerate((-40, -5, 0, 5, 40, -11, 11))
            )
        )
        found = mean_shape(copies)
        assert np.allclose(found, normalised(turned(SHAPE, 4)), atol=1e-4)
        assert np.allclose(mean_shape(copies[::-1]), found, atol=1e-4)

    def test_is_centred_and_of_size_1(self) -> None:
        rng = np.random.default_rng(0)
        found = np.array(mean_shape(heads(*(turned(SHAPE, 8 * k) + rng.normal(0, 0.5, SHAPE.shape) for k in range(6)))))
        assert np.allclose(found.mean(axis=0), 0, atol=1e-4)
        assert np.square(found).sum(axis=1).mean() == pytest.approx(1, abs=1e-3)

    def test_differences_that_cancel(self) -> None:
        wide = SHAPE * (1, 1.2)
        narrow = SHAPE * (1, 0.8)
        found = np.array(mean_shape(heads(wide, narrow)))
        towards = [np.linalg.norm(found - normalised(shape)) for shape in (wide, narrow, SHAPE)]
        assert towards[2] < 0.2 * min(towards[:2])

    def test_a_large_film_weighs_no_more(self) -> None:
        wide, narrow = SHAPE * (1, 1.2), SHAPE * (1, 0.8)
        assert np.allclose(mean_shape(heads(wide, 50 * narrow)), mean_shape(heads(50 * wide, narrow)), atol=2e-4)

    def test_films_with_missing_landmarks_are_not_used_for_the_mean_shape(self) -> None:
        gap = np.random.default_rng(1).normal(0, 9, SHAPE.shape)
        gap[3] = np.nan
        found = mean_shape(heads(gap, SHAPE, turned(SHAPE, 20), gap))
        assert np.allclose(found, normalised(turned(SHAPE, 10)), atol=1e-4)

    def test_without_a_whole_film(self) -> None:
        with pytest.raises(CephError, match="no film has all its landmarks"):
            mean_shape(heads(np.full((5, 2), np.nan)))
        with pytest.raises(CephError, match="no film has all its landmarks"):
            mean_shape([])

    def test_the_shipped_one_is_its_own_mean(self) -> None:
        shipped = weights.model()["mean_shape"]
        assert np.allclose(mean_shape(heads(*(900 * np.array(shipped) + k for k in range(3)))), shipped, atol=2e-3)
