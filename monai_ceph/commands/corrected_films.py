"""Films that a person corrected, from any place that this package writes or reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from monai_ceph.errors import DatasetError

if TYPE_CHECKING:
    from monai_ceph.datasets import Film

__all__ = ["CorrectedFilms", "corrected_films"]


@dataclass(frozen=True)
class CorrectedFilms:
    """Films with a person's points.

    Attributes:
        films: in the order of their names.
        left_out: a sentence for each that could not be used.
    """

    films: list[Film]
    left_out: tuple[str, ...] = ()


def corrected_films(folder: Path, pixel_spacing: float | None = None, films: Sequence[Path] = ()) -> CorrectedFilms:
    """Return the corrected films of a folder: results with reviews, a dataset, or what MONAI Label served.

    Args:
        folder: results of ``detect`` with signed reviews, or with a ``landmarks.csv`` or another dataset layout, or
            films and their final labels in ``labels``.
        films: the films of results, or folders of them; those that results name are found without.
        pixel_spacing: mm per pixel; replaces what the folder says.

    Raises:
        DatasetError: if nothing can be read, or it is not clear which points are meant.
    """
    from monai_ceph.datasets import open_dataset
    from monai_ceph.datasets.folder import TABLE
    from monai_ceph.labelling.label_folder import has_labels, labelled_films
    from monai_ceph.review import REVIEWS
    from monai_ceph.work.result_films import is_results

    if folder.suffix.lower() == ".zip" and folder.is_file():
        raise DatasetError(f"{folder}: is a ZIP file; unpack it and give the folder")
    if (folder / REVIEWS).is_dir() and is_results(folder):
        from monai_ceph.review.export import signed_films
        from monai_ceph.review.films import ResultFilms
        from monai_ceph.review.store import RevisionStore

        signed, left_out = signed_films(ResultFilms(folder, list(films)), RevisionStore(folder / REVIEWS))
        found = CorrectedFilms(signed, tuple(left_out))
    elif films:
        raise DatasetError(f"{folder}: --films is for results with reviews, and this folder has no {REVIEWS}/")
    elif not has_labels(folder):
        found = CorrectedFilms(open_dataset(folder))
    elif (folder / TABLE).is_file():
        raise DatasetError(
            f"{folder}: has both {TABLE} and labels of MONAI Label; give a folder with only the ones that you mean"
        )
    else:
        found = CorrectedFilms(*labelled_films(folder))
    if pixel_spacing is not None:
        found = replace(found, films=[replace(film, pixel_spacing=pixel_spacing) for film in found.films])
    return found
