"""Annotated films: ISBI 2015, Aariz, the CL-Detection challenges, any folder with a table, and synthetic phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from monai_ceph.datasets.aariz import SPLITS as _AARIZ_SPLITS
from monai_ceph.datasets.aariz import aariz, is_aariz
from monai_ceph.datasets.cl_detection import (
    cl_detection_2023,
    cl_detection_2024,
    is_cl_detection_2023,
    is_cl_detection_2024,
)
from monai_ceph.datasets.film import Film, GroundTruth, Split, as_dictionaries
from monai_ceph.datasets.folder import TABLE, folder
from monai_ceph.datasets.folds import split_fold
from monai_ceph.datasets.isbi2015 import is_isbi2015, isbi2015
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS

__all__ = [
    "SPLITS",
    "Film",
    "GroundTruth",
    "Layout",
    "Split",
    "aariz",
    "as_dictionaries",
    "cl_detection_2023",
    "cl_detection_2024",
    "folder",
    "is_isbi2015",
    "isbi2015",
    "layout_of",
    "open_dataset",
    "split_fold",
]

Layout = Literal["isbi2015", "aariz", "cl-detection-2023", "cl-detection-2024", "folder"]

SPLITS: dict[Layout, tuple[Split, ...]] = {
    "isbi2015": ("train", "test1", "test2"),
    "aariz": _AARIZ_SPLITS,
    "cl-detection-2023": ("train",),
    "cl-detection-2024": ("train",),
}
"""The splits of each layout that has any."""


def layout_of(root: str | Path) -> Layout:
    """Return which layout a dataset folder has; ``folder`` if it has a ``landmarks.csv`` or no known layout."""
    root = Path(root)
    if is_isbi2015(root):
        return "isbi2015"
    if (root / TABLE).is_file():
        return "folder"
    if is_aariz(root):
        return "aariz"
    if is_cl_detection_2023(root):
        return "cl-detection-2023"
    return "cl-detection-2024" if is_cl_detection_2024(root) else "folder"


def open_dataset(
    root: str | Path,
    split: Split = "train",
    ground_truth: GroundTruth = "mean",
    doubles: bool = True,
    symbols: Sequence[str] = SYMBOLS,
) -> list[Film]:
    """Return the films of a dataset folder in any layout, with the landmarks ``symbols``, in this order.

    The layout is recognised by the files in the folder: :func:`layout_of`. ``split`` and ``ground_truth`` are those of
    :func:`~monai_ceph.datasets.isbi2015.isbi2015` and :func:`~monai_ceph.datasets.aariz.aariz`. ``doubles`` is only for
    ISBI 2015. The CL-Detection challenges have the split ``train`` and one annotation of each film. A folder with a
    table (:func:`~monai_ceph.datasets.folder.folder`) has no splits, and ignores all three.

    Raises:
        DatasetError: if the folder is missing, cannot be read in its layout, or has no such split or landmark.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    layout = layout_of(root)
    if layout == "isbi2015":
        return isbi2015(root, split, ground_truth, doubles, symbols)
    if layout == "aariz":
        return aariz(root, split, ground_truth, symbols)
    if layout == "folder":
        return folder(root, symbols)
    if split not in SPLITS[layout]:
        raise DatasetError(f"{root}: no split {split!r} in this dataset; it has {', '.join(SPLITS[layout])}")
    return cl_detection_2023(root, symbols) if layout == "cl-detection-2023" else cl_detection_2024(root, symbols)
