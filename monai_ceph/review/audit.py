"""The record of all saves and signatures: a file with one JSON object per line, each with the hash of the line before.

A line that was changed, removed or put in between breaks the chain. Lines that were cut off at the end show because the
revisions that they recorded are still there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai_ceph.errors import CephError
from monai_ceph.storage.atomic import sha256_of

__all__ = ["AUDIT", "append", "entries", "faults"]

AUDIT = "audit.jsonl"
_START = "0" * 64


def append(file: Path, entry: dict[str, Any]) -> None:
    """Add an entry at the end, durably. The caller keeps other writers out.

    A line that a crash left incomplete was never confirmed to anybody, and is cut off first.

    Raises:
        CephError: the last line is not an entry.
        OSError: the file cannot be written; then it is as before.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b") as stream:
        end, last = _last_line(stream)
        previous, sequence = _START, 0
        if last:
            try:
                found = json.loads(last)
                previous, sequence = found["hash"], found["sequence"]
            except (ValueError, KeyError, TypeError) as error:
                raise CephError(f"{file}: the last line is not an entry of the audit. Move the file away") from error
        whole = {"sequence": sequence + 1, **entry, "previous": previous}
        whole["hash"] = _hash(whole)
        line = json.dumps(whole, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        stream.truncate(end)
        stream.seek(end)
        try:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            os.ftruncate(descriptor, end)
            raise


def _last_line(stream: Any) -> tuple[int, bytes]:
    """Return where the last complete line ends, and that line."""
    size = stream.seek(0, os.SEEK_END)
    block = 1 << 16
    while True:
        start = max(0, size - block)
        stream.seek(start)
        data = stream.read(size - start)
        end = data.rfind(b"\n") + 1
        before = data.rfind(b"\n", 0, max(end - 1, 0))
        if before >= 0 or start == 0:
            return start + end, data[before + 1 : end]
        block *= 4


def _hash(entry: dict[str, Any]) -> str:
    text = json.dumps({name: entry[name] for name in entry if name != "hash"}, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def entries(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries.

    Raises:
        CephError: a line is not an entry; the message names it.
    """
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    entry = json.loads(line)
                    if not isinstance(entry, dict):
                        raise ValueError
                except ValueError as error:
                    raise CephError(f"{file}: line {number} is not an entry of the audit") from error
                yield entry
    except FileNotFoundError:
        return


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the audit of a folder of reviews, and with the revisions that it records.

    Args:
        folder: with ``audit.jsonl`` and a folder per film.
    """
    found: list[str] = []
    previous, recorded = _START, {}
    try:
        for number, entry in enumerate(entries(folder / AUDIT), start=1):
            if entry.get("previous") != previous or entry.get("sequence") != number:
                found.append(f"line {number} does not follow the line before: a line was removed, moved or added")
            if entry.get("hash") != _hash(entry):
                found.append(f"line {number} was changed")
            previous = str(entry.get("hash"))
            recorded[str(entry.get("file"))] = entry.get("sha256")
    except CephError as error:
        found.append(str(error))
    for name, sha256 in recorded.items():
        file = folder / name
        if not file.is_file():
            found.append(f"{name} was removed")
        elif sha256_of(file) != sha256:
            found.append(f"{name} was changed")
    for file in sorted(folder.glob("*/*.json")):
        if (name := file.relative_to(folder).as_posix()) not in recorded:
            found.append(f"{name} is not in the audit: lines were cut off, or the file was not written by a review")
    return found
