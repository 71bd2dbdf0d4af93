"""From landmarks to heatmaps: equations 1 and 2 of the paper."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends

from monai_ceph.transforms.geometry import grid_of, landmarks_to_grid, on_cpu
from monai_ceph.transforms.keys import per_key, target_per_key

__all__ = ["LandmarksToHeatmaps", "LandmarksToHeatmapsD", "LandmarksToHeatmapsDict", "LandmarksToHeatmapsd"]


class LandmarksToHeatmaps(Transform):
    r"""Turn N landmarks into N + 1 heatmaps whose channels sum to 1 at every pixel.

    .. math::
        H^i(x, y) = \exp\left[-\frac{(x - x_i)^2 + (y - y_i)^2}{2\sigma^2}\right], \quad i \le N
        \qquad H^{N+1} = 1 - \sum_{j \le N} H^j

    (Zhong et al. 2019, eq. 1-2.) Centres are sub-pixel, and a landmark outside the grid keeps its tail inside it.
    Where the Gaussians of close landmarks sum to more than 1 (the paper's equation would make the background
    negative) they are divided by their sum, and the background is 0. A landmark that is NaN gives a channel of
    NaN: empty, for :class:`monai_ceph.losses.HeatmapRegressionLoss` to ignore.

    It has no inverse: :class:`~monai_ceph.transforms.HeatmapsToLandmarks` finds the landmarks again.

    Args:
        sigma: standard deviation of the Gaussians, in pixels of the grid.
        dtype: data type of the heatmaps.

    Examples:
        >>> LandmarksToHeatmaps(sigma=2.0)(torch.tensor([[3.0, 4.5]]), (8, 8)).shape
        torch.Size([2, 8, 8])
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(self, sigma: float, dtype: torch.dtype = torch.float32) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.sigma = float(sigma)
        self.dtype = dtype

    def __call__(self, landmarks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return (N + 1, row, column), on the CPU, from (N, 2) landmarks, (row, column) in pixels of the grid."""
        # in double until the exponential: offsets from a far landmark lose their fraction in single precision
        points = on_cpu(landmarks)

        def profile(centre: torch.Tensor, length: int) -> torch.Tensor:
            offset = (torch.arange(length, dtype=torch.float64) - centre[:, None]) / self.sigma
            return torch.exp(-0.5 * offset**2).to(self.dtype)

        missing = points.isnan().any(dim=1)
        points = torch.nan_to_num(points, nan=0.0)
        rows, columns = profile(points[:, 0], size[0]), profile(points[:, 1], size[1])
        rows[missing] = 0
        heatmaps = torch.empty((len(points) + 1, *size), dtype=self.dtype)
        torch.mul(rows[:, :, None], columns[:, None, :], out=heatmaps[:-1])
        total = heatmaps[:-1].sum(dim=0)
        heatmaps[:-1] /= total.clamp(min=1)
        heatmaps[-1] = (1 - total).clamp(min=0)
        heatmaps[:-1][missing] = torch.nan
        return heatmaps


class LandmarksToHeatmapsd(MapTransform):
    """Dictionary form of :class:`LandmarksToHeatmaps`: heatmaps on the grid of the film.

    Args:
        keys: landmarks, (N, 2), (row, column) in pixels of the source image.
        ref_key: the film whose grid the heatmaps share; its affine leads from the grid to the source. One, or one for
            each key. A film without an affine gives a warning.
        target_key: where the heatmaps go, (N + 1, row, column); one for each key.
        sigma: standard deviation, in pixels of the grid.
    """

    backend = LandmarksToHeatmaps.backend

    def __init__(
        self,
        keys: KeysCollection,
        ref_key: KeysCollection,
        target_key: KeysCollection,
        sigma: float,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.ref_keys = per_key("ref_key", ref_key, self.keys)
        self.target_keys = target_per_key("target_key", target_key, self.keys)
        self.to_heatmaps = LandmarksToHeatmaps(sigma)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Add the heatmaps."""
        result = dict(data)
        for key, ref, target in self.key_iterator(result, self.ref_keys, self.target_keys):
            affine, size = grid_of(result[ref])
            result[target] = self.to_heatmaps(landmarks_to_grid(result[key], affine), size)
        return result


LandmarksToHeatmapsD = LandmarksToHeatmapsDict = LandmarksToHeatmapsd
