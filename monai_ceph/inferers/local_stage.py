"""Creates the inferer of the local stage that the config asks for."""

from __future__ import annotations

from collections.abc import Sequence

from monai_ceph.inferers.expansive_exploration import Arrangement, ExpansiveExplorationInferer, square_side
from monai_ceph.inferers.shared_windows import SharedWindowsInferer

__all__ = ["local_inferer"]


def local_inferer(
    patch_size: int,
    expansion: float,
    arrangement: Arrangement,
    batch_size: int,
    margin: int,
    shared_pixels: bool,
    guide_sd: float | None,
    shifts: Sequence[int],
) -> ExpansiveExplorationInferer | SharedWindowsInferer:
    """Return the local stage's inferer: the paper's, or the one that computes shared pixels once.

    Both search the same squares.

    Args:
        patch_size: see :class:`ExpansiveExplorationInferer`.
        expansion: see :class:`ExpansiveExplorationInferer`.
        arrangement: see :class:`ExpansiveExplorationInferer`.
        batch_size: patches per forward pass; ignored by :class:`SharedWindowsInferer`.
        margin: see :class:`ExpansiveExplorationInferer`.
        shared_pixels: True for :class:`SharedWindowsInferer`, False for :class:`ExpansiveExplorationInferer`.
        guide_sd: see :class:`ExpansiveExplorationInferer`.
        shifts: see :class:`SharedWindowsInferer`; must be ``[0]`` without shared pixels.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not isinstance(shared_pixels, bool):
        raise ValueError(f"shared_pixels must be True or False, got {shared_pixels!r}")
    patches = ExpansiveExplorationInferer(patch_size, expansion, arrangement, batch_size, margin, guide_sd)
    if not shared_pixels:
        if list(shifts) != [0]:
            raise ValueError(f"shifts must be [0] without shared_pixels, got {shifts}")
        return patches
    return SharedWindowsInferer(square_side(patch_size, expansion, arrangement), margin, guide_sd, shifts)
