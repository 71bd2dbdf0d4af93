"""The films of the CL-Detection challenges of MICCAI 2023 (38 landmarks) and 2024 (53 landmarks).

Both organisers give the films to people who register. Neither the films nor their labels were at hand when these
readers were written: the layouts are those that the organisers' baselines read (github.com/szuboy/CL-Detection2023,
step1_preprocessing.py; github.com/haoyuuuuu/CL-Detection2024-Baseline-UNet, README).

Some films of both are films of ISBI 2015, so a network that was trained on one must not be tested on the other.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_ceph.datasets.annotation_checks import check_on_film, without_placeholders
from monai_ceph.datasets.film import Film
from monai_ceph.datasets.image_stack import films_of_stack
from monai_ceph.datasets.table import number, rows
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import SYMBOLS

__all__ = [
    "CL_DETECTION_2023_SYMBOLS",
    "CL_DETECTION_2024_SYMBOLS",
    "cl_detection_2023",
    "cl_detection_2024",
    "is_cl_detection_2023",
    "is_cl_detection_2024",
]

logger = logging.getLogger(__name__)

_STACK = "train_stack.mha"
_LABELS_2023 = ("train-gt.json", "train_gt.json")

CL_DETECTION_2023_SYMBOLS: tuple[str, ...] = (
    *SYMBOLS,
    *("D", "U1A", "L1A", "Cm", "Ptm", "Co", "Prn", "Ba", "PT", "Bo"),
    *("UL'", "LL'", "Gn'", "Me'", "G'", "N'", "C", "U6", "L6"),
)
"""The landmarks of CL-Detection 2023 by the symbols of this package, in the order of the challenge's numbers 1 to 38.
The challenge's files have numbers only. 1 to 19 are those of ISBI 2015; what 20 to 38 mean is not from the organisers'
own files, so look at a few films before you rely on them."""

CL_DETECTION_2024_SYMBOLS: tuple[str, ...] = tuple(f"p{number}" for number in range(1, 54))
"""The landmarks of CL-Detection 2024, by the challenge's own numbers: its files do not say what they mean."""

# the first two of film 001 in the organisers' README are the first two of film 001 in the Readme of ISBI 2015
_KNOWN_2024 = {"S": "p1", "N": "p2"}


def is_cl_detection_2023(root: str | Path) -> bool:
    """Return True if a folder has the layout of CL-Detection 2023."""
    return (Path(root) / _STACK).is_file() and _labels_2023(Path(root)) is not None


def _labels_2023(root: Path) -> Path | None:
    return next((root / name for name in _LABELS_2023 if (root / name).is_file()), None)


def cl_detection_2023(root: str | Path, symbols: Sequence[str] = SYMBOLS) -> list[Film]:
    """Return the 400 films of the training set of CL-Detection 2023.

    The folder has ``train_stack.mha`` and ``train-gt.json``. The films are taken out of the stack once, without their
    padding: :func:`~monai_ceph.datasets.image_stack.films_of_stack`. Every film has its own scale.

    Args:
        root: the folder.
        symbols: the landmarks, in the order of the channels; any of :data:`CL_DETECTION_2023_SYMBOLS`.

    Raises:
        DatasetError: if a file is missing or damaged, a landmark is off its film, or the challenge has no such
            landmark. The message names the file.
    """
    root = Path(root)
    if unknown := [symbol for symbol in symbols if symbol not in CL_DETECTION_2023_SYMBOLS]:
        known = " ".join(CL_DETECTION_2023_SYMBOLS)
        raise DatasetError(f"{root}: CL-Detection 2023 has no landmark {' '.join(unknown)}; it has {known}")
    labels = _labels_2023(root)
    if labels is None:
        raise DatasetError(f"{root}: CL-Detection 2023 needs {_LABELS_2023[0]} beside {_STACK}")
    points, scales = _points_2023(labels, symbols)
    images = films_of_stack(root / _STACK)
    if beyond := [image for image in points if not 1 <= image <= len(images)]:
        raise DatasetError(f"{labels}: a point of image {beyond[0]}, and {_STACK} has {len(images)} images")
    if without := len(images) - len(points):
        logger.warning("%s: %d of %d films have no label; the others are used", labels, without, len(images))
    films = []
    for image in sorted(points):
        place, path = without_placeholders(points[image]), images[image - 1]
        if np.isfinite(place).any():
            check_on_film(str(path), place, symbols, [f"{labels}, image {image}"] * len(symbols))
        films.append(Film(path.stem, path, place, scales[image]))
    if not films:
        raise DatasetError(f"{labels}: no points")
    return films


def _points_2023(labels: Path, symbols: Sequence[str]) -> tuple[dict[int, np.ndarray], dict[int, float]]:
    """Return the landmarks, (row, column), and the mm per pixel of every image."""
    try:
        entries = json.loads(labels.read_text(encoding="utf-8-sig"))["points"]
        found = []
        for entry in entries:
            x, y, image = entry["point"]
            found.append((int(entry["name"]), int(image), float(x), float(y), float(entry["scale"])))
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise DatasetError(f"{labels}: cannot read the labels ({type(error).__name__}: {error})") from error
    order = {symbol: index for index, symbol in enumerate(symbols)}
    points: dict[int, np.ndarray] = {}
    scales: dict[int, float] = {}
    seen = set()
    for name, image, x, y, scale in found:
        where = f"{labels}: point {name} of image {image}"
        if not 1 <= name <= len(CL_DETECTION_2023_SYMBOLS):
            raise DatasetError(f"{where}: the challenge has points 1 to {len(CL_DETECTION_2023_SYMBOLS)}")
        if (name, image) in seen:
            raise DatasetError(f"{where}: it is there twice; keep one")
        seen.add((name, image))
        if not 0 < scale < 10:
            raise DatasetError(f"{where}: scale is {scale:g}; it must be mm per pixel, between 0 and 10")
        if scales.setdefault(image, scale) != scale:
            raise DatasetError(f"{where}: scale is {scale:g}, but {scales[image]:g} at another point")
        if not (math.isfinite(x) and math.isfinite(y)):
            raise DatasetError(f"{where}: it is at {x:g}, {y:g}")
        place = points.setdefault(image, np.full((len(symbols), 2), math.nan))
        if (symbol := CL_DETECTION_2023_SYMBOLS[name - 1]) in order:
            place[order[symbol]] = y, x
    return points, scales


def _folder_2024(root: Path) -> Path | None:
    for folder in (root, root / "Training Set"):
        if (folder / "labels.csv").is_file() and (folder / "images").is_dir():
            return folder
    return None


def is_cl_detection_2024(root: str | Path) -> bool:
    """Return True if a folder has the layout of CL-Detection 2024."""
    return _folder_2024(Path(root)) is not None


def cl_detection_2024(root: str | Path, symbols: Sequence[str] = CL_DETECTION_2024_SYMBOLS) -> list[Film]:
    """Return the films of the training set of CL-Detection 2024.

    The folder, or its subfolder ``Training Set``, has ``images/001.bmp`` and ``labels.csv`` with the columns ``image
    file``, ``spacing(mm)``, ``p1x``, ``p1y`` to ``p53y``.

    The files name the landmarks by numbers only, and there is no public table of what these mean. So the symbols are
    ``p1`` to ``p53``; only ``S`` (p1) and ``N`` (p2) are known by their anatomy. Other people found ``p8`` and ``p9``
    exchanged in films 001 to 077, and ``p8``, ``p9`` and ``p16`` in film 535; the organisers do not say so, and the
    labels are returned as they are in the file, with a warning.

    Args:
        root: the folder.
        symbols: the landmarks, in the order of the channels; any of :data:`CL_DETECTION_2024_SYMBOLS`, ``S`` and ``N``.

    Raises:
        DatasetError: if a file is missing or damaged, a landmark is off its film, or a landmark is asked for whose
            number is not known. The message names the file.
    """
    root = Path(root)
    if unknown := [symbol for symbol in symbols if symbol not in (*CL_DETECTION_2024_SYMBOLS, *_KNOWN_2024)]:
        raise DatasetError(
            f"{root}: CL-Detection 2024 numbers its landmarks, and it is not public which number {' '.join(unknown)} "
            "has; use p1 to p53, or S and N"
        )
    folder = _folder_2024(root)
    if folder is None:
        raise DatasetError(f"{root}: CL-Detection 2024 needs labels.csv and the folder images")
    numbers = [_KNOWN_2024.get(symbol, symbol) for symbol in symbols]
    columns = ("image file", "spacing(mm)", *(f"{name}{axis}" for name in numbers for axis in "xy"))
    films: dict[str, Film] = {}
    for where, row in rows(folder / "labels.csv", columns, columns):
        file = row["image file"].strip()
        image = folder / "images" / file
        if not file or Path(file).name != file or not image.is_file():
            raise DatasetError(f"{where}: {file!r} is not a file in the folder images")
        if file in films:
            raise DatasetError(f"{where}: a second row for {file}; keep one")
        films[file] = _film_2024(where, row, image, symbols, numbers)
    if not films:
        raise DatasetError(f"{folder / 'labels.csv'}: the table has no rows")
    if {"p8", "p9", "p16"} & set(numbers):
        logger.warning(
            "%s: p8 and p9 are said to be exchanged in films 001 to 077, and p8, p9 and p16 in film 535; "
            "they are used as the file has them",
            folder / "labels.csv",
        )
    return [films[file] for file in sorted(films)]


def _film_2024(where: str, row: dict[str, str], image: Path, symbols: Sequence[str], numbers: list[str]) -> Film:
    spacing = number(row, "spacing(mm)", where)
    if spacing <= 0 or spacing >= 10:
        raise DatasetError(f"{where}: spacing(mm) is {spacing:g}; it must be mm per pixel, between 0 and 10")
    place = np.array([[number(row, f"{name}{axis}", where) for axis in "yx"] for name in numbers])
    if (half := np.isnan(place).any(axis=1) & ~np.isnan(place).all(axis=1)).any():
        raise DatasetError(f"{where}: {numbers[int(np.flatnonzero(half)[0])]} has only one of x and y")
    place = without_placeholders(place)
    if np.isfinite(place).any():
        check_on_film(str(image), place, symbols, [where] * len(symbols))
    return Film(image.stem, image, place, spacing)
