"""Converts pixels to LPS coordinates and back. ITK decides where a film is, because 3D Slicer reads films with it.

ITK has its own rules: for DICOM films it prefers ImagerPixelSpacing, the scale at the detector, to a calibrated
PixelSpacing, and it takes the print resolution of JPEG and TIFF files for a scale. Points appear on the film only if
they follow the same rules. Never use this spacing to measure; a detection has its own scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_ceph.errors import ReadError
from monai_ceph.readers.itk_image import PILLOW_SUFFIXES
from monai_ceph.readers.nifti import NIFTI_SUFFIXES
from monai_ceph.readers.pixels import WORKING_FOLDER, cause

__all__ = ["Placement", "placement_of", "refuse_format"]


@dataclass(frozen=True, eq=False)
class Placement:
    """The plane of a film in LPS coordinates (ITK's and DICOM's: left, posterior, superior).

    Attributes:
        origin: (3,), the centre of the first pixel.
        steps: (3, 2), the step from one pixel to the next, along a row (x) and down a column (y).
        size: (rows, columns).
    """

    origin: np.ndarray
    steps: np.ndarray
    size: tuple[int, int]

    @property
    def spacing(self) -> tuple[float, float]:
        """(row, column): the distance between the centres of adjacent rows, then of adjacent columns."""
        along_row, down = np.linalg.norm(self.steps, axis=0).tolist()
        return down, along_row

    def to_lps(self, points: np.ndarray) -> np.ndarray:
        """Return (N, 3) LPS positions of (N, 2) points, (row, column), pixel centres at integers. NaN stays NaN."""
        return self.origin + np.asarray(points, dtype=np.float64)[:, ::-1] @ self.steps.T

    def to_pixels(self, positions: np.ndarray) -> np.ndarray:
        """Return (N, 2) points, (row, column), from (N, 3) LPS positions, projected on the plane of the film."""
        across = np.linalg.pinv(self.steps)
        return ((np.asarray(positions, dtype=np.float64) - self.origin) @ across.T)[:, ::-1]


def refuse_format(path: str | Path) -> None:
    """Refuse files that clients display differently from this package's reader, or not at all.

    For NIfTI, the package's reader rotates the film by the file's affine, and Slicer does not. ITK reads neither WebP
    nor JPEG 2000.

    Raises:
        ReadError: the suffix is one of these formats.
    """
    if str(path).lower().endswith(PILLOW_SUFFIXES):
        raise ReadError(
            f"{path}: a film in this format cannot be labelled, because viewers cannot read it. Save it as PNG."
        )
    if str(path).lower().endswith(NIFTI_SUFFIXES):
        raise ReadError(
            f"{path}: a film in a NIfTI file cannot be labelled: it may be stored mirrored or rotated, so that client "
            "and server would not agree on its pixels. Save it as DICOM or PNG."
        )


def placement_of(path: str | Path) -> Placement:
    """Return where ITK places a film. Only its header is read.

    Raises:
        ReadError: ITK cannot read the file, or :func:`refuse_format` refuses it.
    """
    refuse_format(path)
    # ITK loads its modules on first use, so the lock covers all calls
    with WORKING_FOLDER:
        import itk  # takes seconds on first use, so not at the top of the file

        try:
            io = itk.ImageIOFactory.CreateImageIO(str(path), itk.CommonEnums.IOFileMode_ReadMode)
            if io is None:
                raise ReadError(f"{path}: ITK cannot read the file, so 3D Slicer could not show it.")
            io.SetFileName(str(path))
            io.ReadImageInformation()
        except RuntimeError as error:
            raise ReadError(f"{path}: ITK cannot read the file: {cause(error)}.") from error
        axes = io.GetNumberOfDimensions()
        origin, steps = np.zeros(3), np.zeros((3, 2))
        origin[:axes] = [io.GetOrigin(axis) for axis in range(axes)]
        for axis in range(2):
            steps[:axes, axis] = np.asarray(list(io.GetDirection(axis))) * io.GetSpacing(axis)
        return Placement(origin, steps, (io.GetDimensions(1), io.GetDimensions(0)))
