"""Which elements of a DICOM header count as empty, and that numbers never do."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from reader_films import GREY12, dicom, refuses, same, save
from sample_files import encode, picture, with_fragments

from monai_ceph.readers import count_frames
from monai_ceph.readers.dicom_elements import (
    first_term,
    first_value,
    given,
    integer,
    is_uid,
    number,
    positive_number,
)

SPACES = (9, 10, 11, 12, 13, 32)
WHITE = [first << 8 | second for first in SPACES for second in SPACES]
SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def stored_as(name: str, vr: str | None, raw: bytes) -> Dataset:
    """A data set with one raw element of a little-endian file; without a VR it is implicit."""
    dataset = Dataset()
    element = RawDataElement(Tag(name), vr, len(raw), raw, 0, vr is None, True, True)
    dataset[name] = element
    return dataset


def test_same_values_as_in_reports() -> None:
    ranges = [*range(2313, 2318), 2336, *range(2569, 2574), 2592, *range(2825, 2830), 2848, *range(3081, 3086), 3104]
    assert sorted(WHITE) == [*ranges, *range(3337, 3342), 3360, *range(8201, 8206), 8224]


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("size", WHITE)
def test_rows_and_columns_whose_bytes_are_white_space(tmp_path: Path, size: int, syntax: str) -> None:
    for shape in ((size, 16), (16, size)):
        stored = np.zeros(shape, np.uint8)
        stored[0, 0], stored[-1, -1] = 7, 9
        same(save(dicom(stored, 8, syntax), tmp_path / "a.dcm"), stored)


@pytest.mark.parametrize("name", ["Rows", "Columns"])
@pytest.mark.parametrize("vr", ["US", "UN", None])
@pytest.mark.parametrize("size", WHITE)
def test_numbers_are_present_whatever_their_bytes(size: int, vr: str | None, name: str) -> None:
    assert integer(stored_as(name, vr, struct.pack("<H", size)), name) == size


@pytest.mark.parametrize(
    ("vr", "code"),
    [("US", "H"), ("SS", "h"), ("UL", "L"), ("SL", "l"), ("UV", "Q"), ("SV", "q"), ("FL", "f"), ("FD", "d")],
)
@pytest.mark.parametrize("byte", SPACES)
def test_every_numeric_vr(byte: int, vr: str, code: str) -> None:
    raw = bytes([byte]) * struct.calcsize(f"<{code}")
    dataset = stored_as("PixelPaddingValue", vr, raw)
    assert given(dataset, "PixelPaddingValue")
    assert number(dataset, "PixelPaddingValue", 0) == float(struct.unpack(f"<{code}", raw)[0])


@pytest.mark.parametrize("vr", ["OB", "OW", "OF", "OD", "OL", "OV", "AT", "UN", None])
@pytest.mark.parametrize("raw", [b"        ", b"\n\n\n\n\n\n\n\n"])
def test_every_binary_vr(raw: bytes, vr: str | None) -> None:
    assert given(stored_as("LUTData", vr, raw), "LUTData")
    assert not given(stored_as("LUTData", vr, b""), "LUTData")


@pytest.mark.parametrize("vr", ["DS", "UN", None])
@pytest.mark.parametrize("raw", [b"", b"  ", b"\t ", b" \r\n\v\f "])
def test_blank_text_counts_as_absent(raw: bytes, vr: str | None) -> None:
    assert not given(stored_as("RescaleSlope", vr, raw), "RescaleSlope")


def test_blank_text_instead_of_a_number_counts_as_absent(tmp_path: Path) -> None:
    dataset = dicom(Rows=None)
    dataset.add_new("Rows", "LO", "  ")
    refuses(save(dataset, tmp_path / "a.dcm"), "damaged DICOM header: Rows is missing")


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("value", [0x2020, 0x0A20])
def test_padding_and_tables_of_white_space(tmp_path: Path, value: int, syntax: str) -> None:
    order = np.dtype(">u2" if syntax == ExplicitVRBigEndian else "<u2")
    stored = np.maximum(GREY12, 1)
    stored[:2] = value
    dataset = dicom(stored.astype(order), 16, syntax)
    dataset.add_new("PixelPaddingValue", "US", value)
    expected = stored.astype(float)
    expected[:2] = stored[2:].min()
    same(save(dataset, tmp_path / "a.dcm"), expected)

    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    table = np.full(4096, value)
    table[2000:] = 0x0909
    item.add_new("LUTData", "US", table.tolist())
    dataset = dicom(GREY12.astype(order), 12, syntax, ModalityLUTSequence=[item])
    same(save(dataset, tmp_path / "b.dcm"), table[GREY12])


def test_an_offset_table_of_white_space(tmp_path: Path) -> None:
    pictures = [picture(20, 30, seed=seed) for seed in range(3)]
    frames = [encode("rle", stored, 12) for stored in pictures]
    # a fragment whose length makes the second offset 0x2020
    first = frames[0] + bytes(0x2020 - 8 - len(frames[0]))
    dataset = with_fragments(dicom(pictures[0], 12, RLELossless, NumberOfFrames=3), [first, *frames[1:]])
    offsets = [0, 0x2020, 0x2020 + 8 + len(frames[1]) + len(frames[1]) % 2]
    dataset.add_new("ExtendedOffsetTable", "OV", struct.pack("<3Q", *offsets))
    dataset.add_new("ExtendedOffsetTableLengths", "OV", struct.pack("<3Q", *map(len, [first, *frames[1:]])))
    path = save(dataset, tmp_path / "a.dcm")
    assert count_frames(path) == 3
    for frame, expected in enumerate(pictures, 1):
        same(path, expected, frame=frame)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("1.2.840.10008", True), ("0", True), ("9" * 64, True)),
        *(("", False), ("9" * 65, False), (".1.2", False), ("..", False), ("1.2/../3", False), ("1.2*", False)),
        *(("1.2\n", False), ("１.2", False)),
    ],
)
def test_is_uid(text: str, expected: bool) -> None:
    assert is_uid(text) is expected


def test_the_first_of_several_values() -> None:
    dataset = Dataset()
    dataset.Modality, dataset.NumberOfFrames, dataset.RescaleSlope = "", "7", [2.5, 3]
    dataset.ImageType = ["original ", "PRIMARY"]
    assert first_value(dataset, "Modality") is None
    assert first_value(dataset, "RescaleSlope") == 2.5
    assert (first_term(dataset, "ImageType"), first_term(dataset, "Modality")) == ("ORIGINAL", "")
    assert (positive_number(dataset, "NumberOfFrames"), positive_number(dataset, "SeriesNumber")) == (7, 1)


def test_a_first_value_that_cannot_be_converted_is_absent() -> None:
    dataset = Dataset()
    dataset[Tag("Rows")] = RawDataElement(Tag("Rows"), "US", 1, b"7", 0, False, True)
    with pytest.raises(BytesLengthException):
        dataset.get("Rows")
    assert first_value(dataset, "Rows") is None
    assert positive_number(dataset, "Rows") == 1
