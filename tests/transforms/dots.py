"""Films whose landmarks can be seen: channel i has a bright dot at landmark i and is dark elsewhere."""

from __future__ import annotations

import torch
from monai.data import MetaTensor

from monai_ceph.transforms import affine_of, landmarks_to_grid


def film_with_dots(landmarks: torch.Tensor, size: tuple[int, int], sigma: float) -> MetaTensor:
    """Draw a Gaussian dot of height 1 per landmark (row, column), one per channel, on a source image."""
    rows = torch.arange(size[0], dtype=torch.float64)[:, None]
    columns = torch.arange(size[1], dtype=torch.float64)[None, :]
    dots = [torch.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * sigma**2)) for r, c in landmarks.tolist()]
    return MetaTensor(torch.stack(dots).float(), affine=torch.eye(3, dtype=torch.float64))


def seen(film: torch.Tensor) -> torch.Tensor:
    """Return the dots' centres of mass, (row, column) in pixels of the film's grid."""
    # the cube gives weight to the tip of a dot only: a deformation moves the centre of the outer part
    mass = film.as_subclass(torch.Tensor).double() ** 3
    total = mass.sum(dim=(1, 2))
    rows = mass.sum(dim=2) @ torch.arange(mass.shape[1], dtype=torch.float64) / total
    columns = mass.sum(dim=1) @ torch.arange(mass.shape[2], dtype=torch.float64) / total
    return torch.stack((rows, columns), dim=1)


def miss(film: MetaTensor, landmarks: torch.Tensor, margin: float) -> float:
    """Return the largest distance between a landmark and its dot, in pixels of the grid.

    Landmarks nearer to the border than ``margin`` are left out: their dots are cut.
    """
    expected = landmarks_to_grid(landmarks, affine_of(film))
    limits = torch.tensor(film.shape[-2:]) - 1 - margin
    inside = ((expected >= margin) & (expected <= limits)).all(dim=1)
    assert inside.any(), "no landmark is left on the film: the test shows nothing"
    return float((seen(film) - expected)[inside].norm(dim=1).max())
