"""MONAI's LoadImage, with only the radiograph readers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from monai.config import KeysCollection, PathLike
from monai.data import ImageReader
from monai.transforms import LoadImage, LoadImaged

from monai_ceph.errors import CephError
from monai_ceph.readers.monai_reader import RadiographReader

__all__ = ["LoadRadiograph", "LoadRadiographD", "LoadRadiographDict", "LoadRadiographd"]

# MONAI warns for each LoadImage that an optional GPU decoder of its own readers is not installed
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)


class LoadRadiograph(LoadImage):
    """Read a film as (1, row, column) float32 with a 3x3 identity affine.

    This is :class:`~monai.transforms.LoadImage` with :class:`~monai_ceph.readers.monai_reader.RadiographReader`,
    but a file that this reader refuses is an error. LoadImage would then try its other readers, which return columns
    first and all colours, and have no rule for the scale.

    Raises:
        RuntimeError: if the file cannot be read; it names file and cause, and its own cause is the reader's error.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*nvImageCodec")
            super().__init__(reader=RadiographReader, image_only=True, ensure_channel_first=True)
        self.readers: list[ImageReader] = [RadiographReader()]

    def __call__(self, filename: Sequence[PathLike] | PathLike, reader: ImageReader | None = None) -> Any:
        """Return the film of one file."""
        try:
            return super().__call__(filename, reader)
        except RuntimeError:
            # LoadImage has made a page of text of the reader's error, so ask the reader again for the error itself
            try:
                self.readers[0].read(filename)
            except CephError as error:
                raise RuntimeError(f"{type(self).__name__}: {error}") from error
            raise


class LoadRadiographd(LoadImaged):
    """Dictionary form of :class:`LoadRadiograph`."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*nvImageCodec")
            super().__init__(keys, image_only=True, ensure_channel_first=True, allow_missing_keys=allow_missing_keys)
        self._loader = LoadRadiograph()


LoadRadiographD = LoadRadiographDict = LoadRadiographd
