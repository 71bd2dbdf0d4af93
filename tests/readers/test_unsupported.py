"""Archives, documents and images of unsupported formats are reported; WebP and JPEG 2000 are read."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_films import GREY8, GREY12, RGB8, dicom, luma, refuses, same, save

from monai_ceph.readers import find_radiographs, iter_radiographs, read_radiograph


def image(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GREY8).save(stream, kind)
    return stream.getvalue()


def zipped(name: str = "film.dcm") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"film")
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("film.dcm"), io.BytesIO())
    return stream.getvalue()


UNPACK, EXPORT = "unpack it first", "save it as PNG or TIFF"
FOREIGN = {
    "films.zip": (zipped(), f"a ZIP archive; {UNPACK}"),
    "backup": (zipped(), f"a ZIP archive; {UNPACK}"),
    "film.dcm.gz": (gzip.compress(b"film"), f"a gzip file; {UNPACK}"),
    "films.tar": (tarred(), f"a tar archive; {UNPACK}"),
    "films.7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", f"a 7z archive; {UNPACK}"),
    "films.rar": (b"Rar!\x1a\x07\x01\x00", f"a RAR archive; {UNPACK}"),
    "films.tar.xz": (b"\xfd7zXZ\x00\x00", f"an xz file; {UNPACK}"),
    "films.tar.bz2": (b"BZh91AY", f"a bzip2 file; {UNPACK}"),
    "report.pdf": (b"%PDF-1.7\n", f"a PDF document; {EXPORT}"),
    "film.avif": (b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00", f"an AVIF image; {EXPORT}"),
    "film.heic": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", f"a HEIC image; {EXPORT}"),
    "film.jxl": (b"\x00\x00\x00\x0cJXL \r\n\x87\n", f"a JPEG XL image; {EXPORT}"),
    "film.gif": (image("GIF"), f"a GIF image; {EXPORT}"),
}
UNNAMED = {
    "png": (image("PNG"), "a PNG image; give it the suffix .png"),
    "jpeg.film": (image("JPEG"), "a JPEG image; give it the suffix .jpg"),
    "bmp": (image("BMP"), "a BMP image; give it the suffix .bmp"),
    "tiff.001": (image("TIFF"), "a TIFF image; give it the suffix .tif"),
    "webp": (image("WEBP"), "a WebP image; give it the suffix .webp"),
    "jpx.jpx": (image("JPEG2000"), "a JPEG 2000 image; give it the suffix .jp2"),
}
# files that are unlikely to hold films
SILENT = {
    "letter.docx": zipped("word/document.xml"),
    "weights.pt": zipped("archive/data.pkl"),
    "notes.txt": b"BMs are words, too, and so is this",
    "empty": b"",
    "table.csv": b"file,x,y\n",
    "video.mp4": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00",
    "photo.dng": image("TIFF"),
    ".hidden.zip": zipped(),
}


def test_every_file_is_read_or_reported(tmp_path: Path) -> None:
    for name, content in {**{name: content for name, (content, _) in (FOREIGN | UNNAMED).items()}, **SILENT}.items():
        (tmp_path / name).write_bytes(content)
    save(dicom(), tmp_path / "IM1")
    (tmp_path / "read.webp").write_bytes(image("WEBP"))
    skipped: dict[str, str] = {}
    films = list(iter_radiographs([tmp_path], lambda path, reason: skipped.update({path.name: reason})))
    assert [path.name for path in films] == ["IM1", "read.webp"]
    assert skipped == {name: reason for name, (_, reason) in (FOREIGN | UNNAMED).items()}
    # the same films without on_skipped
    assert find_radiographs([tmp_path]) == films


def test_unreadable_files_and_pipes_are_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "nowhere.zip").symlink_to(tmp_path / "nothing")
    skipped: list[Path] = []
    assert list(iter_radiographs([tmp_path], lambda path, reason: skipped.append(path))) == []
    assert skipped == []


@pytest.mark.parametrize(("content", "reason"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("name", ["named", "film.png", "film.dcm"])
def test_reading_it_gives_an_error_with_the_same_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refuses(path, f"not a readable image but {reason}")


@pytest.mark.parametrize(("content", "reason"), UNNAMED.values(), ids=UNNAMED)
def test_an_image_without_its_suffix(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "film"
    path.write_bytes(content)
    refuses(path, f"the suffix does not match: {reason}")


@pytest.mark.parametrize("suffix", [".webp", ".jp2", ".j2k", ".WEBP", ".png"])
@pytest.mark.parametrize("kind", ["WEBP", "JPEG2000"])
def test_grey(tmp_path: Path, suffix: str, kind: str) -> None:
    """With any suffix."""
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY8).save(path, kind, **({"lossless": True} if kind == "WEBP" else {"irreversible": False}))
    same(path, GREY8)
    radiograph = read_radiograph(path)
    assert (radiograph.pixel_spacing, radiograph.warnings) == (None, ())


def test_jpeg_2000_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(GREY12).save(tmp_path / "a.jp2", irreversible=False)
    same(tmp_path / "a.jp2", GREY12)


@pytest.mark.parametrize(("suffix", "options"), [(".webp", {"lossless": True}), (".jp2", {"irreversible": False})])
def test_colour_and_alpha(tmp_path: Path, suffix: str, options: dict[str, bool]) -> None:
    Image.fromarray(RGB8).save(tmp_path / f"rgb{suffix}", **options)
    same(tmp_path / f"rgb{suffix}", luma(RGB8), atol=1e-3)
    opaque = np.full_like(GREY8, 255)
    Image.fromarray(np.dstack([RGB8, opaque])).save(tmp_path / f"rgba{suffix}", **options)
    same(tmp_path / f"rgba{suffix}", luma(RGB8), atol=1e-3)


@pytest.mark.parametrize("suffix", [".webp", ".jp2"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY8).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refuses(path, "")


def test_a_webp_film_strip(tmp_path: Path) -> None:
    first, second = Image.fromarray(GREY8), Image.fromarray(GREY8[::-1].copy())
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second])
    refuses(tmp_path / "a.webp", "the file holds 2 frames or slices")


def test_a_jpeg_2000_bomb(tmp_path: Path) -> None:
    """The size is checked before anything is decoded."""
    path = tmp_path / "a.jp2"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    content = path.read_bytes()
    # the size is in the image header box and in the codestream
    large = (13000).to_bytes(4, "big")
    assert content.count((64).to_bytes(4, "big")) >= 4
    path.write_bytes(content.replace((64).to_bytes(4, "big"), large))
    refuses(path, "pixels cannot fit into")


class TestNamesThatAreNotUtf8:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
        try:
            folder.mkdir()
        except OSError:
            pytest.skip("this file system takes only UTF-8 names")
        return folder

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".jp2", ".mha", ".mhd", ".nii.gz"])
    def test_are_read(self, folder: Path, suffix: str) -> None:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/f\xfcr" + suffix.encode()))
        if suffix == ".nii.gz":
            import nibabel

            nibabel.Nifti1Image(GREY8, np.diag([0.1, 0.1, 1, 1])).to_filename(path)
        elif suffix in (".mha", ".mhd"):
            raw = "LOCAL" if suffix == ".mha" else "pixels.raw"
            header = f"NDims = 2\nDimSize = {GREY8.shape[1]} {GREY8.shape[0]}\nElementType = MET_UCHAR\n"
            data = GREY8.tobytes()
            path.write_bytes(f"{header}ElementDataFile = {raw}\n".encode() + (data if raw == "LOCAL" else b""))
            (folder / "pixels.raw").write_bytes(data)
        else:
            # Pillow does not accept such names for JPEG 2000
            Image.fromarray(GREY8).save(folder.parent / f"film{suffix}")
            (folder.parent / f"film{suffix}").rename(path)
        radiograph = read_radiograph(path)
        assert radiograph.path == path
        assert radiograph.pixels.shape in (GREY8.shape, GREY8.shape[::-1])
        if suffix in (".png", ".bmp", ".tif", ".mha", ".mhd"):
            assert np.array_equal(radiograph.pixels, GREY8)

    def test_a_damaged_one_has_a_short_error(self, folder: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/f\xfcr.png"))
        Image.fromarray(GREY8).save(path)
        path.write_bytes(path.read_bytes()[:-200])
        refuses(path, "")
