"""One annotated film of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

__all__ = ["Film", "GroundTruth", "Split", "as_dictionaries"]

Split = Literal["train", "valid", "test", "test1", "test2"]
"""A part of a dataset: ISBI 2015 has train, test1 and test2; Aariz has train, valid and test."""

GroundTruth = Literal["mean", "senior", "junior"]
"""Whose annotation is used where two doctors annotated the films; ``mean`` is midway between both."""


@dataclass(frozen=True)
class Film:
    """An image and its landmarks.

    Attributes:
        name: unique in its dataset.
        image: the image file.
        landmarks: (N, 2) float64, (row, column) in pixels of the source image, pixel centres at integers; NaN where
            a landmark is not annotated.
        pixel_spacing: mm per pixel; NaN if unknown.
        spread: (N, 2), (row, column) in pixels: if the landmarks are midway between two annotators, the offset to one
            of them, the junior one if it is known who they are; NaN for a landmark with one annotation. None if there
            is one annotator.
    """

    name: str
    image: Path
    landmarks: np.ndarray
    pixel_spacing: float
    spread: np.ndarray | None = None

    def annotators(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what both annotators marked, (N, 2) each, (row, column) in pixels: the senior one, then the junior.

        NaN for a landmark with one annotation. None if no landmark has two, or they are those of one annotator.
        """
        if self.spread is None or np.isnan(self.spread).all():
            return None
        return self.landmarks - self.spread, self.landmarks + self.spread


def as_dictionaries(films: list[Film]) -> list[dict[str, Any]]:
    """Return the films as dictionaries for MONAI's transforms and datasets.

    The keys are ``name``, ``image``, ``landmarks``, ``pixel_spacing`` and ``spread`` (0 instead of NaN or None).
    """
    return [
        {
            "name": film.name,
            "image": str(film.image),
            "landmarks": film.landmarks,
            "pixel_spacing": film.pixel_spacing,
            "spread": np.zeros_like(film.landmarks) if film.spread is None else np.nan_to_num(film.spread, nan=0.0),
        }
        for film in films
    ]
