"""What a film's file says before its pixels are read."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monai_ceph.errors import ReadError
from monai_ceph.readers import count_frames
from monai_ceph.readers.dicom import has_preamble
from monai_ceph.readers.dicom_elements import is_uid
from monai_ceph.readers.files import buffered, first_bytes, open_file
from monai_ceph.readers.itk_image import META_SUFFIXES, RASTER_SUFFIXES
from monai_ceph.readers.nifti import NIFTI_SUFFIXES
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.storage.atomic import sha256_of
from monai_ceph.work.remote import read_start, uid_in, url_of

__all__ = ["FilmHead", "may_name_a_patient", "read_film_head"]

_NOT_DICOM = (*RASTER_SUFFIXES, *META_SUFFIXES, *NIFTI_SUFFIXES)
_PREAMBLE_END = 132


@dataclass(frozen=True)
class FilmHead:
    """What a film's file says before its pixels are read.

    Attributes:
        dicom: it is a DICOM file, or may be one.
        frames: number of images in it; None if it is damaged or not a radiograph.
        uid: SOP Instance UID of a DICOM file.
        file_sha256: SHA-256 of the bytes of a DICOM file with a UID.
    """

    dicom: bool
    frames: int | None = None
    uid: str | None = None
    file_sha256: str | None = None

    @classmethod
    def unread(cls, path: Path) -> FilmHead:
        """Return what identifies a film that cannot be read, if known. An archive's image has a UID in its URL."""
        return cls(dicom=not path.name.lower().endswith(_NOT_DICOM), uid=uid_in(path))


def may_name_a_patient(path: Path) -> bool:
    """Return whether a file is DICOM, or may be: its header, and often its path, then name the patient."""
    if not path.name.lower().endswith(_NOT_DICOM):
        return True
    try:
        if url_of(path) is not None:
            return has_preamble(read_start(path, _PREAMBLE_END))
        with open_file(path) as opened:
            return opened is not None and has_preamble(first_bytes(opened))
    except OSError:
        return False


def read_film_head(path: Path, fetched: Path | ReadError | None = None) -> FilmHead:
    """Read a film's head. Reading its pixels later reports what is wrong with the file.

    Args:
        path: of the film.
        fetched: what :meth:`~monai_ceph.work.remote.FetchedFilms.get` returned for a film behind a URL.
    """
    unread = FilmHead.unread(path)
    if isinstance(fetched, ReadError):
        return unread
    file = fetched or path
    # decoders and parsers document few of their exceptions; an unreadable film may still have a UID
    with quiet(), suppress(Exception), open_file(file) as opened:
        if opened is None:
            return unread
        dicom, frames, uid, sha256 = unread.dicom or has_preamble(first_bytes(opened)), None, None, None
        with suppress(Exception):
            uid = _uid(file, opened) if dicom else None
        with suppress(Exception):
            frames = count_frames(file, opened)
        if uid is not None:
            with suppress(OSError):
                sha256 = sha256_of(file, opened)
        return FilmHead(dicom, frames, uid or unread.uid, sha256)
    return unread


def _uid(file: Path, opened: io.FileIO) -> str | None:
    import pydicom

    with buffered(file, opened) as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=["SOPInstanceUID"])
    uid = str(dataset.get("SOPInstanceUID") or dataset.file_meta.get("MediaStorageSOPInstanceUID") or "")
    return uid if is_uid(uid) else None
