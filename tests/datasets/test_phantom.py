import csv
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_ceph.datasets.phantom import Phantom, draw_phantom, write_phantoms
from monai_ceph.datasets.phantom.shape import Shape, sample_shape
from monai_ceph.landmarks import NAMES, NUM_LANDMARKS, SYMBOLS, index_of

SEEDS = range(6)
HEIGHT, WIDTH = 1200, 968


@cache
def phantom(seed: int) -> Phantom:
    return draw_phantom(seed, height=HEIGHT, width=WIDTH)


@cache
def shape(seed: int) -> Shape:
    return sample_shape(np.random.default_rng([seed, 0]))


class Head:
    """Reads pixels at positions given in the head's own frame: x along the Frankfort plane, in |SN|."""

    def __init__(self, film: Phantom) -> None:
        self.pixels = film.pixels.astype(float)
        self.xy = film.landmarks[:, ::-1]
        frankfort = self["Or"] - self["Po"]
        self.unit = float(np.linalg.norm(self["N"] - self["S"]))
        c, s = frankfort / np.linalg.norm(frankfort)
        self.matrix = self.unit * np.array([[c, -s], [s, c]])

    def __getitem__(self, symbol: str) -> np.ndarray:
        return self.xy[index_of(symbol)]

    def at(self, symbol: str, offsets: np.ndarray) -> np.ndarray:
        """Pixels (bilinear) at offsets (n, 2) = (anterior, down) from a landmark."""
        x, y = (self[symbol] + np.atleast_2d(offsets) @ self.matrix.T).T
        x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
        u, v = x - x0, y - y0
        p = self.pixels
        top = p[y0, x0] * (1 - u) + p[y0, x0 + 1] * u
        return top * (1 - v) + (p[y0 + 1, x0] * (1 - u) + p[y0 + 1, x0 + 1] * u) * v

    def edge(self, symbol: str, direction: tuple[float, float], reach: float = 0.03) -> float:
        """Distance from a landmark along ``direction`` at which brightness falls most steeply, in |SN|."""
        along = np.asarray(direction) / np.linalg.norm(direction)
        across = np.array([-along[1], along[0]])
        t = np.linspace(-reach, reach, 121)
        lines = [self.at(symbol, np.outer(t, along) + w * across) for w in np.linspace(-0.004, 0.004, 5)]
        profile = np.convolve(np.mean(lines, axis=0), np.ones(9) / 9, mode="valid")
        fall = -np.gradient(profile)
        return float(t[4:-4][np.argmax(fall)])


@pytest.fixture(params=SEEDS)
def head(request: pytest.FixtureRequest) -> Head:
    return Head(phantom(request.param))


def test_size_type_and_range_of_a_phantom() -> None:
    film = phantom(0)
    assert film.pixels.dtype == np.uint16
    assert film.pixels.shape == (HEIGHT, WIDTH)
    assert film.pixels.max() <= 4095
    assert film.landmarks.shape == (NUM_LANDMARKS, 2)
    assert film.landmarks.dtype == np.float64
    assert film.seed == 0


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_any_seed_repeats_and_fits(seed: int) -> None:
    a, b = (draw_phantom(seed, height=120, width=97) for _ in range(2))
    np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(a.landmarks, b.landmarks)
    assert a.pixel_spacing == b.pixel_spacing
    assert np.isfinite(a.landmarks).all()
    assert (a.landmarks > 0).all()
    assert (a.landmarks < (119, 96)).all()


def test_seeds_differ() -> None:
    a, b = phantom(0), phantom(1)
    assert np.abs(a.landmarks - b.landmarks).max() > 5
    assert a.pixel_spacing != b.pixel_spacing


def test_size_changes_only_the_grid() -> None:
    large, small = phantom(3), draw_phantom(3, height=400, width=322)
    ratio = 322 / WIDTH
    np.testing.assert_allclose(small.landmarks + 0.5, (large.landmarks + 0.5) * ratio, atol=1e-6)
    assert small.pixel_spacing == pytest.approx(large.pixel_spacing / ratio)
    # The pixels agree, too: the small film is a reduced copy of the large one.
    resized = np.asarray(Image.fromarray(large.pixels.astype(np.float32)).resize((322, 400), Image.Resampling.BOX))
    assert np.corrcoef(resized.ravel(), small.pixels.ravel())[0, 1] > 0.99


def test_full_size_by_default() -> None:
    film = draw_phantom(7)
    assert film.pixels.shape == (2400, 1935)
    assert 0.09 < film.pixel_spacing < 0.11
    np.testing.assert_allclose(
        film.landmarks + 0.5, (draw_phantom(7, height=240, width=194).landmarks + 0.5) * 1935 / 194, atol=1e-6
    )


@pytest.mark.parametrize(
    ("seed", "height", "width"), [(-1, 240, 194), (0, 60, 40), (0, 100, 100)], ids=["seed", "small", "low"]
)
def test_invalid_arguments_are_refused(seed: int, height: int, width: int) -> None:
    with pytest.raises(ValueError, match=r"phantom needs|seed must"):
        draw_phantom(seed, height=height, width=width)


# The definitions, on the outlines that are drawn.


@pytest.mark.parametrize("seed", range(60))
def test_definitions_on_outlines(seed: int) -> None:
    s = shape(seed)
    mandible, skin = s.contours["mandible"], s.contours["skin"]
    close = 0.002  # |SN|: a tenth of a millimetre
    assert s["Me"][1] == pytest.approx(mandible[:, 1].max(), abs=close)
    chin = mandible[mandible[:, 1] > 0.5 * (s["Pog"][1] + s["B"][1])]
    assert s["Pog"][0] == pytest.approx(chin[:, 0].max(), abs=close)
    assert s["Gn"].sum() == pytest.approx(chin.sum(axis=1).max(), abs=close)
    assert s["Pog"][1] < s["Gn"][1] < s["Me"][1]
    assert s["Me"][0] < s["Gn"][0] < s["Pog"][0]
    assert s["Or"][1] == pytest.approx(s.contours["orbit_rim"][:, 1].max(), abs=close)
    assert s["Po"][1] == pytest.approx(s["Or"][1])
    assert s["Po"][1] == pytest.approx(s.contours["ear_canal"][:, 1].min(), abs=close)
    assert s["ANS"][0] == pytest.approx(s.contours["palate"][:, 0].max(), abs=close)
    assert s["PNS"][0] == pytest.approx(s.contours["palate"][:, 0].min(), abs=close)
    for symbol in ("UL", "LL", "Pog'"):
        near = skin[(np.abs(skin[:, 1] - s[symbol][1]) < 0.04) & (skin[:, 0] > 0.4)]
        assert s[symbol][0] == pytest.approx(near[:, 0].max(), abs=close), symbol
    # A and B are the deepest points of concavities: above and below them the outline is farther forward.
    for symbol, first, last in (("A", "ANS", "UI"), ("B", "LI", "Pog")):
        share = (s[symbol][1] - s[first][1]) / (s[last][1] - s[first][1])
        assert 0.1 < share < 0.9, symbol
        assert s[symbol][0] < s[first][0] + share * (s[last][0] - s[first][0]) - 0.01, symbol
    for symbol in ("Me", "Pog", "Gn", "Go", "B", "Ar"):
        assert np.linalg.norm(mandible - s[symbol], axis=1).min() < 0.01, symbol
    # Articulare is where both outlines cross.
    base = s.contours["base"]
    assert np.linalg.norm(base - s["Ar"], axis=1).min() < 1e-9
    assert np.linalg.norm(mandible - s["Ar"], axis=1).min() < 1e-9
    for symbol, outline in (("UI", "upper_incisor"), ("LI", "lower_incisor")):
        tooth = s.contours[outline]
        axis = tooth[np.argmax(np.linalg.norm(tooth - s[symbol], axis=1))] - s[symbol]
        assert ((tooth - s[symbol]) @ axis).min() == pytest.approx(0.0, abs=1e-9), symbol
    sella = s.contours["sella"]
    np.testing.assert_allclose(0.5 * (sella.min(axis=0) + sella.max(axis=0)), 0.0, atol=1e-3)


def test_shape_keeps_to_human_variation() -> None:
    heads = np.stack([shape(seed).landmarks for seed in range(120)])
    spread = np.linalg.norm(heads.std(axis=0), axis=1)
    # In |SN|: little at the base of the skull, most at the chin.
    assert spread[index_of("S")] == 0
    assert spread[index_of("N")] < 0.08
    assert 0.12 < spread[index_of("Pog")] < 0.26
    # The mandible moves as a whole.
    b, pog = heads[:, index_of("B")], heads[:, index_of("Pog")]
    assert np.corrcoef(b[:, 0], pog[:, 0])[0, 1] > 0.8


# The definitions, from only the pixels.


def test_film_looks_like_a_film(head: Head) -> None:
    chin = head.at("Pog'", np.array([[0.15, 0.0], [0.20, 0.05], [0.25, 0.1]]))
    brain = head.at("S", np.array([[-0.3, -0.6], [-0.2, -0.8], [0.1, -0.7]]))
    flesh = head.at("Pog'", np.array([[-0.05, 0.0], [-0.06, 0.01]]))
    bone = head.at("Pog", np.array([[-0.06, 0.02], [-0.08, 0.0]]))
    assert chin.mean() < flesh.mean() < bone.mean() < brain.mean() + 800
    assert brain.mean() > 2.5 * chin.mean()


@pytest.mark.parametrize(
    ("symbol", "direction"),
    [
        ("Me", (0.0, 1.0)),
        ("Gn", (1.0, 1.0)),
        ("Pog", (1.0, 0.0)),
        ("UL", (1.0, 0.0)),
        ("LL", (1.0, 0.0)),
        ("Pog'", (1.0, 0.0)),
        ("B", (1.0, 0.0)),
    ],
)
def test_outline_passes_through(head: Head, symbol: str, direction: tuple[float, float]) -> None:
    # Half a millimetre: the blur and the grain of the film.
    assert abs(head.edge(symbol, direction)) < 0.009


@pytest.mark.parametrize(("symbol", "inside", "outside"), [("Me", -1, 1), ("Or", -1, 1)])
def test_lowest(head: Head, symbol: str, inside: int, outside: int) -> None:
    """Just above the lowest point of an outline is bone, just below it is not."""
    x = np.linspace(-0.004, 0.004, 5)
    centre = head.at(symbol, np.stack([x, np.full(5, 0.010 * inside)], axis=1)).mean()
    under = head.at(symbol, np.stack([x, np.full(5, 0.016 * outside)], axis=1)).mean()
    assert centre > under


@pytest.mark.parametrize(("symbol", "down"), [("UI", 1), ("LI", -1)])
def test_incisor_ends_at_its_tip(head: Head, symbol: str, down: int) -> None:
    x = np.linspace(-0.004, 0.004, 5)
    tooth = head.at(symbol, np.stack([x - 0.012, np.full(5, -0.035 * down)], axis=1)).mean()
    ahead = head.at(symbol, np.stack([x + 0.06, np.full(5, -0.035 * down)], axis=1)).mean()
    assert tooth > ahead * 1.15


def test_sella_is_a_pit(head: Head) -> None:
    turn = np.linspace(0.15 * np.pi, 0.85 * np.pi, 25)
    ray = np.linspace(0.02, 0.13, 60)
    rim = max(head.at("S", np.stack([r * np.cos(turn), r * np.sin(turn)], axis=1)).mean() for r in ray)
    disc = np.random.default_rng(0).uniform(-0.03, 0.03, (40, 2))
    assert head.at("S", disc).mean() < rim - 100


def test_porion_is_the_top_of_a_dark_hole(head: Head) -> None:
    x = np.linspace(-0.006, 0.006, 7)
    above = head.at("Po", np.stack([x, np.full(7, -0.02)], axis=1)).mean()
    within = head.at("Po", np.stack([x, np.full(7, 0.02)], axis=1)).mean()
    assert within < above - 60


@pytest.mark.parametrize(("symbol", "away"), [("ANS", 1), ("PNS", -1)])
def test_spines_end(head: Head, symbol: str, away: int) -> None:
    y = np.linspace(-0.003, 0.003, 5)
    bone = head.at(symbol, np.stack([np.full(5, -0.03 * away), y], axis=1)).mean()
    beyond = head.at(symbol, np.stack([np.full(5, 0.03 * away), y], axis=1)).mean()
    assert bone > beyond + 60


# Files.


def _table(path: Path) -> list[dict[str, str]]:
    with (path / "landmarks.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("file_format", ["dicom", "png"])
def test_files(tmp_path: Path, file_format: Literal["dicom", "png"]) -> None:
    films = write_phantoms(tmp_path / "new", 3, seed=11, file_format=file_format, height=240, width=194)
    suffix = "dcm" if file_format == "dicom" else "png"
    assert [film.name for film in films] == [f"00{i}.{suffix}" for i in (1, 2, 3)]
    # There are no other files, not even hidden ones.
    assert {p.name for p in (tmp_path / "new").iterdir()} == {*(film.name for film in films), "landmarks.csv"}
    rows = _table(tmp_path / "new")
    assert list(rows[0]) == ["film", "landmark", "symbol", "x", "y", "pixel_spacing"]
    assert len(rows) == 3 * NUM_LANDMARKS
    for i, film in enumerate(films):
        expected = draw_phantom(11 + i, height=240, width=194)
        part = [row for row in rows if row["film"] == film.name]
        assert tuple(row["symbol"] for row in part) == SYMBOLS
        assert tuple(row["landmark"] for row in part) == NAMES
        xy = np.array([[float(row["x"]), float(row["y"])] for row in part])
        np.testing.assert_allclose(xy, expected.landmarks[:, ::-1], atol=5.1e-5)
        assert float(part[0]["pixel_spacing"]) == pytest.approx(expected.pixel_spacing, rel=1e-6)
        if file_format == "png":
            with Image.open(film) as image:
                assert image.mode == "L"
                np.testing.assert_array_equal(np.asarray(image), expected.pixels >> 4)


def test_dicom(tmp_path: Path) -> None:
    (film,) = write_phantoms(tmp_path, 1, seed=5, height=240, width=194)
    expected = draw_phantom(5, height=240, width=194)
    ds = pydicom.dcmread(film)
    np.testing.assert_array_equal(ds.pixel_array, expected.pixels)
    assert ds.SOPClassUID == pydicom.uid.DigitalXRayImageStorageForPresentation
    assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (16, 12, 11)
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    assert list(ds.PatientOrientation) == ["A", "F"]
    assert ds.PositionerType == "CEPHALOSTAT"
    assert ds.PixelSpacingCalibrationType == "GEOMETRY"
    assert [float(v) for v in ds.PixelSpacing] == pytest.approx([expected.pixel_spacing] * 2, rel=1e-6)
    magnification = float(ds.EstimatedRadiographicMagnificationFactor)
    assert float(ds.ImagerPixelSpacing[0]) == pytest.approx(expected.pixel_spacing * magnification, rel=1e-6)


def test_dicom_uids_follow_the_seed(tmp_path: Path) -> None:
    def read(folder: str, seed: int) -> Path:
        (film,) = write_phantoms(tmp_path / folder, 1, seed=seed, height=120, width=97)
        return film

    assert read("a", 1).read_bytes() == read("b", 1).read_bytes()
    one, two = pydicom.dcmread(read("a", 1)), pydicom.dcmread(read("c", 2))
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"):
        assert one[name].value != two[name].value


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (apt-get install dicom3tools)")
def test_dicom_is_valid(tmp_path: Path) -> None:
    (film,) = write_phantoms(tmp_path, 1, height=120, width=97)
    report = subprocess.run(["dciodvfy", str(film)], capture_output=True, text=True, check=False)
    lines = (report.stdout + report.stderr).splitlines()
    assert lines[0].strip() == "DXImageForPresentation"
    assert [line for line in lines if line.startswith("Error")] == []


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("monai_ceph.datasets.phantom.writer.save_dicom", fail)
    with pytest.raises(OSError, match="disk full"):
        write_phantoms(tmp_path, 1, height=120, width=97)
    assert list(tmp_path.iterdir()) == []


def test_invalid_arguments_of_write_phantoms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file_format"):
        write_phantoms(tmp_path, 1, file_format="bmp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count"):
        write_phantoms(tmp_path, -1)
    assert write_phantoms(tmp_path, 0) == []
