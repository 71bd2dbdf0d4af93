"""Lines of the audit that are quoted outside the folder of reviews: in exports, and in reports in an archive."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import dcmread

from monai_ceph.errors import CephError
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.review.audit import Link

__all__ = ["quotes"]

_QUOTE = re.compile(r"Audit: line (\d+), SHA-256 ([0-9a-f]{64})")


def quotes(path: Path) -> Iterator[tuple[str, Link]]:
    """Yield the file and the line of the audit for each quote: in exported JSON, SR documents and copies of the head.

    Args:
        path: such a file, or a folder that is searched to any depth.

    Raises:
        CephError: the file cannot be read, or quotes nothing; of a folder, no file does.
    """
    if not path.is_dir():
        yield from _of(path)
        return
    found = False
    for file in sorted(each for each in path.rglob("*") if each.suffix in (".json", ".dcm") and each.is_file()):
        try:
            for each in _of(file):
                found = True
                yield each
        except CephError:
            continue
    if not found:
        raise CephError(f"{path}: no file in it quotes the audit of a review")


def _of(file: Path) -> Iterator[tuple[str, Link]]:
    try:
        if file.suffix == ".json":
            content = json.loads(file.read_bytes())
            link = _link(content)
        else:
            with quiet():
                link = _in_document(dcmread(file, stop_before_pixels=True))
    except OSError as error:
        raise CephError(f"{file}: {error.strerror or error}") from error
    except Exception as error:  # parsers document few of their exceptions
        raise CephError(f"{file}: cannot be read: {type(error).__name__}") from error
    if link is None:
        raise CephError(f"{file}: does not quote the audit of a review")
    yield str(file), link


def _link(content: Any) -> Link | None:
    """Return the quote of an export, or what a copy of the head says."""
    if not isinstance(content, dict):
        return None
    found = content["review"].get("audit") if isinstance(content.get("review"), dict) else content
    if not isinstance(found, dict) or not {"sequence", "hash"} <= found.keys():
        return None
    return Link(int(found["sequence"]), str(found["hash"]))


def _in_document(document: Any) -> Link | None:
    for element in document.iterall():
        if element.keyword == "TextValue" and (match := _QUOTE.search(str(element.value))):
            return Link(int(match[1]), match[2])
    return None
