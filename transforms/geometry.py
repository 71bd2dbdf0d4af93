"""Exact resampling, and conversion between source and grid coordinates, for all spatial transforms.

A film keeps a 3x3 ``affine`` that maps homogeneous (row, column, 1) of its current grid to (row, column) of the
source image, pixel centres at integers. Landmarks always stay in source coordinates: moving the pixels means
changing the affine, and the landmarks follow. This is MONAI's own convention for points in world coordinates.
"""

from __future__ import annotations

import warnings

import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform
from monai.transforms.lazy.functional import apply_pending
from monai.utils import TransformBackends, convert_to_tensor
from torch.nn import functional as F

__all__ = [
    "InvertibleResampling",
    "affine_of",
    "apply",
    "executed",
    "fit_similarity",
    "grid_of",
    "landmarks_to_grid",
    "landmarks_to_source",
    "narrowed",
    "on_cpu",
    "pixels_of",
    "resample",
    "resample_each",
    "widened",
    "with_affine",
]


def affine_of(image: NdarrayOrTensor) -> torch.Tensor:
    """Return the 3x3 grid-to-source matrix of a film, float64; the identity for a plain tensor or a numpy array.

    Lazy operations that are pending count as executed.

    Raises:
        ValueError: if the image carries an affine that is not 3x3 (a reader for volumes was used).
    """
    if not isinstance(image, MetaTensor):
        return torch.eye(3, dtype=torch.float64)
    affine = torch.as_tensor(image.peek_pending_affine(), dtype=torch.float64, device="cpu")
    if affine.shape[-2:] != (3, 3):
        raise ValueError(f"a radiograph needs a 3x3 affine, got {tuple(affine.shape)}: read with RadiographReader")
    return affine


def grid_of(image: NdarrayOrTensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return the affine (see :func:`affine_of`), rows and columns of the film to which landmarks belong.

    A film without an affine gives a warning, once: if it was resampled, its landmarks would be at wrong places, without
    an error.
    """
    if not isinstance(image, MetaTensor):
        warnings.warn(
            "landmarks on a film without an affine: its grid is taken for that of the source image. If the film was "
            "resampled, they are at wrong places. Datasets that store films on the disk lose the affine: give "
            "PersistentDataset track_meta=True and weights_only=False",
            stacklevel=3,
        )
    shape = image.peek_pending_shape() if isinstance(image, MetaTensor) else image.shape[-2:]
    return affine_of(image), (int(shape[-2]), int(shape[-1]))


def executed(image: NdarrayOrTensor) -> NdarrayOrTensor:
    """Return a film after its pending lazy operations.

    MONAI's Compose executes them before a transform that is not lazy; without a Compose nobody else does.
    """
    if isinstance(image, MetaTensor) and image.pending_operations:
        return apply_pending(image)[0]
    return image


def pixels_of(image: NdarrayOrTensor) -> torch.Tensor:
    """Return a film, which may be a numpy array as in MONAI's transforms, as a plain tensor."""
    return image.as_subclass(torch.Tensor) if isinstance(image, torch.Tensor) else convert_to_tensor(image)


def with_affine(pixels: torch.Tensor, source: NdarrayOrTensor, affine: torch.Tensor) -> MetaTensor:
    """Return ``pixels`` with the metadata and the applied operations of ``source``, and a new 3x3 ``affine``."""
    plain = pixels.as_subclass(torch.Tensor)
    if not isinstance(source, MetaTensor):
        return MetaTensor(plain, affine=affine)
    meta = {key: value for key, value in source.meta.items() if key != "affine"}
    return MetaTensor(plain, affine=affine, meta=meta, applied_operations=list(source.applied_operations))


def widened(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels in single precision, or unchanged if they are in single or double, for resampling."""
    # in half precision, coordinates above a few hundred are whole pixels off
    return pixels if pixels.dtype in (torch.float32, torch.float64) else pixels.float()


def narrowed(sampled: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Return resampled pixels in the type of the original ones; integers become float32, as in MONAI."""
    return sampled.to(pixels.dtype) if pixels.is_floating_point() else sampled


def apply(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Map (..., N, 2) points, (row, column), by (..., 3, 3) matrices."""
    return points @ matrix[..., :2, :2].mT + matrix[..., None, :2, 2]


def on_cpu(points: torch.Tensor) -> torch.Tensor:
    """Return points or matrices as a plain float64 tensor on the CPU, where the transforms compute with them."""
    # move to the CPU first: other devices may have no double precision
    here = points.cpu() if isinstance(points, torch.Tensor) else points
    return torch.as_tensor(here, dtype=torch.float64).as_subclass(torch.Tensor)


def landmarks_to_grid(landmarks: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Map (..., N, 2) landmarks, (row, column) of the source, to the grid of ``affine`` (..., 3, 3). NaN stays NaN."""
    return apply(torch.linalg.inv(on_cpu(affine)), on_cpu(landmarks))


def landmarks_to_source(landmarks: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Map (..., N, 2) landmarks, (row, column) of the grid of ``affine`` (..., 3, 3), to the source. NaN stays NaN."""
    return apply(on_cpu(affine), on_cpu(landmarks))


def pixel_size(affine: torch.Tensor) -> float:
    """Return the side of a pixel of the grid of ``affine`` (3, 3), in pixels of the source."""
    return float(torch.linalg.det(on_cpu(affine)[:2, :2]).abs().sqrt())


def resample(
    image: NdarrayOrTensor, matrix: torch.Tensor, size: tuple[int, int], *, antialias: bool = False
) -> MetaTensor:
    """Sample a film on a new grid: bilinear, 0 outside. Half precision is kept; integers become float32.

    Args:
        image: (channel, row, column).
        matrix: 3x3, maps (row, column, 1) of the new grid to (row, column) of the current one.
        size: rows and columns of the new grid.
        antialias: shrink a film that is finer than the new grid with an area filter first.
    """
    matrix = matrix.to(torch.float64)
    affine = affine_of(image) @ matrix
    film = pixels_of(image)
    pixels = widened(film)
    if antialias:
        pixels, to_present = _shrunk(pixels, matrix)
        matrix = torch.linalg.inv(to_present) @ matrix
    theta = _theta(matrix, (pixels.shape[-2], pixels.shape[-1]), size).to(pixels)
    grid = _grid(theta[None], size)
    sampled = F.grid_sample(pixels[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
    return with_affine(narrowed(sampled, film), image, affine)


class InvertibleResampling(InvertibleTransform):
    """Base of transforms that sample a film on another grid, so that MONAI's ``Compose.inverse`` and ``Invertd`` work.

    The inverse samples on the grid from before, bilinear: what was cut off is 0, and detail that was lost stays lost.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def traced(self, result: MetaTensor, image: NdarrayOrTensor, matrix: torch.Tensor) -> MetaTensor:
        """Note in ``result`` how it was made: ``matrix`` (3x3) maps its grid to that of ``image``."""
        size = [int(image.shape[-2]), int(image.shape[-1])]
        traced: MetaTensor = self.push_transform(result, orig_size=size, extra_info={"matrix": matrix.tolist()})
        return traced

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Return a film (channel, row, column), or heatmaps on its grid, on the grid from before this transform.

        Raises:
            RuntimeError: if this was not the last transform of ``data``.
        """
        data = executed(data)
        done = self.pop_transform(data)
        matrix = torch.as_tensor(done["extra_info"]["matrix"], dtype=torch.float64)
        rows, columns = done["orig_size"]
        return resample(data, torch.linalg.inv(matrix), (int(rows), int(columns)), antialias=True)


def _shrunk(pixels: torch.Tensor, matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a film with pixels about as large as those of the new grid, and the map to the current grid."""
    step = pixel_size(matrix)
    old = (pixels.shape[-2], pixels.shape[-1])
    if step <= 1:
        return pixels, torch.eye(3, dtype=torch.float64)
    new = tuple(max(1, round(length / step)) for length in old)
    small = F.interpolate(pixels[None], new, mode="bilinear", antialias=True)[0]
    row, column = old[0] / new[0], old[1] / new[1]
    to_present = torch.tensor(
        [[row, 0, 0.5 * row - 0.5], [0, column, 0.5 * column - 0.5], [0, 0, 1]], dtype=torch.float64
    )
    return small, to_present


def fit_similarity(
    model: torch.Tensor, found: torch.Tensor, *, mirrored: bool = False, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the 3x3 similarity map (rotation, scale, shift) from ``model`` to ``found`` by least squares.

    (Umeyama 1991, Least-squares estimation of transformation parameters between two point patterns.)

    Args:
        model: (N, 2) points, (row, column).
        found: (N, 2) points, (row, column); NaN points are left out.
        mirrored: mirror the columns of the model first.
        weights: (N,) weights of the points, not negative; equal by default.

    Raises:
        ValueError: if fewer than two different points are known.
    """
    model, found = on_cpu(model), on_cpu(found)
    known = ~found.isnan().any(dim=1)
    flip = torch.tensor([1.0, -1.0 if mirrored else 1.0], dtype=torch.float64)
    # with complex numbers, rotation and scale are one factor
    source = torch.view_as_complex((model[known] * flip).contiguous())
    target = torch.view_as_complex(found[known].contiguous())
    share = torch.ones(len(source), dtype=torch.float64) if weights is None else on_cpu(weights)[known]
    share = share / share.sum()
    source_mean, target_mean = (share * source).sum(), (share * target).sum()
    spread = (share * (source - source_mean).abs() ** 2).sum()
    # rounding gives repeated copies of one point a small spread
    if len(source) < 2 or not spread > 1e-24 * (share * source.abs() ** 2).sum():
        raise ValueError("a similarity map needs two different points")
    factor = (share * (source - source_mean).conj() * (target - target_mean)).sum() / spread
    shift = target_mean - factor * source_mean
    real, imaginary = float(factor.real), float(factor.imag)
    turn = torch.tensor([[real, -imaginary], [imaginary, real]], dtype=torch.float64) * flip
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2, :2] = turn
    matrix[:2, 2] = torch.view_as_real(shift)
    return matrix


def resample_each(images: torch.Tensor, matrices: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Sample each of N images (N, row, column) on a grid of ``size`` by its own 3x3 matrix (see :func:`resample`)."""
    pixels = widened(images)
    theta = _theta(matrices.to(torch.float64), (pixels.shape[-2], pixels.shape[-1]), size).to(pixels)
    grid = _grid(theta, size)
    sampled = F.grid_sample(pixels[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)[:, 0]
    return narrowed(sampled, images)


def _grid(theta: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return what ``affine_grid`` returns for (N, 2, 3), in a quarter of the time: it multiplies matrices per pixel."""
    rows, columns = (torch.linspace(-1, 1, length).to(theta) for length in size)
    down = theta[:, None, :, 1] * rows[:, None] + theta[:, None, :, 2]
    across = theta[:, None, :, 0] * columns[:, None]
    return down[:, :, None] + across[:, None]


def _theta(matrix: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """Return (..., 2, 3) for affine_grid from (..., 3, 3) maps of (row, column) of a new grid to an old one."""
    # grid_sample uses (x, y) in -1..1 between the centres of the first and the last pixel
    unit_to_new = torch.tensor(
        [[0, (new[0] - 1) / 2, (new[0] - 1) / 2], [(new[1] - 1) / 2, 0, (new[1] - 1) / 2], [0, 0, 1]],
        dtype=torch.float64,
    )
    old_to_unit = torch.tensor(
        [[0, 2 / max(old[1] - 1, 1), -1], [2 / max(old[0] - 1, 1), 0, -1], [0, 0, 1]], dtype=torch.float64
    )
    return (old_to_unit @ matrix @ unit_to_new)[..., :2, :]
