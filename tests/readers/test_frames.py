"""Multi-frame DICOM files are read one frame at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate_extended
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from reader_films import GREY8, GREY12, dicom, refuses, same, save
from sample_files import compressed, encode, picture, with_fragments

from monai_ceph.errors import ReadError
from monai_ceph.readers import count_frames, read_radiograph

FRAMES = np.stack([picture(bits=12, seed=seed) for seed in range(4)])
WORD_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"


def native(frames: np.ndarray, syntax: str = ExplicitVRLittleEndian, bits: int = 12) -> Dataset:
    dataset = dicom(frames[0], bits, syntax, SOPClassUID=WORD_CAPTURE, NumberOfFrames=len(frames))
    dataset.PixelData = frames.tobytes()
    return dataset


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_native(tmp_path: Path, syntax: str) -> None:
    path = save(native(FRAMES, syntax), tmp_path / "a.dcm")
    assert count_frames(path) == 4
    for number in range(1, 5):
        same(path, FRAMES[number - 1], frame=number)
        assert read_radiograph(path, frame=number).frame == number


@pytest.mark.parametrize("offsets", [True, False], ids=["with offsets", "without"])
@pytest.mark.parametrize("syntax", ["rle", "jpeg-lossless-sv1", "jpeg-ls", "jpeg-2000"])
def test_compressed(tmp_path: Path, syntax: str, offsets: bool) -> None:
    dataset = compressed(syntax, FRAMES, 12)
    dataset = with_fragments(dataset, [encode(syntax, frame, 12) for frame in FRAMES], has_bot=offsets)
    path = save(dataset, tmp_path / "a.dcm")
    assert count_frames(path) == 4
    for number in (1, 4):
        same(path, FRAMES[number - 1], frame=number)


def test_frames_of_several_fragments(tmp_path: Path) -> None:
    frames = [encode("jpeg-2000", frame, 12) for frame in FRAMES]
    for offsets in (True, False):
        dataset = with_fragments(compressed("jpeg-2000", FRAMES, 12), frames, fragments_per_frame=3, has_bot=offsets)
        same(save(dataset, tmp_path / "a.dcm"), FRAMES[2], frame=3)


def test_extended_offset_table(tmp_path: Path) -> None:
    dataset = compressed("jpeg-2000", FRAMES, 12)
    tables = encapsulate_extended([encode("jpeg-2000", frame, 12) for frame in FRAMES])
    dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = tables
    same(save(dataset, tmp_path / "a.dcm"), FRAMES[3], frame=4)


def test_only_the_wanted_frame_is_decoded(tmp_path: Path) -> None:
    frames = [encode("jpeg-2000", frame, 12) for frame in FRAMES]
    frames[1] = frames[1][:200] + bytes(len(frames[1]) - 200)
    path = save(with_fragments(compressed("jpeg-2000", FRAMES, 12), frames), tmp_path / "a.dcm")
    same(path, FRAMES[2], frame=3)
    refuses(path, "damaged or truncated pixel data", frame=2)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 9), st.data())
def test_single_bit_frames_start_within_a_byte(tmp_path: Path, count: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(count)
    frames = rng.integers(0, 2, (count, 17, 19), dtype=np.uint8)
    dataset = native(frames, bits=1)
    dataset.BitsAllocated = 1
    dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()
    number = data.draw(st.integers(1, count))
    same(save(dataset, tmp_path / "a.dcm"), frames[number - 1], frame=number)


def test_a_frame_must_be_chosen(tmp_path: Path) -> None:
    path = save(native(FRAMES), tmp_path / "a.dcm")
    refuses(path, "the file holds 4 frames; choose one with frame=1 to frame=4")
    refuses(path, "there is no frame 5; the file holds 4", frame=5)
    with pytest.raises(ValueError, match="counted from 1"):
        read_radiograph(path, frame=0)


def test_one_frame(tmp_path: Path) -> None:
    path = save(dicom(NumberOfFrames=1), tmp_path / "a.dcm")
    assert count_frames(path) == 1
    assert read_radiograph(path).frame is None
    assert read_radiograph(path, frame=1).frame is None
    same(path, GREY12)
    refuses(path, "there is no frame 2", frame=2)


def test_other_formats_have_one(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "a.png")
    assert count_frames(tmp_path / "a.png") == 1
    same(tmp_path / "a.png", GREY8, frame=1)
    refuses(tmp_path / "a.png", "there is no frame 2; the file holds one image", frame=2)
    with pytest.raises(ReadError, match="no such file"):
        count_frames(tmp_path / "b.png")


def test_header_claims_more_frames_than_the_file_holds(tmp_path: Path) -> None:
    dataset = native(FRAMES)
    dataset.NumberOfFrames = 2**31 - 1
    with pytest.raises(ReadError, match=r"a\.dcm: truncated: 40960 of \d+ bytes"):
        count_frames(save(dataset, tmp_path / "a.dcm"))
    dataset = compressed("jpeg-2000", FRAMES, 12)
    dataset.NumberOfFrames = 5
    with pytest.raises(ReadError, match="claims 5 frames, the file holds 4 fragments"):
        count_frames(save(dataset, tmp_path / "b.dcm"))
    dataset.NumberOfFrames = -1
    with pytest.raises(ReadError, match="NumberOfFrames is negative"):
        count_frames(save(dataset, tmp_path / "c.dcm"))


def test_without_a_number_of_frames_there_is_one(tmp_path: Path) -> None:
    for value in (0, None, ""):
        dataset = dicom()
        dataset.NumberOfFrames = value
        assert count_frames(save(dataset, tmp_path / "a.dcm")) == 1
