"""From heatmaps to landmarks: by the maximum, or by the paper's threshold and mean."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Literal

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends

from monai_ceph.transforms.geometry import grid_of, landmarks_to_source
from monai_ceph.transforms.keys import per_key, target_per_key

__all__ = ["HeatmapsToLandmarks", "HeatmapsToLandmarksD", "HeatmapsToLandmarksDict", "HeatmapsToLandmarksd"]

Method = Literal["argmax", "mean"]


def _vertex(before: torch.Tensor, middle: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Vertex of the parabola through three log values, relative to the middle one; NaN if it has no maximum."""
    low, mid, high = (value.cpu().double().clamp(min=1e-12).log() for value in (before, middle, after))
    curvature = low - 2 * mid + high
    return torch.where(curvature < 0, 0.5 * (low - high) / curvature, torch.nan)


class HeatmapsToLandmarks(Transform):
    """Find the landmark of every heatmap, sub-pixel.

    ``argmax`` takes the maximum and moves it to the vertex of the parabola through the logarithms of its
    neighbours, in rows and in columns: exact for a Gaussian. ``mean`` is the paper's (section 3): the channel is
    normalised to 0..1, pixels below ``threshold`` are cut, and the landmark is the mean position of the others,
    weighted by their values to the power of ``power``. A channel without a positive finite maximum of at
    least ``min_peak`` gives NaN: a missing landmark.

    Args:
        method: ``argmax`` or ``mean``.
        threshold: used by ``mean``: the threshold as a share of the channel's maximum.
        refine: used by ``argmax``: False gives whole pixels.
        min_peak: lowest maximum of a channel with a landmark.
        power: used by ``mean``: with 0, as in the paper, all pixels that are left have equal weight; 1 gives their
            centre of mass. The geometric mean of two heatmaps is the square root of their product; with 2, the
            weights are the product itself.

    It has no inverse: :class:`~monai_ceph.transforms.LandmarksToHeatmaps` draws other heatmaps.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(
        self,
        method: Method,
        threshold: float = 0.5,
        refine: bool = True,
        min_peak: float = 0.0,
        power: float = 0.0,
    ) -> None:
        if method not in ("argmax", "mean"):
            raise ValueError(f"method must be argmax or mean, got {method!r}")
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {threshold}")
        if not 0 <= power < math.inf:
            raise ValueError(f"power must be finite and not negative, got {power}")
        if math.isnan(min_peak):
            raise ValueError(f"min_peak must be a number, got {min_peak}")
        self.method, self.threshold, self.refine, self.min_peak, self.power = method, threshold, refine, min_peak, power

    def __call__(self, heatmaps: torch.Tensor) -> torch.Tensor:
        """Return (N, 2) float64 landmarks, (row, column) in pixels of the grid, from (N, row, column)."""
        maps = torch.as_tensor(heatmaps).as_subclass(torch.Tensor).detach()
        flat = maps.flatten(1)
        peak, index = flat.max(dim=1)
        points = self._mean(maps, peak) if self.method == "mean" else self._argmax(maps, index)
        # NaN anywhere in a channel makes its maximum NaN, which also fails this comparison
        points[~((peak > 0) & (peak >= self.min_peak) & peak.isfinite()).cpu()] = torch.nan
        return points

    def _mean(self, maps: torch.Tensor, peak: torch.Tensor) -> torch.Tensor:
        highest = peak[:, None, None]
        kept = (maps >= self.threshold * highest) & (maps > 0)
        weights = torch.where(kept, (maps / highest) ** self.power, 0)
        per_row, per_column = weights.sum(dim=2).cpu().double(), weights.sum(dim=1).cpu().double()
        total = per_row.sum(dim=1)
        rows = per_row @ torch.arange(per_row.shape[1], dtype=torch.float64) / total
        columns = per_column @ torch.arange(per_column.shape[1], dtype=torch.float64) / total
        return torch.stack((rows, columns), dim=1)

    def _argmax(self, maps: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        height, width = maps.shape[1:]
        row, column = index // width, index % width
        # double precision on the CPU: other devices may have none
        points = torch.stack((row, column), dim=1).cpu().double()
        if self.refine:
            channel = torch.arange(len(maps), device=maps.device)
            if height >= 3:
                # at the border the parabola goes through the three pixels next to it
                middle = row.clamp(1, height - 2)
                points[:, 0] = self._refined(
                    row, middle, *(maps[channel, middle + step, column] for step in (-1, 0, 1))
                )
            if width >= 3:
                middle = column.clamp(1, width - 2)
                points[:, 1] = self._refined(
                    column, middle, *(maps[channel, row, middle + step] for step in (-1, 0, 1))
                )
        return points

    def _refined(self, peak: torch.Tensor, middle: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        """Return the vertex, at most half a pixel from the peak."""
        peak, vertex = peak.cpu(), middle.cpu() + _vertex(*values)
        return torch.where(vertex.isnan(), peak.double(), vertex.clamp(peak - 0.5, peak + 0.5))


class HeatmapsToLandmarksd(MapTransform):
    """Dictionary form of :class:`HeatmapsToLandmarks`: landmarks in the source image.

    Args:
        keys: heatmaps, (N + 1, row, column) with the background last, or (N, row, column).
        ref_key: the film whose affine leads from the grid to the source; one, or one for each key.
        target_key: where the landmarks go, (N, 2), (row, column) in pixels of the source image; one for each key.
        background: whether the last channel is the background.
        score_key: where the maxima of the heatmaps go, (N,), 0 for NaN; one for each key. None: nowhere.
        method: see :class:`HeatmapsToLandmarks`.
        threshold: see :class:`HeatmapsToLandmarks`.
        refine: see :class:`HeatmapsToLandmarks`.
        min_peak: see :class:`HeatmapsToLandmarks`.
        power: see :class:`HeatmapsToLandmarks`.
    """

    backend = HeatmapsToLandmarks.backend

    def __init__(
        self,
        keys: KeysCollection,
        ref_key: KeysCollection,
        target_key: KeysCollection,
        method: Method,
        background: bool,
        threshold: float = 0.5,
        refine: bool = True,
        min_peak: float = 0.0,
        score_key: KeysCollection | None = None,
        allow_missing_keys: bool = False,
        power: float = 0.0,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.background = background
        self.ref_keys = per_key("ref_key", ref_key, self.keys)
        self.target_keys = target_per_key("target_key", target_key, self.keys)
        none = (None,) * len(self.keys)
        self.score_keys = none if score_key is None else target_per_key("score_key", score_key, self.keys)
        self.to_landmarks = HeatmapsToLandmarks(method, threshold, refine, min_peak, power)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Add the landmarks."""
        result = dict(data)
        for key, ref, target, score in self.key_iterator(result, self.ref_keys, self.target_keys, self.score_keys):
            maps = result[key][:-1] if self.background else result[key]
            points = self.to_landmarks(maps)
            result[target] = landmarks_to_source(points, grid_of(result[ref])[0])
            if score is not None:
                peaks = maps.as_subclass(torch.Tensor).flatten(1).amax(dim=1)
                result[score] = peaks.nan_to_num(nan=0.0).cpu()
        return result


HeatmapsToLandmarksD = HeatmapsToLandmarksDict = HeatmapsToLandmarksd
