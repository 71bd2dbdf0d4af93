"""What can be wrong with the places of symbols in a picture."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from monai_ceph.landmarks import SYMBOLS


def label_faults(
    points: np.ndarray, boxes: ArrayLike, size: tuple[float, float], arm: float, taken: ArrayLike = ()
) -> list[str]:
    """Return what is wrong with the places of labels, in words.

    Args:
        points: (N, 2), (x, y) from the upper left corner of the picture.
        boxes: (N, 4), left, top, right, bottom of the labels of the first N symbols, likewise.
        size: (width, height) of the picture.
        arm: half the side of the square around a point that no label may cover.
        taken: boxes that no label may cover.
    """
    boxes, taken = np.asarray(boxes, dtype=float).reshape(-1, 4), np.asarray(taken, dtype=float).reshape(-1, 4)
    found = []
    for index, (name, box) in enumerate(zip(SYMBOLS, boxes, strict=False)):
        for what, goals in (("centre", (box[:2] + box[2:]) / 2), ("box", np.clip(points, box[:2], box[2:]))):
            distances = np.linalg.norm(points - goals, axis=1)
            if len(points) > 1 and np.delete(distances, index).min() <= distances[index]:
                found.append(f"{name}: another point is as near to its {what}")
        if (np.abs(points - np.clip(points, box[:2], box[2:])).max(axis=1) < arm - 1e-6).any():
            found.append(f"{name} covers a cross")
        if (box[:2] < -1e-6).any() or (box[2:] > np.array(size) + 1e-6).any():
            found.append(f"{name} leaves the picture")
        found += [f"{name} covers a line of text" for line in taken if overlap(box, line)]
    pairs = combinations(range(len(boxes)), 2)
    return found + [f"{SYMBOLS[i]} covers {SYMBOLS[j]}" for i, j in pairs if overlap(boxes[i], boxes[j])]


def overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) > 1e-6).all())
