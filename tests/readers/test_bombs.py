"""Decompression bombs are refused before memory is allocated."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian
from reader_films import GREY8, GREY12, dicom, refuses, save
from sample_files import COMPRESSED, encode, picture, with_fragments

from monai_ceph.errors import ReadError
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.pixels import check_size

# Reads each file in a process limited to 100 MB beyond its imports, and prints why it was refused.
PROGRAM = """
import re, resource, sys
from pathlib import Path
import itk, nibabel, pydicom.pixels
from PIL import Image, JpegImagePlugin, Jpeg2KImagePlugin, PngImagePlugin, TiffImagePlugin
from monai_ceph.errors import ReadError
from monai_ceph.readers import read_radiograph
itk.PNGImageIO, itk.TIFFImageIO, itk.JPEGImageIO, itk.MetaImageIO, itk.BMPImageIO, itk.ImageFileReader
used = int(re.findall(r"VmSize:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20,) * 2)
for name in sys.argv[1:]:
    try:
        print("read", read_radiograph(name).pixels.shape)
    except ReadError as error:
        print(str(error).removeprefix(name + ": "))
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(folder: Path, side: int) -> Path:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(side + 1))) + chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return folder / "a.png"


def tiff(folder: Path, side: int) -> Path:
    Image.fromarray(GREY8).save(folder / "a.tif")
    content = (folder / "a.tif").read_bytes()
    for tag, old in ((256, 40), (257, 30)):
        entry = struct.pack("<HHII", tag, 4, 1, old)
        assert entry in content
        content = content.replace(entry, struct.pack("<HHII", tag, 4, 1, side))
    (folder / "a.tif").write_bytes(content)
    return folder / "a.tif"


def jpeg(folder: Path, side: int) -> Path:
    path = folder / "a.jpg"
    path.write_bytes(with_jpeg_size(encode("jpeg", GREY8, 8), side))
    return path


def with_jpeg_size(data: bytes, side: int) -> bytes:
    place = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in (0xC0, 0xC1, 0xC3, 0xF7))
    return data[: place + 5] + struct.pack(">HH", side, side) + data[place + 9 :]


def with_jpeg_2000_size(data: bytes, side: int) -> bytes:
    return data[:8] + struct.pack(">II", side, side) + data[16:]


def meta(folder: Path, side: int) -> Path:
    header = f"ObjectType = Image\nNDims = 2\nDimSize = {side} {side}\nElementType = MET_USHORT\n"
    header += "CompressedData = True\nElementDataFile = LOCAL\n"
    (folder / "a.mha").write_bytes(header.encode() + zlib.compress(bytes(10**6)))
    return folder / "a.mha"


def nifti(folder: Path, side: int) -> Path:
    nibabel.save(nibabel.Nifti1Image(GREY12.astype(np.int16), None), folder / "b.nii.gz")
    content = bytearray(gzip.decompress((folder / "b.nii.gz").read_bytes()))
    (folder / "b.nii.gz").unlink()
    content[42:46] = struct.pack("<HH", side, side)
    (folder / "a.nii.gz").write_bytes(gzip.compress(bytes(content) + bytes(10**6)))
    return folder / "a.nii.gz"


def compressed_dicom(kind: str) -> Callable[[Path, int], Path]:
    def write(folder: Path, side: int) -> Path:
        bits = 8 if kind == "jpeg" else 12
        data = encode(kind, picture(bits=bits), bits)
        resize = with_jpeg_2000_size if "2000" in kind else with_jpeg_size
        frame = data if kind == "rle" else resize(data, side)
        dataset = dicom(picture(bits=bits), bits, COMPRESSED[kind], Rows=side, Columns=side)
        return save(with_fragments(dataset, [frame]), folder / f"{kind}.dcm")

    return write


def native_dicom(folder: Path, side: int) -> Path:
    return save(dicom(Rows=side, Columns=side), folder / "native.dcm")


# below the limit for any film, but too many for the bytes
SIDE = 13000
WRITERS = [png, tiff, jpeg, meta, nifti, native_dicom, *map(compressed_dicom, COMPRESSED)]
NAMES = ["png", "tiff", "jpg", "meta", "nifti", "native", *COMPRESSED]


@pytest.mark.parametrize("write", WRITERS, ids=NAMES)
def test_more_pixels_than_a_film_has(tmp_path: Path, write: Callable[[Path, int], Path]) -> None:
    side = 32767 if write is nifti else 60000
    refuses(write(tmp_path, side), "million")


@pytest.mark.parametrize("write", WRITERS, ids=NAMES)
def test_more_pixels_than_the_bytes_can_hold(tmp_path: Path, write: Callable[[Path, int], Path]) -> None:
    path = write(tmp_path, SIDE)
    refuses(
        path, "truncated" if path.name in ("native.dcm", "rle.dcm") else f"damaged: {SIDE} x {SIDE} pixels cannot fit"
    )


def deflated(path: Path, zeros: int, where: int) -> Path:
    """A deflated DICOM file with zeros inserted into its data set at ``where``, or after its pixels if that is -1."""
    save(dicom(syntax=DeflatedExplicitVRLittleEndian), path)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")  # PS3.10 section 7.1: after the group length
    dataset = zlib.decompress(content[start:], wbits=-15)
    before, after = (dataset, b"") if where == -1 else (dataset[:where], dataset[where:])
    packer = zlib.compressobj(9, wbits=-15)
    body = packer.compress(before) + b"".join(packer.compress(bytes(2**20)) for _ in range(zeros // 2**20))
    path.write_bytes(content[:start] + body + packer.compress(after) + packer.flush())
    return path


def sparse(path: Path, content: bytes, size: int) -> Path:
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size)
    return path


def test_memory(tmp_path: Path) -> None:
    expected = {}
    for name, write in zip(NAMES, WRITERS, strict=True):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name, SIDE)
        expected[path] = (
            "truncated" if path.name in ("native.dcm", "rle.dcm") else f"damaged: {SIDE} x {SIDE} pixels cannot fit"
        )
    expected[deflated(tmp_path / "tail.dcm", 2**27, -1)] = "read (30, 40)"
    expected[deflated(tmp_path / "header.dcm", 2**27, 0)] = "truncated"
    element = save(dicom(), tmp_path / "element.dcm")
    length = b"\x10\x00\x00\x00UN\x00\x00\xff\xff\xff\xef"  # an element of 4 GB
    element.write_bytes(element.read_bytes().replace(b"\x28\x00\x02\x00US", length + b"\x28\x00\x02\x00US"))
    expected[element] = "truncated"
    lut = save(dicom(), tmp_path / "sequence.dcm")
    length = b"\x28\x00\x10\x30SQ\x00\x00\xff\xff\xff\xef\xfe\xff\x00\xe0\xff\xff\xff\xef"
    lut.write_bytes(lut.read_bytes().replace(b"\xe0\x7f\x10\x00OW", length + b"\xe0\x7f\x10\x00OW"))
    expected[lut] = "truncated"
    for name, content in (
        ("big.jpg", encode("jpeg", GREY8, 8)),
        ("big.dcm", save(dicom(), tmp_path / "x").read_bytes()),
    ):
        expected[sparse(tmp_path / name, content, 2**36)] = (
            "the file has 68719476736 bytes" if name == "big.jpg" else "read (30, 40)"
        )
    command = [sys.executable, "-c", PROGRAM, *map(str, expected)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for path, line in zip(expected, done.stdout.splitlines(), strict=True):
        assert line.startswith(expected[path]), f"{path.name}: {line}"


@pytest.mark.parametrize("channels", [0, 5, 60000])
def test_channels(tmp_path: Path, channels: int) -> None:
    header = f"NDims = 2\nDimSize = 40 30\nElementNumberOfChannels = {channels}\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mha").write_bytes(header.encode() + b"ElementDataFile = LOCAL\n" + bytes(1200))
    refuses(tmp_path / "a.mha", f"{channels} channels instead of 1 to 4")


@pytest.mark.parametrize("offset", [2.0**31, -1.0, float("nan"), float("inf")])
def test_nifti_offset_out_of_range(tmp_path: Path, offset: float) -> None:
    nibabel.save(nibabel.Nifti1Image(GREY12.astype(np.int16), None), tmp_path / "a.nii.gz")
    content = bytearray(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    content[108:112] = struct.pack("<f", offset)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(content)))
    refuses(tmp_path / "a.nii.gz", "damaged header: the offset of the pixels is out of range")


def test_a_constant_film_may_be_small(tmp_path: Path) -> None:
    stored = np.full((2400, 1936), 1000, np.uint16)
    dataset = with_fragments(dicom(stored, 12, COMPRESSED["jpeg-2000"]), [encode("jpeg-2000", stored, 12)])
    path = save(dataset, tmp_path / "a.dcm")
    assert path.stat().st_size < 2000
    assert read_radiograph(path).pixels.max() == 1000


def test_limits() -> None:
    check_size(15000, 16000)
    check_size(15000, 16000, stored_bytes=240_000)
    check_size(7000, 7000, stored_bytes=1)
    with pytest.raises(ReadError, match="pixels cannot fit into"):
        check_size(15000, 16000, stored_bytes=239_999)
    with pytest.raises(ReadError, match="250 million"):
        check_size(15000, 17000)
