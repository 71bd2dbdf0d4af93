"""What a film is called: by its path or, with ``--names uid`` and ``--deidentify``, by its UID.

Folders and files of DICOM images are often named after the patient. With ``--names uid`` neither appears in anything
that a run prints or writes.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from monai_ceph.work.remote import url_of

__all__ = ["MAX_STEM", "file_stem", "film_name", "key_of", "readable", "without_identity"]

MAX_STEM = 120
"""Longest file name of an output in bytes, before its suffix: file systems end at 255."""

# what no file system and no shell minds; all else becomes an underscore
_ODD = re.compile(r"[^\w.,@=+()\[\] -]")
_QUOTED = re.compile(r"(?<!\w)b?'[^']*'(?!\w)|\"[^\"]*\"")


def key_of(path: Path) -> str:
    """Return the key of a file in the ledger: the SHA-256 of its absolute path, in hexadecimal digits."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def readable(path: Path) -> str:
    """Return a path, or the URL that it stands for, as text; a name that is not UTF-8 becomes readable text."""
    return os.fsencode(url_of(path) or path).decode("utf-8", errors="backslashreplace")


def film_name(key: str, shown: Path | None, uid: str | None, frame: int | None = None) -> str:
    """Return what a film is called in every table, line and file.

    Args:
        key: of its file.
        shown: the path that names it; None if paths may not be shown.
        uid: its SOP Instance UID, or the one in its place.
        frame: number of the frame in a file with several.
    """
    name = readable(shown) if shown is not None else uid or f"path-{key[:12]}"
    return name if frame is None else f"{name}#{frame}"


def file_stem(name: str) -> str:
    """Return the file name, without suffix, that a film's outputs have; two films may get the same one."""
    last = _ODD.sub("_", name.rpartition("/")[2])
    cut = last.encode()[:MAX_STEM].decode(errors="ignore")
    return cut.strip(" .") or "film"


def without_identity(text: str, path: Path) -> str:
    """Return a cause without the path, its folders and its name, and without what was quoted from the file."""
    for known in (path, *path.parents):
        if known != known.parent:
            text = text.replace(str(known), "")
    text = re.sub(rf"(?<!\w){re.escape(path.name)}(?!\w)", "", text)
    return _QUOTED.sub("'...'", text).strip(" :/")
