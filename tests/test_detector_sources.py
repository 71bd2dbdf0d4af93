"""The detector accepts paths, arrays, tensors, PIL images and data sets, and several films at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from samples import noise

from monai_ceph import CephalogramDetector, Detection
from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.readers.in_memory import ACCEPTED


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def first_stage(detector: CephalogramDetector, film: Path) -> Detection:
    return detector(film, stage="global")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (str, None),
        (pixels, "array"),
        (lambda path: np.repeat(pixels(path)[:, :, None], 3, axis=2).astype(float), "array"),
        (lambda path: torch.from_numpy(pixels(path).copy())[None], "tensor"),
        (Image.open, None),
    ],
)
def test_the_same_landmarks_from_a_file_and_from_memory(
    detector: CephalogramDetector, first_stage: Detection, film: Path, make: Callable[[Path], Any], name: str | None
) -> None:
    found = detector(make(film), stage="global")
    np.testing.assert_array_equal(found.points(), first_stage.points())
    assert found.file == (name or str(film))
    assert set(found.seconds) == {"reading", "framing", "stage_1"}


def test_both_stages_from_a_file_and_from_a_data_set(
    detector: CephalogramDetector, detect: Callable[[Path], Detection], dicom: Path
) -> None:
    found, expected = detector(pydicom.dcmread(dicom)), detect(dicom)
    same = {"created", "seconds"}
    assert found.model_dump(exclude=same) == expected.model_dump(exclude=same)


def test_the_pixel_spacing_goes_with_the_array(
    detector: CephalogramDetector, first_stage: Detection, film: Path, spacing: float
) -> None:
    found = detector(pixels(film), pixel_spacing=spacing, stage="global")
    assert (found.pixel_spacing, found.spacing_source) == ((spacing, spacing), "user")
    assert found["S"].x_mm == pytest.approx(first_stage["S"].x * spacing)


def test_several_films_in_their_order(
    detector: CephalogramDetector, first_stage: Detection, film: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = []

    def films() -> Any:
        for source in (pixels(film), film, pixels(film)[:, ::-1]):
            taken.append(type(source))
            yield source

    found = detector(films(), stage="global", progress=True)
    assert taken == []
    first = next(found)
    assert len(taken) == 1
    rest = list(found)
    assert [each.file for each in (first, *rest)] == ["array 1", str(film), "array 3"]
    assert [each.mirrored for each in (first, *rest)] == [False, False, True]
    np.testing.assert_array_equal(first.points(), first_stage.points())
    out, error = capfd.readouterr()
    assert out == ""
    assert "Detecting" in error


def test_a_film_that_fails_among_several(detector: CephalogramDetector, film: Path, tmp_path: Path) -> None:
    films = [noise(400, 320), film, tmp_path / "absent.png", np.zeros((5, 40, 30))]
    errors: list[CephError] = []
    found = list(detector(films, stage="global", on_error=errors.append))
    assert [each.file for each in found] == [str(film)]
    assert [type(error) for error in errors] == [RejectedError, ReadError, ReadError]
    assert [str(error).split(":")[0] for error in errors] == ["array 1", str(tmp_path / "absent.png"), "array 4"]
    going = detector([film, tmp_path / "absent.png"], stage="global")
    assert next(going).file == str(film)
    with pytest.raises(ReadError, match=r"absent\.png: no such file\.$"):
        next(going)


@pytest.mark.parametrize("wrong", [None, 3, b"film.png", {"image": "film.png"}])
def test_the_error_for_another_type_lists_what_is_accepted(detector: CephalogramDetector, wrong: Any) -> None:
    message = f"a film must be {ACCEPTED}, not {type(wrong).__name__}"
    with pytest.raises(TypeError) as refused:
        detector(wrong)
    assert str(refused.value) == message
    with pytest.raises(TypeError) as refused:
        list(detector([wrong]))
    assert str(refused.value) == message


def test_options_for_several_films(detector: CephalogramDetector, film: Path) -> None:
    for options in ({"progress": True}, {"on_error": print}):
        with pytest.raises(TypeError, match=r"^progress and on_error are for several films: give them as a list$"):
            detector(film, **options)
    assert list(detector([])) == []
