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
    """True if a file has the name that PS3.10 section 8.6 keeps for the directory of a medium, in any case."""
    return path.name.upper() == _NAME


def referenced_images(path: Path) -> list[Path]:
    """The files of the IMAGE records of a DICOMDIR, in its order, each once, whether they are there or not.

    The names in a DICOMDIR are in capitals, those on a copy of the medium often not: where a name is missing, one that
    differs in its case only is taken. Patients and studies in the records are not looked at. pydicom's FileSet leaves
    out files that are missing.

    Raises:
        ReadError: not a DICOMDIR, damaged, or it names files outside its folder.
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
                raise ReadError("no DICOMDIR in spite of its name")
            return list(dataset.DirectoryRecordSequence or [])
    except (ReadError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # one of pydicom's own
            raise ReadError("damaged or truncated DICOMDIR") from None
        raise ReadError(f"cannot be opened: {error.strerror}") from None
    except Exception:
        raise ReadError("damaged or truncated DICOMDIR") from None


def _existing(folder: Path, parts: list[str], listed: dict[Path, dict[str, str]]) -> Path:
    """The file with this name, in the case that it has on the disk; as it is named if there is none."""
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
