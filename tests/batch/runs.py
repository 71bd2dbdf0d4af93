"""Runs of the batch with a fake detector, and what they leave."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path
from typing import Any

import pydicom
from fakes import FakeDetector

from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.landmarks import NUM_LANDMARKS


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def found(out: Path) -> list[str]:
    """The films in landmarks.csv, in order."""
    names = [row["film"] for row in table(out / "landmarks.csv")]
    assert names == [name for name in names[::NUM_LANDMARKS] for _ in range(NUM_LANDMARKS)]
    return names[::NUM_LANDMARKS]


def written(out: Path) -> set[str]:
    """The files of single films."""
    return {str(file.relative_to(out)) for folder in out.iterdir() if folder.is_dir() for file in folder.iterdir()}


def ledger(out: Path, columns: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(out / "run.sqlite")
    rows = connection.execute(f"SELECT {columns} FROM films ORDER BY id").fetchall()
    connection.close()
    return rows


class Runs:
    """Runs into one folder, and what each detector saw. DICOM films are called by their UIDs, as with --names uid."""

    def __init__(self, root: Path) -> None:
        self.films, self.out, self.log = root / "films", root / "out", root / "log"
        self.films.mkdir()

    def __call__(self, *paths: Path, recipe: str = "0", **options: Any) -> Summary:
        self.log.unlink(missing_ok=True)
        options.setdefault("formats", frozenset({"csv", "json"}))
        options.setdefault("names", "uid")
        calls = {name: options.pop(name) for name in ("on_film", "interrupted", "on_total") if name in options}
        return detect_films(
            paths or (self.films,),
            self.out,
            lambda: FakeDetector(self.log, recipe=recipe),
            Options(**options),
            **calls,
        )

    def seen(self) -> list[str]:
        """The files that the last run detected on."""
        return self.log.read_text().split() if self.log.exists() else []


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
