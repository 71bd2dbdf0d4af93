"""The cephalograms of the ISBI 2015 grand challenge (Wang et al. 2016, Med. Image Anal. 31:63)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from monai_ceph.datasets.annotation_checks import check_on_film, without_placeholders
from monai_ceph.datasets.film import Film, GroundTruth, Split
from monai_ceph.errors import DatasetError
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS, index_of

__all__ = [
    "DOUBLES_IN_TEST1",
    "DOUBLES_OF_TRAINING",
    "PIXEL_SPACING",
    "GroundTruth",
    "Split",
    "is_isbi2015",
    "isbi2015",
]

logger = logging.getLogger(__name__)

# mm per pixel, by the challenge's convention; the true scale of the films is unknown
PIXEL_SPACING = 0.1

_FOLDERS: dict[str, tuple[str, range]] = {
    "train": ("TrainingData", range(1, 151)),
    "test1": ("Test1Data", range(151, 301)),
    "test2": ("Test2Data", range(301, 401)),
}
_SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg")

# training film: Test1 film that is a second scan of it, found by comparing pixels and annotations
DOUBLES_OF_TRAINING: dict[str, str] = {
    "038": "283", "001": "275", "144": "173", "010": "295", "014": "287", "123": "276", "118": "285",
    "088": "297", "141": "279", "108": "289", "138": "281", "028": "296", "062": "288", "007": "293",
    "132": "291", "137": "292", "103": "201", "126": "299", "080": "282", "056": "280",
}  # fmt: skip
# pairs of scans of the same film within Test1
DOUBLES_IN_TEST1: tuple[tuple[str, str], ...] = (("196", "277"), ("188", "294"), ("159", "278"))


def is_isbi2015(root: str | Path) -> bool:
    """Return True if a folder has the challenge's layout."""
    return (Path(root) / "RawImage").is_dir()


def _image(folder: Path, name: str) -> Path | None:
    for suffix in _SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    return None


def _annotation(path: Path) -> np.ndarray:
    """Return the (19, 2) landmarks, (row, column) in pixels; the lines of classes after them are ignored."""
    try:
        lines = path.read_text(encoding="ascii").split()[:NUM_LANDMARKS]
        points = np.array([[float(value) for value in line.split(",")] for line in lines])
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot read the annotation ({error})") from error
    if points.shape != (NUM_LANDMARKS, 2):
        raise DatasetError(f"{path}: expected {NUM_LANDMARKS} lines 'x,y' at the start, got {len(lines)}")
    return without_placeholders(points[:, ::-1])


def isbi2015(
    root: str | Path,
    split: Split = "train",
    ground_truth: GroundTruth = "mean",
    doubles: bool = True,
    symbols: Sequence[str] = SYMBOLS,
) -> list[Film]:
    """Return the films of one split of the challenge's folder.

    The layout is the challenge's: ``RawImage/{TrainingData,Test1Data,Test2Data}/NNN.bmp`` (``.png`` and ``.jpg``
    too) and ``400_senior/NNN.txt``, ``400_junior/NNN.txt``, at the top or under ``AnnotationsByMD``; an annotation
    is 19 lines ``x,y``, with or without the 8 lines of classes. Films that are missing from the folder are left out,
    and a warning counts them.

    Args:
        root: the challenge's folder.
        split: ``train`` (001-150), ``test1`` (151-300) or ``test2`` (301-400).
        ground_truth: ``senior``, ``junior``, or the ``mean`` of both.
        doubles: False leaves out the films of Test1 that are a second scan of a training film.
        symbols: the landmarks, in the order of the channels.

    Raises:
        DatasetError: if the folder or all films are missing, the annotation of a film is missing or damaged, a landmark
            is off the film, or the challenge has no such landmark. The message names the file.
    """
    root = Path(root)
    if unknown := [symbol for symbol in symbols if symbol not in SYMBOLS]:
        raise DatasetError(f"{root}: the ISBI 2015 films have no landmark {' '.join(unknown)}")
    channels = [index_of(symbol) for symbol in symbols]
    if split not in _FOLDERS or ground_truth not in get_args(GroundTruth):
        raise DatasetError(f"no split {split!r} with ground truth {ground_truth!r} in the ISBI 2015 films")
    name, numbers = _FOLDERS[split]
    folder = root / "RawImage" / name
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; the ISBI 2015 layout needs RawImage/{name}")
    doctors = ("senior", "junior") if ground_truth == "mean" else (ground_truth,)
    notes = next((f for f in (root / "AnnotationsByMD", root) if (f / f"400_{doctors[0]}").is_dir()), None)
    if notes is None:
        raise DatasetError(f"{root}: there is neither 400_{doctors[0]} nor AnnotationsByMD/400_{doctors[0]}")
    left_out = set() if doubles else set(DOUBLES_OF_TRAINING.values())
    films, missing = [], 0
    for film in (f"{number:03d}" for number in numbers):
        if film in left_out:
            continue
        image = _image(folder, film)
        if image is None:
            missing += 1
            continue
        points = []
        for doctor in doctors:
            file = notes / f"400_{doctor}" / f"{film}.txt"
            found = _annotation(file)
            check_on_film(str(image), found, SYMBOLS, [f"{file}, line {line}" for line in range(1, len(found) + 1)])
            points.append(found[channels])
        spread = (points[1] - points[0]) / 2 if len(points) == 2 else None
        films.append(Film(film, image, np.mean(points, axis=0), PIXEL_SPACING, spread))
    if not films:
        raise DatasetError(
            f"{folder}: none of the films {numbers[0]:03d} to {numbers[-1]}, with a suffix {', '.join(_SUFFIXES)}"
        )
    if missing:
        logger.warning("%s: %d of %d films are missing; the others are used", folder, missing, missing + len(films))
    return films
