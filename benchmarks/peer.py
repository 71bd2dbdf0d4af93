"""What a method must offer to be compared by peers.py."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from monai_ceph.datasets import Film
from monai_ceph.readers import read_radiograph


class Peer(Protocol):
    """A method that finds the 19 landmarks.

    Attributes:
        label: its row in the table.
    """

    label: str

    def train(self, films: list[Film], folder: Path, minutes: float) -> float:
        """Train within so many minutes of processor time, write the result to a folder, and return the minutes."""

    def load(self, folder: Path) -> None:
        """Read what :meth:`train` wrote."""

    def parameters(self) -> int:
        """Return how many numbers were learned."""

    def detect(self, film: np.ndarray, spacing: float) -> np.ndarray:
        """Return (19, 2) landmarks, (row, column) in pixels, of a film with grey values in 0..1 and mm per pixel."""


def grey_film(film: Film) -> np.ndarray:
    """Return the film's (row, column) grey values; the darkest and brightest 0.5 % are 0 and 1."""
    pixels = read_radiograph(film.image).pixels
    low, high = np.percentile(pixels, (0.5, 99.5))
    scaled: np.ndarray = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return scaled
