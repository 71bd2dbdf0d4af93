from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_ceph.errors import CephError, DatasetError
from monai_ceph.training import films, latest_checkpoint, training_films


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "dataset"
    root.mkdir()
    rows = ["file,symbol,x,y,pixel_spacing"]
    for number in range(6):
        Image.fromarray(np.zeros((4, 5), dtype=np.uint8)).save(root / f"{number}.png")
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


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        run(tmp_path, 0)


def test_films_to_evaluate_on(dataset: Path) -> None:
    found = films(str(dataset), "unused", "test1", "mean", doubles=True, phantoms=0)
    assert names(found) == [f"{number}.png" for number in range(6)]


def test_no_checkpoint(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path / "nowhere"), 5) is None
    for name in ("final.pt", "best_key_metric=0.5.pt", "checkpoint_iteration=7.pt", "checkpoint_epoch=x.pt"):
        (tmp_path / name).touch()
    assert latest_checkpoint(str(tmp_path), 5) is None


def test_the_newest_checkpoint_by_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for epoch in (2, 9, 10):
        (tmp_path / f"checkpoint_epoch={epoch}.pt").touch()
    with caplog.at_level(logging.WARNING):
        assert latest_checkpoint(str(tmp_path), 11) == str(tmp_path / "checkpoint_epoch=10.pt")
    assert "after epoch 10" in caplog.text


@pytest.mark.parametrize("max_epochs", [9, 10])
def test_a_finished_run_is_not_trained_again(tmp_path: Path, max_epochs: int) -> None:
    (tmp_path / "checkpoint_epoch=10.pt").touch()
    with pytest.raises(CephError, match=r"checkpoint_epoch=10\.pt.*10 of .*larger --max_epochs"):
        latest_checkpoint(str(tmp_path), max_epochs)
