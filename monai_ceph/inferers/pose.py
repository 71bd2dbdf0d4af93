"""Finds the head on a film of any size, direction and polarity, with the global network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from monai.data import MetaTensor

from monai_ceph.inferers.exposed_field import ExposedField, exposed_field
from monai_ceph.transforms.geometry import affine_of, apply, with_affine
from monai_ceph.transforms.heatmaps_to_landmarks import HeatmapsToLandmarks
from monai_ceph.transforms.pose_film import PoseFilm
from monai_ceph.transforms.scale_film_intensity import ScaleFilmIntensity
from monai_ceph.transforms.whole_film import WholeFilm

__all__ = ["HALF_WEIGHT_DISTANCE", "REWEIGHTINGS", "UPRIGHT", "VIEWS", "Pose", "PoseFinder", "View", "stated_view"]

# a landmark this far from its position in the mean shape has half the weight; in units of the mean shape's radius
HALF_WEIGHT_DISTANCE = 0.15
REWEIGHTINGS = 6


@dataclass(frozen=True)
class View:
    """One of the 16 ways in which a head can lie on a film.

    Attributes:
        turned: counterclockwise quarter turns that bring the film upright, 0..3.
        mirrored: the head faces left on the film, after the turn.
        inverted: bright and dark are exchanged on the film.
    """

    turned: int
    mirrored: bool
    inverted: bool

    @property
    def degrees(self) -> Literal[0, 90, 180, 270]:
        """Return the counterclockwise turn in degrees."""
        turns: tuple[Literal[0, 90, 180, 270], ...] = (0, 90, 180, 270)
        return turns[self.turned]

    def warnings(self) -> list[str]:
        """Return one sentence for each unusual property, for the person who reviews the result."""
        warnings = {
            f"The film is not upright: it was turned by {self.degrees} degrees counterclockwise.": self.turned,
            "The head faces left.": self.mirrored,
            "Bright and dark are exchanged: bones are dark.": self.inverted,
        }
        return [sentence for sentence, applies in warnings.items() if applies]

    def apply(self, film: torch.Tensor) -> MetaTensor:
        """Return the (1, row, column) film turned upright and mirrored to face right; grey values stay."""
        pixels = film.as_subclass(torch.Tensor)
        rows, columns = pixels.shape[-2:]
        to_film = torch.eye(3, dtype=torch.float64)
        for _ in range(self.turned):
            # rot90 counterclockwise: row r, column c of the result show row c, column last - r of the film
            pixels = torch.rot90(pixels, 1, (-2, -1))
            to_film = to_film @ torch.tensor([[0, 1, 0], [-1, 0, columns - 1], [0, 0, 1]], dtype=torch.float64)
            rows, columns = columns, rows
        if self.mirrored:
            pixels = pixels.flip(-1)
            to_film = to_film @ torch.tensor([[1, 0, 0], [0, -1, columns - 1], [0, 0, 1]], dtype=torch.float64)
        return with_affine(pixels, film, affine_of(film) @ to_film)


@dataclass(frozen=True)
class Pose:
    """How a head lies on a film.

    Attributes:
        film: the square with the head in the mean pose, (1, size, size), intensities in 0..1; its affine leads to the
            source.
        view: how the film was turned, mirrored and inverted.
        evidence: 0..1, how much of a head was seen: the mean of the landmarks' peaks, weighted down by their distance
            from the fitted mean shape.
        landmarks: (N, 2), (row, column) in pixels of the square, from the global network; NaN without a maximum.
        peaks: (N,) probability at their maxima.
        field: the exposed part of the film, in the film's own grid.
        to_film: 3x3, from the square to the film's own grid.
    """

    film: MetaTensor
    view: View
    evidence: float
    landmarks: torch.Tensor
    peaks: torch.Tensor
    field: ExposedField
    to_film: torch.Tensor

    def depth(self, points: torch.Tensor) -> torch.Tensor:
        """Return how far (N, 2) points of the square are inside the exposed field, in pixels of the square."""
        step = torch.linalg.det(self.to_film[:2, :2]).abs().sqrt()
        return self.field.depth(apply(self.to_film, points)) / step


@dataclass(frozen=True)
class _ViewResult:
    """Evidence, landmarks and peaks of one view, as in :class:`Pose`, and the map from the square to the source."""

    evidence: float
    landmarks: torch.Tensor
    peaks: torch.Tensor
    matrix: torch.Tensor


_POSITIVE = [View(turned, mirrored, False) for mirrored in (False, True) for turned in range(4)]
_NEGATIVE = [View(view.turned, view.mirrored, True) for view in _POSITIVE]
VIEWS = (*_POSITIVE, *_NEGATIVE)
"""All 16 views; the first is upright."""
UPRIGHT = VIEWS[0]

_OPPOSITE = {"A": "P", "P": "A", "H": "F", "F": "H"}


def stated_view(orientation: Sequence[str] | None) -> View | None:
    """Return the view that a DICOM PatientOrientation (PS3.3 C.7.6.1.1.1) states; None if the film is not lateral.

    Args:
        orientation: direction of the rows, direction of the columns; ("A", "F") is upright and faces right. Only the
            first letter of each is used.
    """
    if not orientation or len(orientation) != 2 or any(side[:1] not in _OPPOSITE for side in orientation):
        return None
    for view in _POSITIVE:
        row, column = orientation[0][0], orientation[1][0]
        for _ in range(view.turned):
            row, column = column, _OPPOSITE[row]
        if ((_OPPOSITE[row] if view.mirrored else row), column) == ("A", "F"):
            return view
    return None


def _inverted(film: torch.Tensor) -> MetaTensor:
    """Return the film, 0..1, with bright and dark exchanged."""
    return with_affine(1 - film.as_subclass(torch.Tensor), film, affine_of(film))


class PoseFinder:
    """Find the head on a whole film with the global network, and bring it into the mean pose.

    The film is searched as it is, or in the orientation that its header states. If the evidence of a head is low, all
    16 views are searched, and the one with the most evidence is taken. The mean shape is fitted to the landmarks by
    iteratively reweighted least squares with Cauchy weights, so that outliers have little influence.

    Args:
        network: returns logits with N landmark channels and the background, last.
        size: rows and columns to which the whole film is scaled.
        frame: the mean pose.
        intensity: how films are scaled.
        sure: evidence at or above which no other view is tried.
        decoder: from heatmaps to landmarks.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        size: int,
        frame: PoseFilm,
        intensity: ScaleFilmIntensity,
        sure: float,
        decoder: HeatmapsToLandmarks,
    ) -> None:
        if not 0 <= sure <= 1:
            raise ValueError(f"sure must be in 0..1, got {sure}")
        self.network, self.frame, self.intensity, self.sure = network, frame, intensity, sure
        self.whole = WholeFilm(size)
        self.to_landmarks = decoder

    def __call__(self, film: torch.Tensor, stated: View | None = None) -> Pose:
        """Return the pose of the head on one film (1, row, column); the ``stated`` view is tried first.

        Raises:
            ValueError: if the network and the mean shape have different numbers of landmarks.
        """
        film = self.intensity(film)
        view = stated or UPRIGHT
        result = self._search(film, [view])[0]
        if result.evidence < self.sure:
            positive = [other for other in _POSITIVE if other != view]
            others = [*self._search(film, positive), *self._search(_inverted(film), _NEGATIVE)]
            best = max(range(len(others)), key=lambda index: others[index].evidence)
            if others[best].evidence > result.evidence:
                view, result = [*positive, *_NEGATIVE][best], others[best]
        return self._posed(film, view, result)

    def evidence(self, film: torch.Tensor) -> dict[View, float]:
        """Return the evidence of all 16 views of one film (1, row, column)."""
        film = self.intensity(film)
        results = [*self._search(film, _POSITIVE), *self._search(_inverted(film), _NEGATIVE)]
        return {view: result.evidence for view, result in zip([*_POSITIVE, *_NEGATIVE], results, strict=True)}

    def _posed(self, film: torch.Tensor, view: View, result: _ViewResult) -> Pose:
        image = _inverted(film) if view.inverted else film
        # from the square to the source, and from there to the film's own grid
        to_film = torch.linalg.inv(affine_of(film)) @ result.matrix
        square = self.intensity(self.frame.cut(image, to_film))
        return Pose(square, view, result.evidence, result.landmarks, result.peaks, exposed_field(film), to_film)

    def _search(self, film: torch.Tensor, views: list[View]) -> list[_ViewResult]:
        small = self.whole(film)
        found = []
        for image in (view.apply(small) for view in views):
            with torch.no_grad():
                heatmaps = self.network(image.as_subclass(torch.Tensor)[None]).softmax(dim=1)[0, :-1]
            if len(heatmaps) != len(self.frame.model):
                raise ValueError(
                    f"the network has {len(heatmaps)} landmarks and the mean shape {len(self.frame.model)}: "
                    "set mean_shape to that of the network's landmarks, in the same order"
                )
            points, peaks = self.to_landmarks(heatmaps), heatmaps.flatten(1).amax(dim=1)
            try:
                evidence, matrix = self.fit(points, peaks)
            except ValueError:
                # fall back to the whole film
                step = self.whole.size / self.frame.size
                start = 0.5 * step - 0.5
                evidence, matrix = 0.0, torch.tensor([[step, 0, start], [0, step, start], [0, 0, 1]]).double()
            landmarks = apply(torch.linalg.inv(matrix), points)
            found.append(_ViewResult(evidence, landmarks, peaks, affine_of(image) @ matrix))
        return found

    def fit(self, points: torch.Tensor, peaks: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Return the evidence of a head, and the map from the mean pose's square to the grid of the landmarks.

        Args:
            points: (N, 2) landmarks, (row, column); NaN where missing.
            peaks: (N,) probability of each.

        Raises:
            ValueError: if the landmarks do not determine a head of at least a pixel.
        """
        peaks = peaks.cpu().double().nan_to_num(nan=0.0)
        weights = peaks.clamp(min=1e-6)
        for _ in range(REWEIGHTINGS):
            matrix = self.frame.matrix(points, weights=weights)
            if float(torch.linalg.det(matrix[:2, :2])) * self.frame.radius**2 < 1:
                raise ValueError("the fitted head is smaller than a pixel")
            share = (1 / (1 + (self.shape_distance(points, matrix) / HALF_WEIGHT_DISTANCE) ** 2)).nan_to_num(nan=0.0)
            weights = (peaks * share).clamp(min=1e-9)
        return float((peaks * share).mean()), matrix

    def shape_distance(self, points: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Return (N,) distances of landmarks from the fitted mean shape, in units of its radius.

        Args:
            points: (N, 2) landmarks, (row, column).
            matrix: 3x3, from the mean pose's square to their grid.
        """
        return (apply(torch.linalg.inv(matrix), points) - self.frame.model).norm(dim=1) / self.frame.radius
