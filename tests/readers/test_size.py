from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.size import image_size


@pytest.mark.parametrize("name", ["film.png", "film.jpg", "film.bmp", "film.tiff"])
def test_rasters(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.zeros((300, 200), dtype=np.uint8)).save(tmp_path / name)
    assert image_size(tmp_path / name) == (300, 200)


def test_dicom_with_any_name(tmp_path: Path) -> None:
    [film] = write_phantoms(tmp_path, 1, 0, height=240, width=194)
    film = film.rename(tmp_path / "IM0001")
    assert image_size(film) == read_radiograph(film).pixels.shape


@pytest.mark.parametrize("name", ["film.png", "film.dcm", "film.nii", "film.txt"])
def test_not_an_image_has_no_size(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no image")
    assert image_size(tmp_path / name) is None
    assert image_size(tmp_path / "nowhere") is None
