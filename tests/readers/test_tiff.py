"""TIFF files are decoded exactly as stored, by ITK or by Pillow, or refused."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reader_films import COLUMNS, GREY8, GREY12, RGB8, ROWS, luma, refuses, same
from tiff_files import tiff

from monai_ceph.readers import read_radiograph

GREY16 = GREY12 * 11
GREY32 = GREY12.astype(np.uint32) * 2**20  # beyond what a sign leaves; float32 holds them
SIGNED16 = (GREY16.astype(np.int32) - 20000).astype(np.int16)
KINDS = [GREY8, GREY16, GREY32, SIGNED16, GREY12.astype(np.float32) / 7]
LAYOUTS: list[dict[str, Any]] = [{}, {"tiles": True}, {"planes": True}, {"tiles": True, "planes": True}]
RGBA8 = np.dstack([RGB8, GREY8])
RGB16 = RGB8.astype(np.uint16) * 183


def kind(stored: np.ndarray) -> str:
    return str(stored.dtype)


def write(folder: Path, *arguments: Any, **options: Any) -> Path:
    path = folder / "a.tif"
    path.write_bytes(tiff(*arguments, **options))
    return path


def check(path: Path, expected: np.ndarray, orientation: int, atol: float = 0.0) -> None:
    same(path, expected, atol)
    assert read_radiograph(path).warnings == (
        (f"The orientation {orientation} was not applied; the pixels are used as they are stored.",)
        if orientation != 1
        else ()
    )


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
class TestAsStored:
    @pytest.mark.parametrize("deflate", [False, True], ids=["raw", "deflate"])
    @pytest.mark.parametrize("stored", KINDS, ids=kind)
    def test_grey(self, tmp_path: Path, stored: np.ndarray, deflate: bool, layout: dict[str, Any]) -> None:
        for orientation in range(1, 9):
            path = write(tmp_path, stored, orientation=orientation, deflate=deflate, **layout)
            check(path, stored, orientation)

    @pytest.mark.parametrize("stored", [GREY8, GREY16], ids=["8", "16"])
    def test_white_is_zero_is_undone_once(self, tmp_path: Path, stored: np.ndarray, layout: dict[str, Any]) -> None:
        for orientation in range(1, 9):
            path = write(tmp_path, stored, 0, orientation=orientation, **layout)
            check(path, np.iinfo(stored.dtype).max - stored.astype(int), orientation)

    @pytest.mark.parametrize("deflate", [False, True], ids=["raw", "deflate"])
    def test_white_is_zero_of_floats(self, tmp_path: Path, deflate: bool, layout: dict[str, Any]) -> None:
        """Zero is white, and the values are negated, as floats have no highest value."""
        stored = GREY12.astype(np.float32) / 7 - 100
        for orientation in range(1, 9):
            path = write(tmp_path, stored, 0, orientation=orientation, deflate=deflate, **layout)
            check(path, -stored, orientation)

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("stored", [GREY8.astype(np.int8), SIGNED16, GREY12.astype(np.int32), GREY32], ids=kind)
    def test_white_is_zero_of_other_integers_is_refused(
        self, tmp_path: Path, stored: np.ndarray, order: str, layout: dict[str, Any]
    ) -> None:
        bits, sign = stored.dtype.itemsize * 8, "signed " if stored.dtype.kind == "i" else ""
        message = f"a TIFF that cannot be decoded exactly: WhiteIsZero with {bits} {sign}bits per sample"
        for orientation in (1, 6):
            refuses(write(tmp_path, stored, 0, orientation=orientation, order=order, **layout), message)

    @pytest.mark.parametrize("photometric", [0, 1])
    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_few_bits_fill_the_range_of_eight(
        self, tmp_path: Path, bits: int, photometric: int, layout: dict[str, Any]
    ) -> None:
        stored = GREY8 >> (8 - bits)
        expected = stored.astype(int) * 255 // (2**bits - 1)
        for orientation in range(1, 9):
            path = write(tmp_path, stored, photometric, bits=bits, orientation=orientation, **layout)
            check(path, expected if photometric else 255 - expected, orientation)

    def test_twelve_bits(self, tmp_path: Path, layout: dict[str, Any]) -> None:
        for orientation in range(1, 9):
            check(write(tmp_path, GREY12, bits=12, orientation=orientation, **layout), GREY12, orientation)

    @pytest.mark.parametrize("stored", [RGB8, RGBA8], ids=["RGB", "RGBA"])
    def test_colours(self, tmp_path: Path, stored: np.ndarray, layout: dict[str, Any]) -> None:
        for orientation in range(1, 9):
            check(write(tmp_path, stored, 2, orientation=orientation, **layout), luma(RGB8), orientation, atol=1e-3)

    @pytest.mark.parametrize("extra", [0, 2], ids=["not stated", "alpha"])
    def test_grey_with_further_samples(self, tmp_path: Path, extra: int, layout: dict[str, Any]) -> None:
        stored = np.dstack([GREY8, GREY8[::-1]])
        for orientation in range(1, 9):
            path = write(tmp_path, stored, orientation=orientation, extra=extra, **layout)
            if layout.get("planes"):  # Pillow does not open all of them
                refuses(
                    path,
                    "that cannot be decoded exactly"
                    if extra
                    else "not a PNG, JPEG, BMP, TIFF, WebP or JPEG 2000 image",
                )
            else:
                check(path, GREY8, orientation)

    def test_missing_photometric_means_black_is_zero(self, tmp_path: Path, layout: dict[str, Any]) -> None:
        check(write(tmp_path, GREY8, None, **layout), GREY8, 1)


@given(
    rows=st.integers(16, 50),
    columns=st.integers(16, 50),
    dtype=st.sampled_from(["u1", "u2", "i2", "f4"]),
    form=st.sampled_from([{"order": "<"}, {"order": ">"}, {"order": "<", "big": True}]),
    tiles=st.booleans(),
    deflate=st.booleans(),
    orientation=st.integers(0, 9),
)
def test_exact_or_refused(
    rows: int, columns: int, dtype: str, orientation: int, form: dict[str, Any], tiles: bool, deflate: bool
) -> None:
    stored = np.random.default_rng(rows * columns).integers(0, 256, (rows, columns)).astype(dtype)
    stored[0, 0] = 1  # not the same upside down
    with TemporaryDirectory() as folder:
        path = write(Path(folder), stored, orientation=orientation, tiles=tiles, deflate=deflate, **form)
        turned = orientation in range(2, 9)
        unread = dtype in ("i2", "f4") and form["order"] == ">" and deflate
        if unread and (turned or tiles):
            refuses(path, "cannot be decoded exactly")
        else:
            check(path, stored, orientation if turned else 1)


def test_white_is_zero_of_floats_that_are_not_all_finite(tmp_path: Path) -> None:
    """Pixels that are not finite get the darkest value, which is the highest one in the file."""
    stored = GREY12.astype(np.float32)
    stored[0, :3] = np.nan, np.inf, -np.inf
    expected = -stored
    expected[0, :3] = -stored[np.isfinite(stored)].max()
    same(write(tmp_path, stored, 0), expected)


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
def test_damaged_white_is_zero_has_the_usual_error(tmp_path: Path, big: bool) -> None:
    path = write(tmp_path, SIGNED16, 0, big=big)
    refuses(path, "WhiteIsZero with 16 signed bits")
    data = path.read_bytes()
    for length in range(1, 40):  # one without a byte has an error of its own
        path.write_bytes(data[:length])
        refuses(path, "not a PNG, JPEG, BMP, TIFF, WebP or JPEG 2000 image, or its header is damaged")


class TestOneDecoderOnly:
    """Kinds that ITK decodes exactly in their plain form, and Pillow never."""

    @pytest.mark.parametrize(
        ("stored", "photometric"),
        [(RGB16, 2), (np.dstack([RGB16, GREY16]), 2), (GREY8.astype(np.int8), 1)],
        ids=["RGB", "RGBA", "signed"],
    )
    def test_plain(self, tmp_path: Path, stored: np.ndarray, photometric: int) -> None:
        expected = stored if stored.ndim == 2 else luma(RGB16)
        for order in "<>":
            check(write(tmp_path, stored, photometric, order=order), expected, 1, atol=0.01)

    @pytest.mark.parametrize("layout", [*LAYOUTS[1:], {"orientation": 4}, {"orientation": 6}], ids=str)
    @pytest.mark.parametrize("stored", [RGB16, GREY8.astype(np.int8)], ids=["RGB", "signed"])
    def test_otherwise_refused(self, tmp_path: Path, stored: np.ndarray, layout: dict[str, Any]) -> None:
        bits = stored.dtype.itemsize * 8
        path = write(tmp_path, stored, 2 if stored.ndim == 3 else 1, **layout)
        refuses(path, f"a TIFF with {bits} bits per sample that cannot be decoded exactly; save it upright")


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"])
@pytest.mark.parametrize("stored", [GREY8, GREY16, RGB8], ids=["8", "16", "RGB"])
def test_compression(tmp_path: Path, stored: np.ndarray, compression: str) -> None:
    Image.fromarray(stored).save(tmp_path / "a.tif", compression=compression)
    same(tmp_path / "a.tif", stored if stored.ndim == 2 else luma(stored), atol=0 if stored.ndim == 2 else 1e-3)


def test_compression_that_only_pillow_knows(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    same(tmp_path / "a.tif", np.asarray(Image.open(tmp_path / "a.tif")))


@pytest.mark.parametrize("options", [{"tiles": True}, {"orientation": 6}, {"bits": 4}, {"bits": 12}], ids=str)
@pytest.mark.parametrize("deflate", [False, True], ids=["raw", "deflate"])
def test_fewer_pixels_than_the_header_claims(tmp_path: Path, deflate: bool, options: dict[str, Any]) -> None:
    rows, columns = struct.pack("<HHII", 257, 4, 1, ROWS), struct.pack("<HHII", 256, 4, 1, COLUMNS)
    strip = struct.pack("<HHII", 278, 4, 1, ROWS)
    path = write(tmp_path, GREY12, deflate=deflate, **options)
    data = path.read_bytes()
    assert (data.count(rows), data.count(columns)) == (1, 1)
    path.write_bytes(data.replace(rows, rows[:8] + b"\xff\0\0\0"))
    refuses(path, "damaged or truncated")
    path.write_bytes(data.replace(rows, rows[:8] + b"\xff\0\0\0").replace(strip, strip[:8] + b"\xff\0\0\0"))
    refuses(path, "damaged or truncated")


@pytest.mark.parametrize("stored", [GREY16, GREY8 > 127], ids=["turned", "one bit"])
def test_truncated(tmp_path: Path, stored: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(stored).save(path, tiffinfo={274: 6})
    same(path, stored if stored.dtype != bool else np.where(stored, 255, 0))
    data = path.read_bytes()
    for length in range(0, len(data), 23):
        path.write_bytes(data[:length])
        refuses(path, "")


@pytest.mark.parametrize("side", [2048, 4096])
def test_tiles_far_larger_than_the_image_are_refused(tmp_path: Path, side: int) -> None:
    path = write(tmp_path, np.pad(GREY8, ((0, side - ROWS), (0, side - COLUMNS))), deflate=True)
    data = path.read_bytes()
    # the single strip becomes a tile much larger than the image
    for tag, old, new, size in ((256, side, 256, COLUMNS), (257, side, 257, ROWS), (278, side, 323, side)):
        entry = struct.pack("<HHII", tag, 4, 1, old)
        assert data.count(entry) == 1
        data = data.replace(entry, struct.pack("<HHII", new, 4, 1, size))
    for tag, new in ((273, 324), (279, 325)):
        data = data.replace(struct.pack("<HHI", tag, 4, 1), struct.pack("<HHI", new, 4, 1))
    width = struct.pack("<HHII", 274, 4, 1, 1)  # upright is what an image is without it, too
    path.write_bytes(data.replace(width, struct.pack("<HHII", 322, 4, 1, side)))
    if side == 2048:
        same(path, GREY8)
    else:
        refuses(path, "damaged: tiles of 4096 x 4096 pixels in an image of 40 x 30")
