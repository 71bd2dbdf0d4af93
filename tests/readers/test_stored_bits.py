"""Only the BitsStored bits up to HighBit are the value, in any transfer syntax (PS3.5 section 8.1.1)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from reader_films import dicom, same, save
from sample_files import COMPRESSED, encode, picture, with_fragments

from monai_ceph.readers.codestream import codestream_header
from monai_ceph.readers.stored_bits import stored_values

LOSSLESS = ["rle", "jpeg-lossless", "jpeg-lossless-sv1", "jpeg-ls", "jpeg-2000"]
NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
PRECISE = ["jpeg-lossless", "jpeg-lossless-sv1", "jpeg-2000"]
VALUES = picture(bits=12)
OVERLAY = np.random.default_rng(7).integers(0, 16, VALUES.shape, dtype=np.uint16)


def words(high_bit: int, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """16-bit samples with VALUES up to HighBit and an overlay in all other bits, and the expected values."""
    lowest = high_bit - 11
    below = OVERLAY & (2**lowest - 1)
    above = OVERLAY << (high_bit + 1) if high_bit < 15 else 0
    expected = VALUES.astype(np.int32) - (VALUES >= 2048) * 4096 if signed else VALUES
    return (VALUES << lowest | above | below).astype(np.uint16), expected


def of_precision(kind: str, bits: int, values: np.ndarray) -> bytes:
    """A codestream that declares a number of bits; GDCM only writes 8 or 16, and both codecs predict from mid-range."""
    shift = 2**15 - 2 ** (bits - 1)
    data = bytearray(encode(kind, (values.astype(np.int32) + shift).astype(np.uint16), 16))
    place = 42 if kind == "jpeg-2000" else data.index(b"\xff\xc3") + 4
    assert data[place] in (15, 16)
    data[place] -= 16 - bits
    assert codestream_header(bytes(data)).bits == bits
    return bytes(data)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("high_bit", [11, 12, 14, 15])
@pytest.mark.parametrize("syntax", NATIVE, ids=["implicit", "explicit", "big endian"])
def test_native(tmp_path: Path, syntax: str, high_bit: int, signed: bool) -> None:
    stored, expected = words(high_bit, signed)
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    dataset = dicom(stored.astype(order), 12, syntax, HighBit=high_bit, PixelRepresentation=int(signed))
    same(save(dataset, tmp_path / "a.dcm"), expected)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("high_bit", [11, 12, 14, 15])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_codestreams_of_whole_words(tmp_path: Path, kind: str, high_bit: int, signed: bool) -> None:
    stored, expected = words(high_bit, signed)
    dataset = dicom(stored, 12, COMPRESSED[kind], HighBit=high_bit, PixelRepresentation=int(signed))
    same(save(with_fragments(dataset, [encode(kind, stored, 16)]), tmp_path / "a.dcm"), expected)


def test_a_codestream_of_signed_words(tmp_path: Path) -> None:
    stored, expected = words(11, signed=True)
    data = encode("jpeg-2000", stored.view(np.int16), 16)
    assert codestream_header(data).signed
    dataset = with_fragments(dicom(stored.view(np.int16), 12, JPEG2000Lossless), [data])
    same(save(dataset, tmp_path / "a.dcm"), expected)
    dataset.PixelRepresentation = 0
    same(save(dataset, tmp_path / "a.dcm"), VALUES)


@pytest.mark.parametrize("kind", PRECISE)
@pytest.mark.parametrize("precision", [13, 14])
def test_codestreams_with_more_bits_than_stored(tmp_path: Path, precision: int, kind: str) -> None:
    stored = (VALUES | (OVERLAY << 12)) & (2**precision - 1)
    dataset = dicom(stored, 12, COMPRESSED[kind])
    same(save(with_fragments(dataset, [of_precision(kind, precision, stored)]), tmp_path / "a.dcm"), VALUES)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", PRECISE)
def test_values_shifted_down_by_the_encoder(tmp_path: Path, kind: str, signed: bool) -> None:
    # the codestream has only the stored bits, so nothing has to be shifted
    dataset = dicom(VALUES << 4, 12, COMPRESSED[kind], HighBit=15, PixelRepresentation=int(signed))
    _, expected = words(11, signed)
    same(save(with_fragments(dataset, [of_precision(kind, 12, VALUES)]), tmp_path / "a.dcm"), expected)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", PRECISE)
def test_codestreams_with_fewer_bits_than_stored(tmp_path: Path, kind: str, signed: bool) -> None:
    dataset = dicom(VALUES, 16, COMPRESSED[kind], PixelRepresentation=int(signed))
    same(save(with_fragments(dataset, [of_precision(kind, 12, VALUES)]), tmp_path / "a.dcm"), VALUES)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", LOSSLESS[1:])
def test_codestreams_of_8_bits_where_the_header_says_16(tmp_path: Path, kind: str, signed: bool) -> None:
    stored = picture(bits=8)
    dataset = dicom(stored.astype(np.uint16), 16, COMPRESSED[kind], PixelRepresentation=int(signed))
    same(save(with_fragments(dataset, [encode(kind, stored, 8)]), tmp_path / "a.dcm"), stored)


@pytest.mark.parametrize("bits_stored", [12, 16])
def test_the_sign_of_a_codestream_and_of_the_header(tmp_path: Path, bits_stored: int) -> None:
    stored = VALUES.astype(np.int16) - 2048
    data = bytearray(encode("jpeg-2000", stored, 16))
    # 16 bits signed become 12: signed values start from zero
    assert data[42] == 0x80 + 15
    data[42] = 0x80 + 11
    dataset = with_fragments(dicom(stored, bits_stored, JPEG2000Lossless), [bytes(data)])
    same(save(dataset, tmp_path / "a.dcm"), stored)
    dataset.PixelRepresentation = 0
    same(save(dataset, tmp_path / "a.dcm"), stored.view(np.uint16) & 4095)


@pytest.mark.parametrize("kind", ["jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_eight_bits(tmp_path: Path, kind: str) -> None:
    stored = picture(bits=6) | (OVERLAY.astype(np.uint8) << 6)
    dataset = dicom(stored, 6, COMPRESSED[kind])
    same(save(with_fragments(dataset, [encode(kind, stored, 8)]), tmp_path / "a.dcm"), picture(bits=6))


def test_jpeg_2000_from_another_encoder(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    stored, expected = words(11, signed=False)
    Image.fromarray(stored).save(buffer, "JPEG2000", irreversible=False, no_jp2=True)
    assert codestream_header(buffer.getvalue()).bits == 16
    dataset = with_fragments(dicom(stored, 12, JPEG2000Lossless), [buffer.getvalue()])
    same(save(dataset, tmp_path / "a.dcm"), expected)


def test_overshoot_of_a_lossy_codec_does_not_turn_white_into_black(tmp_path: Path) -> None:
    stored = VALUES.copy()
    stored[10:40, 10:40], stored[20:30, 20:30] = 4095, 0
    buffer = io.BytesIO()
    layers = {"irreversible": True, "quality_mode": "rates", "quality_layers": [40]}
    Image.fromarray(stored).save(buffer, "JPEG2000", no_jp2=True, **layers)
    decoded = np.asarray(Image.open(buffer))
    assert 4800 < decoded.max() < 5119
    dataset = with_fragments(dicom(stored, 12, COMPRESSED["jpeg-2000-lossy"]), [buffer.getvalue()])
    same(save(dataset, tmp_path / "a.dcm"), np.minimum(decoded, 4095))


def test_overlays_of_a_lossy_codec_are_masked() -> None:
    samples = np.array([[5, 4095, 4096 + 9, 0x8000 + 70]], np.uint16)
    assert stored_values(samples, 16, 12, 11, False, lossy=True).tolist() == [[5, 4095, 9, 70]]
    # a codec overshoots by at most a quarter of the range
    over = np.array([[5, 4095, 4100, 5119]], np.uint16)
    assert stored_values(over, 16, 12, 11, False, lossy=True).tolist() == [[5, 4095, 4095, 4095]]
    signed = np.array([[-3072, -2048, 2047, 3071]], np.int16)
    assert stored_values(signed, 16, 12, 11, True, lossy=True).tolist() == [[-2048, -2048, 2047, 2047]]


@given(st.integers(0, 2**16 - 1), st.integers(1, 16), st.integers(0, 20), st.booleans())
def test_every_word(word: int, bits: int, high_bit: int, signed: bool) -> None:
    lowest = high_bit + 1 - bits if bits - 1 <= high_bit <= 15 else 0
    value = word >> lowest & (2**bits - 1)
    expected = value - 2**bits if signed and value >= 2 ** (bits - 1) else value
    assert stored_values(np.array([word], np.uint16), 16, bits, high_bit, signed).tolist() == [expected]
