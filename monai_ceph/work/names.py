"""Names of films: paths or, with ``--names uid`` and ``--deidentify``, UIDs.

Folders and files of DICOM images are often named after the patient. With ``--names uid`` a run neither prints nor
writes such a path.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from monai_ceph.work.remote import url_of

__all__ = ["MAX_STEM", "file_stem", "film_name", "key_of", "readable", "without_identity"]

MAX_STEM = 120
"""Greatest length of an output's file name in bytes, before its suffix: file systems allow 255."""

# all characters except those that are safe in every file system and shell; they become underscores
_ODD = re.compile(r"[^\w.,@=+()\[\] -]")
_QUOTED = re.compile(r"(?<!\w)b?'[^']*'(?!\w)|\"[^\"]*\"")


def key_of(path: Path) -> str:
    """Return the key of a file in the ledger: the SHA-256 of its absolute path, in hexadecimal digits."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def readable(path: Path) -> str:
    """Return a path, or the URL that it represents, as text. Bytes of a name that are not UTF-8 are escaped."""
    return os.fsencode(url_of(path) or path).decode("utf-8", errors="backslashreplace")


def film_name(key: str, shown: Path | None, uid: str | None, frame: int | None = None) -> str:
    """Return the name of a film in every table, message and file.

    Args:
        key: key of its file.
        shown: the path that names it; None if paths must not be shown.
        uid: its SOP Instance UID, or the UID that replaces it.
        frame: frame number in a file with several frames.
    """
    name = readable(shown) if shown is not None else uid or f"path-{key[:12]}"
    return name if frame is None else f"{name}#{frame}"


def file_stem(name: str) -> str:
    """Return the file name of a film's outputs, without suffix. Two films may get the same one."""
    last = _ODD.sub("_", name.rpartition("/")[2])
    cut = last.encode()[:MAX_STEM].decode(errors="ignore")
    return cut.strip(" .") or "film"


def without_identity(text: str, path: Path) -> str:
    """Return a cause without the path, its folders, its name, and anything quoted from the file."""
    for known in (path, *path.parents):
        if known != known.parent:
            text = text.replace(str(known), "")
    text = re.sub(rf"(?<!\w){re.escape(path.name)}(?!\w)", "", text)
    return _QUOTED.sub("'...'", text).strip(" :/")
