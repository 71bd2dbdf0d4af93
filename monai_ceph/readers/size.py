"""The size of an image, from the header of its file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from PIL import Image

from monai_ceph.readers.dicom import DICOM_SUFFIXES, has_preamble, looks_like_dicom
from monai_ceph.readers.dicom_file import open_dicom
from monai_ceph.readers.files import read_head
from monai_ceph.readers.itk_image import RASTER_SUFFIXES

__all__ = ["image_size"]


def image_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return (rows, columns) of a DICOM, PNG, JPEG, BMP or TIFF file, without decoding its pixels.

    None for other formats and for a file whose header cannot be read: `read_radiograph` reports what is wrong with it.
    """
    path = Path(path)
    try:
        head = read_head(path)
        name = path.name.lower()
        if has_preamble(head) or (name.endswith(DICOM_SUFFIXES) or looks_like_dicom(head)):
            with open_dicom(path) as file:
                return file.shape[:2]
        if name.endswith(RASTER_SUFFIXES):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(path) as image:
                    return image.height, image.width
    except Exception:  # decoders document few of their exceptions
        return None
    return None
