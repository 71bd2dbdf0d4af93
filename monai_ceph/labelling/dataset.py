"""Writes saved labels as a dataset folder, which the training bundles read."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from monai_ceph.analysis.scale import check_scale
from monai_ceph.datasets.annotation_checks import off_film
from monai_ceph.datasets.folder import TABLE
from monai_ceph.errors import CephError
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import SUFFIXES, read_radiograph
from monai_ceph.storage.atomic import written_beside

__all__ = ["LabelledFilms", "write_dataset"]

logger = logging.getLogger(__name__)

# finding the pose of a film takes two points, and fewer are of little use anyway
_MIN_LANDMARKS = 2


class LabelledFilms(Protocol):
    """Where the dataset comes from: the names of films with final labels, their files and points."""

    def get_labeled_images(self) -> list[str]:
        """Return the names."""

    def film(self, image_id: str) -> tuple[str, Path]:
        """Return name and file."""

    def points(self, image_id: str) -> np.ndarray:
        """Return (19, 2), (row, column), NaN where not annotated."""


def write_dataset(
    films: LabelledFilms,
    folder: Path,
    *,
    copies: bool = False,
    limit: int | None = None,
    without: frozenset[str] = frozenset(),
) -> list[str]:
    """Write ``landmarks.csv`` for the labelled films, and return their names.

    A film is left out if it or its label cannot be read, or if it has fewer than two landmarks. A landmark outside its
    film is left out, too. The log names both.

    Args:
        films: the store.
        folder: folder of the dataset. A table that is already in it is replaced.
        copies: copy the films into the folder. Otherwise the table refers to the original files.
        limit: maximum number of films; None for all.
        without: names of films to leave out.
    """
    rows: list[tuple[str, ...]] = []
    names: list[str] = []
    labelled = films.get_labeled_images()
    for name in labelled:
        if name in without or (limit and len(names) >= limit):
            continue
        try:
            path = films.film(name)[1]
            points = films.points(name)
            film = check_scale(read_radiograph(path), points)
        except CephError as error:
            logger.warning("%s is left out of the dataset: %s", name, error)
            continue
        if (outside := off_film(points, film.pixels.shape)).any():
            symbols = " ".join(mark.symbol for mark, is_outside in zip(LANDMARKS, outside, strict=True) if is_outside)
            logger.warning("%s: %s left out of the dataset: outside the film", name, symbols)
            points = np.where(outside[:, None], np.nan, points)
        spacing = film.pixel_spacing
        if np.isfinite(points).all(axis=1).sum() < _MIN_LANDMARKS:
            logger.warning("%s is left out of the dataset: fewer than %d landmarks", name, _MIN_LANDMARKS)
            continue
        if copies:
            file = f"films/{_file_name(name, set(labelled))}"
            for source, target in _files(path, folder / file):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        else:
            file = os.path.relpath(path, folder)
        names.append(name)
        # the table has one spacing for both directions
        scale = f"{spacing[0]:.8g}" if spacing and abs(spacing[0] / spacing[1] - 1) < 1e-3 else ""
        for mark, (row, column) in zip(LANDMARKS, points.tolist(), strict=True):
            place = ("", "") if np.isnan(row + column) else (f"{column:.4f}", f"{row:.4f}")
            rows.append((file, mark.name, mark.symbol, *place, scale))
    with written_beside(folder / TABLE) as part, part.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("film", "landmark", "symbol", "x", "y", "pixel_spacing"))
        table.writerows(rows)
    return names


def _file_name(name: str, names: set[str]) -> str:
    """Return a film's name with .dcm added if it has no known suffix, unless another film has that name."""
    if name.lower().endswith(SUFFIXES) or f"{name}.dcm" in names:
        return name
    return f"{name}.dcm"


def _files(film: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a film's file and its target; for a MetaImage header, also the file with the pixels."""
    yield film, target
    if film.suffix.lower() == ".mhd":
        fields = (line.decode("latin-1").partition("=")[::2] for line in film.read_bytes().split(b"\n"))
        # the reader accepted the film, so this names a file in the same folder
        raw = next(value.strip() for name, value in fields if name.strip() == "ElementDataFile")
        if raw.upper() != "LOCAL":
            yield film.parent / raw, target.parent / raw
