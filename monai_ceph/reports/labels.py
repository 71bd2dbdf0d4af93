"""Places for the symbols of landmarks in a picture, so that each clearly belongs to its landmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Box", "Label", "place_labels", "place_name"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_DIRECTIONS = 24
# distances from the first place beside the mark, in label heights
_STEPS = np.array([0.0, 0.25, 0.5, 0.8, 1.2, 1.6, 2.1, 2.7, 3.5, 4.5, 6.0, 8.0, 11.0])
# cheapest places per label that are compared with other labels; if they do not suffice, all places are
_KEPT = 150
# preferred ratio of the distance to any other point to the distance to its own point; it must exceed 1
_CLEAR = 1.25
# costs of a place, in label heights between point and label
_OFF_PICTURE, _OVERLAP, _WRONG_POINT, _ACROSS, _UNCLEAR, _TURN = 1e6, 1e4, 1e3, 50.0, 1.0, 0.3
_ROUNDS, _RESTARTS = 20, 8
# preferred direction: above the point, to the right
_FAVOURITE = -np.pi / 4


@dataclass(frozen=True)
class Label:
    """The place of one label.

    Attributes:
        box: left, top, right, bottom.
        leader: ends (x, y) of a line from near the point to the box, if the label is not beside the point.
    """

    box: Box
    leader: tuple[tuple[float, float], tuple[float, float]] | None


def place_labels(
    points: np.ndarray, sizes: np.ndarray, picture: tuple[float, float], arm: float, taken: Sequence[Box] = ()
) -> list[Label]:
    """Return a place for each label: nearest to its own point, in the picture, and on no mark or other label.

    A label is nearest to its own point if no other point is as near to the label's centre or to its box. If there is no
    room beside a point, its label is placed farther away and gets a leader. Labels are moved one at a time to their
    best place until none improves (coordinate descent, restarted if labels still overlap). Labels of coinciding points
    do not overlap either, if there is room.

    Args:
        points: (N, 2), (x, y), finite and in the picture.
        sizes: (N, 2), (width, height) of the labels.
        picture: (width, height).
        arm: half the side of the square that the mark of a point fills.
        taken: boxes that no label may cover.
    """
    if not len(points):
        return []
    labels: list[Label] = []
    for kept in (_KEPT, None):
        candidates = [
            _Candidates(index, points, sizes[index], picture, arm, taken, kept) for index in range(len(points))
        ]
        cost, choices = _best(candidates)
        labels = [each.label(choice, arm) for each, choice in zip(candidates, choices, strict=True)]
        if cost < _WRONG_POINT:
            break
    return labels


def place_name(
    line: tuple[tuple[float, float], tuple[float, float]],
    width: float,
    height: float,
    size: tuple[int, int],
    taken: Sequence[Box],
) -> Box | None:
    """Return a free place for the name of a line at one of its ends, None if there is none.

    Args:
        line: both ends, (x, y), pixel centres at integers. The second end is tried first.
        width: of the name.
        height: of the name.
        size: (columns, rows) of the film, which the name does not leave.
        taken: boxes that the name does not cover.
    """
    half = np.array([width / 2 + height / 4, height / 2])
    for end, start in (line[::-1], line):
        way = np.array(end) - np.array(start)
        way /= max(float(np.hypot(*way)), 1e-9)
        side = np.array([-way[1], way[0]])
        # as far along the line as half the box reaches in its direction, then beside it, ever farther inside
        along = float((1 / np.maximum(np.abs(way) / half, 1e-9)).min())
        across = float((1 / np.maximum(np.abs(side) / half, 1e-9)).min())
        shifts = [along * way, *(s * across * side - back * height * way for back in (0, 1, 2, 3, 4) for s in (1, -1))]
        for shift in shifts:
            centre = np.array(end) + shift
            low, high = centre - half, centre + half
            if (low < -0.5).any() or (high > np.array(size) - 0.5).any():
                continue
            box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            if not _overlap(np.array([box]), np.array(taken).reshape(-1, 4)).any():
                return box
    return None


def _best(candidates: Sequence[_Candidates]) -> tuple[float, list[int]]:
    """Return the cost of the best arrangement found, and the index of each label's place."""
    freedom = np.array([(each.costs < _WRONG_POINT).sum() for each in candidates])
    best: tuple[float, list[int]] | None = None
    for attempt in range(_RESTARTS):
        # first the labels with few places, then random orders with fixed seeds
        order = np.argsort(freedom, kind="stable")
        order = order if attempt == 0 else np.random.default_rng(attempt).permutation(len(candidates))
        found = _arrange(candidates, order)
        best = found if best is None or found[0] < best[0] else best
        if best[0] < _WRONG_POINT:
            break
    assert best is not None
    return best


class _Candidates:
    """All places of one label, with the cost of each before other labels are considered.

    Attributes:
        boxes: (K, 4)
        tips: (K, 2), where a leader would meet the box.
        costs: (K,)
    """

    def __init__(
        self,
        index: int,
        points: np.ndarray,
        size: np.ndarray,
        picture: tuple[float, float],
        arm: float,
        taken: Sequence[Box],
        kept: int | None,
    ) -> None:
        self.point, height = points[index], float(size[1])
        others = np.delete(points, index, axis=0)
        angles = np.append(_FAVOURITE + 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS, _ways_out(self.point, others))
        # a wide box is moved farther sideways than up
        reach = np.array([size[0] / 2, height / 2]) + arm
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        first = ring * (1 / np.maximum(np.abs(ring[:, 0]) / reach[0], np.abs(ring[:, 1]) / reach[1]))[:, None]
        centres = self.point + (first + height * _STEPS[:, None, None] * ring).reshape(-1, 2)
        # a label near the border slides along it
        half = np.asarray(size) / 2
        centres = np.clip(centres, half, np.maximum(np.asarray(picture) - half, half))
        self.boxes = np.concatenate([centres - half, centres + half], axis=1)
        self.tips = np.clip(self.point, self.boxes[:, :2], self.boxes[:, 2:])

        own = np.stack([_from_centre(centres, self.point[None]), _from_box(self.boxes, self.point[None])])[..., 0]
        gap = own[1]
        turn = 1 - np.cos(np.tile(angles, len(_STEPS)) - _FAVOURITE)
        costs = gap / height + _TURN * turn
        costs += _OVERLAP * _overlap(self.boxes, _squares(points, arm)).sum(axis=1)
        if taken:
            costs += _OVERLAP * _overlap(self.boxes, np.asarray(taken)).sum(axis=1)
        costs += _OFF_PICTURE * ((self.boxes[:, 2] > picture[0]) | (self.boxes[:, 3] > picture[1]))
        if len(others):
            near = np.stack([_from_centre(centres, others), _from_box(self.boxes, others)]).min(axis=2)
            costs += _WRONG_POINT * (near <= own * (1 + 1e-9)).any(axis=0)
            costs += _UNCLEAR * np.clip((_CLEAR - near / np.maximum(own, 1e-9)) / (_CLEAR - 1), 0, 1).max(axis=0)
        best = np.argsort(costs, kind="stable")[:kept]
        self.boxes, self.tips, self.costs = self.boxes[best], self.tips[best], costs[best]
        if len(others):
            self.costs += _ACROSS * _meet(self.point[None], self.tips, _squares(others, arm)).sum(axis=1)

    def label(self, choice: int, arm: float) -> Label:
        """Return the place that was chosen."""
        left, top, right, bottom = self.boxes[choice].tolist()
        tip = self.tips[choice]
        length = float(np.linalg.norm(tip - self.point))
        leader = None
        if length > 2 * arm:
            start = self.point + (tip - self.point) * (arm / length)
            leader = (float(start[0]), float(start[1])), (float(tip[0]), float(tip[1]))
        return Label((left, top, right, bottom), leader)


def _arrange(candidates: Sequence[_Candidates], order: np.ndarray) -> tuple[float, list[int]]:
    """Return the cost of an arrangement of all labels, and the index of each label's place."""
    chosen: dict[int, int] = {}
    cost = 0.0
    for _ in range(_ROUNDS):
        before, cost = dict(chosen), 0.0
        for index in order.tolist():
            conflicts = _conflicts(candidates, index, chosen)
            place = int(np.argmin(candidates[index].costs + conflicts))
            chosen[index] = place
            # two labels share the cost of their conflict
            cost += float(candidates[index].costs[place] + conflicts[place] / 2)
        # then the cost is that of the arrangement
        if chosen == before:
            break
    return cost, [chosen[index] for index in range(len(candidates))]


def _conflicts(candidates: Sequence[_Candidates], index: int, chosen: dict[int, int]) -> np.ndarray:
    """Return the cost that the labels placed so far add to each place of another label."""
    here, others = candidates[index], [(candidates[other], at) for other, at in chosen.items() if other != index]
    if not others:
        return np.zeros(len(here.costs))
    boxes = np.stack([each.boxes[at] for each, at in others])
    points, tips = np.stack([each.point for each, _ in others]), np.stack([each.tips[at] for each, at in others])
    costs = _OVERLAP * _overlap(here.boxes, boxes).sum(axis=1)
    costs += _ACROSS * _meet(here.point[None], here.tips, boxes).sum(axis=1)
    costs += _ACROSS * _meet(points, tips, here.boxes).sum(axis=0)
    return costs


def _ways_out(point: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return, for each eighth of the circle, the direction in which a point stays the nearest one for longest."""
    if not len(others):
        return np.empty(0)
    angles = np.deg2rad(np.arange(360.0))
    towards = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ (others - point).T
    # the bisector with another point is crossed at half the squared distance over this projection
    exits = np.square(others - point).sum(axis=1) / (2 * np.maximum(towards, 1e-9))
    longest = exits.min(axis=1).reshape(8, 45)
    return angles.reshape(8, 45)[np.arange(8), longest.argmax(axis=1)]


def _squares(points: np.ndarray, arm: float) -> np.ndarray:
    return np.concatenate([points - arm, points + arm], axis=1)


# numpy reduces axes of two elements slowly, so x and y are computed apart


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (K, M): whether boxes have a common area."""
    wide, high = (
        np.minimum(boxes[:, None, 2 + axis], others[:, 2 + axis]) - np.maximum(boxes[:, None, axis], others[:, axis])
        for axis in (0, 1)
    )
    return (wide > 1e-6) & (high > 1e-6)


def _from_centre(centres: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (K, M) distances."""
    x, y = (centres[:, None, axis] - points[:, axis] for axis in (0, 1))
    return np.sqrt(x * x + y * y)


def _from_box(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (K, M) distances of points from boxes, 0 inside."""
    x, y = (
        np.minimum(np.maximum(points[:, axis], boxes[:, None, axis]), boxes[:, None, 2 + axis]) - points[:, axis]
        for axis in (0, 1)
    )
    return np.sqrt(x * x + y * y)


def _meet(points: np.ndarray, tips: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (K, M): whether the line from a point to a tip, (K, 2) or (1, 2), goes through a box."""
    way = tips - points
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    # where each line, from 0 to 1, enters and leaves the two strips whose intersection is the box
    (into_x, from_x), (into_y, from_y) = (
        _low_and_high((boxes[:, axis] - start) / along, (boxes[:, 2 + axis] - start) / along)
        for axis, start, along in ((0, points[:, :1], way[:, :1]), (1, points[:, 1:], way[:, 1:]))
    )
    return np.maximum(np.maximum(into_x, into_y), 0) + 1e-6 < np.minimum(np.minimum(from_x, from_y), 1)


def _low_and_high(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper of two values each."""
    return np.minimum(one, other), np.maximum(one, other)
