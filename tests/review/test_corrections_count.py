"""Corrections of a clinic teach the detector: detect, correct, sign, learn, detect on other films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_ceph import CephalogramDetector
from monai_ceph.commands.corrected_films import corrected_films
from monai_ceph.datasets import open_dataset
from monai_ceph.datasets.phantom.writer import write_phantoms
from monai_ceph.errors import DatasetError
from monai_ceph.profiles import profile_text
from monai_ceph.profiles.learn import learn
from monai_ceph.reports.json_result import save_json
from monai_ceph.review.export import export_dataset
from monai_ceph.review.models import Point, Save, Sign
from monai_ceph.review.service import ReviewService

# of the clinic's Porion and Sella from the detected ones, (x, y) in pixels of films that are 1000 pixels high
OFFSETS = {"Po": (0.0, 14.0), "S": (-10.0, 4.0)}


def test_the_error_falls_on_other_films(tmp_path: Path, detector: CephalogramDetector) -> None:
    films = tmp_path / "films"
    paths = write_phantoms(films, 7, 7, file_format="png", height=1000, width=806)
    detections = [detector(path, force=True) for path in paths]
    for path, detection in zip(paths[:5], detections, strict=False):
        save_json(tmp_path / "results" / "json" / f"{path.name}.json", detection.model_copy(update={"file": path.name}))
    service = ReviewService(tmp_path / "results", [films])
    for film in service.films.all():
        points = []
        for point in service.current(film).points:
            x, y = OFFSETS.get(point.symbol, (0.0, 0.0))
            moved = {"x": (point.x or 0) + x, "y": (point.y or 0) + y, "source": "human"}
            missing = point.model_copy(update={"source": "absent"})
            corrected = point if point.symbol not in OFFSETS else point.model_copy(update=moved)
            points.append(missing if point.x is None else corrected)
        service.save(film, Save(based_on=0, reviewer="Clinic", points=tuple(Point.model_validate(p) for p in points)))
        service.sign(film, Sign(based_on=1, reviewer="Clinic"))
    assert export_dataset(service.films, service.store, tmp_path / "dataset").written == 5

    # the results with their reviews say the same as what was exported of them
    reviewed = corrected_films(tmp_path / "results", 0.2, [films])
    assert reviewed.left_out == ()
    for film, exported in zip(reviewed.films, open_dataset(tmp_path / "dataset"), strict=True):
        assert film.image.samefile(exported.image)
        np.testing.assert_allclose(film.landmarks, exported.landmarks, atol=6e-4)
    profile, left_out = learn(reviewed.films, detector, "clinic", "Clinic")
    assert left_out == ()
    file = tmp_path / "clinic.yaml"
    file.write_text(profile_text(profile), encoding="utf-8")

    taught = CephalogramDetector("cpu", profile=file)
    for path, before in zip(paths[5:], detections[5:], strict=True):
        after = taught(path, force=True)
        for symbol, offset in OFFSETS.items():
            truth = np.array([before[symbol].x, before[symbol].y]) + offset
            assert np.linalg.norm([after[symbol].x, after[symbol].y] - truth) < 0.4 * np.linalg.norm(offset)


def test_films_are_for_results_with_reviews(films: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--films is for results with reviews, and this folder has no reviews/"):
        corrected_films(tmp_path, films=[films])


def test_a_film_that_nobody_signed_is_left_out(results: Path, films: Path) -> None:
    service = ReviewService(results, [films])
    film = next(each for each in service.films.all() if each.detection.file == "a.dcm")
    points = service.current(film).points
    service.save(film, Save(based_on=0, reviewer="Clinic", points=points))
    found = corrected_films(results, films=[films])
    assert found.films == []
    assert "a.dcm: not signed" in found.left_out
    service.sign(film, Sign(based_on=1, reviewer="Clinic"))
    (signed,) = corrected_films(results, films=[films]).films
    assert signed.name == "a.dcm"
    assert signed.landmarks[1].tolist() == [60.75, 30.25], "(row, column) of N"
