"""bundles/inference.json against `monai-ceph detect`, with the shipped weights, on films as clinics have them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from bundle_runs import command, execute_all

from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_rows
from monai_ceph.result import Detection

Pixels = Callable[[np.ndarray], np.ndarray]
Rows = list[dict[str, str]]

# how the film of the session is changed, and what its header says of the head
FILMS: dict[str, tuple[Pixels, list[str]]] = {
    "mirrored, as its header says": (lambda pixels: pixels[:, ::-1], ["P", "F"]),
    "mirrored and inverted, and the header does not say so": (
        lambda pixels: pixels.max() - pixels[:, ::-1],
        ["A", "F"],
    ),
    "cropped": (lambda pixels: pixels[:, : int(0.7 * pixels.shape[1])], []),
}


@pytest.fixture(scope="module")
def folder(dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of films, and the results of the bundle."""
    folder = tmp_path_factory.mktemp("inference")
    (folder / "films").mkdir()
    for name, (change, orientation) in FILMS.items():
        dataset = pydicom.dcmread(dicom)
        pixels = np.ascontiguousarray(change(dataset.pixel_array))
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.astype(np.uint16).tobytes()
        dataset.PatientOrientation = orientation
        dataset.save_as(folder / "films" / f"{name}.dcm")
    options = {"dataset_dir": "films", "output_dir": "results", "device": "$torch.device('cpu')"}
    log = execute_all({"inference": command("inferring", "inference", **options)}, folder)["inference"]
    assert "Traceback" not in log, log
    return folder


def by_bundle(folder: Path, film: str) -> Rows:
    with (folder / "results" / f"{film}.dcm.landmarks.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def by_detector(folder: Path, film: str, detect: Callable[[Path], Detection]) -> Rows:
    rows = landmark_rows(detect(folder / "films" / f"{film}.dcm"))
    return [dict(zip(LANDMARK_COLUMNS, row, strict=True)) for row in rows]


def alike(one: str, other: str) -> bool:
    """Return whether two cells are equal, or are numbers that were rounded to neighbours: both computed the same."""
    if one == other:
        return True
    digits = len(one.partition(".")[2])
    if not digits or len(other.partition(".")[2]) != digits:
        return False
    return abs(float(one) - float(other)) < 1.5 * 10.0**-digits


@pytest.mark.parametrize("film", FILMS)
def test_every_landmark_is_that_of_detect(folder: Path, detect: Callable[[Path], Detection], film: str) -> None:
    expected = by_detector(folder, film, detect)
    for ours, theirs in zip(by_bundle(folder, film), expected, strict=True):
        # places, scores, status and millimetres, as they are printed
        assert ours.keys() == theirs.keys()
        assert [key for key in ours.keys() - {"film"} if not alike(ours[key], theirs[key])] == []
        assert folder / ours["film"] == Path(theirs["film"])


def test_the_films_are_what_they_are_called(folder: Path, detect: Callable[[Path], Detection]) -> None:
    looked = {film: detect(folder / "films" / f"{film}.dcm") for film in FILMS}
    assert [(each.mirrored, each.inverted) for each in looked.values()] == [(True, False), (True, True), (False, False)]
    missing = {mark.symbol for mark in looked["cropped"].landmarks if mark.status == "missing"}
    # the face is cut off, the base of the skull is not
    assert {"UL", "LL", "Sn"} <= missing
    assert not {"S", "Ar"} & missing
