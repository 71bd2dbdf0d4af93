from __future__ import annotations

from pathlib import Path

import pytest
from samples import changed

from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.result import Detection


def test_scores_are_kept_per_film_and_model(detection: Detection, tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "work" / "scores.sqlite")
    book.note("a", changed(detection, 3, score=0.14))
    other = detection.model.model_copy(update={"weights_sha256": "1"})
    assert book.of_model(other) == {}
    score = ScoreBook(tmp_path / "work" / "scores.sqlite").of_model(detection.model)["a"]
    assert score.mean == pytest.approx((18 * 0.9 + 0.14) / 19)
    assert score.lowest == pytest.approx(0.14)


def test_a_later_detection_replaces_the_score(detection: Detection, tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores.sqlite")
    book.note_failure("a", detection.model)
    assert book.of_model(detection.model)["a"].mean is None
    book.note("a", detection)
    assert book.of_model(detection.model)["a"].mean == pytest.approx(0.9)


def test_mirrored_and_inverted_films_are_found(detection: Detection, tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores.sqlite")
    book.note("upright", detection)
    book.note("mirrored", detection.model_copy(update={"mirrored": True}))
    book.note("inverted", detection.model_copy(update={"inverted": True}))
    assert book.mirrored_or_inverted() == {"mirrored", "inverted"}


def test_a_failure_keeps_what_is_known_of_the_view(detection: Detection, tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores.sqlite")
    book.note("mirrored", detection.model_copy(update={"mirrored": True}))
    for name in ("mirrored", "new"):
        book.note_failure(name, detection.model)
    assert book.mirrored_or_inverted() == {"mirrored"}
    assert book.films_with_view() == {"mirrored"}
    assert book.of_model(detection.model)["mirrored"].mean is None
