"""Annotated films: the ISBI 2015 challenge, any folder with a table, and synthetic phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_ceph.datasets.film import Film, as_dictionaries
from monai_ceph.datasets.folder import folder
from monai_ceph.datasets.folds import split_fold
from monai_ceph.datasets.isbi2015 import GroundTruth, Split, is_isbi2015, isbi2015
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS

__all__ = ["Film", "as_dictionaries", "folder", "is_isbi2015", "isbi2015", "open_dataset", "split_fold"]


def open_dataset(
    root: str | Path,
    split: Split = "train",
    ground_truth: GroundTruth = "mean",
    doubles: bool = True,
    symbols: Sequence[str] = SYMBOLS,
) -> list[Film]:
    """Return the films of a dataset folder in either layout, with the landmarks ``symbols``, in this order.

    ``split``, ``ground_truth`` and ``doubles`` are those of :func:`~monai_ceph.datasets.isbi2015.isbi2015`, and are
    ignored for a folder with a table (:func:`~monai_ceph.datasets.folder.folder`).

    Raises:
        DatasetError: if the folder is missing, or cannot be read in its layout.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    if is_isbi2015(root):
        return isbi2015(root, split, ground_truth, doubles, symbols)
    return folder(root, symbols)
