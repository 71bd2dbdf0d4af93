from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_ceph.datasets import isbi2015, open_dataset
from monai_ceph.datasets.isbi2015 import DOUBLES_IN_TEST1, DOUBLES_OF_TRAINING, is_isbi2015
from monai_ceph.errors import DatasetError

SPLITS = {
    "train": ("TrainingData", 1, 150),
    "test1": ("Test1Data", 151, 300),
    "test2": ("Test2Data", 301, 400),
}
SUFFIXES = (".bmp", ".jpg", ".png")


def points(number: int, doctor: str) -> np.ndarray:
    """Annotated x, y, different for each film and each doctor."""
    base = np.stack((np.arange(19) * 50 + number, np.arange(19) * 60 + 2 * number), axis=1)
    return base + (3 if doctor == "junior" else 0)


def write_annotation(path: Path, number: int, doctor: str, classes: bool) -> None:
    lines = [f"{x},{y}" for x, y in points(number, doctor)] + ["1"] * (8 if classes else 0)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module", params=["top", "AnnotationsByMD"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("isbi")
    notes = root if request.param == "top" else root / "AnnotationsByMD"
    for suffix in SUFFIXES:
        Image.fromarray(np.zeros((2400, 1935), dtype=np.uint8)).save(root / f"film{suffix}")
    for doctor in ("senior", "junior"):
        (notes / f"400_{doctor}").mkdir(parents=True)
    for name, first, last in SPLITS.values():
        (root / "RawImage" / name).mkdir(parents=True)
        for number in range(first, last + 1):
            suffix = SUFFIXES[number % 3]
            (root / "RawImage" / name / f"{number:03d}{suffix}").hardlink_to(root / f"film{suffix}")
            for doctor in ("senior", "junior"):
                path = notes / f"400_{doctor}" / f"{number:03d}.txt"
                write_annotation(path, number, doctor, classes=number % 2 == 0)
    return root


@pytest.mark.parametrize("split", list(SPLITS))
def test_splits(root: Path, split: Any) -> None:
    name, first, last = SPLITS[split]
    films = isbi2015(root, split)
    assert [film.name for film in films] == [f"{number:03d}" for number in range(first, last + 1)]
    for film in films:
        assert film.image == root / "RawImage" / name / f"{film.name}{SUFFIXES[int(film.name) % 3]}"
        assert film.image.is_file()
        assert film.pixel_spacing == 0.1


def test_all_films_are_those_of_the_three_splits(root: Path) -> None:
    every = isbi2015(root, "all")
    assert [film.name for film in every] == [f"{number:03d}" for number in range(1, 401)]
    assert [film.image for film in every[148:152]] == [
        *(film.image for film in isbi2015(root, "train")[148:]),
        *(film.image for film in isbi2015(root, "test1")[:2]),
    ]


@pytest.mark.parametrize(("truth", "more"), [("senior", 0), ("junior", 3), ("mean", 1.5)])
def test_x_y_become_row_column_of_the_doctor(root: Path, truth: Any, more: float) -> None:
    for film in isbi2015(root, "train", truth)[:2]:
        expected = points(int(film.name), "senior")[:, ::-1] + more
        np.testing.assert_array_equal(film.landmarks, expected)
        assert film.landmarks.dtype == np.float64
        assert film.landmarks.flags["C_CONTIGUOUS"]


def test_mean_of_both_doctors(root: Path) -> None:
    film = isbi2015(root, "train", "mean", symbols=("N", "S"))[4]
    senior, junior = points(5, "senior")[[1, 0], ::-1], points(5, "junior")[[1, 0], ::-1]
    assert film.spread is not None
    np.testing.assert_array_equal(film.landmarks - film.spread, senior)
    np.testing.assert_array_equal(film.landmarks + film.spread, junior)
    assert isbi2015(root, "train", "senior")[4].spread is None


def test_second_scans_of_training_films_are_left_out(root: Path) -> None:
    every = {film.name for film in isbi2015(root, "test1")}
    single = {film.name for film in isbi2015(root, "test1", doubles=False)}
    assert len(single) == 130
    assert every - single == set(DOUBLES_OF_TRAINING.values())
    assert len(isbi2015(root, "train", doubles=False)) == 150
    assert len(isbi2015(root, "test2", doubles=False)) == 100


def test_doubles_are_pairs_of_the_right_splits() -> None:
    assert len(set(DOUBLES_OF_TRAINING.values())) == len(DOUBLES_OF_TRAINING) == 20
    assert all(1 <= int(train) <= 150 < int(test) <= 300 for train, test in DOUBLES_OF_TRAINING.items())
    assert all(150 < int(film) <= 300 for pair in DOUBLES_IN_TEST1 for film in pair)


def test_open_dataset(root: Path) -> None:
    assert is_isbi2015(root)
    assert not is_isbi2015(root / "RawImage")
    films = open_dataset(root, "test1", "senior", doubles=False)
    assert len(films) == 130
    np.testing.assert_array_equal(films[0].landmarks, points(151, "senior")[:, ::-1])


@pytest.fixture
def annotation(root: Path) -> Any:
    """The senior doctor's annotation of film 007, restored after the test."""
    [path] = root.rglob("400_senior/007.txt")
    text = path.read_text()
    yield path
    path.write_text(text)


@pytest.mark.parametrize(
    "text",
    ["", "1,2\n" * 18, "1,2,3\n" * 19, "1\n" * 19, "1,2\n" * 18 + "1,two\n", "1,2\n" * 17 + "1,2,3\n1,2\n", "größe"],
)
def test_a_broken_annotation_is_named(root: Path, annotation: Path, text: str) -> None:
    annotation.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError) as error:
        isbi2015(root)
    assert str(error.value).startswith(f"{annotation}: ")


def test_a_missing_annotation_is_named(root: Path, annotation: Path) -> None:
    annotation.unlink()
    with pytest.raises(DatasetError, match=r"400_senior.007\.txt"):
        isbi2015(root)
    assert len(isbi2015(root, "train", "junior")) == 150


def test_missing_films_are_left_out_with_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = root / "RawImage" / "TrainingData"
    films = sorted(folder.iterdir())[3:]
    for film in films:
        film.rename(root / film.name)
    try:
        assert [film.name for film in isbi2015(root)] == ["001", "002", "003"]
        assert f"{folder}: 147 of 150 films are missing; the others are used" in caplog.text
    finally:
        for film in films:
            (root / film.name).rename(film)


def test_a_folder_without_any_film(tmp_path: Path) -> None:
    (tmp_path / "RawImage" / "Test2Data").mkdir(parents=True)
    (tmp_path / "400_senior").mkdir()
    with pytest.raises(DatasetError, match=r"Test2Data: none of the films 301 to 400, with a suffix \.bmp, "):
        isbi2015(tmp_path, "test2", "senior")


@pytest.mark.parametrize(
    ("point", "message"), [("-3,8", "line 3: Or at x -3, y 8"), ("1935,8", "line 3: Or at x 1935, y 8")]
)
def test_a_landmark_off_the_film(root: Path, annotation: Path, point: str, message: str) -> None:
    lines = annotation.read_text().split("\n")
    annotation.write_text("\n".join([*lines[:2], point, *lines[3:]]))
    with pytest.raises(DatasetError) as error:
        isbi2015(root)
    assert str(error.value).startswith(f"{annotation}, {message} is off the film, which has 1935 x 2400 pixels")


def test_placeholders_are_not_annotated(root: Path, annotation: Path) -> None:
    lines = annotation.read_text().split("\n")
    annotation.write_text("\n".join([*lines[:2], "-1,-1", *lines[3:]]))
    for truth in ("senior", "mean"):
        landmarks = isbi2015(root, "train", truth)[6].landmarks  # type: ignore[arg-type]
        assert np.isnan(landmarks).all(axis=1).nonzero()[0].tolist() == [2]


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="RawImage/Test2Data"):
        isbi2015(tmp_path, "test2")
    (tmp_path / "RawImage" / "TrainingData").mkdir(parents=True)
    with pytest.raises(DatasetError, match="400_senior"):
        isbi2015(tmp_path)


def test_unknown_split_or_truth(root: Path) -> None:
    with pytest.raises(DatasetError, match="'test3'"):
        isbi2015(root, "test3")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="'median'"):
        isbi2015(root, "train", "median")  # type: ignore[arg-type]


REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")


@pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
def test_the_real_films() -> None:
    films = isbi2015(REAL, "train", "senior")
    assert len(films) == 150
    assert films[0].landmarks[0].tolist() == [996, 835]
    for film in films:
        assert ((film.landmarks >= 0) & (film.landmarks < [2400, 1935])).all()
