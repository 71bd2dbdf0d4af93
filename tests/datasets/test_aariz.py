from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_ceph.datasets import layout_of, open_dataset
from monai_ceph.datasets.aariz import AARIZ_SYMBOLS, aariz, is_aariz
from monai_ceph.datasets.cl_detection import CL_DETECTION_2023_SYMBOLS
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS, landmark_of
from monai_ceph.training.films import training_films

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "datasets.md"

# as the published files have them, in their order
THEIRS = (
    *("A", "ANS", "B", "Me", "N", "Or", "Pog", "PNS", "Pn", "R", "S", "Ar", "Co", "Gn", "Go", "Po", "LPM", "LIT"),
    *("LMT", "UPM", "UIA", "UIT", "UMT", "LIA", "Li", "Ls", "N`", "Pog`", "Sn"),
)
# theirs: ours, where they differ
NAMES = {"UIT": "UI", "LIT": "LI", "Ls": "UL", "Li": "LL", "Pog`": "Pog'", "Pn": "Prn", "N`": "N'"} | {
    "UIA": "U1A",
    "LIA": "L1A",
}
DOCTORS = {"senior": "Senior Orthodontists", "junior": "Junior Orthodontists"}


def annotation(offset: float) -> dict[str, Any]:
    """Every landmark at another place: x = 10 i, y = 100 + 10 i."""
    marks = [
        {
            "landmark_id": str(index),
            "title": "",
            "symbol": symbol,
            "value": {"x": 10 * index + offset, "y": 100 + 10 * index},
        }
        for index, symbol in enumerate(THEIRS)
    ]
    return {"ceph_id": "a", "landmarks": marks, "dataset_name": "Aariz"}


def write(root: Path, split: str, *names: str, suffix: str = ".png") -> None:
    for folder in DOCTORS.values():
        (root / split / "Annotations" / "Cephalometric Landmarks" / folder).mkdir(parents=True, exist_ok=True)
    (root / split / "Cephalograms").mkdir(exist_ok=True)
    for name in names:
        Image.new("L", (400, 500)).save(root / split / "Cephalograms" / f"{name}{suffix}")
        for doctor, offset in (("senior", 0.0), ("junior", 3.0)):
            file(root, split, doctor, name).write_text(json.dumps(annotation(offset)))


def file(root: Path, split: str, doctor: str, name: str) -> Path:
    return root / split / "Annotations" / "Cephalometric Landmarks" / DOCTORS[doctor] / f"{name}.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "train", "b", "a")
    write(tmp_path, "valid", "v", suffix=".jpg")
    write(tmp_path, "test", "t", suffix=".BMP")
    (tmp_path / "cephalogram_machine_mappings.csv").write_text(
        "\ufeffcephalogram_id,machine,pixel_size,image_format,mode\na,X,0.1,png,train\nb,Y,0.139,png,train\nt,Z,0.2,bmp,test\n"
    )
    return tmp_path


def test_all_29_landmarks_by_their_symbols(root: Path) -> None:
    film = aariz(root, "train", "senior", AARIZ_SYMBOLS)[0]
    assert len(set(AARIZ_SYMBOLS)) == len(THEIRS) == 29
    assert AARIZ_SYMBOLS[:19] == SYMBOLS
    places = {NAMES.get(theirs, theirs): [100 + 10 * index, 10 * index] for index, theirs in enumerate(THEIRS)}
    assert dict(zip(AARIZ_SYMBOLS, film.landmarks.tolist(), strict=True)) == places


def test_every_landmark_is_in_the_vocabulary() -> None:
    assert [symbol for symbol in AARIZ_SYMBOLS if landmark_of(symbol) is None] == []


def test_doctors_and_their_mean(root: Path) -> None:
    (senior, *_), (junior, *_), (mean, *_) = (aariz(root, "train", truth) for truth in ("senior", "junior", "mean"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(junior.landmarks - senior.landmarks, np.tile([0, 3], (19, 1)))
    np.testing.assert_array_equal(mean.landmarks, senior.landmarks + np.array([0, 1.5]))
    assert senior.spread is None
    both = mean.annotators()
    assert both is not None
    np.testing.assert_array_equal(both, (senior.landmarks, junior.landmarks))


def test_films_suffixes_and_pixel_sizes(root: Path) -> None:
    assert [(film.name, film.pixel_spacing) for film in aariz(root)] == [("a", 0.1), ("b", 0.139)]
    [valid], [test] = aariz(root, "valid"), aariz(root, "test")
    assert valid.image == root / "valid" / "Cephalograms" / "v.jpg"
    assert np.isnan(valid.pixel_spacing)
    assert (test.image.name, test.pixel_spacing) == ("t.BMP", 0.2)


def test_open_dataset_recognises_it_in_either_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "Train", "a")
    assert is_aariz(tmp_path)
    assert layout_of(tmp_path) == "aariz"
    [film] = open_dataset(tmp_path, "train", symbols=("Prn", "S"))
    assert film.landmarks.shape == (2, 2)
    assert "cephalogram_machine_mappings.csv: no such file, so the films have no scale" in caplog.text
    assert not is_aariz(tmp_path / "Train")


def test_a_landmark_that_one_doctor_left_out(root: Path) -> None:
    data = annotation(0)
    data["landmarks"] = [mark for mark in data["landmarks"] if mark["symbol"] != "S"]
    data["landmarks"][0]["value"] = {"x": None, "y": None}
    file(root, "train", "senior", "a").write_text(json.dumps(data))
    film = aariz(root, "train", "mean")[0]
    assert {SYMBOLS[index] for index in np.flatnonzero(np.isnan(film.landmarks).any(axis=1))} == {"S", "A"}


def test_annotated_films_that_are_missing_are_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "train" / "Cephalograms" / "b.png").unlink()
    with caplog.at_level(logging.WARNING):
        assert [film.name for film in aariz(root)] == ["a"]
    assert "1 of 2 annotated films are missing; the others are used" in caplog.text


def test_errors_name_the_file(root: Path) -> None:
    def says(words: str, split: Any = "train", truth: Any = "senior", symbols: Any = SYMBOLS) -> None:
        with pytest.raises(DatasetError) as error:
            aariz(root, split, truth, symbols)
        assert words in str(error.value)

    says("no split 'test1' with ground truth 'senior' in Aariz; it has train, valid, test", "test1")
    says("no split 'train' with ground truth 'median'", truth="median")
    says("Aariz has no landmark U6; it has S N Or", symbols=("S", "U6"))
    place = file(root, "train", "senior", "a")
    for text, words in (
        ("{", "cannot read the annotation (JSONDecodeError"),
        ("[]", "cannot read the annotation (TypeError"),
        ("{}", "cannot read the annotation (KeyError: 'landmarks')"),
        (json.dumps(annotation(0.0)).replace('"Sn"', '"Sx"'), "'Sx' is not one of the 29 landmarks"),
        (json.dumps(annotation(0.0)).replace('"Sn"', '"S"'), "two landmarks 'S'; keep one"),
        (json.dumps(annotation(0.0)).replace('"x": 0.0', '"x": "0"'), "A is at '0', not at a number"),
        (json.dumps(annotation(0.0)).replace('"x": 0.0', '"x": NaN'), "A is at nan, not at a number"),
        (json.dumps(annotation(0.0)).replace('"x": 0.0', '"x": 400'), "A at x 400, y 100 is off the film"),
    ):
        place.write_text(text)
        says(f"{place}: {words}")
    place.unlink()
    says(f"{place}: cannot read the annotation (FileNotFoundError")
    write(root, "train", "a", suffix=".jpg")
    says("a second film a, beside a.jpg; keep one")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,0", "line 2: pixel_size is 0; it must be mm per pixel"),
        ("a,100", "line 2: pixel_size is 100; it must be"),
        ("a,tiny", "line 2: pixel_size is 'tiny', not a number"),
        ("a,0.1\na,0.2", "line 3: pixel_size of a is 0.2, but 0.1 in an earlier row"),
    ],
)
def test_pixel_sizes_that_are_wrong(root: Path, row: str, words: str) -> None:
    table = root / "cephalogram_machine_mappings.csv"
    table.write_text(f"cephalogram_id,pixel_size\n{row}\n")
    with pytest.raises(DatasetError) as error:
        aariz(root)
    assert str(error.value).startswith(f"{table}, {words}")
    table.write_text("cephalogram_id,machine\n")
    with pytest.raises(DatasetError, match="no column pixel_size"):
        aariz(root)


def test_the_own_landmarks_configs_train_all_of_it(root: Path) -> None:
    sets = [json.loads(text)["landmarks"] for text in re.findall(r"^\{.*\}$", PAGE.read_text(), re.MULTILINE)]
    assert sets == [list(AARIZ_SYMBOLS), list(CL_DETECTION_2023_SYMBOLS)]
    films = training_films(str(root), str(root / "phantoms"), "mean", None, 2, 0, 0, landmarks=sets[0])
    assert [film["landmarks"].shape for film in films["train"]] == [(29, 2), (29, 2)]
    np.testing.assert_array_equal(films["train"][0]["spread"], np.tile([0, 1.5], (29, 1)))
