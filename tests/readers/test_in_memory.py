"""Arrays, tensors, PIL images and data sets are read as films, or refused with a one-sentence error."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from dicom_films import film as dicom_film
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from samples import noise, radiograph

from monai_ceph.errors import ReadError
from monai_ceph.readers import SpacingSource, read_radiograph
from monai_ceph.readers.in_memory import ACCEPTED, as_radiograph, is_several

GREY = noise(40, 30)
COLOUR = np.stack((GREY, GREY[::-1], GREY[:, ::-1]), axis=2)
LUMA = np.array([0.299, 0.587, 0.114]) @ COLOUR.reshape(-1, 3).T


def with_pixels(**changes: Any) -> Dataset:
    """Return a data set that was never in a file: 400 x 300, 12 bits."""
    dataset = dicom_film(**changes)
    dataset.PixelData = (noise(400, 300).astype(np.uint16) * 16).tobytes()
    return dataset


def unwritable() -> Dataset:
    """Return a data set with a value that its VR cannot hold."""
    dataset = with_pixels()
    dataset["Rows"]._value = "Doe^Jane"
    return dataset


@pytest.mark.parametrize(
    "values",
    [
        GREY,
        GREY.astype(np.uint16),
        GREY.astype(np.float64),
        GREY[:, :, None],
        GREY[None],
        GREY[None, None],
        np.repeat(GREY[:, :, None], 3, axis=2),
        np.dstack((GREY, np.full_like(GREY, 9))),
        np.asfortranarray(GREY),
        torch.from_numpy(GREY),
        torch.from_numpy(GREY)[None].float(),
        torch.from_numpy(GREY)[None, None].bfloat16(),
        torch.from_numpy(GREY)[None].repeat(3, 1, 1),
        torch.from_numpy(GREY)[None].float().requires_grad_(),
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("RGB"),
        Image.fromarray(GREY).convert("P"),
        Image.fromarray(GREY).convert("LA"),
        Image.fromarray(GREY.astype(np.uint16)),
        Image.fromarray(GREY.astype(np.float32)),
    ],
)
def test_grey_values_stay_exact(values: Any) -> None:
    found = as_radiograph(values)
    assert (found.pixels.dtype, found.pixels.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(found.pixels, GREY)
    assert (found.pixel_spacing, found.spacing_source, found.warnings) == (None, SpacingSource.NONE, ())


@pytest.mark.parametrize(
    "values", [COLOUR, np.moveaxis(COLOUR, 2, 0), torch.from_numpy(COLOUR).permute(2, 0, 1), Image.fromarray(COLOUR)]
)
def test_colour_becomes_luma(values: Any) -> None:
    np.testing.assert_allclose(as_radiograph(values).pixels, LUMA.reshape(40, 30), rtol=1e-5)


def test_the_array_is_left_as_it_is() -> None:
    values = GREY.astype(np.float32)
    values[3, 4] = np.nan
    before = values.copy()
    found = as_radiograph(values)
    np.testing.assert_array_equal(values, before)
    assert found.pixels[3, 4] == np.nanmin(before)
    assert found.warnings == ("1 pixels were not finite (NaN or infinite) and were set to the lowest value.",)


SHAPES = (
    r"its shape is \({}\), and must be \(row, column\), \(row, column, channel\) or \(channel, row, column\); "
    r"give several films as a list"
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (GREY[0], SHAPES.format("30,")),
        (np.zeros((5, 40, 30)), SHAPES.format("5, 40, 30")),
        (np.zeros((2, 1, 40, 30)), SHAPES.format("2, 1, 40, 30")),
        (np.zeros(()), SHAPES.format("")),
        (np.zeros((0, 0)), "too small: 0 x 0 pixels; each side needs at least 16"),
        (np.full((40, 30), np.nan), "no pixel has a finite value"),
        (np.zeros((40, 30), complex), "its values are complex128, and pixels must be whole or real numbers"),
        (np.full((40, 30), "x"), "its values are <U1, and pixels must be whole or real numbers"),
        (np.full((40, 30), None), "its values are object, and pixels must be whole or real numbers"),
    ],
)
def test_arrays_that_are_not_a_film_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ReadError, match=rf"^array: {message}\.$"):
        as_radiograph(values)
    with pytest.raises(ReadError, match=rf"^array 3: {message}\.$"):
        as_radiograph(values, number=3)


def test_pil_images_that_are_not_a_film_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(200, 200)).save(buffer, "PNG")
    with (
        Image.open(io.BytesIO(buffer.getvalue()[:20000])) as cut,
        pytest.raises(ReadError, match=r"^PIL image: damaged or truncated, Pillow cannot decode it\.$"),
    ):
        as_radiograph(cut)
    pages = [Image.fromarray(GREY)] * 2
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with (
        Image.open(tmp_path / "pages.tif") as two,
        pytest.raises(ReadError, match=r"pages\.tif: the file holds 2 frames or slices; a radiograph has one\.$"),
    ):
        as_radiograph(two)


def test_a_pil_image_keeps_the_name_of_its_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "film.jpg", exif=exif)
    with Image.open(tmp_path / "film.jpg") as image:
        found = as_radiograph(image)
    assert found.path == tmp_path / "film.jpg"
    assert found.warnings == read_radiograph(tmp_path / "film.jpg").warnings
    assert found.warnings == ("The EXIF orientation 6 was not applied; the pixels are used as they are stored.",)


@pytest.mark.parametrize("values", [GREY, torch.from_numpy(GREY), Image.fromarray(GREY)])
def test_the_pixel_spacing_of_the_user(values: Any) -> None:
    found = as_radiograph(values, 0.125)
    assert (found.pixel_spacing, found.spacing_source) == ((0.125, 0.125), SpacingSource.USER)
    with pytest.raises(ValueError, match=r"^pixel_spacing is 148, it must be mm per pixel, from 0\.01 to 2$"):
        as_radiograph(values, 148)
    for wrong, kind in (((0.1, 0.1), "tuple"), ("0.1", "str"), (True, "bool")):
        with pytest.raises(TypeError, match=f"^pixel_spacing must be one number, mm per pixel in rows and .*{kind}$"):
            as_radiograph(values, wrong)  # type: ignore[arg-type]


def test_a_radiograph_has_its_own_spacing() -> None:
    film = radiograph(40, 30)
    assert as_radiograph(film) is film
    with pytest.raises(ValueError, match=r"^a Radiograph has its own pixel_spacing: give it to read_radiograph"):
        as_radiograph(film, 0.1)


class TestDataset:
    @pytest.mark.parametrize("compressed", [False, True])
    def test_a_data_set_gives_the_same_as_its_file(self, dicom: Path, compressed: bool, tmp_path: Path) -> None:
        path = dicom
        if compressed:
            path = tmp_path / "film.dcm"
            small = with_pixels()
            small.file_meta = pydicom.dataset.FileMetaDataset()
            small.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            small.compress(RLELossless, generate_instance_uid=False)
            pydicom.dcmwrite(path, small)
        dataset = pydicom.dcmread(path, force=True)
        before = pydicom.dcmread(path, force=True)
        found, expected = as_radiograph(dataset), read_radiograph(path)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        for name in ("image_uid", "study_uid", "pixel_spacing", "spacing_source", "patient_orientation", "warnings"):
            assert getattr(found, name) == getattr(expected, name)
        assert (found.path, dataset) == (path, before)

    def test_made_in_memory(self, tmp_path: Path) -> None:
        dataset = with_pixels(PixelSpacing=["0.2", "0.2"], PixelSpacingCalibrationType="GEOMETRY")
        found = as_radiograph(dataset)
        assert (found.path, found.pixels.shape, found.pixel_spacing) == (Path("DICOM data set"), (400, 300), (0.2, 0.2))
        dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME1", "INVERSE"
        turned = as_radiograph(dataset, number=2)
        assert turned.path == Path("DICOM data set 2")
        np.testing.assert_allclose(turned.pixels, found.pixels.max() + found.pixels.min() - found.pixels, atol=32)

    def test_the_pixel_spacing_of_the_user_replaces_its_own(self) -> None:
        found = as_radiograph(with_pixels(PixelSpacing=["0.2", "0.2"], PixelSpacingCalibrationType="GEOMETRY"), 0.1)
        assert (found.pixel_spacing, found.spacing_source) == ((0.1, 0.1), SpacingSource.USER)
        assert found.warnings[-1].endswith("replaces 0.2 x 0.2 mm (PixelSpacing, calibrated).")

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (Dataset, "DICOM data set: "),
            (dicom_film, "DICOM data set: a DICOM file without pixel data (Modality DX), perhaps truncated."),
            (lambda: with_pixels(Modality="CT", SOPClassUID="1.2"), "DICOM data set: Modality CT is not a radiograph."),
            (lambda: with_pixels(Rows=4000), "DICOM data set: "),
            (unwritable, "DICOM data set: cannot be encoded as DICOM ("),
        ],
    )
    def test_data_sets_that_are_not_a_film_are_refused(self, make: Callable[[], Dataset], message: str) -> None:
        with pytest.raises(ReadError) as refused:
            as_radiograph(make())
        assert str(refused.value).startswith(message)
        assert str(refused.value).count("\n") == 0
        assert "Doe" not in str(refused.value)
        assert "/" not in str(refused.value)


@pytest.mark.parametrize("wrong", [None, 3, 0.5, b"film.png", bytearray(3), {"film": 1}, object(), [GREY], {1}])
def test_another_type_is_named_with_what_is_accepted(wrong: Any) -> None:
    with pytest.raises(TypeError) as refused:
        as_radiograph(wrong)
    assert str(refused.value) == f"a film must be {ACCEPTED}, not {type(wrong).__name__}"


def test_iterables_of_films_are_recognised() -> None:
    assert all(map(is_several, ([], (), iter(()), {1}, (path for path in ()), range(3))))
    one = [
        "film.png",
        Path("film.png"),
        b"film",
        {},
        GREY,
        torch.zeros(2, 2),
        Image.fromarray(GREY),
        Dataset(),
        3,
        None,
    ]
    assert not any(map(is_several, one))
