"""Films and views on which styles are tested."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from monai.data import MetaTensor

from monai_ceph.datasets.phantom.drawing import draw_phantom
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.transforms.geometry import affine_of
from monai_ceph.transforms.styles.view import View, view_of

SPACING = 0.8
"""mm per pixel of :func:`phantom`, nearly."""


@cache
def _drawn() -> tuple[np.ndarray, np.ndarray]:
    phantom = draw_phantom(3, height=300, width=242)
    pixels = phantom.pixels.astype(np.float32)
    return (pixels - pixels.min()) / np.ptp(pixels), phantom.landmarks


def phantom() -> tuple[MetaTensor, torch.Tensor]:
    """Return a small film in 0..1, with metadata, and its landmarks, which are in source coordinates."""
    pixels, landmarks = _drawn()
    # as after a crop: the grid is not that of the source
    affine = torch.tensor([[1.0, 0, 20], [0, 1, -10], [0, 0, 1]], dtype=torch.float64)
    film = MetaTensor(torch.from_numpy(pixels.copy())[None], affine=affine, meta={"name": "x"})
    return film, torch.from_numpy(landmarks + np.array([20, -10]))


def view(size: tuple[int, int] = (300, 242), zoom: float = 1.0) -> View:
    """Return the view of :func:`phantom`, ``zoom`` times as large."""
    film, landmarks = phantom()
    affine = affine_of(film) @ torch.diag(torch.tensor([1 / zoom, 1 / zoom, 1.0], dtype=torch.float64))
    return view_of((round(size[0] * zoom), round(size[1] * zoom)), affine, landmarks, SYMBOLS, SPACING)
