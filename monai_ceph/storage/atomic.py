"""Write a file beside its target, then rename it: the target is complete or absent."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

__all__ = ["folder_written_beside", "sha256_of", "written_beside"]


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write to. It is renamed to the target at the end, or removed on an error.

    It is flushed to the disk before it is renamed, so that a power cut leaves no empty file.

    Raises:
        OSError: if the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(target)
    try:
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_written_beside(target: Path) -> Iterator[Path]:
    """Yield a new folder beside ``target`` to write into. At the end it is renamed, or on an error removed.

    Raises:
        OSError: if the folder cannot be written, or ``target`` exists and is not an empty folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(target)
    try:
        part.mkdir()
        yield part
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _part_of(target: Path) -> Path:
    # processes on two machines that share the folder may have one number
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


def sha256_of(path: Path, opened: io.FileIO | None = None) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits.

    Args:
        path: the file.
        opened: the same file, if it is open already. It stays open.

    Raises:
        OSError: if it cannot be read.
    """
    digest = hashlib.sha256()
    with nullcontext(opened) if opened is not None else io.FileIO(path) as stream:
        stream.seek(0)
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
