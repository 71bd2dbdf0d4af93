"""Files whose transfer syntax and pixel data contradict each other."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from reader_films import GREY12, dicom, refuses, same, save
from sample_files import COMPRESSED, compressed, encode, picture, with_fragments

from monai_ceph.readers import count_frames, read_radiograph
from monai_ceph.readers.codestream import transfer_syntax

CODECS = {
    "rle": "RLE",
    "jpeg": "JPEG",
    "jpeg-extended": "JPEG",
    "jpeg-lossless": "JPEG",
    "jpeg-lossless-sv1": "JPEG",
    "jpeg-ls": "JPEG-LS",
    "jpeg-ls-near": "JPEG-LS",
    "jpeg-2000": "JPEG 2000",
    "jpeg-2000-lossy": "JPEG 2000",
}
ITEM = b"\xfe\xff\x00\xe0"
NATIVE = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}


def bits_of(kind: str) -> int:
    return 8 if kind == "jpeg" else 12


def labelled(dataset: Dataset, path: Path, syntax: str | None, undefined_length: bool = True) -> Path:
    """Write a film with another transfer syntax than its pixel data have, which pydicom refuses to do."""
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    body = Dataset(dataset)
    value = bytes(body.PixelData) + bytes(len(body.PixelData) % 2)
    body.add_new("PixelData", "OB" if value[:4] == ITEM else "OW", value)
    buffer = io.BytesIO()
    body.save_as(buffer, implicit_vr=implicit, little_endian=little)
    data = buffer.getvalue()
    assert data.endswith(value)
    if value[:4] == ITEM and undefined_length:
        # with a stated length there is no end marker
        data = data[: -len(value) - 4] + b"\xff" * 4 + value + b"\xfe\xff\xdd\xe0" + bytes(4)
    meta = DicomBytesIO()
    meta.is_little_endian, meta.is_implicit_VR = True, False
    info = FileMetaDataset()
    if syntax is not None:
        info.TransferSyntaxUID = UID(syntax)
        write_file_meta_info(meta, info, enforce_standard=False)
    path.write_bytes(bytes(128) + b"DICM" + meta.getvalue() + data)
    return path


def plain(kind: str) -> tuple[Dataset, Dataset, np.ndarray]:
    """A film with a bare codestream, the same encapsulated, and the expected film, read with the right syntax."""
    bits = bits_of(kind)
    stored = picture(bits=bits)
    bare = dicom(stored, bits)
    bare.PixelData = encode(kind, stored, bits)
    bare.PixelData += bytes(len(bare.PixelData) % 2)
    bare["PixelData"].VR = "OB"
    return bare, compressed(kind, stored, bits), stored


@pytest.mark.parametrize("undefined_length", [True, False])
@pytest.mark.parametrize("syntax", NATIVE.values(), ids=NATIVE)
@pytest.mark.parametrize("kind", CODECS)
def test_encapsulated_under_an_uncompressed_syntax(
    tmp_path: Path, kind: str, syntax: str, undefined_length: bool
) -> None:
    _, dataset, _ = plain(kind)
    expected = read_radiograph(save(dataset, tmp_path / "right.dcm")).pixels
    path = labelled(dataset, tmp_path / "a.dcm", syntax, undefined_length)
    same(path, expected)
    codec = CODECS[kind]
    words = f"The pixel data are {codec}, but the transfer syntax says uncompressed; they were read as {codec}."
    assert read_radiograph(path).warnings == (words,)
    assert count_frames(path) == 1


@pytest.mark.parametrize("syntax", [*NATIVE.values(), DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("kind", [kind for kind in CODECS if kind != "rle"])
def test_a_bare_stream_under_an_uncompressed_syntax(tmp_path: Path, kind: str, syntax: str) -> None:
    dataset, right, _ = plain(kind)
    expected = read_radiograph(save(right, tmp_path / "right.dcm")).pixels
    path = tmp_path / "a.dcm"
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
        save(dataset, path)
    else:
        labelled(dataset, path, syntax)
    same(path, expected)
    assert f"The pixel data are {CODECS[kind]}, but" in read_radiograph(path).warnings[0]


@pytest.mark.parametrize("kind", ["rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_several_frames(tmp_path: Path, kind: str) -> None:
    frames = np.stack([picture(seed=seed) for seed in range(3)])
    dataset = compressed(kind, frames, 12)
    path = labelled(dataset, tmp_path / "a.dcm", ExplicitVRLittleEndian)
    assert count_frames(path) == 3
    for number, expected in enumerate(frames, 1):
        same(path, expected, frame=number)


def test_no_transfer_syntax(tmp_path: Path) -> None:
    _, dataset, stored = plain("jpeg-2000")
    path = labelled(dataset, tmp_path / "a.dcm", None)
    same(path, stored)
    words = "The pixel data are JPEG 2000, and the file names no transfer syntax; they were read as JPEG 2000."
    assert read_radiograph(path).warnings == (words,)


@pytest.mark.parametrize("kind", CODECS)
def test_compressed_data_may_be_longer_than_uncompressed(tmp_path: Path, kind: str) -> None:
    # data at least as long as the pixels must not be taken for uncompressed ones
    bits = bits_of(kind)
    stored = picture(bits=bits)
    data = encode(kind, stored, bits)
    dataset = with_fragments(dicom(stored, bits), [data + bytes(stored.nbytes)])
    expected = read_radiograph(save(with_fragments(dicom(stored, bits, COMPRESSED[kind]), [data]), tmp_path / "r.dcm"))
    same(labelled(dataset, tmp_path / "a.dcm", ExplicitVRLittleEndian), expected.pixels)


@pytest.mark.parametrize("kind", [kind for kind in CODECS if kind != "rle"])
@pytest.mark.parametrize("encapsulated", [True, False])
def test_a_stream_of_another_size_is_refused(tmp_path: Path, kind: str, encapsulated: bool) -> None:
    bits = bits_of(kind)
    data = encode(kind, picture(48, 64, bits=bits), bits)
    dataset = dicom(picture(64, 48, bits=bits), bits)
    if encapsulated:
        with_fragments(dataset, [data])
    else:
        dataset.PixelData = data + bytes(len(data) % 2)
    path = labelled(dataset, tmp_path / "a.dcm", ExplicitVRLittleEndian)
    refuses(path, "the compressed data have 64 x 48 pixels of 1 samples, but the DICOM header says 48 x 64 of 1")


def test_something_encapsulated_under_an_uncompressed_syntax(tmp_path: Path) -> None:
    path = labelled(with_fragments(dicom(), [b"no picture at all" * 9]), tmp_path / "a.dcm", ExplicitVRLittleEndian)
    refuses(path, "the pixel data are compressed in an unknown way, but the transfer syntax says uncompressed")
    with pytest.raises(Exception, match="in an unknown way"):
        count_frames(path)


@pytest.mark.parametrize("kind", CODECS)
def test_fragments_of_a_stated_length(tmp_path: Path, kind: str) -> None:
    _, dataset, _ = plain(kind)
    expected = read_radiograph(save(dataset, tmp_path / "right.dcm")).pixels
    path = labelled(dataset, tmp_path / "a.dcm", COMPRESSED[kind], undefined_length=False)
    same(path, expected)
    content = path.read_bytes()
    path.write_bytes(content[:-2])
    refuses(path, "truncated")


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("kind", ["rle", "jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_a_file_that_is_truncated_as_well(tmp_path: Path, kind: str, share: float) -> None:
    for number, dataset in enumerate(plain(kind)[:2]):
        path = labelled(dataset, tmp_path / f"{number}.dcm", ExplicitVRLittleEndian)
        content = path.read_bytes()
        start = content.index(dataset.PixelData[:40])
        path.write_bytes(content[: start + int(share * (len(content) - start))])
        refuses(path, "truncated")


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("odd", [False, True])
def test_pixels_under_a_compressed_syntax(tmp_path: Path, kind: str, odd: bool) -> None:
    stored = picture(33, 35, bits=8) if odd else picture(bits=12)
    dataset = dicom(stored, 8 if odd else 12)
    path = labelled(dataset, tmp_path / "a.dcm", COMPRESSED[kind])
    same(path, stored)
    words = f"The pixel data are not compressed, but the transfer syntax says {COMPRESSED[kind].name}."
    assert read_radiograph(path).warnings == (words,)


def test_frames_under_a_compressed_syntax(tmp_path: Path) -> None:
    frames = np.stack([GREY12, GREY12 // 2])
    dataset = dicom(GREY12, 12, NumberOfFrames=2, PixelData=frames.tobytes())
    path = labelled(dataset, tmp_path / "a.dcm", COMPRESSED["jpeg-lossless"])
    same(path, GREY12 // 2, frame=2)


@pytest.mark.parametrize("change", [-2, 2])
def test_pixels_of_another_length_under_a_compressed_syntax(tmp_path: Path, change: int) -> None:
    dataset = dicom(PixelData=(GREY12.tobytes() + b"\0\0")[: GREY12.nbytes + change])
    path = labelled(dataset, tmp_path / "a.dcm", COMPRESSED["jpeg-lossless"])
    refuses(path, "damaged pixel data: not encapsulated, as JPEG Lossless, Non-Hierarchical (Process 14) requires")


@pytest.mark.parametrize("kind", [kind for kind in CODECS if kind != "rle"])
def test_a_bare_stream_under_its_own_syntax(tmp_path: Path, kind: str) -> None:
    dataset, right, _ = plain(kind)
    expected = read_radiograph(save(right, tmp_path / "right.dcm")).pixels
    path = labelled(dataset, tmp_path / "a.dcm", COMPRESSED[kind])
    same(path, expected)
    assert "not encapsulated" in read_radiograph(path).warnings[0]
    dataset.NumberOfFrames = 2
    refuses(
        labelled(dataset, path, COMPRESSED[kind]),
        "the file holds one without encapsulation",
        frame=1,
    )


def test_the_right_label_has_no_warning(tmp_path: Path) -> None:
    for kind in CODECS:
        path = save(plain(kind)[1], tmp_path / f"{kind}.dcm")
        assert read_radiograph(path).warnings == ()
        assert dcmread(path).file_meta.TransferSyntaxUID == COMPRESSED[kind]


def test_pixels_that_begin_like_a_stream(tmp_path: Path) -> None:
    for number, start in enumerate((b"\xff\xd8\xff\xc3", b"\xff\x4f\xff\x51", b"\xfe\xff\x00\xe0")):
        stored = np.frombuffer(start + GREY12.tobytes()[len(start) :], np.uint16).reshape(GREY12.shape)
        path = save(dicom(stored, 16), tmp_path / f"{number}.dcm")
        same(path, stored)
        assert read_radiograph(path).warnings == ()


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc3", b"\3\0\0\0\x40\0\0\0"]))
def test_any_bytes(data: bytes, start: bytes) -> None:
    found = transfer_syntax(start + data)
    assert found is None or found[0] in CODECS.values()


def test_the_first_fragment_is_enough() -> None:
    for kind, codec in CODECS.items():
        data = encode(kind, picture(bits=bits_of(kind)), bits_of(kind))
        found = transfer_syntax(data[: len(data) // 2])
        assert found is not None
        assert found[0] == codec
    assert transfer_syntax(encapsulate([b"x" * 100])) is None
