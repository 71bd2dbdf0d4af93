"""The scores of each film, stored for the active-learning strategy and for training."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from monai_ceph.result import Detection, ModelIdentity

__all__ = ["FilmScore", "ScoreBook"]

_TABLE = """
CREATE TABLE IF NOT EXISTS scores (
  image TEXT, model TEXT, mean REAL, lowest REAL, upright INTEGER, PRIMARY KEY (image, model)
)
"""


@dataclass(frozen=True)
class FilmScore:
    """The scores of one model on one film.

    Attributes:
        mean: mean score of the 19 landmarks, 0 to 1; None if the film was rejected or cannot be read.
        lowest: the lowest of these scores.
        upright: True if the film is neither mirrored nor inverted.
    """

    mean: float | None
    lowest: float | None
    upright: bool = True


class ScoreBook:
    """Scores of films, by film and model, in an SQLite file that several processes can use at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute(_TABLE)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file, timeout=30)) as database, database:
            yield database

    def note(self, image: str, detection: Detection) -> None:
        """Store the scores of a detection."""
        scores = [mark.score for mark in detection.landmarks]
        upright = not detection.mirrored and not detection.inverted
        self._put(image, detection.model, FilmScore(sum(scores) / len(scores), min(scores), upright))

    def note_failure(self, image: str, model: ModelIdentity) -> None:
        """Store that a film cannot be read or is not a cephalogram. An earlier ``upright`` is kept."""
        with self._open() as database:
            database.execute(
                "INSERT INTO scores VALUES (?, ?, NULL, NULL, 1) "
                "ON CONFLICT (image, model) DO UPDATE SET mean = NULL, lowest = NULL",
                (image, _key(model)),
            )

    def _put(self, image: str, model: ModelIdentity, score: FilmScore) -> None:
        row = (image, _key(model), score.mean, score.lowest, score.upright)
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", row)

    def of_model(self, model: ModelIdentity) -> dict[str, FilmScore]:
        """Return the scores of a model, by film."""
        query = "SELECT image, mean, lowest, upright FROM scores WHERE model = ?"
        with self._open() as database:
            rows = database.execute(query, (_key(model),)).fetchall()
        return {image: FilmScore(mean, lowest, bool(upright)) for image, mean, lowest, upright in rows}

    def films_with_view(self) -> frozenset[str]:
        """Return the films on which a model has detected, so that it is known whether they are mirrored or inverted."""
        with self._open() as database:
            rows = database.execute("SELECT image FROM scores WHERE mean IS NOT NULL OR NOT upright")
            return frozenset(row[0] for row in rows)

    def mirrored_or_inverted(self) -> frozenset[str]:
        """Return the films that any model found to face left, or to have black and white exchanged."""
        with self._open() as database:
            return frozenset(row[0] for row in database.execute("SELECT image FROM scores WHERE NOT upright"))


def _key(model: ModelIdentity) -> str:
    return f"{model.weights_sha256}/{model.recipe_sha256}"
