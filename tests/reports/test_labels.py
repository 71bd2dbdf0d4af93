"""Symbols are placed beside their landmarks, for heads of all shapes."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monai_ceph import weights
from monai_ceph.datasets import isbi2015
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS, index_of
from monai_ceph.reports.labels import Box, Label, place_labels

REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")
# size of the overlay of a film of 1935 x 2400 pixels
PICTURE, ARM = (1129.0, 1400.0), 8.0
SIZES = np.array([(12.0 * len(symbol) + 10, 24.0) for symbol in SYMBOLS])
# mm of the challenge to pixels of the picture
MM = 10 * 1400 / 2400
MEAN = np.array(weights.model()["mean_shape"])[:, ::-1] * 430 * 1400 / 2400 + np.array([640.0, 850.0])


def faults(points: np.ndarray, labels: list[Label], taken: tuple[Box, ...] = (), arm: float = ARM) -> list[str]:
    """Return what is wrong with the positions of the labels, as text."""
    boxes = np.array([label.box for label in labels])
    found = []
    for index, box in enumerate(boxes):
        name = SYMBOLS[index]
        others = np.delete(points, index, axis=0)
        for what, distance in (
            ("centre", lambda places, box=box: np.linalg.norm(places - (box[:2] + box[2:]) / 2, axis=1)),
            ("box", lambda places, box=box: np.linalg.norm(places - np.clip(places, box[:2], box[2:]), axis=1)),
        ):
            if len(others) and distance(others).min() <= distance(points[index : index + 1])[0]:
                found.append(f"{name}: another point is as near to its {what}")
        if (np.abs(points - np.clip(points, box[:2], box[2:])).max(axis=1) < arm - 1e-6).any():
            found.append(f"{name} covers a cross")
        if (box[:2] < -1e-6).any() or (box[2:] > np.array(PICTURE) + 1e-6).any():
            found.append(f"{name} leaves the picture")
        found += [f"{name} covers a line of text" for line in taken if overlap(box, np.array(line))]
    pairs = combinations(range(len(boxes)), 2)
    return found + [f"{SYMBOLS[i]} covers {SYMBOLS[j]}" for i, j in pairs if overlap(boxes[i], boxes[j])]


def overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) > 1e-6).all())


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=NUM_LANDMARKS, max_size=NUM_LANDMARKS))
@settings(max_examples=60, derandomize=True)
@example([(0.0, 0.0)] * NUM_LANDMARKS)
def test_heads_of_all_shapes(offsets: list[tuple[float, float]]) -> None:
    """Each landmark up to 2 mm off the mean head, in any direction: chins and lips of every kind."""
    points = MEAN + np.array(offsets) * MM
    nearest, second = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 1:3].T
    labels = place_labels(points, SIZES, PICTURE, ARM)
    # what coincides within a tenth of a mm cannot be told apart in a picture either, and beside a landmark between two
    # others that are closer than 1.5 mm, no place as wide as a symbol is nearest to it
    if nearest.min() > 0.1 * MM and second.min() > 1.5 * MM:
        assert faults(points, labels) == []


@given(st.floats(1.5, 6), st.floats(-60, 60), st.floats(1.5, 6), st.floats(-60, 60), st.floats(0.2, 3))
@settings(max_examples=40)
def test_chins_and_lips(to_gn: float, one: float, to_pog: float, two: float, incisors: float) -> None:
    """Me, Gn and Pog in a row as close as 1.5 mm, and both incisors as close as 0.2 mm."""
    points = MEAN.copy()
    menton, gnathion, pogonion = (index_of(symbol) for symbol in ("Me", "Gn", "Pog"))
    for index, before, far, angle in ((gnathion, menton, to_gn, one - 45), (pogonion, gnathion, to_pog, two - 60)):
        angle = np.deg2rad(angle)
        points[index] = points[before] + far * MM * np.array([np.cos(angle), np.sin(angle)])
    points[index_of("UI")] = points[index_of("LI")] + np.array([incisors * MM, 0.0])
    assert faults(points, place_labels(points, SIZES, PICTURE, ARM)) == []


def test_beside_the_landmark_where_there_is_room() -> None:
    points = np.array([[100.0, 100.0], [600.0, 700.0]])
    for point, label in zip(points, place_labels(points, SIZES[:2], PICTURE, ARM), strict=True):
        left, top, _, bottom = label.box
        assert point[0] < left < point[0] + 2 * ARM
        assert (top + bottom) / 2 < point[1]
        assert label.leader is None


@pytest.mark.parametrize("corner", [(0, 0), (1129, 0), (0, 1400), (1129, 1400), (1129, 700)])
def test_at_the_border(corner: tuple[float, float]) -> None:
    points = np.array([corner], dtype=float)
    assert not [fault for fault in faults(points, place_labels(points, SIZES[:1], PICTURE, ARM)) if "picture" in fault]


def test_lines_of_text_are_left_free() -> None:
    taken = ((0.0, 0.0, 1129.0, 95.0), (0.0, 105.0, 1129.0, 150.0))
    points = np.array([[500.0, 100.0], [550.0, 100.0]])
    labels = place_labels(points, SIZES[:2], PICTURE, 4.0, taken)
    assert faults(points, labels, taken, arm=4.0) == []
    assert all(label.leader for label in labels)


def test_a_line_connects_the_cross_and_its_label() -> None:
    points = np.array([[500.0, 500.0] + 9 * np.array([index % 4, index // 4]) for index in range(16)])
    labels = place_labels(points, SIZES[:16], PICTURE, ARM)
    leaders = [(point, label) for point, label in zip(points, labels, strict=True) if label.leader]
    assert leaders
    for point, label in leaders:
        assert label.leader is not None
        start, end = np.array(label.leader[0]), np.array(label.leader[1])
        assert np.linalg.norm(start - point) == pytest.approx(ARM)
        assert np.clip(end, label.box[:2], label.box[2:]) == pytest.approx(end)
        # straight on
        assert np.cross(np.append(start - point, 0), np.append(end - start, 0)) == pytest.approx(np.zeros(3), abs=1e-6)


def test_labels_of_coinciding_points_do_not_overlap() -> None:
    points = np.full((NUM_LANDMARKS, 2), 600.0)
    assert not [fault for fault in faults(points, place_labels(points, SIZES, PICTURE, ARM)) if "near" not in fault]


def test_the_same_points_have_the_same_labels() -> None:
    assert place_labels(MEAN, SIZES, PICTURE, ARM) == place_labels(MEAN.copy(), SIZES, PICTURE, ARM)


def test_no_points() -> None:
    assert place_labels(np.empty((0, 2)), np.empty((0, 2)), PICTURE, ARM) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
@pytest.mark.parametrize("doctor", ["mean", "senior", "junior"])
def test_the_annotated_films(doctor: str) -> None:
    wrong = {}
    for film in isbi2015(REAL, "train", doctor):
        points = (film.landmarks[:, ::-1] + 0.5) * 1400 / 2400 - 0.5
        if found := faults(points, place_labels(points, SIZES, PICTURE, ARM)):
            wrong[film.name] = found
    assert wrong == {}
