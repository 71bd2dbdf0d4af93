"""Plain PNG and BMP files are read without ITK, with the same pixels as with ITK."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_ceph.errors import ReadError
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.itk_image import _decode_with_itk
from monai_ceph.readers.pixels import grey
from monai_ceph.readers.simple_image import simple_pixels

ROWS, COLUMNS = 240, 201
RANDOM = np.random.default_rng(5)
GREY = RANDOM.integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)
FILMS = {
    "grey.png": GREY,
    "grey16.png": RANDOM.integers(0, 65536, (ROWS, COLUMNS), dtype=np.uint16),
    "colour.png": RANDOM.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8),
    "grey.bmp": GREY,
    "colour.bmp": RANDOM.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8),
}


@pytest.mark.parametrize("name", FILMS)
def test_the_pixels_are_those_of_itk(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(FILMS[name]).save(path)
    kind = path.suffix[1:].upper()
    pixels = simple_pixels(path, kind)
    assert pixels is not None
    from_itk, _ = _decode_with_itk(path, f"{kind}ImageIO")
    # ITK returns grey BMP as three equal colours
    np.testing.assert_array_equal(grey(pixels), grey(from_itk))
    np.testing.assert_array_equal(pixels, FILMS[name])


def test_a_bitmap_from_top_to_bottom_is_not_turned(tmp_path: Path) -> None:
    path = tmp_path / "film.bmp"
    Image.fromarray(GREY).save(path)
    data = bytearray(path.read_bytes())
    offset, stride = int.from_bytes(data[10:14], "little"), (COLUMNS + 3) // 4 * 4
    data[22:26] = (-ROWS).to_bytes(4, "little", signed=True)
    rows = [bytes(data[offset + row * stride : offset + (row + 1) * stride]) for row in reversed(range(ROWS))]
    path.write_bytes(bytes(data[:offset]) + b"".join(rows))
    pixels = simple_pixels(path, "BMP")
    assert pixels is not None
    np.testing.assert_array_equal(pixels, GREY)


def test_palettes_transparency_and_alpha_are_left_to_itk(tmp_path: Path) -> None:
    film = Image.fromarray(GREY)
    film.convert("RGB").quantize(16).save(tmp_path / "palette.png")
    film.save(tmp_path / "transparent.png", transparency=7)
    film.convert("LA").save(tmp_path / "alpha.png")
    film.convert("RGB").quantize(16).save(tmp_path / "palette.bmp")
    for path in tmp_path.iterdir():
        assert simple_pixels(path, path.suffix[1:].upper()) is None, path.name


def test_a_wrong_checksum_of_the_pixels_is_noticed(tmp_path: Path) -> None:
    """Pillow by itself decodes such a file without a warning."""
    path = tmp_path / "film.png"
    Image.fromarray(GREY).save(path)
    data = bytearray(path.read_bytes())
    at = data.find(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    data[at + 4 + length] ^= 1
    assert int.from_bytes(data[at + 4 + length : at + 8 + length], "big") != zlib.crc32(data[at : at + 4 + length])
    path.write_bytes(data)
    assert simple_pixels(path, "PNG") is None
    with pytest.raises(ReadError):
        read_radiograph(path)
