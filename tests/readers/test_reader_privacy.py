"""No message contains a patient's name, for any damage of a file and any position of the name."""

from __future__ import annotations

import logging
import random
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fuzz import damaged
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from reader_films import GREY8, GREY12, dicom, save
from sample_files import compressed, picture

from monai_ceph.errors import ReadError
from monai_ceph.readers import count_frames, find_radiographs, read_radiograph
from monai_ceph.readers.dicom_file import ELEMENTS
from monai_ceph.readers.quiet_pydicom import quiet

MARK = "Zebra"
NAME, BIRTH = "Zebra^Quagga", "19010203"
PATIENT = {
    "PatientName": NAME,
    "PatientID": f"{MARK}-17",
    "OtherPatientIDs": f"{MARK}-18",
    "PatientBirthDate": BIRTH,
    "PatientAddress": f"{MARK} street",
    "PatientComments": f"{MARK} comment",
    "ReferringPhysicianName": f"{MARK}^Doctor",
    "AccessionNumber": f"{MARK}-19",
    "InstitutionName": f"{MARK} clinic",
    "StudyDescription": f"{MARK} study",
}


def film(syntax: str = ExplicitVRLittleEndian) -> pydicom.Dataset:
    return dicom(syntax=syntax, **PATIENT, PixelSpacing=["0.1", "0.1"], PatientOrientation=["A", "F"])


@pytest.fixture
def nothing_is_said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Check that logs, Python warnings and output contain nothing about the patient."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    shown = "".join(capfd.readouterr())
    for text in (*(str(item.message) for item in caught), *(str(item) for item in caplog.records), caplog.text, shown):
        assert MARK not in text
        assert BIRTH not in text


def messages(path: Path) -> list[str]:
    """Return the messages of reading a file: its warnings or its error."""
    texts = []
    for read in (read_radiograph, count_frames):
        try:
            found = read(path)
        except ReadError as error:
            texts += [str(error), "".join(traceback.format_exception(error))]
        else:
            texts += getattr(found, "warnings", ())
    return texts


def encoded(tag: BaseTag) -> bytes:
    return tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")


def silent(path: Path) -> None:
    for text in messages(path):
        assert MARK not in text
        assert BIRTH not in text


@pytest.mark.usefixtures("nothing_is_said")
class TestDicom:
    @pytest.mark.parametrize("vr", ["LO", "PN", "UN", "IS", "DS", "UI", "CS", "US"])
    @pytest.mark.parametrize("name", ELEMENTS)
    def test_a_name_instead_of_a_value(self, tmp_path: Path, name: str, vr: str) -> None:
        dataset = film()
        meta = dataset.file_meta
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        dataset.pop(name, None)
        path = save(dataset, tmp_path / "a.dcm")
        value = NAME.encode()
        length = b"\0\0" + len(value).to_bytes(4, "little") if vr == "UN" else len(value).to_bytes(2, "little")
        tag = Tag(name)
        element = encoded(tag) + vr.encode() + length + value
        content = path.read_bytes()
        start = 144 + int.from_bytes(content[140:144], "little")  # after the file meta information
        at = content.index(encoded(next(each.tag for each in dataset if each.tag > tag)), start)
        path.write_bytes(content[:at] + element + content[at:])
        silent(path)

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
    def test_damaged(self, tmp_path: Path, syntax: str) -> None:
        path = save(film(syntax), tmp_path / "a.dcm")
        content = path.read_bytes()
        for number in range(150):
            path.write_bytes(damaged(content, random.Random(number)))
            silent(path)

    @pytest.mark.parametrize("shift", range(1, 40, 3))
    def test_shifted(self, tmp_path: Path, shift: int) -> None:
        path = save(film(), tmp_path / "a.dcm")
        content = path.read_bytes()
        at = content.index(b"\x10\x00\x10\x00PN")
        path.write_bytes(content[: at + 8] + content[at + 8 + shift :])
        silent(path)
        path.write_bytes(content[:at] + bytes(shift) + content[at:])
        silent(path)

    @pytest.mark.parametrize("kind", ["jpeg", "rle", "jpeg-2000", "jpeg-lossless-sv1"])
    def test_damaged_pixels(self, tmp_path: Path, kind: str) -> None:
        bits = 8 if kind == "jpeg" else 12
        path = save(compressed(kind, picture(bits=bits), bits, **PATIENT), tmp_path / "a.dcm")
        content = path.read_bytes()
        start = content.index(b"\xe0\x7f\x10\x00OB")
        for number in range(8):
            path.write_bytes(content[:start] + damaged(content[start:], random.Random(number)))
            silent(path)

    def test_dicomdir(self, tmp_path: Path) -> None:
        from test_files import medium

        medium(tmp_path)
        path = tmp_path / "DICOMDIR"
        content = path.read_bytes().replace(b"Doe ", b"Zebr").replace(b"P1", b"Ze")
        for number in range(100):
            path.write_bytes(damaged(content, random.Random(number)).replace(b"Zebr", MARK.encode()))
            for found in find_radiographs([tmp_path]):
                silent(found)


def test_logging_is_restored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # whatever state earlier tests left behind
    caplog.set_level(logging.WARNING, "pydicom")
    path = save(dicom(), tmp_path / "a.dcm")
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    read_radiograph(path)
    logging.getLogger("pydicom").error("held back")
    leave.set()
    thread.join()
    logging.getLogger("pydicom").error("heard again")
    assert [record.message for record in caplog.records] == ["heard again"]
    with pytest.warns(UserWarning, match="heard too"):
        warnings.warn("heard too", UserWarning, stacklevel=1)


@pytest.mark.usefixtures("nothing_is_said")
class TestOtherFormats:
    def write(self, folder: Path, kind: str) -> Path:
        path = folder / f"a.{kind}"
        image = Image.fromarray(GREY8)
        if kind == "png":
            info = PngInfo()
            info.add_text("Title", f"{NAME} {BIRTH}")
            image.save(path, pnginfo=info)
        elif kind == "tif":
            image.save(path, tiffinfo={270: f"{NAME} {BIRTH}"})
        elif kind == "jpg":
            image.save(path, comment=f"{NAME} {BIRTH}".encode())
        elif kind == "nii":
            import nibabel

            volume = nibabel.Nifti1Image(GREY12.astype(np.int16), np.diag([0.1, 0.1, 1, 1]))
            volume.header["descrip"], volume.header["db_name"] = f"{NAME} {BIRTH}".encode(), NAME.encode()
            nibabel.save(volume, path)
        else:
            header = f"ObjectType = Image\nComment = {NAME}\nNDims = 2\nName = {NAME}\nDimSize = 40 30\n"
            header += f"AcquisitionDate = {BIRTH}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
            path.write_bytes(header.encode() + GREY8.tobytes())
        return path

    @pytest.mark.parametrize("kind", ["png", "tif", "jpg", "nii", "mha"])
    def test_damaged(self, tmp_path: Path, kind: str) -> None:
        path = self.write(tmp_path, kind)
        content = path.read_bytes()
        read_radiograph(path)
        for number in range(60):
            path.write_bytes(damaged(content, random.Random(number)))
            silent(path)

    @pytest.mark.parametrize(
        "line", ["NDims", "DimSize", "ElementType", "ElementDataFile", "BinaryData", "ElementSpacing", "HeaderSize"]
    )
    def test_a_name_in_a_meta_image(self, tmp_path: Path, line: str) -> None:
        path = self.write(tmp_path, "mha")
        lines = [each for each in path.read_bytes()[:-1200].split(b"\n") if not each.startswith(line.encode())]
        path.write_bytes(b"\n".join([f"{line} = {NAME}".encode(), *lines]) + GREY8.tobytes())
        silent(path)
