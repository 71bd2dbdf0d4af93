"""The images of a DICOMweb archive as the files of an fsspec file system, so that a batch run takes them as any others.

A file is an image that may be a cephalogram by what the archive says of it (`selection`); it moves when it is
opened. An image never changes under its UID (PS3.5 9), so neither does what is said of its file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
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
from monai_ceph.readers._pydicom import quiet

__all__ = ["DicomWebFileSystem"]

# a run looks at a film, reads its pixels, and reads its header once more while the next one is at work
_KEPT = 3
_LISTING_SECONDS = 300


class DicomWebFileSystem(AbstractFileSystem):
    """Reads from ``dicomweb://HOST/ROOT``; see :func:`monai_ceph.archives.urls.place_of`. fsspec makes it.

    Args:
        scheme: of the URL.
    """

    protocol = tuple(WEB_SCHEMES)

    def __init__(self, scheme: str, **options: Any) -> None:
        super().__init__(listings_expiry_time=_LISTING_SECONDS, **options)
        self._scheme = scheme
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return {"scheme": path.partition("://")[0]}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the images below a service, study or series, as one folder.

        If the archive did not say all, a last entry has the folder's own name, and the cause as its ``error``.

        Raises:
            CephError: if the archive says nothing of use, or the URL says nothing of what is looked for.
        """
        with self._lock:
            entries = self._ls_from_cache(path)
            if entries is None:
                entries = self.dircache[path] = self._find(path)
        return entries if detail else [entry["name"] for entry in entries if "error" not in entry]

    def _find(self, path: str) -> list[dict[str, Any]]:
        place = place_of(url := f"{self._scheme}://{path}")
        if place.query.empty:
            raise CephError(f"{url}: nothing to look for: add /studies/UID, or conditions such as ?StudyDate=20260131")
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
        """Return the same for an image at any time. How many bytes it has no archive says before it sends them."""
        image = place_of(f"{self._scheme}://{path}").image
        if image is None:
            return {"name": path, "size": 0, "type": "directory"}
        return {"name": path, "size": 0, "type": "file", "ContentType": "application/dicom"}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> BytesIO:
        """Retrieve an image; raises a :class:`~monai_ceph.errors.CephError` if the archive does not send it."""
        place = place_of(f"{self._scheme}://{path}")
        if mode != "rb" or place.query.study is None or place.series is None or place.image is None:
            raise ValueError(f"{path} is no image that can be read")
        found = Found(place.query.study, place.series, place.image)
        with self._lock:
            # by the whole path: another archive may have another image under the same UIDs
            content = self._kept.get(path)
        if content is None:
            stream = BytesIO()

            def keep(dataset: Dataset) -> None:
                with quiet():
                    dataset.save_as(stream, enforce_file_format=True)

            DicomWebArchive(place.service).fetch(found, keep)
            content = stream.getvalue()
            with self._lock:
                self._kept[path] = content
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return BytesIO(content)
