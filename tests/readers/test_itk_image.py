"""PNG, JPEG, BMP, TIFF and MetaImage files."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reader_films import COLUMNS, GREY8, GREY12, RGB8, ROWS, luma, refuses, same

from monai_ceph.readers import SpacingSource, pixels, read_radiograph
from monai_ceph.readers.native_stdout import captured_lines

IS_ONE = "The spacing in the header is exactly 1 x 1 and was ignored: programs write that for an unknown spacing."


class TestRaster:
    @pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif", ".tiff"])
    def test_grey(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(GREY8).save(path)
        same(path, GREY8)
        radiograph = read_radiograph(path)
        assert radiograph.pixel_spacing is None
        assert radiograph.spacing_source is SpacingSource.NONE
        assert radiograph.image_uid is None
        assert radiograph.warnings == ()

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_grey16(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(GREY12 * 16).save(path)
        same(path, GREY12 * 16)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_rgb(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(RGB8).save(path)
        same(path, luma(RGB8), atol=1e-3)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_alpha_is_ignored(self, tmp_path: Path, suffix: str) -> None:
        rgba = np.dstack([RGB8, GREY8])
        Image.fromarray(rgba).save(tmp_path / f"rgba{suffix}")
        same(tmp_path / f"rgba{suffix}", luma(RGB8), atol=1e-3)
        Image.fromarray(np.dstack([GREY8, GREY8[::-1]])).save(tmp_path / f"la{suffix}")
        same(tmp_path / f"la{suffix}", GREY8)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_palette(self, tmp_path: Path, suffix: str) -> None:
        image = Image.fromarray(RGB8).quantize(16)
        image.save(tmp_path / f"a{suffix}")
        same(tmp_path / f"a{suffix}", luma(np.asarray(image.convert("RGB"))), atol=1e-3)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_one_bit(self, tmp_path: Path, suffix: str) -> None:
        Image.fromarray(GREY8 > 127).save(tmp_path / f"a{suffix}")
        same(tmp_path / f"a{suffix}", np.where(GREY8 > 127, 255, 0))

    @pytest.mark.parametrize("progressive", [False, True])
    def test_jpeg(self, tmp_path: Path, progressive: bool) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(GREY8).save(path, quality=95, progressive=progressive, dpi=(300, 300))
        same(path, np.asarray(Image.open(path)), atol=1)
        assert read_radiograph(path).pixel_spacing is None

    def test_jpeg_rgb(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpeg"
        Image.fromarray(RGB8).save(path, quality=95, subsampling=0)
        same(path, luma(np.asarray(Image.open(path))), atol=2)

    def test_exif_orientation_warns(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(GREY8).save(tmp_path / "a.jpg", exif=exif)
        radiograph = read_radiograph(tmp_path / "a.jpg")
        assert radiograph.pixels.shape == (ROWS, COLUMNS)
        assert "EXIF orientation 6 was not applied" in radiograph.warnings[0]

    @pytest.mark.parametrize("photometric", [0, 1])
    def test_white_is_zero(self, tmp_path: Path, photometric: int) -> None:
        entries = [
            (256, COLUMNS), (257, ROWS), (258, 8), (259, 1), (262, photometric), (273, 8), (277, 1),
            (278, ROWS), (279, GREY8.size),
        ]  # fmt: skip
        directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        head = b"II*\0" + struct.pack("<I", 8 + GREY8.size) + GREY8.tobytes()
        (tmp_path / "a.tif").write_bytes(head + struct.pack("<H", len(entries)) + directory + b"\0\0\0\0")
        same(tmp_path / "a.tif", GREY8 if photometric else 255 - GREY8)

    def test_wrong_suffix(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        (tmp_path / "a.png").rename(tmp_path / "a.jpg")
        same(tmp_path / "a.jpg", GREY8)

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
    def test_truncated(self, tmp_path: Path, suffix: str, share: float) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(GREY8).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        refuses(path, "damaged" if share < 0.1 or suffix in (".png", ".tif") else "truncated")

    def test_libjpeg_messages_become_warnings(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """ITK prints them to standard output from C++."""
        path = tmp_path / "a.jpg"
        Image.fromarray(GREY8).save(path, quality=95)
        whole = path.read_bytes()
        path.write_bytes(whole[:-2] + b"\x00\x01\x02\xff\xd9")
        (warning,) = read_radiograph(path).warnings
        assert warning == (
            "The JPEG data are damaged, and parts of the film may be wrong: "
            "Corrupt JPEG data: 3 extraneous bytes before marker 0xd9."
        )
        path.write_bytes(whole)
        assert read_radiograph(path).warnings == ()
        assert capfd.readouterr() == ("", "")

    def test_other_output_is_still_printed(self, capfd: pytest.CaptureFixture[str]) -> None:
        remarks: list[str] = []
        with captured_lines(("Corrupt",), remarks):
            os.write(1, b"before\nCorrupt JPEG data: 1\nafter, without an end")
        assert remarks == ["Corrupt JPEG data: 1"]
        assert capfd.readouterr().out == "before\nafter, without an end"

    def test_truncated_jpeg_with_a_whole_thumbnail(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(GREY8[:16, :16]).save(path)
        thumbnail = path.read_bytes()
        Image.fromarray(GREY8).save(path, exif=b"Exif\0\0" + thumbnail)
        same(path, np.asarray(Image.open(path)), atol=1)
        path.write_bytes(path.read_bytes()[:-200])
        refuses(path, "truncated: the JPEG data have no end marker")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".mha", ".nii", ".nii.gz", ".dcm"])
    def test_text(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").write_text("not an image\n" * 30)
        refuses(tmp_path / f"a{suffix}", "not a")

    def test_pages(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(GREY8)])
        refuses(tmp_path / "a.tif", "the file holds 2 frames or slices")

    def test_size_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.fromarray(GREY8[:, :12]).save(tmp_path / "small.png")
        refuses(tmp_path / "small.png", "too small: 12 x 30 pixels")
        monkeypatch.setattr(pixels, "MAX_PIXELS", 1000)
        Image.fromarray(GREY8).save(tmp_path / "large.png")
        refuses(tmp_path / "large.png", "too large: 40 x 30 pixels")

    def test_bomb(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(data)
        refuses(tmp_path / "a.png", "too many pixels; the limit for this format is 178 million")


class TestMetaImage:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
    def test_values_and_spacing(self, tmp_path: Path, dtype: Any) -> None:
        import itk

        stored = GREY8.astype(dtype) - (50 if np.dtype(dtype).kind != "u" else 0)
        image = itk.image_from_array(stored)
        image.SetSpacing([0.2, 0.1])
        itk.imwrite(image, str(tmp_path / "a.mha"))
        same(tmp_path / "a.mha", stored)
        radiograph = read_radiograph(tmp_path / "a.mha")
        assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))
        assert radiograph.spacing_source is SpacingSource.HEADER
        assert "not square" in radiograph.warnings[0]

    def test_spacing_of_one_is_ignored(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8), str(tmp_path / "a.mhd"))
        same(tmp_path / "a.mhd", GREY8)
        assert read_radiograph(tmp_path / "a.mhd").pixel_spacing is None
        assert read_radiograph(tmp_path / "a.mhd").warnings == (IS_ONE,)

    @pytest.mark.parametrize(
        ("line", "stated", "factor"),
        [
            ("", "0.25 0.25", 1.0),
            ("DistanceUnits = um\n", "250 250", 0.001),
            ("DistanceUnits = mm\n", "0.25 0.25", 1.0),
            ("DistanceUnits = cm\n", "0.025 0.025", 10.0),
            ("DistanceUnits = ?\n", "0.25 0.25", 1.0),
            ("DistanceUnits =\n", "0.25 0.25", 1.0),
            ("DistanceUnits = Doe^Jane\n", "0.25 0.25", None),
        ],
    )
    def test_units(self, tmp_path: Path, line: str, stated: str, factor: float | None) -> None:
        path = self.with_spacing(tmp_path, line, stated)
        radiograph = read_radiograph(path)
        if factor:
            assert radiograph.pixel_spacing == pytest.approx((0.25, 0.25), rel=1e-12)
            assert radiograph.warnings == ()
        else:
            assert radiograph.pixel_spacing is None
            assert radiograph.spacing_source is SpacingSource.NONE
            assert radiograph.warnings == ("The spacing in the header was ignored: DistanceUnits is not um, mm or cm.",)

    def test_spacing_of_one_is_ignored_in_any_unit(self, tmp_path: Path) -> None:
        for unit in ("um", "mm", "cm"):
            radiograph = read_radiograph(self.with_spacing(tmp_path, f"DistanceUnits = {unit}\n", "1 1"))
            assert (radiograph.pixel_spacing, radiograph.warnings) == (None, (IS_ONE,))

    def test_implausible_spacing_is_ignored(self, tmp_path: Path) -> None:
        radiograph = read_radiograph(self.with_spacing(tmp_path, "", "148 148"))
        assert (radiograph.pixel_spacing, radiograph.spacing_source) == (None, SpacingSource.NONE)
        assert radiograph.warnings == (
            "The spacing in the header 148 x 148 mm was ignored: it looks like micrometres.",
        )

    def with_spacing(self, folder: Path, units: str, spacing: str) -> Path:
        header = f"ObjectType = Image\nNDims = 2\n{units}ElementSpacing = {spacing}\nDimSize = {COLUMNS} {ROWS}\n"
        end = "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
        (folder / "a.mha").write_bytes((header + end).encode() + GREY8.tobytes())
        same(folder / "a.mha", GREY8)
        return folder / "a.mha"

    def test_slices(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8[None]), str(tmp_path / "one.mha"))
        same(tmp_path / "one.mha", GREY8)
        itk.imwrite(itk.image_from_array(np.stack([GREY8] * 3)), str(tmp_path / "three.mha"))
        refuses(tmp_path / "three.mha", "the file holds 3 frames or slices")

    def test_nan(self, tmp_path: Path) -> None:
        import itk

        stored = GREY8.astype(np.float32)
        stored[3, 4] = np.inf
        itk.imwrite(itk.image_from_array(stored), str(tmp_path / "a.mha"))
        assert read_radiograph(tmp_path / "a.mha").pixels[3, 4] == GREY8.min()
        itk.imwrite(itk.image_from_array(np.full((20, 20), np.nan, np.float32)), str(tmp_path / "b.mha"))
        refuses(tmp_path / "b.mha", "no pixel has a finite value")

    def test_truncated(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8), str(tmp_path / "a.mha"))
        (tmp_path / "a.mha").write_bytes((tmp_path / "a.mha").read_bytes()[:-300])
        refuses(tmp_path / "a.mha", "truncated: the pixels are missing or too few")

    def test_raw_file_missing(self, tmp_path: Path) -> None:
        import itk

        itk.imwrite(itk.image_from_array(GREY8), str(tmp_path / "a.mhd"))
        next(tmp_path.glob("*raw")).unlink()
        refuses(tmp_path / "a.mhd", "the raw file that the header names is missing")


def test_relative_paths_while_another_thread_loads_itk(tmp_path: Path) -> None:
    # ITK changes the working folder while it loads, so this needs a new process and threads that start together
    for number in range(4):
        Image.fromarray(np.full((32, 40), number, np.uint8)).save(tmp_path / f"{number}.png")
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from monai_ceph.readers import read_radiograph\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    films = list(pool.map(read_radiograph, [f'{n}.png' for n in range(4)]))\n"
        "print([int(film.pixels.max()) for film in films], [str(film.path) for film in films])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 1, 2, 3] ['0.png', '1.png', '2.png', '3.png']"
