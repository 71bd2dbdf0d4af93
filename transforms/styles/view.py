"""Where the head lies on a film or a patch, so that styles can place things in millimetres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from monai_ceph.transforms.geometry import landmarks_to_grid, on_cpu, pixel_size

__all__ = ["View", "view_of"]

# landmarks farther away than this many pixels of the grid have been removed, as by RandFilmOcclusion
_FAR = 1e5
# pairs of landmarks from the back to the front, the best first, and by how many degrees the front one is higher
_FORWARD = (("Po", "Or", 0.0), ("S", "N", 8.0), ("PNS", "ANS", 0.0), ("Go", "Me", -28.0))
# landmarks that are far below Sella, the orbit and the ear
_BELOW = ("Me", "Gn", "Pog", "B", "LI", "Go")
_ABOVE = ("S", "N", "Or", "Po", "ANS")


@dataclass(frozen=True)
class View:
    """A grid of pixels and the head on it.

    Attributes:
        size: rows and columns of the grid.
        per_mm: pixels of the grid per millimetre.
        points: the known landmarks by their symbols, (row, column) in pixels of the grid; they may lie outside.
        anterior: unit vector (row, column) to the front of the head.
        inferior: unit vector (row, column) to the feet.
    """

    size: tuple[int, int]
    per_mm: float
    points: Mapping[str, np.ndarray]
    anterior: np.ndarray
    inferior: np.ndarray

    def at(self, anchor: str | np.ndarray, anterior: float = 0.0, inferior: float = 0.0) -> np.ndarray:
        """Return the point, in pixels, that is so many mm in front of and below a landmark or a point."""
        start = self.points[anchor] if isinstance(anchor, str) else anchor
        return start + self.per_mm * (anterior * self.anterior + inferior * self.inferior)

    def sees(self, anchor: str, reach: float) -> bool:
        """Whether the landmark is known, and its surroundings of ``reach`` mm are in part on the grid."""
        if anchor not in self.points:
            return False
        beyond = np.maximum(-self.points[anchor], self.points[anchor] - (np.array(self.size) - 1))
        return bool(beyond.max() <= reach * self.per_mm)

    def along(self, point: np.ndarray) -> tuple[float, float]:
        """Return how many mm a point, or points (N, 2), lie in front of and below the grid's first pixel."""
        return point @ self.anterior / self.per_mm, point @ self.inferior / self.per_mm


def view_of(
    size: tuple[int, int], affine: torch.Tensor, landmarks: torch.Tensor, symbols: Sequence[str], spacing: float
) -> View:
    """Return the view of a grid.

    Args:
        size: rows and columns of the grid.
        affine: 3x3, from the grid to the source.
        landmarks: (N, 2), (row, column) in pixels of the source; NaN where they are not known.
        symbols: the landmarks' symbols.
        spacing: mm per pixel of the source.

    Raises:
        ValueError: if there are not as many symbols as landmarks.
    """
    if len(symbols) != len(landmarks):
        raise ValueError(f"symbols: {len(symbols)} for {len(landmarks)} landmarks")
    grid = landmarks_to_grid(on_cpu(landmarks), affine).numpy()
    near = (np.abs(grid) < _FAR).all(axis=1)
    points = {symbol: point for symbol, point, known in zip(symbols, grid, near, strict=True) if known}
    anterior = _anterior(points)
    inferior = np.array([anterior[1], -anterior[0]])
    low = [points[symbol] for symbol in _BELOW if symbol in points]
    high = [points[symbol] for symbol in _ABOVE if symbol in points]
    # a head that faces left
    if low and high and (np.mean(low, axis=0) - np.mean(high, axis=0)) @ inferior < 0:
        inferior = -inferior
    return View(size, 1 / (pixel_size(affine) * spacing), points, anterior, inferior)


def _anterior(points: Mapping[str, np.ndarray]) -> np.ndarray:
    for back, front, rise in _FORWARD:
        if back in points and front in points:
            step = points[front] - points[back]
            # a rise turns towards smaller rows where the head faces right, and the other way where it faces left
            angle = math.radians(rise if step[1] >= 0 else -rise)
            turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
            length = float(np.linalg.norm(step))
            if length > 0:
                return turn @ step / length
    return np.array([0.0, 1.0])
