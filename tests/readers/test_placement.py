"""Points are placed on the film by the same rules as in ITK, and so in 3D Slicer."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
import pydicom
import pytest
from PIL import Image
from samples import noise, save_grey

from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.errors import ReadError
from monai_ceph.readers.placement import placement_of

POINTS = np.array([[0.0, 0.0], [10.25, 3.5], [100.75, 7.0], [np.nan, np.nan]])


@pytest.fixture(scope="module")
def dicom_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DICOM DX film with a calibrated PixelSpacing and a larger ImagerPixelSpacing."""
    return write_phantoms(tmp_path_factory.mktemp("small"), 1, seed=3, height=300, width=240)[0]


def by_itk(path: Path, point: np.ndarray) -> list[float]:
    """Return where ITK places (row, column) of the image that it reads from the file."""
    image = itk.imread(str(path))
    index = itk.ContinuousIndex[itk.D, image.GetImageDimension()]()
    index.Fill(0.0)
    index[0], index[1] = float(point[1]), float(point[0])
    place = list(image.TransformContinuousIndexToPhysicalPoint(index))
    return place + [0.0] * (3 - len(place))


def dicom(source: Path, target: Path, **changes: object) -> Path:
    dataset = pydicom.dcmread(source)
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(target)
    return target


CR, SC = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
DICOM_CASES = {
    "calibrated": {},
    "detector only": {"PixelSpacing": None},
    "PixelSpacing only": {"ImagerPixelSpacing": None},
    "no scale": {"PixelSpacing": None, "ImagerPixelSpacing": None},
    "not square": {"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.33, 0.22]},
    "CR": {"SOPClassUID": CR},
    "secondary capture": {"SOPClassUID": SC, "NominalScannedPixelSpacing": [0.2, 0.2]},
    "with a place of its own": {
        "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
        "ImagePositionPatient": [10, 20, 30],
    },
}


@pytest.mark.parametrize("changes", DICOM_CASES.values(), ids=DICOM_CASES.keys())
def test_dicom_films_are_placed_as_itk_does(dicom_film: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    path = dicom(dicom_film, tmp_path / "film.dcm", **changes)
    found = placement_of(path).to_lps(POINTS)
    for place, point in zip(found[:3], POINTS[:3], strict=True):
        np.testing.assert_allclose(place, by_itk(path, point), atol=1e-9)
    assert np.isnan(found[3]).all()


@pytest.mark.parametrize("name", ["film.png", "film.jpg", "film.bmp", "film.tif"])
@pytest.mark.parametrize("dpi", [None, 300])
def test_raster_films_are_placed_as_itk_does(tmp_path: Path, name: str, dpi: int | None) -> None:
    path = save_grey(tmp_path / name, noise(120, 90))
    if dpi:
        Image.open(path).save(path, dpi=(dpi, dpi))
    found = placement_of(path)
    assert found.size == (120, 90)
    for place, point in zip(found.to_lps(POINTS[:3]), POINTS[:3], strict=True):
        np.testing.assert_allclose(place, by_itk(path, point), atol=1e-9)


def test_lps_positions_convert_back_to_pixels(dicom_film: Path, tmp_path: Path) -> None:
    path = dicom(dicom_film, tmp_path / "film.dcm", **DICOM_CASES["with a place of its own"])
    placement = placement_of(path)
    np.testing.assert_allclose(placement.to_pixels(placement.to_lps(POINTS)), POINTS, atol=1e-9)


def test_points_off_the_plane_are_projected(dicom_film: Path) -> None:
    placement = placement_of(dicom_film)
    lifted = placement.to_lps(POINTS[:3]) + np.array([0, 0, 5.0])
    np.testing.assert_allclose(placement.to_pixels(lifted), POINTS[:3], atol=1e-9)


def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_text("no picture")
    with pytest.raises(ReadError, match=r"film\.png: ITK cannot read the file"):
        placement_of(path)
