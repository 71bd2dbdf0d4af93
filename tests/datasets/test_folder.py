from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from monai_ceph.datasets import as_dictionaries, folder, open_dataset
from monai_ceph.datasets.folder import template
from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS, index_of

HEADER = "file,symbol,x,y,pixel_spacing\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((1200, 1000), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "below").mkdir()
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "below" / "a.png").write_bytes((tmp_path / "a.png").read_bytes())
    return tmp_path


def write(root: Path, text: str) -> Path:
    (root / "landmarks.csv").write_text(text, encoding="utf-8")
    return root


def test_rows_in_any_order_and_x_y_become_row_column(root: Path) -> None:
    films = folder(write(root, HEADER + "b.png,Pog',3,4,0.2\na.png,N,1.5,2.25,\nb.png,S,10,20,\na.png,A,,,0.1\n"))
    assert [film.name for film in films] == ["a.png", "b.png"]
    a, b = films
    assert a.image == root / "a.png"
    assert a.landmarks.shape == (NUM_LANDMARKS, 2)
    assert a.landmarks.dtype == np.float64
    assert a.landmarks[index_of("N")].tolist() == [2.25, 1.5]
    assert b.landmarks[index_of("S")].tolist() == [20, 10]
    assert b.landmarks[index_of("Pog'")].tolist() == [4, 3]
    assert np.isfinite(a.landmarks).sum() == 2
    assert np.isfinite(b.landmarks).sum() == 4
    # the pixel spacing may be in any row of the film
    assert (a.pixel_spacing, b.pixel_spacing) == (0.1, 0.2)


def test_a_landmark_that_only_people_place_may_be_in_the_table(root: Path) -> None:
    text = HEADER + "a.png,S,10,20,\na.png,U1A,30,40,\n"
    (film,) = folder(write(root, text))
    assert np.isfinite(film.landmarks).all(axis=1).sum() == 1
    (film,) = folder(root, ("S", "U1A"))
    assert film.landmarks.tolist() == [[20, 10], [40, 30]]


def test_spread_between_two_annotators(root: Path) -> None:
    header = HEADER.replace("\n", ",spread_x,spread_y\n")
    [film] = folder(write(root, header + "a.png,S,10,20,,1.5,-2\na.png,N,3,4,,,\n"))
    assert film.spread is not None
    assert film.spread[index_of("S")].tolist() == [-2, 1.5]
    assert np.isfinite(film.spread).sum() == 2
    [item] = as_dictionaries([film])
    # with one annotation there is no spread
    assert np.abs(item["spread"]).sum() == 3.5


def test_as_dictionaries(root: Path) -> None:
    [item] = as_dictionaries(folder(write(root, HEADER + "a.png,S,1,2,\n")))
    assert item["name"] == "a.png"
    assert item["image"] == str(root / "a.png")
    assert item["landmarks"][0].tolist() == [2, 1]
    assert math.isnan(item["pixel_spacing"])
    assert item["spread"].tolist() == [[0, 0]] * NUM_LANDMARKS


def test_the_template_lists_every_landmark_and_annotates_none(root: Path) -> None:
    text = template(["a.png"])
    assert [row["symbol"] for row in csv.DictReader(io.StringIO(text))] == list(SYMBOLS)
    [film] = folder(write(root, text))
    assert np.isnan(film.landmarks).all()
    assert math.isnan(film.pixel_spacing)
    # a template that is filled in can be read
    [film] = folder(write(root, text.replace(",S,,,", ",S,7,8,0.1")))
    assert film.landmarks[0].tolist() == [8, 7]
    assert film.pixel_spacing == 0.1


def test_extra_columns_byte_order_mark_and_crlf(root: Path) -> None:
    text = (
        "file,landmark,symbol,x,y,confidence,warnings\r\n"
        'a.png,Sella,S,835.25,996.5,0.93,"low contrast, check"\r\n'
        "a.png,Nasion,N,nan,NaN,0.01,\r\n"
    )
    (root / "landmarks.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    [film] = folder(root)
    assert film.landmarks[index_of("S")].tolist() == [996.5, 835.25]
    assert np.isnan(film.landmarks[index_of("N")]).all()


def test_films_in_a_subfolder(root: Path) -> None:
    (root / "a.png").rename(root / "below" / "c.png")
    [film] = folder(write(root, HEADER + "below/c.png,S,1,2,\n"))
    assert film.image == root / "below" / "c.png"


def test_other_landmarks(root: Path) -> None:
    [film] = folder(write(root, HEADER + "a.png,tip,1,2,\n"), symbols=("base", "tip"))
    assert np.isnan(film.landmarks[0]).all()
    assert film.landmarks[1].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("file,symbol,x\na.png,S,1\n", 1, "no column y"),
        ("", 1, "no column film, symbol, x, y"),
        ("film;landmark;x;y\na.png;S;1;2\n", 1, "no column symbol in the header; it has film, landmark, x, y"),
        ("sep=;\nfilm;x;y\n", 2, "no column symbol"),
        (
            f"film,{','.join(f'm{n}' for n in range(83))}\n",
            1,
            "it has film, m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10 and 72 more",
        ),
        ("sep=;\nfile;symbol;x;y\na.png;S;eins;2\n", 3, "x is 'eins'"),
        (HEADER + "a.png,S,-2,5,\n", 2, "S at x -2, y 5 is off the film, which has 1000 x 1200 pixels"),
        (HEADER + "a.png,S,5,-1,\n", 2, "S at x 5, y -1 is off the film"),
        (HEADER + "a.png,N,5,6,\na.png,S,-1,6,\n", 3, "S at x -1, y 6 is off the film"),
        (HEADER + "b.png,S,1,2,\na.png,N,999.6,5,\n", 3, "N at x 999.6, y 5 is off the film"),
        (HEADER + "a.png,N,5,1200,\n", 2, "N at x 5, y 1200 is off the film"),
        (HEADER + "a.png,S,1,2,\na.png,Q,1,2,\n", 3, "'Q'"),
        (HEADER + "a.png\n", 2, "symbol ''"),
        (HEADER + "a.png,S,1,2,\na.png,N,3,4,\na.png,S,1,2,\n", 4, "a second row for S of a.png"),
        (HEADER + "a.png,S,one,2,\n", 2, "x is 'one'"),
        (HEADER + "a.png,S,1,inf,\n", 2, "y is not finite"),
        (HEADER + "a.png,S,1,,\n", 2, "only one of x and y"),
        ("file,symbol,x,y,spread_x\na.png,S,1,2,3\n", 2, "only one of spread_x and spread_y"),
        ("file,symbol,x,y,spread_x,spread_y\na.png,S,1,2,3,far\n", 2, "spread_y is 'far'"),
        (HEADER + "a.png,S,1,2,0\n", 2, "give mm per pixel"),
        (HEADER + "a.png,S,1,2,-0.1\n", 2, "give mm per pixel"),
        (HEADER + "a.png,S,1,2,1000\n", 2, "pixel_spacing is 1000; give mm per pixel"),
        (HEADER + "a.png,S,1_0,2,\n", 2, "x is '1_0', not a number"),
        ("file,symbol,x,y,x\na.png,S,1,2,3\n", 1, "two columns x in the header"),
        (
            "file,symbol,x,y,pixel_spacing,pixel_spacing\na.png,S,1,2,0.1,0.2\n",
            1,
            "two columns pixel_spacing",
        ),
        (HEADER + "a.png,S,1,2,0.1 mm\n", 2, "pixel_spacing is '0.1 mm'"),
        (HEADER + "a.png,S,1,2,0.1\na.png,N,1,2,0.2\n", 3, "0.2, but 0.1 in an earlier row"),
        (
            HEADER + "a.png,S,1,2,\nc.png,S,1,2,\n",
            3,
            "'c.png' is not a file in the folder, nor the UID of a DICOM film",
        ),
        (HEADER + "a.png,S,1,2,\n./a.png,N,1,2,\n", 3, "'./a.png' is the same file as 'a.png'"),
        (HEADER + "below//a.png,S,1,2,\nb.png,S,1,2,\nbelow/a.png,N,1,2,\n", 4, "the same file as 'below//a.png'"),
        (HEADER + "below/../a.png,S,1,2,\na.png,S,1,2,\n", 3, "'a.png' is the same file as 'below/../a.png'"),
        (HEADER + "a.png,S,1,2,\nlink.png,S,1,2,\n", 3, "'link.png' is the same file as 'a.png'"),
        (HEADER + "a" * 5000 + ".png,S,1,2,\n", 2, "is not a file"),
        (HEADER + ",S,1,2,\n", 2, "'' is not a file"),
        (HEADER + "a.png,S,1,2,\n" + "a.png,N,3,4," + "0" * 140_000 + "\n", 3, "field larger"),
        (HEADER + '"a.png",S,"1\n",2,\na.png,Q,1,2,\n', 4, "'Q'"),
    ],
)
def test_errors_name_file_line_and_cause(root: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(DatasetError) as error:
        folder(write(root, text))
    assert str(error.value).startswith(f"{root / 'landmarks.csv'}, line {line}: ")
    assert words in str(error.value)


@pytest.mark.parametrize("where", ["header", "row"])
def test_a_table_in_another_encoding(root: Path, where: str) -> None:
    text = HEADER if where == "row" else HEADER.replace("file,", "file,größe,")
    (root / "landmarks.csv").write_bytes((text + "größe.png,S,1,2,\n").encode("cp1252"))
    with pytest.raises(DatasetError, match=rf"landmarks\.csv, line {1 if where == 'header' else 2}: .*UTF-8"):
        folder(root)


class TestNotAnnotated:
    """Placeholders that annotation programs write for missing landmarks."""

    @pytest.mark.parametrize(
        ("x", "y"), [("-1", "-1"), ("-1.0", "-1"), ("", ""), ("NA", "na"), ("NaN", "null"), ("None", "-")]
    )
    def test_placeholders_are_not_annotated(self, root: Path, x: str, y: str) -> None:
        [film] = folder(write(root, HEADER + f"a.png,S,{x},{y},\na.png,N,3,4,NA\n"))
        assert np.isnan(film.landmarks[index_of("S")]).all()
        assert film.landmarks[index_of("N")].tolist() == [4, 3]
        assert math.isnan(film.pixel_spacing)

    def test_two_landmarks_at_zero_are_not_annotated(self, root: Path) -> None:
        [film] = folder(write(root, HEADER + "a.png,S,0,0,\na.png,A,0.0,0,\na.png,N,3,4,\n"))
        assert np.isfinite(film.landmarks).all(axis=1).nonzero()[0].tolist() == [index_of("N")]

    def test_one_landmark_at_zero_is_annotated(self, root: Path) -> None:
        films = folder(write(root, HEADER + "a.png,S,0,0,\na.png,N,3,4,\nb.png,S,0,0,\n"))
        assert [film.landmarks[index_of("S")].tolist() for film in films] == [[0, 0], [0, 0]]

    def test_landmarks_on_the_edge_of_the_film(self, root: Path) -> None:
        [film] = folder(write(root, HEADER + "a.png,S,-0.5,-0.5,\na.png,N,999.5,1199.5,\n"))
        assert film.landmarks[index_of("N")].tolist() == [1199.5, 999.5]


class TestSpreadsheets:
    """The same two rows, as spreadsheets write them in different locales."""

    @pytest.mark.parametrize(
        "content",
        [
            b"file,symbol,x,y,pixel_spacing\na.png,S,812.5,1003,0.1\na.png,N,3,4,\n",
            b"film,symbol,x,y,pixel_spacing\na.png,S,812.5,1003,0.1\na.png,N,3,4,\n",
            b"file,film,symbol,x,y,pixel_spacing\nb.png,a.png,S,812.5,1003,0.1\nb.png,a.png,N,3,4,\n",
            b"file;symbol;x;y;pixel_spacing\r\na.png;S;812,5;1003;0,1\r\na.png;N;3;4;\r\n",
            b"sep=;\r\nFile;Symbol;X;Y;Pixel_Spacing\r\na.png;S;812.5;1003;0.1\r\na.png;N;3;4;\r\n",
            "\ufeffFILE\tSYMBOL\tX\tY\tPIXEL_SPACING\na.png\tS\t812,5\t1003\t0,1\na.png\tN\t3\t4\n".encode(),
            "file\tsymbol\tx\ty\tpixel_spacing\na.png\tS\t812.5\t1003\t0.1\na.png\tN\t3\t4\t\n".encode("utf-16"),
            b' "file" | symbol | x | y | pixel_spacing\na.png|S|812.5|1003|0.1\na.png|N|3|4|\n',
        ],
        ids=["plain", "film", "both", "semicolons", "sep", "tabs", "UTF-16", "bars"],
    )
    def test_rows(self, root: Path, content: bytes) -> None:
        (root / "landmarks.csv").write_bytes(content)
        [film] = folder(root)
        assert film.name == "a.png"
        assert film.landmarks[index_of("S")].tolist() == [1003, 812.5]
        assert film.landmarks[index_of("N")].tolist() == [4, 3]
        assert film.pixel_spacing == 0.1


class TestTableOfDetect:
    """The table of detect names films by the given paths, and by UIDs."""

    def test_paths_that_start_above_the_folder(self, root: Path) -> None:
        films = folder(write(root, HEADER + "data/films/a.png,S,1,2,\ndata/films/below/a.png,S,3,4,\n"))
        assert [film.image for film in films] == [root / "a.png", root / "below" / "a.png"]

    @pytest.mark.parametrize("name", ["films/../b.png", "x/..", "/b.png"])
    def test_names_cannot_lead_out_of_the_folder(self, root: Path, name: str) -> None:
        with pytest.raises(DatasetError, match="is not a file in the folder"):
            folder(write(root / "below", HEADER + f"{name},S,1,2,\n"))

    def test_uids(self, root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        written = write_phantoms(root / "study", 2, 0, height=240, width=194)
        uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in written]
        films = folder(write(root, HEADER + "".join(f"{uid},S,1,2,0.1\n" for uid in uids)))
        assert sorted(film.image for film in films) == sorted(written)

    def test_a_uid_that_two_films_share(self, root: Path) -> None:
        [path] = write_phantoms(root / "study", 1, 0, height=240, width=194)
        (root / "copy.dcm").write_bytes(path.read_bytes())
        with pytest.raises(DatasetError, match="nor the UID of a DICOM film in it"):
            folder(write(root, HEADER + f"{dcmread(path, stop_before_pixels=True).SOPInstanceUID},S,1,2,0.1\n"))


def test_no_table_and_no_rows(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"landmarks\.csv: no such file.*template"):
        folder(root)
    with pytest.raises(DatasetError, match=r"landmarks\.csv: the table has no rows"):
        folder(write(root, HEADER))


def test_open_dataset_recognises_the_layout(root: Path) -> None:
    assert [film.name for film in open_dataset(write(root, HEADER + "a.png,S,1,2,\n"), "test1", "junior")] == ["a.png"]
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(root / "nowhere")
    (root / "RawImage").mkdir()
    with pytest.raises(DatasetError, match="RawImage/TrainingData"):
        open_dataset(root)
