"""Saved labels as a dataset folder, the layout that the training bundles read."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np

from monai_ceph.datasets.folder import TABLE
from monai_ceph.errors import CephError
from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.atomic import written_beside

__all__ = ["LabelledFilms", "write_dataset"]

logger = logging.getLogger(__name__)

# a pose takes two points, and a film with so few teaches little
_MIN_LANDMARKS = 2


class LabelledFilms(Protocol):
    """What a dataset is made of: names of films with final labels, their files and points."""

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

    A film that cannot be read, whose label was damaged, or with fewer than two landmarks is left out, with a line in
    the log.

    Args:
        films: of a store.
        folder: of the dataset; an earlier table in it is replaced.
        copies: copy the films into the folder; else the table refers to them where they are.
        limit: at most so many films.
        without: films to leave out.
    """
    rows: list[tuple[str, ...]] = []
    names: list[str] = []
    for name in films.get_labeled_images():
        if name in without or (limit and len(names) >= limit):
            continue
        try:
            path = films.film(name)[1]
            points = films.points(name)
            spacing = read_radiograph(path).pixel_spacing
        except CephError as error:
            logger.warning("%s is left out of the dataset: %s", name, error)
            continue
        if np.isfinite(points).all(axis=1).sum() < _MIN_LANDMARKS:
            logger.warning("%s is left out of the dataset: fewer than %d landmarks", name, _MIN_LANDMARKS)
            continue
        if copies:
            file = f"films/{name}" if Path(name).suffix else f"films/{name}.dcm"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / file)
        else:
            file = os.path.relpath(path, folder)
        names.append(name)
        # the layout has one spacing for both directions
        scale = f"{spacing[0]:.8g}" if spacing and abs(spacing[0] / spacing[1] - 1) < 1e-3 else ""
        for mark, (row, column) in zip(LANDMARKS, points.tolist(), strict=True):
            place = ("", "") if np.isnan(row + column) else (f"{column:.4f}", f"{row:.4f}")
            rows.append((file, mark.name, mark.symbol, *place, scale))
    with written_beside(folder / TABLE) as part, part.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("file", "landmark", "symbol", "x", "y", "pixel_spacing"))
        table.writerows(rows)
    return names
