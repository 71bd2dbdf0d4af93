"""Filters of (row, column) pixels that take the same time at any width."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

__all__ = ["between", "blurred", "log_between", "normal"]


def between(R: np.random.RandomState, low: float, high: float) -> float:
    """Draw a number; all are equally likely."""
    return float(R.uniform(low, high))


def log_between(R: np.random.RandomState, low: float, high: float) -> float:
    """Draw a positive number; the logarithm is uniform."""
    return float(np.exp(R.uniform(np.log(low), np.log(high))))


def normal(R: np.random.RandomState, size: tuple[int, int]) -> np.ndarray:
    """Draw normal numbers with mean 0 and standard deviation 1, float32."""
    # torch's are 5 times as fast as those of RandomState
    generator = torch.Generator().manual_seed(int(R.randint(2**31)))
    return torch.randn(size, generator=generator).numpy()


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Return pixels after a Gaussian filter of standard deviation ``sigma`` pixels; the border is repeated."""
    if sigma < 0.2:
        return pixels
    film = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))[None, None]
    rows, columns = pixels.shape
    # a wide filter does not need every pixel
    step = max(1, min(int(sigma / 2), rows // 2, columns // 2))
    if step > 1:
        film = F.pad(film, (0, -columns % step, 0, -rows % step), mode="replicate")
        film = F.avg_pool2d(film, step)
    kernel = _kernel(sigma / step)
    reach = len(kernel) // 2
    film = F.pad(film, (reach,) * 4, mode="replicate")
    film = F.conv2d(F.conv2d(film, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))
    if step > 1:
        film = F.interpolate(film, scale_factor=step, mode="bilinear", align_corners=False)
    return film[0, 0, :rows, :columns].numpy()


def _kernel(sigma: float) -> torch.Tensor:
    reach = max(1, int(3 * sigma + 0.5))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    return weights / weights.sum()
