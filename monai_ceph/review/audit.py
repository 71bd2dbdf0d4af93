"""The record of all saves and signatures: a file with one JSON object per line, each with the hash of the line before.

A line that was changed, removed or put in between breaks the chain. Lines that were cut off at the end show because the
revisions that they recorded are still there, and because the file ``audit.head.json`` beside it names the newest line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from monai_ceph.errors import CephError
from monai_ceph.storage.atomic import sha256_of, written_beside

__all__ = ["AUDIT", "HEAD", "Link", "append", "entries", "faults", "foreign", "head"]

AUDIT = "audit.jsonl"
HEAD = "audit.head.json"
"""The number and hash of the newest line."""

_START = "0" * 64


class Link(NamedTuple):
    """One line of the chain: its number, from 1, and its hash."""

    sequence: int
    hash: str


def head(folder: Path) -> Link | None:
    """Return what the file of the head says, None without one.

    Raises:
        CephError: it cannot be read.
    """
    file = folder / HEAD
    try:
        found = json.loads(file.read_bytes())
        return Link(int(found["sequence"]), str(found["hash"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "does not name a line of the audit"
        raise CephError(f"{file}: {why}. Restore it from a copy, or move it away") from error


def append(file: Path, entry: dict[str, Any]) -> Link:
    """Add an entry at the end, durably, and name it in the file of the head. The caller keeps other writers out.

    A line that a crash left incomplete was never confirmed to anybody, and is cut off first.

    Raises:
        CephError: the last line is not an entry, or is older than the one that the head names: nothing is added to an
            audit that was cut.
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
        newest = head(file.parent)
        # after a kill, the head may be one line behind
        if newest is not None and newest.sequence >= sequence and newest != (sequence, previous):
            raise CephError(f"{file}: {_cut(newest, sequence)}. Restore it from a copy, or move it away with {HEAD}")
        whole = {"sequence": sequence + 1, **entry, "previous": previous}
        whole["hash"] = _hash(whole)
        link = Link(sequence + 1, whole["hash"])
        line = json.dumps(whole, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        stream.truncate(end)
        stream.seek(end)
        try:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
            with written_beside(file.with_name(HEAD)) as part:
                part.write_text(json.dumps(link._asdict()) + "\n", encoding="utf-8")
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    return link


def _cut(newest: Link, lines: int) -> str:
    """Return what is wrong with an audit of this many lines that lacks the newest one."""
    if newest.sequence > lines:
        return f"lines were cut off at the end: {HEAD} names line {newest.sequence}, and there are {lines}"
    return f"line {newest.sequence} is not the one that {HEAD} names"


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
    previous, lines, recorded = _START, 0, {}
    chain: dict[int, str] = {}
    try:
        for number, entry in enumerate(entries(folder / AUDIT), start=1):
            if entry.get("previous") != previous or entry.get("sequence") != number:
                found.append(f"line {number} does not follow the line before: a line was removed, moved or added")
            if entry.get("hash") != _hash(entry):
                found.append(f"line {number} was changed")
            previous, lines = str(entry.get("hash")), number
            chain[number] = previous
            # a sending has no file
            if (name := entry.get("file")) is not None:
                recorded[str(name)] = entry.get("sha256")
        newest = head(folder)
        if newest is not None and chain.get(newest.sequence) != newest.hash:
            found.append(_cut(newest, lines))
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


def foreign(folder: Path, quoted: Iterable[tuple[str, Link]]) -> list[str]:
    """Return what of the audit was quoted elsewhere, such as in a report in an archive, and is no longer in it.

    Args:
        folder: with ``audit.jsonl``.
        quoted: where a line was quoted, and the line.

    Raises:
        CephError: a line of the audit cannot be read.
    """
    chain = {entry.get("sequence"): entry.get("hash") for entry in entries(folder / AUDIT)}
    return [
        f"{where} quotes line {link.sequence}, which "
        + ("was cut off" if link.sequence not in chain else "is another one in this audit")
        for where, link in quoted
        if chain.get(link.sequence) != link.hash
    ]
