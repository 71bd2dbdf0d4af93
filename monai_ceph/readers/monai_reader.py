"""The image reader for MONAI's `LoadImage` and `LoadImaged`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, ensure_tuple

from monai_ceph.readers import is_candidate, read_radiograph
from monai_ceph.readers.radiograph import Radiograph


class RadiographReader(ImageReader):
    """A MONAI image reader for radiographs, rows first, with pixels of the source image as world coordinates.

    Unlike MONAI's own readers it returns (row, column) and not (column, row), and inverts MONOCHROME1. The affine is
    the 3 x 3 identity: world coordinates are pixels of the source image, in (row, column) order.

    The metadata also have `row_spacing` and `column_spacing` (mm, NaN if unknown), `spacing_source`, `image_uid`,
    `series_uid`, `study_uid` and `sop_class_uid` (empty if unknown), `frame` (counted from 1; 0 for a file with one
    image), `patient_orientation` (such as "A\\F", empty if unknown) and `warnings` (one string), all as plain values
    that a DataLoader collates.

    Args:
        pixel_spacing: mm per pixel, the same for rows and columns; replaces the pixel spacing in the files. A file
            whose pixels are not square is refused.
        frame: which frame of a multi-frame DICOM file to read, counted from 1.

    Examples:
        >>> from monai.transforms import LoadImaged
        >>> load = LoadImaged(keys="image", reader=RadiographReader, ensure_channel_first=True)
        >>> load({"image": "ceph.dcm"})["image"].shape  # doctest: +SKIP
        (1, 2400, 1935)
    """

    def __init__(self, pixel_spacing: float | None = None, frame: int | None = None) -> None:
        super().__init__()
        self.pixel_spacing = pixel_spacing
        self.frame = frame

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return True if each file has a known suffix or a DICOM preamble."""
        return all(is_candidate(name) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Radiograph:
        """Read one file. `LoadImage` turns an error into a RuntimeError that contains its text.

        Raises:
            ReadError: if the file cannot be read as a radiograph.
            ValueError: if several files are given.
        """
        names = ensure_tuple(data)
        if len(names) != 1:
            raise ValueError(f"RadiographReader reads one file at a time, not {len(names)}.")
        return read_radiograph(names[0], pixel_spacing=self.pixel_spacing, frame=self.frame)

    def get_data(self, img: Radiograph) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the pixels, float32 (row, column), and the metadata."""
        row, column = img.pixel_spacing or (math.nan, math.nan)
        meta = {
            MetaKeys.AFFINE.value: np.eye(3),
            MetaKeys.ORIGINAL_AFFINE.value: np.eye(3),
            MetaKeys.ORIGINAL_CHANNEL_DIM.value: "no_channel",
            MetaKeys.SPATIAL_SHAPE.value: np.array(img.pixels.shape),
            "filename_or_obj": str(img.path),
            "row_spacing": row,
            "column_spacing": column,
            "spacing_source": img.spacing_source.value,
            "image_uid": img.image_uid or "",
            "series_uid": img.series_uid or "",
            "study_uid": img.study_uid or "",
            "sop_class_uid": img.sop_class_uid or "",
            "frame": img.frame or 0,
            "patient_orientation": "\\".join(img.patient_orientation or ()),
            "warnings": " ".join(img.warnings),
        }
        return img.pixels, meta
