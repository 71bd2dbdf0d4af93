from __future__ import annotations

import json
import logging
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_ceph.datasets import layout_of, open_dataset
from monai_ceph.datasets.cl_detection import (
    CL_DETECTION_2023_SYMBOLS,
    CL_DETECTION_2024_SYMBOLS,
    cl_detection_2023,
    cl_detection_2024,
)
from monai_ceph.datasets.image_stack import films_of_stack, without_padding
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS

ROWS, COLUMNS = 60, 72
# height and width of the films before they were padded
SIZES = ((50, 60), (60, 72), (48, 64))


def stack_of_films() -> np.ndarray:
    """Three films (film, row, column, channel), padded with zeros: two in grey, one in colours."""
    random = np.random.default_rng(1)
    stack = np.zeros((len(SIZES), ROWS, COLUMNS, 3), dtype=np.uint8)
    for film, (rows, columns) in zip(stack, SIZES, strict=True):
        film[:rows, :columns] = random.integers(1, 256, (rows, columns, 1))
        # black rows and columns inside a film are no padding
        film[3], film[:, 5] = 0, 0
    stack[2, 7, 7] = (1, 2, 3)
    return stack


def write_stack(path: Path, stack: np.ndarray, compressed: bool = False, colours_first: bool = False) -> Path:
    films, rows, columns, channels = stack.shape
    content = zlib.compress(stack.tobytes()) if compressed else stack.tobytes()
    shape = (
        f"NDims = 4\nDimSize = {channels} {columns} {rows} {films}\n"
        if colours_first
        else (f"NDims = 3\nDimSize = {columns} {rows} {films}\nElementNumberOfChannels = {channels}\n")
    )
    size = f"CompressedDataSize = {len(content)}\n" if compressed else ""
    header = f"ObjectType = Image\n{shape}BinaryData = True\nCompressedData = {compressed}\n{size}"
    path.write_bytes(f"{header}ElementType = MET_UCHAR\nElementDataFile = LOCAL\n".encode() + content)
    return path


def entries(image: int, scale: str = "0.1") -> list[dict[str, Any]]:
    """38 points of one image: x = number, y = number + 5 + image."""
    return [{"name": str(k), "point": [k, k + 5 + image, image], "scale": scale} for k in range(1, 39)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_stack(tmp_path / "train_stack.mha", stack_of_films())
    write_labels(tmp_path, entries(2, "0.125") + entries(1))
    return tmp_path


def write_labels(root: Path, points: Any) -> None:
    (root / "train-gt.json").write_text(json.dumps({"name": "Orthodontic landmarks", "points": points}))


class TestStack:
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("colours_first", [False, True])
    def test_films_come_out_without_padding(self, tmp_path: Path, compressed: bool, colours_first: bool) -> None:
        stack = stack_of_films()
        films = films_of_stack(write_stack(tmp_path / "a.mha", stack, compressed, colours_first))
        assert [film.relative_to(tmp_path).as_posix() for film in films] == [
            f"a.films/00{number}.png" for number in (1, 2, 3)
        ]
        for film, pixels, (rows, columns), mode in zip(films, stack, SIZES, ("L", "L", "RGB"), strict=True):
            with Image.open(film) as image:
                assert image.mode == mode
                found = np.asarray(image.convert("RGB"))
            np.testing.assert_array_equal(found, pixels[:rows, :columns])

    def test_it_is_the_file_that_itk_writes(self, tmp_path: Path) -> None:
        itk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
        for compressed in (False, True):
            path = tmp_path / f"{compressed}.mha"
            itk.WriteImage(itk.GetImageFromArray(stack_of_films(), isVector=True), str(path), compressed)
            films = films_of_stack(path)
            assert [Image.open(film).size[::-1] for film in films] == list(SIZES)

    def test_films_are_written_once(self, tmp_path: Path) -> None:
        path = write_stack(tmp_path / "a.mha", stack_of_films())
        films = films_of_stack(path)
        before = [film.stat().st_mtime_ns for film in films]
        films[1].unlink()
        assert films_of_stack(path) == films
        after = [film.stat().st_mtime_ns for film in films]
        assert (after[0], after[2]) == (before[0], before[2])
        assert films[1].is_file()

    def test_films_of_a_newer_stack_are_written_again(self, tmp_path: Path) -> None:
        path = write_stack(tmp_path / "a.mha", stack_of_films())
        films = films_of_stack(path)
        write_stack(path, 255 - stack_of_films())
        later = films[0].stat().st_mtime_ns + 10**9
        os.utime(path, ns=(later, later))
        with Image.open(films_of_stack(path)[0]) as image:
            assert np.asarray(image.convert("RGB"))[0, 0].tolist() == (255 - stack_of_films())[0, 0, 0].tolist()

    def test_a_film_of_zeros_is_kept(self) -> None:
        assert without_padding(np.zeros((3, 4), dtype=np.uint8)).shape == (3, 4)

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            (b"MET_UCHAR", b"MET_SHORT", "the pixels are MET_SHORT"),
            (b"= LOCAL", b"= a.raw", "not a MetaImage with its pixels in the same file"),
            (b"DimSize = 72 60 3", b"DimSize = 72 60", "DimSize is 72 60"),
            (b"DimSize = 72 60 3", b"DimSize = 72 60 0", "DimSize is 72 60 0"),
            (b"DimSize = 72 60 3", b"DimSize = 72 60 x", "its header is damaged"),
            (b"DimSize = 72 60 3", b"DimSize = 72 60 4", "truncated or damaged in film 4 of 4"),
            (b"CompressedData = False", b"CompressedData = True", "truncated or damaged in film 1 of 3"),
        ],
    )
    def test_a_damaged_stack_is_named(self, tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
        path = write_stack(tmp_path / "a.mha", stack_of_films())
        path.write_bytes(path.read_bytes().replace(old, new))
        with pytest.raises(DatasetError) as error:
            films_of_stack(path)
        assert str(error.value).startswith(f"{path}: ")
        assert words in str(error.value)

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        path = write_stack(tmp_path / "a.mha", stack_of_films())
        (tmp_path / "a.films").write_text("a file")
        with pytest.raises(DatasetError, match=r"its films cannot be written into a\.films beside it"):
            films_of_stack(path)


class Test2023:
    def test_numbers_become_symbols(self, root: Path) -> None:
        assert len(set(CL_DETECTION_2023_SYMBOLS)) == 38
        assert CL_DETECTION_2023_SYMBOLS[:19] == SYMBOLS
        first, second = cl_detection_2023(root, ("L6", "S", "Prn"))
        assert (first.name, second.name) == ("001", "002")
        assert first.landmarks.tolist() == [[38 + 6, 38], [1 + 6, 1], [26 + 6, 26]]
        assert second.landmarks.tolist() == [[38 + 7, 38], [1 + 7, 1], [26 + 7, 26]]
        assert (first.pixel_spacing, second.pixel_spacing) == (0.1, 0.125)
        assert first.image == root / "train_stack.films" / "001.png"

    def test_open_dataset_recognises_it(self, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert layout_of(root) == "cl-detection-2023"
        assert len(open_dataset(root)) == 2
        assert "1 of 3 films have no label" in caplog.text
        assert len(open_dataset(root, symbols=CL_DETECTION_2023_SYMBOLS)[0].landmarks) == 38
        with pytest.raises(DatasetError, match="no split 'test1' in this dataset; it has train"):
            open_dataset(root, "test1")
        with pytest.raises(DatasetError, match="CL-Detection 2023 has no landmark R; it has S N"):
            open_dataset(root, symbols=("S", "R"))

    def test_a_landmark_without_a_row(self, root: Path) -> None:
        write_labels(root, entries(1)[1:])
        [film] = cl_detection_2023(root)
        assert np.isnan(film.landmarks).all(axis=1).nonzero()[0].tolist() == [0]

    @pytest.mark.parametrize(
        ("points", "words"),
        [
            ([{"name": "39", "point": [1, 2, 1], "scale": "0.1"}], "point 39 of image 1: the challenge has points 1"),
            ([{"name": "S", "point": [1, 2, 1], "scale": "0.1"}], "cannot read the labels (ValueError"),
            ([{"name": "1", "point": [1, 2], "scale": "0.1"}], "cannot read the labels (ValueError"),
            ([{"name": "1", "point": [1, 2, 1]}], "cannot read the labels (KeyError: 'scale')"),
            ([*entries(1), entries(1)[4]], "point 5 of image 1: it is there twice"),
            ([*entries(1)[1:], entries(1, "0.2")[0]], "point 1 of image 1: scale is 0.2, but 0.1 at another point"),
            (entries(1, "0"), "scale is 0; it must be mm per pixel"),
            (entries(4), "a point of image 4, and train_stack.mha has 3 images"),
            ([{"name": "1", "point": [60, 2, 1], "scale": "0.1"}], "image 1: S at x 60, y 2 is off the film"),
            ([{"name": "1", "point": [float("nan"), 2, 1], "scale": "0.1"}], "it is at nan, 2"),
            ([], "no points"),
        ],
    )
    def test_errors_name_the_file(self, root: Path, points: Any, words: str) -> None:
        write_labels(root, points)
        with pytest.raises(DatasetError) as error:
            cl_detection_2023(root)
        assert str(error.value).startswith(f"{root / 'train-gt.json'}")
        assert words in str(error.value)


HEADER = "image file,spacing(mm)," + ",".join(f"p{k}x,p{k}y" for k in range(1, 54))


def row_2024(file: str, spacing: str = "0.1", first: int = 1) -> str:
    return f"{file},{spacing}," + ",".join(f"{first + k},{k + 2}" for k in range(53))


class Test2024:
    @pytest.fixture(params=["", "Training Set"])
    def root(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        folder = tmp_path / request.param
        (folder / "images").mkdir(parents=True)
        for name in ("001.bmp", "003.bmp"):
            Image.new("L", (90, 80)).save(folder / "images" / name)
        (folder / "labels.csv").write_text(
            f"{HEADER}\n{row_2024('003.bmp', '0.125')}\n{row_2024('001.bmp', first=9)}\n"
        )
        return tmp_path

    def test_numbers_are_the_symbols(self, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert layout_of(root) == "cl-detection-2024"
        with caplog.at_level(logging.WARNING):
            first, second = open_dataset(root, symbols=CL_DETECTION_2024_SYMBOLS)
        assert (first.name, first.pixel_spacing, second.name, second.pixel_spacing) == ("001", 0.1, "003", 0.125)
        assert first.landmarks.tolist() == [[k + 2, k + 9] for k in range(53)]
        assert "p8 and p9 are said to be exchanged in films 001 to 077" in caplog.text

    def test_sella_and_nasion_are_known(self, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        film = open_dataset(root, symbols=("N", "p53", "S"))[0]
        assert film.landmarks.tolist() == [[3, 10], [54, 61], [2, 9]]
        assert caplog.text == ""

    def test_other_anatomy_is_refused(self, root: Path) -> None:
        with pytest.raises(DatasetError, match=r"not public which number Or Po A B .* has; use p1 to p53, or S and N"):
            open_dataset(root)
        with pytest.raises(DatasetError, match="not public which number p54 has"):
            cl_detection_2024(root, ("p54",))

    @pytest.mark.parametrize(
        ("rows", "line", "words"),
        [
            ("", 0, "the table has no rows"),
            (row_2024("002.bmp"), 2, "'002.bmp' is not a file in the folder images"),
            (row_2024("../labels.csv"), 2, "is not a file in the folder images"),
            (f"{row_2024('001.bmp')}\n{row_2024('001.bmp')}", 3, "a second row for 001.bmp"),
            (row_2024("001.bmp", "0"), 2, "spacing(mm) is 0; it must be mm per pixel"),
            (row_2024("001.bmp").replace("0.1,1,2", "0.1,,2"), 2, "p1 has only one of x and y"),
            (row_2024("001.bmp", first=80), 2, "p11 at x 90, y 12 is off the film"),
        ],
    )
    def test_errors_name_file_and_line(self, root: Path, rows: str, line: int, words: str) -> None:
        [table] = root.rglob("labels.csv")
        table.write_text(f"{HEADER}\n{rows}\n")
        with pytest.raises(DatasetError) as error:
            cl_detection_2024(root)
        assert str(error.value).startswith(f"{table}, line {line}: " if line else f"{table}: ")
        assert words in str(error.value)
