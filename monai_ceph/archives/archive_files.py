"""The images of a DICOMweb archive as an fsspec file system, so that a batch run reads them like other files.

The files are the images that may be cephalograms (`selection`). An image is retrieved when it is opened. It never
changes under its UID (PS3.5 9), so neither do the file's attributes.
"""

from __future__ import annotations

import threading
from io import BytesIO
from typing import Any

from fsspec.spec import AbstractFileSystem
from pydicom import Dataset

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.query import Found, SourceError
from monai_ceph.archives.selection import Selection
from monai_ceph.archives.urls import WEB_SCHEMES, place_of
from monai_ceph.errors import CephError
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["DicomWebFileSystem"]

_LISTING_SECONDS = 300


class DicomWebFileSystem(AbstractFileSystem):
    """Reads from ``dicomweb://HOST/ROOT``; see :func:`monai_ceph.archives.urls.place_of`. fsspec creates it.

    Args:
        scheme: of the URL.
    """

    protocol = tuple(WEB_SCHEMES)

    def __init__(self, scheme: str, **options: Any) -> None:
        super().__init__(listings_expiry_time=_LISTING_SECONDS, **options)
        self._scheme = scheme
        self._lock = threading.Lock()

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return {"scheme": path.partition("://")[0]}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the images in a service, study or series, as one folder.

        If the list is not complete, the last entry has the folder's own name, and the cause as its ``error``.

        Raises:
            CephError: the archive cannot be listed, or the URL has no condition.
        """
        with self._lock:
            entries = self._ls_from_cache(path)
            if entries is None:
                entries = self.dircache[path] = self._find(path)
        return entries if detail else [entry["name"] for entry in entries if "error" not in entry]

    def _find(self, path: str) -> list[dict[str, Any]]:
        place = place_of(url := f"{self._scheme}://{path}")
        if place.query.empty:
            raise CephError(
                f"{url}: the URL has no condition. Add /studies/UID, or a condition such as ?StudyDate=20260131"
            )
        archive, root = DicomWebArchive(place.service), path.partition("?")[0].partition("/studies/")[0].rstrip("/")
        entries: list[dict[str, Any]] = []
        try:
            for found in archive.find(place.query, Selection(SelectionConfig())):
                if place.series in (None, found.series):
                    entries.append(
                        self.info(f"{root}/studies/{found.study}/series/{found.series}/instances/{found.uid}")
                    )
        except SourceError as error:
            if not entries:
                raise
            entries.append({"name": path, "size": 0, "type": "other", "error": str(error)})
        return entries

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return an entry that never changes for an image. Its size is 0: archives do not tell it in advance."""
        image = place_of(f"{self._scheme}://{path}").image
        if image is None:
            return {"name": path, "size": 0, "type": "directory"}
        return {"name": path, "size": 0, "type": "file", "ContentType": "application/dicom"}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> BytesIO:
        """Retrieve an image; raises a :class:`~monai_ceph.errors.CephError` if the archive does not send it."""
        place = place_of(f"{self._scheme}://{path}")
        if mode != "rb" or place.query.study is None or place.series is None or place.image is None:
            raise ValueError(f"{path} is not an image that can be read")
        found = Found(place.query.study, place.series, place.image)
        stream = BytesIO()

        def keep(dataset: Dataset) -> None:
            with quiet():
                dataset.save_as(stream, enforce_file_format=True)

        DicomWebArchive(place.service).fetch(found, keep)
        stream.seek(0)
        return stream
