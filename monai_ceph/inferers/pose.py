"""Where the head is on a film of any size, direction and polarity: a first look at the whole film."""

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

__all__ = ["UPRIGHT", "Pose", "PoseFinder", "View", "stated_view"]

# of the mean shape's radius: a landmark that is so far off its place counts half
_HALF_WEIGHT_DISTANCE = 0.15
_REWEIGHTINGS = 6


@dataclass(frozen=True)
class View:
    """One way to look at a film.

    Attributes:
        turned: quarter turns against the clock that bring the film upright, 0..3.
        mirrored: the head faces left on the film, after the turn.
        inverted: bright and dark are exchanged on the film.
    """

    turned: int
    mirrored: bool
    inverted: bool

    @property
    def degrees(self) -> Literal[0, 90, 180, 270]:
        """Return the turn in degrees against the clock."""
        turns: tuple[Literal[0, 90, 180, 270], ...] = (0, 90, 180, 270)
        return turns[self.turned]

    def warnings(self) -> list[str]:
        """Return a sentence for everything that is unusual, for the person who reviews the result."""
        said = {
            f"The film is not upright: it was turned by {self.degrees} degrees against the clock.": self.turned,
            "The head faces left.": self.mirrored,
            "Bright and dark are exchanged: bones are dark.": self.inverted,
        }
        return [sentence for sentence, holds in said.items() if holds]

    def of(self, film: torch.Tensor) -> MetaTensor:
        """Return the (1, row, column) film, as it would be upright and facing right."""
        pixels = film.as_subclass(torch.Tensor)
        rows, columns = pixels.shape[-2:]
        to_film = torch.eye(3, dtype=torch.float64)
        for _ in range(self.turned):
            # rot90 against the clock: row r, column c of the result show row c, column last - r of the film
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
        evidence: 0..1, how much of a head was seen: the mean of the landmarks' peaks, each counting the less the
            farther it is from its place in the mean shape.
        landmarks: (N, 2), (row, column) in pixels of the square: what the first look saw; NaN without a maximum.
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
class _Look:
    """What one view of a film shows: evidence, landmarks and peaks as in :class:`Pose`, and the map to the source."""

    evidence: float
    landmarks: torch.Tensor
    peaks: torch.Tensor
    matrix: torch.Tensor


_POSITIVE = [View(turned, mirrored, False) for mirrored in (False, True) for turned in range(4)]
_NEGATIVE = [View(view.turned, view.mirrored, True) for view in _POSITIVE]
UPRIGHT = _POSITIVE[0]

_OPPOSITE = {"A": "P", "P": "A", "H": "F", "F": "H"}


def stated_view(orientation: Sequence[str] | None) -> View | None:
    """Return the view that a DICOM PatientOrientation (PS3.3 C.7.6.1.1.1) asks for, None if it is of no lateral film.

    Args:
        orientation: direction of the rows, direction of the columns; ("A", "F") is upright and faces right. Of a
            direction with several letters the first counts.
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
    """Look at a whole film with the global network and bring the head into the mean pose.

    The film is looked at as it is, or as its header says. If that shows little of a head, it is turned, mirrored and
    inverted in all 16 ways, and the view with the most evidence is taken. The landmarks that the network sees are
    fitted by the mean shape, those that do not agree with the others count less (iteratively reweighted least squares,
    Cauchy weights).

    Args:
        network: returns logits with N landmark channels and the background, last.
        size: rows and columns of the first look.
        frame: the mean pose.
        intensity: how films are scaled.
        sure: evidence from which on the film is taken as it is.
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
        """Return the pose of the head on one film (1, row, column); ``stated`` is looked at first.

        Raises:
            ValueError: if the network and the mean shape have not the same number of landmarks.
        """
        film = self.intensity(film)
        view = stated or UPRIGHT
        look = self._look(film, [view])[0]
        if look.evidence < self.sure:
            positive = [other for other in _POSITIVE if other != view]
            others = [*self._look(film, positive), *self._look(_inverted(film), _NEGATIVE)]
            best = max(range(len(others)), key=lambda index: others[index].evidence)
            if others[best].evidence > look.evidence:
                view, look = [*positive, *_NEGATIVE][best], others[best]
        return self._posed(film, view, look)

    def evidence(self, film: torch.Tensor) -> dict[View, float]:
        """Return the evidence of all 16 views of one film (1, row, column)."""
        film = self.intensity(film)
        looks = [*self._look(film, _POSITIVE), *self._look(_inverted(film), _NEGATIVE)]
        return {view: look.evidence for view, look in zip([*_POSITIVE, *_NEGATIVE], looks, strict=True)}

    def _posed(self, film: torch.Tensor, view: View, look: _Look) -> Pose:
        seen = _inverted(film) if view.inverted else film
        # from the square to the source, and from there to the film's own grid
        to_film = torch.linalg.inv(affine_of(film)) @ look.matrix
        square = self.intensity(self.frame.cut(seen, to_film))
        return Pose(square, view, look.evidence, look.landmarks, look.peaks, exposed_field(film), to_film)

    def _look(self, film: torch.Tensor, views: list[View]) -> list[_Look]:
        small = self.whole(film)
        found = []
        for image in (view.of(small) for view in views):
            with torch.no_grad():
                heatmaps = self.network(image.as_subclass(torch.Tensor)[None]).softmax(dim=1)[0, :-1]
            if len(heatmaps) != len(self.frame.model):
                raise ValueError(
                    f"the network has {len(heatmaps)} landmarks and the mean shape {len(self.frame.model)}: "
                    "mean_shape must be that of the network's landmarks, in the same order"
                )
            points, peaks = self.to_landmarks(heatmaps), heatmaps.flatten(1).amax(dim=1)
            try:
                evidence, matrix = self.fit(points, peaks)
            except ValueError:
                # the whole film as it is
                step = self.whole.size / self.frame.size
                start = 0.5 * step - 0.5
                evidence, matrix = 0.0, torch.tensor([[step, 0, start], [0, step, start], [0, 0, 1]]).double()
            landmarks = apply(torch.linalg.inv(matrix), points)
            found.append(_Look(evidence, landmarks, peaks, affine_of(image) @ matrix))
        return found

    def fit(self, points: torch.Tensor, peaks: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Return the evidence of a head and the map from the mean pose's square to the grid of its landmarks.

        Args:
            points: (N, 2) landmarks, (row, column); NaN where there is none.
            peaks: (N,) probability of each.

        Raises:
            ValueError: if nothing can be fitted.
        """
        peaks = peaks.cpu().double().nan_to_num(nan=0.0)
        weights = peaks.clamp(min=1e-6)
        for _ in range(_REWEIGHTINGS):
            matrix = self.frame.matrix(points, weights=weights)
            if float(torch.linalg.det(matrix[:2, :2])) * self.frame.radius**2 < 1:
                raise ValueError("a head that is smaller than a pixel")
            share = (1 / (1 + (self.strangeness(points, matrix) / _HALF_WEIGHT_DISTANCE) ** 2)).nan_to_num(nan=0.0)
            weights = (peaks * share).clamp(min=1e-9)
        return float((peaks * share).mean()), matrix

    def strangeness(self, points: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Return (N,) how far landmarks are from their places in the mean shape, as a share of its radius.

        Args:
            points: (N, 2) landmarks, (row, column).
            matrix: 3x3, from the mean pose's square to their grid.
        """
        return (apply(torch.linalg.inv(matrix), points) - self.frame.model).norm(dim=1) / self.frame.radius
