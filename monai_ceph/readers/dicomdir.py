"""DICOMDIR: the list of the files on a medium such as a CD (PS3.3 annex F, PS3.10 section 8)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from monai_ceph.errors import ReadError
from monai_ceph.readers.dicom_elements import term, value
from monai_ceph.readers.dicom_file import BoundedReader, has_preamble
from monai_ceph.readers.quiet_pydicom import quiet

_NAME = "DICOMDIR"
_PREAMBLE_AND_PREFIX = 132
_PARENTS = (".", "..", "")


def is_dicomdir(path: Path) -> bool:
    """Return True for a file called DICOMDIR, the name that PS3.10 section 8.6 reserves, in upper or lower case."""
    return path.name.upper() == _NAME


def referenced_images(path: Path) -> list[Path]:
    """Return the files that the IMAGE records of a DICOMDIR name, in its order, each once, even if they are missing.

    A DICOMDIR has names in capitals, but copies of the medium often have lower case: if no file has the exact name, one
    that differs only in case is used. Patient and study records are ignored. pydicom's FileSet cannot be used, as it
    leaves out missing files.

    Raises:
        ReadError: if the file is not a DICOMDIR, is damaged, or names files outside its folder.
    """
    folder = path.parent
    found: dict[Path, None] = {}
    listed: dict[Path, dict[str, str]] = {}
    for record in _records(path):
        if term(record, "DirectoryRecordType") != "IMAGE":
            continue
        parts = value(record, "ReferencedFileID")
        parts = [str(part) for part in ([parts] if isinstance(parts, str) else parts or [])]
        if not parts or any(part in _PARENTS or set(part) & set("/\\:\0") for part in parts):
            raise ReadError("damaged DICOMDIR: a record does not name a file within its folder")
        found[_existing(folder, parts, listed)] = None
    return list(found)


def _records(path: Path) -> list[Any]:
    import pydicom

    try:
        with BoundedReader(io.FileIO(path)) as file, quiet():
            if not has_preamble(file.read(_PREAMBLE_AND_PREFIX)):
                raise ReadError("not a DICOMDIR, or its header is damaged")
            file.seek(0)
            dataset = pydicom.dcmread(file, specific_tags=["DirectoryRecordSequence"])
            if file.short or file.tell() > file.size:
                raise ReadError("truncated DICOMDIR")
            if "DirectoryRecordSequence" not in dataset:
                raise ReadError("not a DICOMDIR in spite of its name")
            return list(dataset.DirectoryRecordSequence or [])
    except (ReadError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # raised by pydicom, not by the system
            raise ReadError("damaged or truncated DICOMDIR") from None
        raise ReadError(f"cannot be opened: {error.strerror}") from None
    except Exception:
        raise ReadError("damaged or truncated DICOMDIR") from None


def _existing(folder: Path, parts: list[str], listed: dict[Path, dict[str, str]]) -> Path:
    """Return the file with this name in any case, as it is spelled on the disk; the exact name if there is none."""
    exact = folder.joinpath(*parts)
    if exact.exists():
        return exact
    place = folder
    for part in parts:
        if place not in listed:
            try:
                listed[place] = {each.name.lower(): each.name for each in place.iterdir()}
            except OSError:
                listed[place] = {}
        if part.lower() not in listed[place]:
            return exact
        place = place / listed[place][part.lower()]
    return place
