from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from monai_ceph.datasets import folder
from monai_ceph.labelling.dataset import write_dataset
from monai_ceph.landmarks import NUM_LANDMARKS, index_of


class OneFilm:
    def __init__(self, path: Path, points: np.ndarray) -> None:
        self.path, self.placed = path, points

    def get_labeled_images(self) -> list[str]:
        return [self.path.name]

    def film(self, image_id: str) -> tuple[str, Path]:
        return image_id, self.path

    def points(self, image_id: str) -> np.ndarray:
        return self.placed


def test_a_landmark_outside_the_film_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.zeros((240, 200), dtype=np.uint8)).save(tmp_path / "film.png")
    points = np.arange(2.0 * NUM_LANDMARKS).reshape(-1, 2)
    points[index_of("Or")] = (-0.6, 50)
    points[index_of("Me")] = (239.6, 50)
    with caplog.at_level(logging.WARNING):
        assert write_dataset(OneFilm(tmp_path / "film.png", points), tmp_path / "out") == ["film.png"]
    assert "film.png: Or Me left out of the dataset: outside the film" in caplog.text
    (film,) = folder(tmp_path / "out")
    points[[index_of("Or"), index_of("Me")]] = np.nan
    np.testing.assert_allclose(film.landmarks, points, equal_nan=True)
