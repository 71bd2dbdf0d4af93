"""Final labels of MONAI Label become corrected films, without the server."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from monai_ceph.commands.corrected_films import corrected_films
from monai_ceph.errors import DatasetError
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.markups import as_markups, write_markups


@pytest.fixture
def studies(tmp_path: Path, small_film: Path, dicom_film: Path, points: np.ndarray) -> Path:
    """A PNG and a DICOM film with final labels, as FolderStore writes them, and a label without its film."""
    folder = tmp_path / "studies"
    (folder / "sub").mkdir(parents=True)
    for name, source in (("film.png", small_film), ("sub/film.dcm", dicom_film)):
        shutil.copy(source, folder / name)
        label = folder / "labels" / "final" / f"{name}.mrk.json"
        label.parent.mkdir(parents=True, exist_ok=True)
        write_markups(label, as_markups(points, placement_of(folder / name), millimetres=False))
    shutil.copy(folder / "labels/final/film.png.mrk.json", folder / "labels/final/gone.png.mrk.json")
    (folder / "labels/final/film.png.info.json").write_text("{}", encoding="utf-8")
    return folder


def test_films_and_points(studies: Path, points: np.ndarray) -> None:
    found = corrected_films(studies, pixel_spacing=0.2)
    assert [film.name for film in found.films] == ["film.png", "sub/film.dcm"]
    for film in found.films:
        assert film.landmarks == pytest.approx(points, abs=1e-4, nan_ok=True)
        assert film.pixel_spacing == 0.2
    assert found.left_out == (f"{studies / 'labels/final/gone.png.mrk.json'}: its film is not in the folder",)


def test_what_is_not_clear_is_refused(studies: Path) -> None:
    (studies / "landmarks.csv").write_text("film,symbol,x,y\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"has both landmarks.csv and labels of MONAI Label"):
        corrected_films(studies)
    (studies / "labels.zip").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"labels.zip: is a ZIP file; unpack it and give the folder$"):
        corrected_films(studies / "labels.zip")


def test_no_label_can_be_used(studies: Path) -> None:
    for label in (studies / "labels").rglob("*.mrk.json"):
        label.write_text("{}", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"labels.final: no label in it can be used \("):
        corrected_films(studies)
