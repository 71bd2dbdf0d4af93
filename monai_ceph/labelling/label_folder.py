"""Reads the films and final labels of a folder that MONAI Label served. It needs neither the server nor MONAI Label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_ceph.datasets import Film
from monai_ceph.errors import CephError, DatasetError
from monai_ceph.labelling.markups import read_label_json
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.markups import SUFFIX

__all__ = ["has_labels", "labelled_films"]

_FINAL = Path("labels") / "final"


def has_labels(folder: Path) -> bool:
    """Return whether people saved labels for films of this folder, as FolderStore keeps them."""
    return next((folder / _FINAL).rglob(f"*{SUFFIX}"), None) is not None


def labelled_films(folder: Path) -> tuple[list[Film], tuple[str, ...]]:
    """Return the films with a final label and their landmarks, and a sentence for each label that cannot be used.

    The scale of a film is not in a label: it is that of the film itself, and NaN here.

    Raises:
        DatasetError: if no label can be used.
    """
    films, left_out = [], []
    for label in sorted((folder / _FINAL).rglob(f"*{SUFFIX}")):
        name = label.relative_to(folder / _FINAL).as_posix().removesuffix(SUFFIX)
        film = folder / name
        try:
            if not film.is_file():
                raise CephError("its film is not in the folder")
            placement = placement_of(film)
            points = read_label_json(label, placement, read_radiograph(film).image_uid)
        except (CephError, OSError) as error:
            left_out.append(f"{label}: {str(error).removeprefix(f'{label}: ')}")
        else:
            films.append(Film(name, film, points, np.nan))
    if not films:
        raise DatasetError(f"{folder / _FINAL}: no label in it can be used ({'; '.join(left_out[:3])})")
    return films, tuple(left_out)
