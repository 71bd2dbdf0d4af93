"""The archives of a node's configuration."""

from __future__ import annotations

from monai_ceph.archives.config import SourceConfig
from monai_ceph.archives.dicomweb_source import DicomWebArchive
from monai_ceph.archives.dimse_source import DicomArchive
from monai_ceph.archives.query import Source

__all__ = ["make_sources"]


def make_sources(config: SourceConfig, ae_title: str) -> list[Source]:
    """Return the archives that a node with this AE title fetches films from."""
    return [*(DicomArchive(each, ae_title) for each in config.dicom), *map(DicomWebArchive, config.dicomweb)]
