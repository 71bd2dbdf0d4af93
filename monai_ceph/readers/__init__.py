"""Image files as `Radiograph` objects: pixels, pixel spacing, and where the pixel spacing comes from.

`read_radiograph` reads one image, `count_frames` counts the frames of a file, and `iter_radiographs` and
`find_radiographs` search folders. The MONAI reader is `monai_ceph.readers.monai_reader.RadiographReader`.
Importing this package is cheap: pydicom, ITK and nibabel are imported only when a file needs them.
"""

from __future__ import annotations

from monai_ceph.readers.files import SUFFIXES, find_radiographs, is_candidate, iter_radiographs
from monai_ceph.readers.radiograph import Radiograph, SpacingSource
from monai_ceph.readers.read import count_frames, read_radiograph

__all__ = [
    "SUFFIXES",
    "Radiograph",
    "SpacingSource",
    "count_frames",
    "find_radiographs",
    "is_candidate",
    "iter_radiographs",
    "read_radiograph",
]
