"""A film of noise, and networks that answer by formula, for tests of the windows around a guide."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

SIZE = (30, 37)
FILM = torch.from_numpy(np.random.RandomState(0).uniform(0.1, 1, (1, *SIZE))).float()
# of a guide: inside the film, outside, or missing
COORDINATE = st.one_of(st.floats(-12, 45), st.just(math.nan))


def of_pixels(patches: torch.Tensor) -> torch.Tensor:
    """Logits of 2 landmarks and the background that depend on each pixel and on the patch's mean."""
    mean = patches.mean(dim=(2, 3), keepdim=True)
    return torch.cat((3 * patches + mean, 2 * mean - patches, torch.zeros_like(patches)), dim=1)


def of_neighbours(patches: torch.Tensor) -> torch.Tensor:
    """Logits of 2 landmarks and the background that depend on a pixel and on those up to 2 away."""
    near = nn.functional.avg_pool2d(patches, 5, 1, 2, count_include_pad=True)
    return torch.cat((6 * near, 3 * patches - near, torch.zeros_like(patches)), dim=1)
