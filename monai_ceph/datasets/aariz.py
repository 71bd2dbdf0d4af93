"""The Aariz dataset: 1000 cephalograms of seven devices with 29 landmarks by two groups of orthodontists.

Khalid et al. 2023, arXiv:2302.07797 (also the CEPHA29 challenge of ISBI 2023). The files are on figshare, article
27986417. Layout and symbols follow the authors' loader (github.com/manwaarkhd/aariz-cephalometric-dataset, dataset.py)
and programs that read the published files; the films themselves were not at hand when this reader was written.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from monai_ceph.datasets.annotation_checks import check_on_film, without_placeholders
from monai_ceph.datasets.film import Film, GroundTruth, Split
from monai_ceph.datasets.table import number, rows
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS

__all__ = ["AARIZ_SYMBOLS", "PIXEL_SIZES", "SPLITS", "aariz", "is_aariz"]

logger = logging.getLogger(__name__)

SPLITS: tuple[Split, ...] = ("train", "valid", "test")

PIXEL_SIZES = "cephalogram_machine_mappings.csv"

# symbols of Aariz that differ from ours
_RENAMED = {
    "UIT": "UI", "LIT": "LI", "Ls": "UL", "Li": "LL", "Pog`": "Pog'",
    "UIA": "U1A", "LIA": "L1A", "Pn": "Prn", "N`": "N'",
}  # fmt: skip

AARIZ_SYMBOLS: tuple[str, ...] = (*SYMBOLS, "U1A", "L1A", "Co", "Prn", "N'", "UMT", "LMT", "UPM", "LPM", "R")
"""The landmarks of Aariz by the symbols of this package: the 19, and ten more. Apices of the incisors U1A and L1A,
condylion Co, pronasale Prn, soft tissue nasion N', cusp tips of the molars UMT and LMT and of the second premolars UPM
and LPM, and R on the ramus."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_DOCTORS = {"senior": "Senior Orthodontists", "junior": "Junior Orthodontists"}


def _child(folder: Path, name: str) -> Path | None:
    """Return a subfolder whatever the case of its name; the exact one if several differ only in case."""
    if (folder / name).is_dir():
        return folder / name
    if not folder.is_dir():
        return None
    found = (entry for entry in sorted(folder.iterdir()) if entry.name.lower() == name.lower() and entry.is_dir())
    return next(found, None)


def is_aariz(root: str | Path) -> bool:
    """Return True if a folder has the layout of Aariz: a split with a folder ``Cephalograms``."""
    splits = (_child(Path(root), name) for name in SPLITS)
    return any(split is not None and _child(split, "Cephalograms") is not None for split in splits)


def _pixel_sizes(root: Path) -> dict[str, float]:
    table = root / PIXEL_SIZES
    if not table.is_file():
        logger.warning("%s: no such file, so the films have no scale", table)
        return {}
    sizes: dict[str, float] = {}
    columns = ("cephalogram_id", "pixel_size")
    for where, row in rows(table, columns, columns):
        name, size = row["cephalogram_id"].strip(), number(row, "pixel_size", where)
        if size <= 0 or size >= 10:
            raise DatasetError(f"{where}: pixel_size is {size:g}; it must be mm per pixel, between 0 and 10")
        if sizes.setdefault(name, size) != size and not math.isnan(size):
            raise DatasetError(f"{where}: pixel_size of {name} is {size:g}, but {sizes[name]:g} in an earlier row")
    return sizes


def _annotation(file: Path, symbols: Sequence[str]) -> np.ndarray:
    """Return the (N, 2) landmarks, (row, column) in pixels; NaN for one that the file does not have."""
    try:
        marks = json.loads(file.read_text(encoding="utf-8-sig"))["landmarks"]
        found = [(str(mark["symbol"]).strip(), mark["value"]["x"], mark["value"]["y"]) for mark in marks]
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise DatasetError(f"{file}: cannot read the annotation ({type(error).__name__}: {error})") from error
    order = {symbol: index for index, symbol in enumerate(symbols)}
    points = np.full((len(symbols), 2), math.nan)
    seen = set()
    for theirs, x, y in found:
        ours = _RENAMED.get(theirs, theirs)
        if ours not in AARIZ_SYMBOLS:
            raise DatasetError(f"{file}: {theirs!r} is not one of the 29 landmarks of Aariz")
        if ours in seen:
            raise DatasetError(f"{file}: two landmarks {theirs!r}; keep one")
        seen.add(ours)
        if ours in order:
            points[order[ours]] = _coordinate(file, theirs, y), _coordinate(file, theirs, x)
    return without_placeholders(points)


def _coordinate(file: Path, symbol: str, value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DatasetError(f"{file}: {symbol} is at {value!r}, not at a number")
    return float(value)


def aariz(
    root: str | Path,
    split: Split = "train",
    ground_truth: GroundTruth = "mean",
    symbols: Sequence[str] = SYMBOLS,
) -> list[Film]:
    """Return the films of one split of Aariz.

    The layout is the published one: ``train``, ``valid`` and ``test``, in upper or lower case, each with
    ``Cephalograms/ID.png`` (``.jpg`` and ``.bmp`` too) and ``Annotations/Cephalometric Landmarks/Senior
    Orthodontists/ID.json`` and ``Junior Orthodontists/ID.json``; and the pixel sizes in mm in
    ``cephalogram_machine_mappings.csv``. A film without a row there has no scale.

    Args:
        root: the folder with the three splits.
        split: ``train``, ``valid`` or ``test``.
        ground_truth: ``senior``, ``junior``, or the ``mean`` of both. The authors' loader rounds the mean up to whole
            pixels; here it keeps its fraction.
        symbols: the landmarks, in the order of the channels; any of :data:`AARIZ_SYMBOLS`.

    Raises:
        DatasetError: if a folder or all films are missing, the annotation of a film is missing or damaged, a landmark
            is off the film, or the dataset has no such landmark. The message names the file.
    """
    root = Path(root)
    if unknown := [symbol for symbol in symbols if symbol not in AARIZ_SYMBOLS]:
        raise DatasetError(f"{root}: Aariz has no landmark {' '.join(unknown)}; it has {' '.join(AARIZ_SYMBOLS)}")
    if split not in SPLITS or ground_truth not in get_args(GroundTruth):
        raise DatasetError(
            f"{root}: no split {split!r} with ground truth {ground_truth!r} in Aariz; it has {', '.join(SPLITS)}"
        )
    part = _child(root, split)
    folder = _child(part, "Cephalograms") if part is not None else None
    if part is None or folder is None:
        raise DatasetError(f"{root}: the layout of Aariz needs {split}/Cephalograms")
    marks = part / "Annotations" / "Cephalometric Landmarks"
    doctors = ("senior", "junior") if ground_truth == "mean" else (ground_truth,)
    images: dict[str, Path] = {}
    for image in sorted(folder.iterdir()):
        if image.suffix.lower() in _SUFFIXES and not image.name.startswith("."):
            if image.stem in images:
                raise DatasetError(f"{image}: a second film {image.stem}, beside {images[image.stem].name}; keep one")
            images[image.stem] = image
    if not images:
        raise DatasetError(f"{folder}: no film, with a suffix {', '.join(_SUFFIXES)}")
    sizes = _pixel_sizes(root)
    films = []
    for name, image in images.items():
        points = []
        for doctor in doctors:
            file = marks / _DOCTORS[doctor] / f"{name}.json"
            points.append(found := _annotation(file, symbols))
            if np.isfinite(found).any():
                check_on_film(str(image), found, symbols, [str(file)] * len(symbols))
        spread = (points[1] - points[0]) / 2 if len(points) == 2 else None
        films.append(Film(name, image, np.mean(points, axis=0), sizes.get(name, math.nan), spread))
    annotated = {file.stem for file in (marks / _DOCTORS[doctors[0]]).glob("*.json")}
    if without := len(annotated - images.keys()):
        logger.warning("%s: %d of %d annotated films are missing; the others are used", folder, without, len(annotated))
    return films
