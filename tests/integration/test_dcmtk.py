"""Films compressed by DCMTK are read exactly as DCMTK, which has other codecs, decompresses them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from sample_files import dicom, picture, save

from monai_ceph.readers import read_radiograph

TOOLS = ("dcmcjpeg", "dcmdjpeg", "dcmcjpls", "dcmdjpls", "dcmcrle", "dcmconv")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="DCMTK is not installed (apt-get install dcmtk)"
)


def film(path: Path, bits: int, signed: bool = False) -> np.ndarray:
    stored = picture(96, 80, bits=bits)
    if signed:
        stored = (stored.astype(np.int32) - 2 ** (bits - 1)).astype(np.int16)
    identity = {"PatientID": "1", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    save(dicom(stored, bits, **identity), path)
    return stored


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (12, True), (16, True)])
@pytest.mark.parametrize(
    "command",
    ["dcmcjpeg +e1", *(f"dcmcjpeg +el +sv {predictor}" for predictor in range(1, 8)), "dcmcjpls +el", "dcmcrle"],
)
def test_lossless_codecs_give_the_original_pixels(tmp_path: Path, command: str, bits: int, signed: bool) -> None:
    stored = film(tmp_path / "plain.dcm", bits, signed)
    subprocess.run([*command.split(), tmp_path / "plain.dcm", tmp_path / "a.dcm"], check=True)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, stored)


@pytest.mark.parametrize("high_bit", [11, 15])
@pytest.mark.parametrize("command", ["dcmcjpeg +e1", "dcmcjpeg +el +sv 1", "dcmcjpls +el", "dcmcrle"])
def test_overlays_beside_the_stored_bits(tmp_path: Path, command: str, high_bit: int) -> None:
    stored = picture(96, 80, bits=12)
    overlay = np.random.default_rng(3).integers(0, 16, stored.shape, dtype=np.uint16)
    words = stored << 4 | overlay if high_bit == 15 else stored | overlay << 12
    save(dicom(words, 12, HighBit=high_bit, PatientID="1"), tmp_path / "plain.dcm")
    subprocess.run([*command.split(), tmp_path / "plain.dcm", tmp_path / "a.dcm"], check=True)
    for path in (tmp_path / "plain.dcm", tmp_path / "a.dcm"):
        np.testing.assert_array_equal(read_radiograph(path).pixels, stored)


@pytest.mark.parametrize(
    ("command", "back", "bits"),
    [
        ("dcmcjpeg +eb", "dcmdjpeg", 8),
        ("dcmcjpeg +ee", "dcmdjpeg", 8),
        ("dcmcjpeg +ee", "dcmdjpeg", 12),
        ("dcmcjpls +en +md 3", "dcmdjpls", 8),
        ("dcmcjpls +en +md 3", "dcmdjpls", 12),
    ],
)
def test_lossy_codecs_give_the_pixels_that_dcmtk_decodes(tmp_path: Path, command: str, back: str, bits: int) -> None:
    film(tmp_path / "plain.dcm", bits)
    subprocess.run([*command.split(), tmp_path / "plain.dcm", tmp_path / "a.dcm"], check=True)
    subprocess.run([back, tmp_path / "a.dcm", tmp_path / "b.dcm"], check=True)
    expected = pydicom.dcmread(tmp_path / "b.dcm").pixel_array.astype(int)
    # libjpeg-turbo and the libjpeg of DCMTK round differently
    tolerance = 1 if bits == 8 and "jpeg" in command else 0
    assert np.abs(read_radiograph(tmp_path / "a.dcm").pixels - expected).max() <= tolerance


@pytest.mark.parametrize("syntax", ["+ti", "+te", "+tb", "+td"])
def test_uncompressed_syntaxes_give_the_original_pixels(tmp_path: Path, syntax: str) -> None:
    stored = film(tmp_path / "plain.dcm", 12)
    subprocess.run(["dcmconv", syntax, tmp_path / "plain.dcm", tmp_path / "a.dcm"], check=True)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, stored)
