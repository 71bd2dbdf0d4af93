"""Every transfer syntax: lossless ones are exact, lossy ones within the error that the encoder was set to."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from reader_films import GREY8, GREY12, dicom, luma, refuses, same, save
from sample_files import COMPRESSED, compressed, encode, picture, with_fragments

from monai_ceph.readers import gdcm_decoder, read_radiograph

NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
LOSSLESS = ["rle", "jpeg-lossless", "jpeg-lossless-sv1", "jpeg-ls", "jpeg-2000"]
WORDS = {
    "8 bits": picture(bits=8),
    "10 bits": picture(bits=10),
    "12 bits": picture(bits=12),
    "16 bits": picture(bits=16),
    "12 bits signed": picture(bits=12).astype(np.int16) - 2048,
    "16 bits signed": (picture(bits=16).astype(np.int32) - 32768).astype(np.int16),
}


def bits_of(kind: str) -> int:
    return int(kind.split()[0])


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("syntax", NATIVE, ids=["implicit", "explicit", "big endian", "deflated"])
def test_native(tmp_path: Path, syntax: str, kind: str) -> None:
    stored = WORDS[kind]
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset = dicom(stored.astype(stored.dtype.newbyteorder(order)), bits_of(kind), syntax)
    same(save(dataset, tmp_path / "a.dcm"), stored)


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless(tmp_path: Path, syntax: str, kind: str) -> None:
    stored = WORDS[kind]
    same(save(compressed(syntax, stored, bits_of(kind)), tmp_path / "a.dcm"), stored)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_colours(tmp_path: Path, syntax: str) -> None:
    stored = picture(bits=8, samples=3)
    same(save(compressed(syntax, stored, 8), tmp_path / "a.dcm"), luma(stored), atol=1e-3)


@pytest.mark.parametrize("syntax", ["jpeg", "jpeg-extended"])
def test_jpeg_of_8_bits_equals_libjpeg(tmp_path: Path, syntax: str) -> None:
    stored = picture(bits=8)
    coded = encode("jpeg", stored, 8)
    expected = np.asarray(Image.open(io.BytesIO(coded)))
    assert np.abs(expected.astype(int) - stored).max() < 10
    # GDCM and others sometimes allocate 16 bits for 8-bit data
    for dataset in (dicom(stored, 8, COMPRESSED[syntax]), dicom(GREY12, 12, COMPRESSED[syntax])):
        dataset.Rows, dataset.Columns = stored.shape
        same(save(with_fragments(dataset, [coded]), tmp_path / "a.dcm"), expected)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_colours(tmp_path: Path, photometric: str, subsampling: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(bits=8, samples=3)).save(buffer, "JPEG", quality=95, subsampling=subsampling)
    dataset = dicom(picture(bits=8, samples=3), 8, JPEGBaseline8Bit, PhotometricInterpretation=photometric)
    expected = np.asarray(Image.open(buffer).convert("YCbCr"))[..., 0]
    same(save(with_fragments(dataset, [buffer.getvalue()]), tmp_path / "a.dcm"), expected, atol=1.5)


def test_jpeg_extended_of_12_bits(tmp_path: Path) -> None:
    stored = picture(bits=12)
    same(save(compressed("jpeg-extended", stored, 12), tmp_path / "a.dcm"), stored, atol=1)


@pytest.mark.parametrize("kind", WORDS)
def test_jpeg_ls_near_lossless(tmp_path: Path, kind: str) -> None:
    stored = WORDS[kind]
    path = save(compressed("jpeg-ls-near", stored, bits_of(kind)), tmp_path / "a.dcm")
    same(path, stored, atol=2)
    assert (read_radiograph(path).pixels != stored).any()


@pytest.mark.parametrize("kind", WORDS)
def test_jpeg_2000_lossy(tmp_path: Path, kind: str) -> None:
    stored = WORDS[kind]
    path = save(compressed("jpeg-2000-lossy", stored, bits_of(kind)), tmp_path / "a.dcm")
    same(path, stored, atol=0.03 * 2 ** bits_of(kind))
    assert (read_radiograph(path).pixels != stored).any()


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_one_frame_in_several_fragments(tmp_path: Path, syntax: str) -> None:
    stored, bits = (GREY8, 8) if syntax == "jpeg" else (picture(bits=12), 12)
    dataset = dicom(stored, bits, COMPRESSED[syntax])
    whole = save(with_fragments(dataset, [encode(syntax, stored, bits)]), tmp_path / "a.dcm")
    expected = read_radiograph(whole).pixels
    fragments = 1 if syntax == "rle" else 3  # PS3.5 annex G allows one
    same(save(with_fragments(dataset, [encode(syntax, stored, bits)], fragments_per_frame=fragments), whole), expected)


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [
        ("1.2.840.10008.5.1.4.1.1.1.1", "DX"),
        ("1.2.840.10008.5.1.4.1.1.1.1.1", "DX"),
        ("1.2.840.10008.5.1.4.1.1.1", "CR"),
        ("1.2.840.10008.5.1.4.1.1.1.3", "IO"),
        ("1.2.840.10008.5.1.4.1.1.7", "OT"),
        ("1.2.840.10008.5.1.4.1.1.7", "MR"),
        ("1.2.840.10008.5.1.4.1.1.7.2", "OT"),
        ("1.2.840.10008.5.1.4.1.1.7.3", "RG"),
        ("1.2.840.10008.5.1.4.1.1.7.4", "XC"),
        ("1.2.840.10008.5.1.4.1.1.1.1", None),
        (None, "PX"),
    ],
)
def test_kinds_of_images(tmp_path: Path, sop_class: str | None, modality: str | None) -> None:
    dataset = dicom(Modality=modality)
    dataset.file_meta.MediaStorageSOPClassUID = sop_class or "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPClassUID = sop_class
    path = save(dataset, tmp_path / "a.dcm")
    same(path, GREY12)
    assert read_radiograph(path).sop_class_uid == sop_class


@pytest.mark.parametrize("modality", ["CEPH", "CEPHALO", "DOEJANE"])
@pytest.mark.parametrize("sop_class", ["1", "1.1", "1.1.1", "1.3", "1.3.1", "12.1", "12.1.1", "12.2", "12.2.1"])
def test_unknown_modality_is_read_by_its_sop_class(tmp_path: Path, sop_class: str, modality: str) -> None:
    path = save(dicom(Modality=modality, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{sop_class}"), tmp_path / "a.dcm")
    same(path, GREY12)
    words = "The Modality is not a term of DICOM: the film was read because its SOP class is that of a radiograph."
    assert read_radiograph(path).warnings == (words,)


@pytest.mark.parametrize("name", ["a.dcm", "IM000001", "a.bin", "a.png", "Ärzte und Söhne.dcm"])
def test_any_name(tmp_path: Path, name: str) -> None:
    same(save(dicom(), tmp_path / name), GREY12)


@pytest.mark.parametrize("name", ["a.dcm", "IM000001", "a.bin"])
@pytest.mark.parametrize("implicit", [True, False])
def test_no_preamble(tmp_path: Path, name: str, implicit: bool) -> None:
    dataset = dicom()
    del dataset.file_meta
    dataset.save_as(tmp_path / name, implicit_vr=implicit, little_endian=True)
    same(tmp_path / name, GREY12)


def test_bits_at_the_upper_end_of_the_word(tmp_path: Path) -> None:
    same(save(dicom(GREY12 << 4, 12, HighBit=15), tmp_path / "a.dcm"), GREY12)


def test_unused_bits_are_cut_off(tmp_path: Path) -> None:
    same(save(dicom(GREY12 | 0xA000, 12), tmp_path / "a.dcm"), GREY12)


def test_the_gdcm_process_needs_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a module in the working folder or the worker's folder must not shadow one of Python's
    (tmp_path / "json.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    same(save(compressed("jpeg-lossless-sv1", picture(), 12), tmp_path / "a.dcm"), picture())


def test_a_hanging_decoder_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("while True: pass\n")
    monkeypatch.setattr(gdcm_decoder, "_WORKER", worker)
    monkeypatch.setattr(gdcm_decoder, "_SECONDS", 0.05)
    path = save(compressed("jpeg-lossless", picture(), 12), tmp_path / "a.dcm")
    refuses(path, "damaged pixel data: the decoder did not finish in time")
