"""Files that cannot be read give one clear error each; files with harmless faults are read with a warning."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from reader_films import GREY8, GREY12, RGB8, dicom, refuses, same, save
from sample_files import COMPRESSED, compressed, encode, picture, with_fragments

from monai_ceph.errors import ReadError
from monai_ceph.readers import dicom_pixels, read_radiograph
from monai_ceph.readers.codestream import codestream_header

PIXELS = picture(bits=12)


class TestTruncated:
    @pytest.mark.parametrize("length", [*range(132, 200, 7), *range(200, 500, 23)])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_header(self, tmp_path: Path, syntax: str, length: int) -> None:
        path = save(dicom(syntax=syntax), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:length])
        refuses(path, "truncated")

    @pytest.mark.parametrize("length", [1, 100, 127, 130])
    def test_preamble(self, tmp_path: Path, length: int) -> None:
        path = save(dicom(), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:length])
        refuses(path, "not a DICOM file")

    @pytest.mark.parametrize("cut", [1, 2, 700, 2399, 2400])
    def test_native_pixels(self, tmp_path: Path, cut: int) -> None:
        path = save(dicom(), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:-cut])
        refuses(path, f"truncated: {2400 - cut} of 2400 bytes")

    def test_pixel_data_shorter_than_the_header_claims(self, tmp_path: Path) -> None:
        path = save(dicom(PixelData=GREY12.tobytes()[:-100]), tmp_path / "a.dcm")
        refuses(path, "truncated: 2300 of 2400 bytes")

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    @pytest.mark.parametrize("kind", COMPRESSED)
    def test_compressed_file(self, tmp_path: Path, kind: str, share: float) -> None:
        bits = 8 if kind == "jpeg" else 12
        path = save(compressed(kind, picture(bits=bits), bits), tmp_path / "a.dcm")
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        refuses(path, "truncated")

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
    @pytest.mark.parametrize("kind", COMPRESSED)
    def test_compressed_frame_in_a_whole_file(self, tmp_path: Path, kind: str, share: float) -> None:
        bits = 8 if kind == "jpeg" else 12
        stored = picture(bits=bits)
        data = encode(kind, stored, bits)
        dataset = with_fragments(dicom(stored, bits, COMPRESSED[kind]), [data[: int(len(data) * share)]])
        refuses(save(dataset, tmp_path / "a.dcm"), "truncated")

    def test_deflated(self, tmp_path: Path) -> None:
        path = save(dicom(syntax="1.2.840.10008.1.2.1.99"), tmp_path / "a.dcm")
        data = path.read_bytes()
        for length in range(350, len(data), 211):
            path.write_bytes(data[:length])
            refuses(path, "truncated")

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(["native", "rle", "jpeg-2000"]), st.floats(0, 1, exclude_max=True))
    def test_every_truncation_is_refused(self, tmp_path: Path, kind: str, share: float) -> None:
        dataset = dicom(PIXELS, 12) if kind == "native" else compressed(kind, PIXELS, 12)
        path = save(dataset, tmp_path / "a.dcm")
        # only the end marker may be missing: it holds no pixels
        content = path.read_bytes()[: -1 if kind == "native" else -8]
        path.write_bytes(content[: int(len(content) * share)])
        refuses(path, "")


class TestHeader:
    @pytest.mark.parametrize("name", ["Rows", "Columns", "BitsAllocated"])
    def test_missing(self, tmp_path: Path, name: str) -> None:
        refuses(save(dicom(**{name: None}), tmp_path / "a.dcm"), f"damaged DICOM header: {name} is missing")

    @pytest.mark.parametrize("name", ["Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel"])
    def test_wrong_vr(self, tmp_path: Path, name: str) -> None:
        dataset = dicom(**{name: None})
        dataset.add_new(name, "LO", "Doe^Jane")
        refuses(save(dataset, tmp_path / "a.dcm"), f"damaged DICOM header: {name} is not one whole number")

    def test_number_as_text_is_harmless(self, tmp_path: Path) -> None:
        dataset = dicom(Rows=None)
        dataset.add_new("Rows", "IS", "30")
        same(save(dataset, tmp_path / "a.dcm"), GREY12)

    @pytest.mark.parametrize(
        ("elements", "cause"),
        [
            ({"Rows": 0}, "too small"),
            ({"Rows": 15}, "too small: 40 x 15 pixels"),
            ({"Rows": 60000, "Columns": 60000}, "too large: 60000 x 60000 pixels"),
            ({"Rows": 4000, "Columns": 4000}, "truncated: 2400 of 32000000 bytes"),
            ({"SamplesPerPixel": 2}, "damaged DICOM header: 2 samples per pixel"),
            ({"SamplesPerPixel": 3}, "truncated"),
            ({"BitsAllocated": 12}, "damaged DICOM header: BitsAllocated is 12"),
            ({"BitsStored": 17}, "damaged DICOM header: BitsStored is 17 but BitsAllocated is 16"),
            ({"PixelRepresentation": 7}, "PixelRepresentation"),
            ({"PhotometricInterpretation": "RGB"}, "RGB with 1 samples"),
            ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "Modality CT is not a radiograph"),
            (
                {"Modality": "DOEJANE", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
                "of an unknown kind is not a radiograph",
            ),
            ({"Modality": "MG"}, "Modality MG is not a radiograph"),
            ({"Modality": "EEG"}, "Modality EEG is not a radiograph"),
            ({"PixelData": None}, "a DICOM file without pixel data (Modality DX), perhaps truncated"),
            ({"PixelData": None, "Modality": "SR"}, "without pixel data (Modality SR)"),
        ],
    )
    def test_refused(self, tmp_path: Path, elements: dict[str, Any], cause: str) -> None:
        refuses(save(dicom(**elements), tmp_path / "a.dcm"), cause)

    def test_secondary_capture_of_any_modality(self, tmp_path: Path) -> None:
        same(save(dicom(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), tmp_path / "a.dcm"), GREY12)

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    @pytest.mark.parametrize("character_set", ["NONSENSE", ["ISO 2022 IR 999", "x"], "ISO_IR 192\\\\", "\\"])
    def test_character_set_is_harmless(self, tmp_path: Path, character_set: Any, syntax: str) -> None:
        dataset = dicom(syntax=syntax, PatientName="Doe")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = save(dataset, tmp_path / "a.dcm")
            dataset.SpecificCharacterSet = "ISO_IR 100"
            save(dataset, path)
        text = "\\".join(character_set) if isinstance(character_set, list) else character_set
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", text.encode().ljust(10)[:10]))
        same(path, GREY12)

    def test_photometric_interpretation_is_assumed(self, tmp_path: Path) -> None:
        for value in (None, "NONSENSE"):
            path = save(dicom(PhotometricInterpretation=value), tmp_path / "a.dcm")
            same(path, GREY12)
            assert "MONOCHROME2 was assumed" in read_radiograph(path).warnings[0]
        path = save(dicom(RGB8, 8, PhotometricInterpretation=None), tmp_path / "a.dcm")
        assert "RGB was assumed" in read_radiograph(path).warnings[0]

    def test_absent_elements_with_one_meaning(self, tmp_path: Path) -> None:
        names = ("BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "Modality")
        same(save(dicom(**dict.fromkeys(names)), tmp_path / "a.dcm"), GREY12)

    def test_invalid_uid_is_ignored(self, tmp_path: Path) -> None:
        path = save(dicom(), tmp_path / "a.dcm")
        for element in (b"\x08\x00\x18\x00UI\x06\x00DoeJan", b"\x08\x00\x18\x00UI\x00\x00", b""):
            changed = re.sub(rb"\x08\x00\x18\x00UI\x1c\x00.{28}", element, path.read_bytes(), flags=re.DOTALL)
            (tmp_path / "b.dcm").write_bytes(changed)
            same(tmp_path / "b.dcm", GREY12)
            assert read_radiograph(tmp_path / "b.dcm").image_uid is None

    def test_deep_sequences(self, tmp_path: Path) -> None:
        inner = Dataset()
        for _ in range(300):
            outer = Dataset()
            outer.ReferencedImageSequence = [inner]
            inner = outer
        dataset = dicom()
        path = save(dataset, tmp_path / "a.dcm")
        start = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        head, rest = path.read_bytes().split(b"\x28\x00\x02\x00", 1)
        path.write_bytes(head + start * 5000 + b"\x28\x00\x02\x00" + rest)
        refuses(path, "damaged DICOM header")


class TestPixelData:
    @pytest.mark.parametrize("syntax", ["1.2.3.4", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.100"])
    def test_no_decoder(self, tmp_path: Path, syntax: str) -> None:
        dataset = with_fragments(dicom(), [b"\xff\xd8\xff\xd9"])
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
        refuses(tmp_path / "a.dcm", "no decoder for the transfer syntax")

    def test_without_gdcm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(compressed("jpeg-lossless-sv1", PIXELS, 12), tmp_path / "a.dcm")
        monkeypatch.setattr(dicom_pixels, "gdcm_folder", lambda: None)
        refuses(path, "Selection Value 1]); install python-gdcm")

    @pytest.mark.parametrize("kind", [kind for kind in COMPRESSED if kind != "rle"])
    def test_no_codestream(self, tmp_path: Path, kind: str) -> None:
        dataset = with_fragments(dicom(GREY8, 8, COMPRESSED[kind]), [b"no picture at all" * 9])
        refuses(save(dataset, tmp_path / "a.dcm"), "damaged pixel data: neither JPEG, JPEG-LS nor JPEG 2000")

    @pytest.mark.parametrize("kind", [kind for kind in COMPRESSED if kind != "rle"])
    def test_size_contradicts_the_header(self, tmp_path: Path, kind: str) -> None:
        bits = 8 if kind == "jpeg" else 12
        data = encode(kind, picture(48, 64, bits=bits), bits)
        dataset = with_fragments(dicom(picture(64, 48, bits=bits), bits, COMPRESSED[kind]), [data])
        cause = "the compressed data have 64 x 48 pixels of 1 samples, but the DICOM header says 48 x 64 of 1"
        refuses(save(dataset, tmp_path / "a.dcm"), cause)

    def test_wrong_codec(self, tmp_path: Path) -> None:
        data = encode("jpeg-2000", picture(bits=8), 8)
        for kind in ("jpeg", "jpeg-lossless", "jpeg-ls"):
            dataset = with_fragments(dicom(picture(bits=8), 8, COMPRESSED[kind]), [data])
            refuses(save(dataset, tmp_path / "a.dcm"), "damaged pixel data: JPEG 2000 instead of JPEG")

    def test_native_pixels_under_a_compressed_syntax(self, tmp_path: Path) -> None:
        path = save(with_fragments(dicom(GREY8, 8, JPEGBaseline8Bit), [b"x" * 1200]), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes().replace(encapsulate([b"x" * 1200]), b"x" * 1216))
        refuses(path, "not encapsulated, as JPEG Baseline (Process 1) requires")

    def test_no_fragment(self, tmp_path: Path) -> None:
        path = save(with_fragments(dicom(GREY8, 8, JPEG2000Lossless), [b"xx"]), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes().replace(b"\xfe\xff\x00\xe0\x02\x00\x00\x00xx", b""))
        refuses(path, "there is no fragment of compressed pixel data")

    def test_damaged_fragment_length(self, tmp_path: Path) -> None:
        data = encode("jpeg-2000", PIXELS, 12)
        path = save(with_fragments(dicom(PIXELS, 12, JPEG2000Lossless), [data]), tmp_path / "a.dcm")
        content = path.read_bytes()
        length = len(data).to_bytes(4, "little")
        for changed in (len(data) - 2, len(data) + 4, 2**31):
            path.write_bytes(content.replace(length + data[:8], changed.to_bytes(4, "little") + data[:8]))
            refuses(path, "pixel data")

    def test_nan_and_constant(self, tmp_path: Path) -> None:
        stored = np.full((20, 20), np.nan, np.float32)
        dataset = dicom(PixelData=None, Rows=20, Columns=20, BitsAllocated=32, BitsStored=None, HighBit=None)
        dataset.FloatPixelData = stored.tobytes()
        refuses(save(dataset, tmp_path / "a.dcm"), "no pixel has a finite value")
        same(save(dicom(np.full((20, 20), 7, np.uint16)), tmp_path / "b.dcm"), np.full((20, 20), 7))


class TestCodestream:
    @pytest.mark.parametrize("kind", [kind for kind in COMPRESSED if kind != "rle"])
    def test_header_matches_the_encoded_image(self, kind: str) -> None:
        bits = 8 if kind == "jpeg" else 16 if "extended" not in kind else 12
        header = codestream_header(encode(kind, picture(48, 64, bits=bits), bits))
        assert (header.rows, header.columns, header.samples, header.bits) == (48, 64, 1, bits)

    @given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc3", b"\xff\x4f\xff\x51"]))
    def test_any_bytes(self, data: bytes, start: bytes) -> None:
        with suppress(ReadError):
            assert codestream_header(start + data).bits < 256


class TestFiles:
    def test_missing_folder_and_empty(self, tmp_path: Path) -> None:
        refuses(tmp_path / "a.png", "no such file")
        refuses(tmp_path, "a folder, not a file")
        (tmp_path / "a.dcm").touch()
        refuses(tmp_path / "a.dcm", "the file is empty")

    @pytest.mark.parametrize("content", [b"this is no image" * 20, b"\0", b"\0" * 4000, b"\x08\x00\x05\x00CS\xff\xff"])
    def test_not_an_image(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.dcm").write_bytes(content)
        refuses(tmp_path / "a.dcm", "")
        (tmp_path / "a").write_bytes(content)
        refuses(tmp_path / "a", "")

    def test_unknown_suffix(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("SNA 82\n")
        refuses(tmp_path / "notes.txt", "not a readable image")

    def test_pipe_and_device(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.dcm")
        refuses(tmp_path / "a.dcm", "a pipe or a device, not a file")
        refuses(Path("/dev/zero"), "a pipe or a device, not a file")

    def test_links(self, tmp_path: Path) -> None:
        (tmp_path / "a.dcm").symlink_to(tmp_path / "nowhere.dcm")
        refuses(tmp_path / "a.dcm", "no such file")
        (tmp_path / "b.dcm").symlink_to(tmp_path / "b.dcm")
        refuses(tmp_path / "b.dcm", "cannot be opened")
        save(dicom(), tmp_path / "c.dcm")
        (tmp_path / "d").symlink_to(tmp_path / "c.dcm")
        same(tmp_path / "d", GREY12)

    def test_names(self, tmp_path: Path) -> None:
        for name in ("with space.dcm", "Ärztin.dcm", "歯科.dcm", "quote's.dcm", "new\nline.dcm", "-rf.dcm"):
            same(save(dicom(), tmp_path / name), GREY12)
        path = tmp_path / os.fsdecode(b"latin-\xfc.dcm")
        shutil.copy(tmp_path / "with space.dcm", path)
        same(path, GREY12)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_permission(self, tmp_path: Path) -> None:
        path = save(dicom(), tmp_path / "a.dcm")
        path.chmod(0)
        refuses(path, "cannot be opened: Permission denied")

    def test_any_decoder_exception_names_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(path: Path) -> None:
            raise AttributeError("first line\nsecond line")

        (tmp_path / "a.png").write_bytes(b"x")
        monkeypatch.setattr("monai_ceph.readers.read.read_raster", fail)
        refuses(tmp_path / "a.png", "damaged or truncated: first line.")
