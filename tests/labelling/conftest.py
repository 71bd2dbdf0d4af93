from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fake_detectors import SCORES, FakeDetectors
from samples import noise, save_grey

from monai_ceph.datasets.phantom import write_phantoms
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.readers.placement import Placement, placement_of
from monai_ceph.result import Detection

if TYPE_CHECKING:
    # this import needs MONAI Label, but not every test here does
    from monai_ceph.labelling.folder_store import FolderStore

ROWS, COLUMNS = 240, 200


@pytest.fixture
def small_film(tmp_path: Path) -> Path:
    """A PNG of noise, 240 x 200 pixels, for tests that do not need a real picture."""
    return save_grey(tmp_path / "film.png", noise(ROWS, COLUMNS))


@pytest.fixture
def plane(small_film: Path) -> Placement:
    return placement_of(small_film)


@pytest.fixture
def points() -> np.ndarray:
    """(19, 2), (row, column): row 20.5, 30.5, ..., column 10.25, 18.25, ...; Porion and Gonion are missing."""
    index = np.arange(19)
    places = np.stack([20.5 + 10 * index, 10.25 + 8 * index], axis=1)
    places[[3, 9]] = np.nan
    return places


@pytest.fixture(scope="session")
def dicom_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DICOM DX film with a calibrated PixelSpacing and a larger ImagerPixelSpacing."""
    return write_phantoms(tmp_path_factory.mktemp("small"), 1, seed=3, height=300, width=240)[0]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A folder with the films that the fake detector knows."""
    from monai_ceph.labelling.folder_store import FolderStore

    (tmp_path / "studies").mkdir()
    for name in (*SCORES, "none.png"):
        save_grey(tmp_path / "studies" / name, noise(400, 300))
    return FolderStore(tmp_path / "studies")


@pytest.fixture
def detectors(detection: Detection, tmp_path: Path) -> FakeDetectors:
    return FakeDetectors(detection, tmp_path / "model" / "local.pt")


@pytest.fixture
def book(tmp_path: Path) -> ScoreBook:
    return ScoreBook(tmp_path / "scores.sqlite")
